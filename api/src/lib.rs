//! The GraphQL door of Docket and its binary.

pub mod auth;
pub mod bench;
pub mod embedded;
pub mod graphql;
pub mod http;
pub mod server;
