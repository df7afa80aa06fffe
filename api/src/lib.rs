//! The GraphQL door of Docket and its binary.

pub mod app;
pub mod auth;
pub mod bench;
mod catch_up;
pub mod cli;
pub mod config;
pub mod embedded;
pub mod graphql;
pub mod http;
pub mod json;
mod page;
pub mod server;
mod telemetry;
mod verbs;
