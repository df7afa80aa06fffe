//! The binary `docket`.
fn main() {}
