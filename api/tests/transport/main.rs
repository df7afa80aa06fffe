//! The transports over a toy schema: every refusal and every close code, as a client sees them.
//!
//! A test waits for what the server does, with a deadline, never for a time to pass; limits are short where the
//! limit itself is the subject.

#![expect(
    clippy::expect_used,
    reason = "the clients of the tests fail by panicking, like the tests themselves"
)]

mod client;
mod connections;
mod http;
mod http_refusals;
mod sse;
mod toy;
mod websocket;
mod websocket_ends;
