//! The append-only, partitioned log of Docket on PostgreSQL.
