//! Which of our media types a client wants, from its `Accept` headers.
//!
//! As GraphQL over HTTP says: the highest quality wins; a type that is named wins over a wildcard of the same
//! quality; without `Accept`, and for a wildcard, it is `application/json`, which older clients expect. An event
//! stream is given only to who names it.

use axum::http::{HeaderMap, header};

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `application/graphql-response+json`: the status tells what happened.
    GraphqlResponse,
    /// `application/json`: a GraphQL request that was understood is 200 whatever came of it.
    Json,
    /// `text/event-stream`: the distinct connections mode of graphql-sse.
    EventStream,
}

/// In the order of preference among equals that were named.
const OFFERED: [(Format, &str, &str); 3] = [
    (Format::GraphqlResponse, "application", "graphql-response+json"),
    (Format::EventStream, "text", "event-stream"),
    (Format::Json, "application", "json"),
];

/// How closely a range names a type: `*/*`, `application/*`, `application/json`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    Any,
    Kind,
    Exact,
}

/// The format for these headers; `None` when nothing we write is acceptable.
pub(super) fn negotiate(headers: &HeaderMap) -> Option<Format> {
    if !headers.contains_key(header::ACCEPT) {
        return Some(Format::Json);
    }
    let ranges: Vec<Range<'_>> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Range::parse)
        .collect();
    let mut best: Option<(u16, bool, Format)> = None;
    for (format, kind, subtype) in OFFERED {
        // The closest range decides about a type, so that `*/*, application/json;q=0` excludes JSON.
        let closest = ranges
            .iter()
            .filter_map(|range| Some((range.matches(kind, subtype)?, range.quality)));
        let Some((how, quality)) = closest.max_by_key(|(how, _)| *how) else {
            continue;
        };
        let named = how == Match::Exact;
        if quality == 0 || (!named && format != Format::Json) {
            continue;
        }
        if best.is_none_or(|(q, n, _)| (quality, named) > (q, n)) {
            best = Some((quality, named, format));
        }
    }
    best.map(|(_, _, format)| format)
}

struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// Thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Range<'a>> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut quality = 1000;
        for part in parts {
            let (name, value) = part.split_once('=')?;
            let value = value.trim_matches('"');
            if name.eq_ignore_ascii_case("q") {
                let parsed = value.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q))?;
                quality = (parsed * 1000.0).round() as u16;
            } else if name.eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8") {
                return None;
            }
        }
        Some(Range {
            kind,
            subtype,
            quality,
        })
    }

    fn matches(&self, kind: &str, subtype: &str) -> Option<Match> {
        match (self.kind, self.subtype) {
            ("*", "*") => Some(Match::Any),
            (k, "*") if k.eq_ignore_ascii_case(kind) => Some(Match::Kind),
            (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => Some(Match::Exact),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(values: &[&'static str]) -> Option<Format> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT, value.parse().expect("header"));
        }
        negotiate(&headers)
    }

    #[test]
    fn the_best_acceptable_type_is_chosen() {
        use Format::{EventStream, GraphqlResponse, Json};
        for (values, expected) in [
            (&[][..], Some(Json)),
            (&["*/*"], Some(Json)),
            (&["application/*"], Some(Json)),
            (&["text/html,application/xhtml+xml,*/*;q=0.8"], Some(Json)),
            (&["application/json"], Some(Json)),
            (&["application/graphql-response+json"], Some(GraphqlResponse)),
            (
                &["application/json, application/graphql-response+json"],
                Some(GraphqlResponse),
            ),
            (
                &["application/json, application/graphql-response+json;q=0.9"],
                Some(Json),
            ),
            (&["application/graphql-response+json, */*"], Some(GraphqlResponse)),
            (&["text/event-stream"], Some(EventStream)),
            (&["Text/Event-Stream; charset=utf-8"], Some(EventStream)),
            (&["application/json", "text/event-stream;q=0.1"], Some(Json)),
            (&["*/*, application/json;q=0"], None),
            (&["text/html"], None),
            (&["text/*"], None),
            (&["application/json; charset=utf-16"], None),
            (&["application/json; q=2"], None),
            (&[""], None),
        ] {
            assert_eq!(accept(values), expected, "{values:?}");
        }
    }
}
