//! The GraphQL door of Docket and its binary.

pub mod bench;
pub mod embedded;
pub mod http;
