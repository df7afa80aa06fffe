//! The GraphQL door of Docket and its binary.

pub mod bench;
pub mod http;
