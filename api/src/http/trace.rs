//! The trace of one request: the id that an INTERNAL answer and the log share.
//!
//! A caller's W3C `traceparent` is continued, so that its own tracing finds our log; without one, or with a broken
//! one, a new id is made. The value is put into the request's data: a resolver reads it with
//! `ctx.data_opt::<Trace>()`, and a command can hand [`Trace::parent`] to the log.

use axum::http::HeaderMap;
use uuid::Uuid;

/// The header that carries a caller's trace.
const TRACEPARENT: &str = "traceparent";

/// The identity of one request in logs and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    id: String,
    parent: Option<String>,
}

impl Trace {
    /// A trace that starts here.
    pub fn fresh() -> Trace {
        Trace {
            id: Uuid::new_v4().simple().to_string(),
            parent: None,
        }
    }

    /// The caller's trace where it sent a valid one.
    pub fn of(headers: &HeaderMap) -> Trace {
        let parent = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
        parent.and_then(Trace::continued).unwrap_or_else(Trace::fresh)
    }

    fn continued(parent: &str) -> Option<Trace> {
        let mut fields = parent.split('-');
        let (version, id, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let lengths = version.len() == 2 && id.len() == 32 && span.len() == 16 && flags.len() == 2;
        let hex = parent
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
        let known = version == "00" && fields.next().is_none();
        let named = [id, span]
            .iter()
            .all(|field| field.bytes().any(|byte| byte != b'0'));
        let parent = Some(parent.to_owned());
        (lengths && hex && known && named).then(|| Trace {
            id: id.to_owned(),
            parent,
        })
    }

    /// The same trace, below another of its spans.
    pub(crate) fn below(&self, traceparent: String) -> Trace {
        Trace::continued(&traceparent).unwrap_or_else(|| self.clone())
    }

    /// 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The `traceparent` as the caller sent it.
    pub fn parent(&self) -> Option<&str> {
        self.parent.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_traceparent_is_continued_and_a_broken_one_replaced() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = Trace::continued(valid).expect("valid");
        assert_eq!(
            (trace.id(), trace.parent()),
            ("4bf92f3577b34da6a3ce929d0e0e4736", Some(valid))
        );
        for broken in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(Trace::continued(broken), None, "{broken}");
        }
    }
}
