//! The pure aggregates of Docket: orders, payments and shipments.
