//! The log's SQL, a file an operation.

pub(crate) mod append;
pub mod migrate;
pub(crate) mod read;
pub(crate) mod settle;
pub(crate) mod snapshot;

use docket_domain::StreamKind;

/// The code of a kind of stream in the column `stream_kind`.
pub(crate) fn stream_kind_code(kind: StreamKind) -> i8 {
    let code = match kind {
        StreamKind::Order => b'o',
        StreamKind::Payment => b'p',
        StreamKind::Shipment => b's',
    };
    code as i8
}

pub(crate) fn stream_kind_of(code: i8) -> StreamKind {
    match code as u8 {
        b'p' => StreamKind::Payment,
        b's' => StreamKind::Shipment,
        // The column's check admits these three only.
        _ => StreamKind::Order,
    }
}
