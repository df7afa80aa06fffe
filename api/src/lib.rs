//! The GraphQL door of Docket and its binary.

pub mod http;
