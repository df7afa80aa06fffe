//! The log's SQL, a file an operation.

pub(crate) mod append;
pub mod migrate;
pub(crate) mod read;
mod row;
pub(crate) mod settle;
pub(crate) mod snapshot;

use docket_domain::StreamKind;

/// A code that no version of the log writes.
#[derive(Debug, thiserror::Error)]
#[error("{code:?} is no code of {what}")]
pub struct UnknownCode {
    code: char,
    what: &'static str,
}

impl UnknownCode {
    pub(crate) fn new(code: i8, what: &'static str) -> Self {
        let code = char::from(code as u8);
        Self { code, what }
    }
}

impl From<UnknownCode> for sqlx::Error {
    fn from(error: UnknownCode) -> Self {
        Self::Decode(Box::new(error))
    }
}

/// The code of a kind of stream in the column `stream_kind`.
pub fn stream_kind_code(kind: StreamKind) -> i8 {
    let code = match kind {
        StreamKind::Order => b'o',
        StreamKind::Payment => b'p',
        StreamKind::Shipment => b's',
    };
    code as i8
}

/// The kind of stream with a code.
///
/// # Errors
/// When there is none.
pub fn stream_kind_of(code: i8) -> Result<StreamKind, UnknownCode> {
    match code as u8 {
        b'o' => Ok(StreamKind::Order),
        b'p' => Ok(StreamKind::Payment),
        b's' => Ok(StreamKind::Shipment),
        _ => Err(UnknownCode::new(code, "a kind of stream")),
    }
}
