//! Why a connection is closed: the codes of graphql-transport-ws, and those of RFC 6455 where it has none.
//!
//! Clients read the code to decide whether to come back. 4403 and the four codes of RFC 6455 at the end invite them
//! to (with a fresh token, after a pause); the other 44xx say that the client itself is at fault and repeating will
//! not help. An ended token is 4403 for that reason: it is the code of a refused `connection_init`, and a client
//! that asks for its parameters anew each time heals by itself.

use axum::extract::ws::{CloseFrame, Message};

/// The longest reason that fits a close frame: 125 bytes of a control frame less two for the code.
const MAX_REASON_BYTES: usize = 123;

/// What a client is told that does not read, once it does.
const TOO_SLOW: &str = "Messages were not read in time; subscribe again from the last cursor";

/// A code and what to tell the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Close {
    code: u16,
    reason: String,
}

impl Close {
    fn new(code: u16, reason: impl Into<String>) -> Close {
        let mut reason = reason.into();
        let ends = (0..=MAX_REASON_BYTES)
            .rev()
            .find(|at| reason.is_char_boundary(*at))
            .unwrap_or(0);
        reason.truncate(ends);
        Close { code, reason }
    }

    /// Something that is no message of the protocol.
    pub(super) fn bad_message(detail: impl std::fmt::Display) -> Close {
        Close::new(4400, format!("Invalid message: {detail}"))
    }

    /// An operation before `connection_ack`.
    pub(super) fn unauthorized() -> Close {
        Close::new(4401, "Unauthorized")
    }

    /// A token that does not hold.
    pub(super) fn forbidden() -> Close {
        Close::new(4403, "Forbidden: the token is not valid")
    }

    /// A token that held until now.
    pub(super) fn token_ended() -> Close {
        Close::new(4403, "Forbidden: the token no longer holds")
    }

    /// A subprotocol that is not spoken here, or none.
    pub(super) fn no_subprotocol() -> Close {
        Close::new(4406, "Subprotocol not acceptable: use graphql-transport-ws")
    }

    /// No `connection_init` in time.
    pub(super) fn init_timeout() -> Close {
        Close::new(4408, "Connection initialisation timeout")
    }

    /// An id that is in use.
    pub(super) fn duplicate(id: &str) -> Close {
        Close::new(4409, format!("Subscriber for {id} already exists"))
    }

    /// A second `connection_init`.
    pub(super) fn too_many_inits() -> Close {
        Close::new(4429, "Too many initialisation requests")
    }

    /// The server stops.
    pub(super) fn going_away() -> Close {
        Close::new(1001, "The server is going away")
    }

    /// Broken framing.
    pub(super) fn broken_framing() -> Close {
        Close::new(1002, "Broken WebSocket framing")
    }

    /// Text that is not UTF-8.
    pub(super) fn not_utf8() -> Close {
        Close::new(1007, "Text messages are UTF-8")
    }

    /// A message over the size limit.
    pub(super) fn too_big(limit: usize) -> Close {
        Close::new(1009, format!("A message may have {limit} bytes"))
    }

    /// A client that does not read.
    pub(super) fn too_slow() -> Close {
        Close::new(1013, TOO_SLOW)
    }

    /// Whether the client can be told only once it reads.
    pub(super) fn is_too_slow(&self) -> bool {
        self.reason == TOO_SLOW
    }

    /// A client that shows no sign of life.
    pub(super) fn silent() -> Close {
        Close::new(1013, "No sign of life from the client")
    }

    /// The token could not be checked.
    pub(super) fn unavailable() -> Close {
        Close::new(1013, "The token could not be checked; try again")
    }

    /// The frame that carries it.
    pub(super) fn into_message(self) -> Message {
        Message::Close(Some(CloseFrame {
            code: self.code,
            reason: self.reason.into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let close = Close::duplicate(&"ü".repeat(200));
        assert!(
            close.reason.len() <= MAX_REASON_BYTES && close.reason.ends_with('ü'),
            "{}",
            close.reason
        );
    }
}
