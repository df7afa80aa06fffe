//! From bytes to an operation that the engine may see: parameters, then the document.
//!
//! Both HTTP and WebSocket come through here, so that a limit holds on every transport. The document is measured by
//! a scanner of our own *before* it is parsed: the parser descends recursively over text that anybody may send, and
//! half a million open braces would end the process on a full stack.

use std::panic::{AssertUnwindSafe, catch_unwind};

use async_graphql::{
    Positioned, Request, ServerError, Value, Variables,
    parser::types::{
        DocumentOperations, ExecutableDocument, OperationDefinition, OperationType, VariableDefinition,
    },
};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    answer::{Refusal, coded, internal, over},
    code,
    limits::HttpLimits,
    parsed,
    trace::Trace,
};

/// The parameters of a GraphQL request, as the body of a POST and the payload of `subscribe` carry them.
///
/// The text is there or a document is named, or both.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "Written")]
pub(super) struct Params {
    /// Empty where only an id is given.
    pub(super) query: String,
    pub(super) document_id: Option<String>,
    operation_name: Option<String>,
    variables: Variables,
    pub(super) extensions: async_graphql::Extensions,
}

/// Parameters as they are written in JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    query: Option<String>,
    #[serde(alias = "doc_id")]
    document_id: Option<String>,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Variables,
    #[serde(default)]
    extensions: async_graphql::Extensions,
}

/// A request without a document.
#[derive(Debug, thiserror::Error)]
#[error("there is neither a query nor the id of a document")]
struct NoDocument;

impl TryFrom<Written> for Params {
    type Error = NoDocument;

    fn try_from(written: Written) -> Result<Params, NoDocument> {
        let params = Params {
            query: written.query.clone().unwrap_or_default(),
            document_id: written.document_id,
            operation_name: written.operation_name,
            variables: written.variables,
            extensions: written.extensions,
        };
        if written.query.is_none() && params.document_id().is_none() {
            return Err(NoDocument);
        }
        Ok(params)
    }
}

/// The same in a query string, where maps are JSON text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryParams {
    query: Option<String>,
    #[serde(alias = "doc_id")]
    document_id: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

impl Params {
    /// From the body of a POST.
    pub(super) fn from_json(body: &[u8]) -> Result<Params, Refusal> {
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => Err(Refusal::bad_request(
                "The body is empty; expected a JSON object with \"query\".",
            )),
            Some(b'[') => Err(batch(body)),
            Some(_) => serde_json::from_slice(body).map_err(|error| {
                Refusal::bad_request(format!("The body is not a GraphQL request: {error}."))
            }),
        }
    }

    /// From the query string of a GET.
    pub(super) fn from_uri(uri: &axum::http::Uri) -> Result<Params, Refusal> {
        let axum::extract::Query(raw) =
            axum::extract::Query::<QueryParams>::try_from_uri(uri).map_err(|error| {
                Refusal::bad_request(format!("The query string is not a GraphQL request: {error}."))
            })?;
        let written = Written {
            query: raw.query,
            document_id: raw.document_id,
            operation_name: raw.operation_name.filter(|name| !name.is_empty()),
            variables: from_text("variables", raw.variables)?,
            extensions: from_text("extensions", raw.extensions)?,
        };
        written.try_into().map_err(|error: NoDocument| {
            Refusal::bad_request(format!("The query string is not a GraphQL request: {error}."))
        })
    }
}

/// A list of requests: how many, where it is JSON at all.
fn batch(body: &[u8]) -> Refusal {
    let refusal = Refusal::bad_request("Batches are not supported; send one request.");
    match serde_json::from_slice::<Vec<IgnoredAny>>(body) {
        Ok(requests) => refusal.over("requests in a body", 1, requests.len() as u64),
        Err(_) => refusal,
    }
}

fn from_text<T: Default + for<'de> Deserialize<'de>>(name: &str, text: Option<String>) -> Result<T, Refusal> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(T::default());
    };
    serde_json::from_str(&text).map_err(|error| Refusal::bad_request(format!("Invalid {name}: {error}.")))
}

/// What an operation does, which decides how it may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Reads once.
    Query,
    /// Changes something.
    Mutation,
    /// A stream of results.
    Subscription,
}

/// A request whose document was measured and, where it could be, parsed.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) request: Request,
    /// A document that does not parse, or names no operation, counts as a query: whoever executes it refuses it and
    /// runs nothing.
    pub(super) kind: Kind,
}

/// Measures and parses a document, and checks that the variables that it requires are there.
///
/// The engine finds a missing variable only when it reaches the field that reads it, which in a mutation is after
/// the fields before it have run. A request that cannot be carried out as a whole must not begin.
pub(super) fn prepare(params: Params, limits: &HttpLimits, trace: &Trace) -> Result<Operation, ServerError> {
    measure(&params.query, limits)?;
    check_variables(&params.variables, limits)?;
    let mut request = Request::new(params.query).variables(params.variables);
    request.operation_name = params.operation_name;
    request.extensions = params.extensions;
    let (name, variables) = (request.operation_name.clone(), request.variables.clone());
    let parse = AssertUnwindSafe(|| {
        let operation = parsed::parse(&mut request).and_then(|document| selected(document, name.as_deref()));
        operation.map_or(Ok(Kind::Query), |operation| {
            match missing_variable(operation, &variables) {
                Some(missing) => Err(without_value(missing)),
                None => Ok(kind(operation)),
            }
        })
    });
    let kind = catch_unwind(parse).unwrap_or_else(|_| Err(internal(trace, "the parser panicked")))?;
    Ok(Operation { request, kind })
}

/// The operation that will run.
fn selected<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Option<&'a OperationDefinition> {
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), _) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            operations.values().next()
        }
        (DocumentOperations::Multiple(_), None) => None,
    };
    operation.map(|operation| &operation.node)
}

fn kind(operation: &OperationDefinition) -> Kind {
    match operation.ty {
        OperationType::Query => Kind::Query,
        OperationType::Mutation => Kind::Mutation,
        OperationType::Subscription => Kind::Subscription,
    }
}

/// A variable that must have a value and has none.
pub(crate) fn missing_variable<'a>(
    operation: &'a OperationDefinition,
    variables: &Variables,
) -> Option<&'a Positioned<VariableDefinition>> {
    operation.variable_definitions.iter().find(|definition| {
        let variable = &definition.node;
        let has_none = match variables.get(&variable.name.node) {
            Some(value) => *value == Value::Null,
            None => variable.default_value.is_none(),
        };
        !variable.var_type.node.nullable && has_none
    })
}

fn without_value(missing: &Positioned<VariableDefinition>) -> ServerError {
    let (name, kind) = (&missing.node.name.node, &missing.node.var_type.node);
    let message = format!("Variable \"${name}\" of required type \"{kind}\" was not provided.");
    let mut error = coded(code::BAD_USER_INPUT, message);
    error.locations.push(missing.pos);
    error
}

/// Refuses a document with too many tokens or too deep brackets, in one pass that allocates nothing.
///
/// Where the scanner and the grammar could disagree (a string that does not end) the scanner counts more, never
/// less, and what follows is a syntax error anyway.
pub(super) fn measure(document: &str, limits: &HttpLimits) -> Result<(), ServerError> {
    let bytes = document.as_bytes();
    let (mut at, mut tokens, mut depth, mut deepest) = (0, 0, 0_usize, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' | 0xEF | 0xBB | 0xBF => {
                at += 1;
                continue;
            }
            b'#' => {
                at += bytes[at..]
                    .iter()
                    .position(|byte| matches!(byte, b'\n' | b'\r'))
                    .unwrap_or(bytes.len() - at);
                continue;
            }
            b'"' => at += string_length(&bytes[at..]),
            b'{' | b'(' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ if is_word(*byte) => at += bytes[at..].iter().take_while(|byte| is_word(**byte)).count(),
            _ => at += 1,
        }
        tokens += 1;
        deepest = deepest.max(depth);
    }
    for (what, actual, limit) in [
        ("tokens", tokens, limits.max_query_tokens),
        ("levels of brackets", deepest, limits.max_query_nesting),
    ] {
        if actual > limit {
            let message = format!("The document has {actual} {what}; {limit} are allowed.");
            let error = coded(code::BAD_USER_INPUT, message);
            return Err(over(error, what, limit as u64, actual as u64));
        }
    }
    Ok(())
}

/// Refuses variables of too many values. How deep they are nested is bounded by the reader of JSON, at 128.
fn check_variables(variables: &Variables, limits: &HttpLimits) -> Result<(), ServerError> {
    fn count(value: &Value) -> usize {
        match value {
            Value::List(items) => 1 + items.iter().map(count).sum::<usize>(),
            Value::Object(fields) => 1 + fields.values().map(count).sum::<usize>(),
            _ => 1,
        }
    }
    let (actual, limit) = (
        variables.values().map(count).sum::<usize>(),
        limits.max_variable_values,
    );
    if actual <= limit {
        return Ok(());
    }
    let message = format!("The variables have {actual} values; {limit} are allowed.");
    let error = coded(code::BAD_USER_INPUT, message);
    Err(over(error, "values in variables", limit as u64, actual as u64))
}

/// A letter, digit or sign within a name or number.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.')
}

/// The length of the string that starts `bytes`, with its quotes.
fn string_length(bytes: &[u8]) -> usize {
    let block = bytes.starts_with(b"\"\"\"");
    let mut at = if block { 3 } else { 1 };
    while let Some(byte) = bytes.get(at) {
        let rest = &bytes[at..];
        match byte {
            b'\\' if block => at += if rest.starts_with(b"\\\"\"\"") { 4 } else { 1 },
            b'\\' => at += 2,
            b'"' if !block => return at + 1,
            b'"' if rest.starts_with(b"\"\"\"") => return at + 3,
            b'\n' | b'\r' if !block => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(tokens: usize, nesting: usize) -> HttpLimits {
        HttpLimits {
            max_query_tokens: tokens,
            max_query_nesting: nesting,
            ..HttpLimits::default()
        }
    }

    #[test]
    fn tokens_are_counted_and_comments_and_strings_are_not_taken_apart() {
        for (document, tokens) in [
            ("{ a }", 3),
            ("{a(b:\"}}} { \\\" \",c:-1.5e+3)}", 11),
            ("# {{{{ \n{ a }", 3),
            ("{ a(b: \"\"\" \\\"\"\" \" {{{ \"\"\") }", 8),
            ("\u{feff}{ a, b, c }", 5),
        ] {
            assert!(measure(document, &limits(tokens, 9)).is_ok(), "{document}");
            assert!(measure(document, &limits(tokens - 1, 9)).is_err(), "{document}");
        }
    }

    #[test]
    fn a_string_without_an_end_does_not_hide_what_follows() {
        assert!(measure("{ a(b: \"x\n) { { { {", &limits(99, 4)).is_err());
    }

    #[test]
    fn the_deepest_document_that_passes_also_parses_on_a_worker_stack() {
        let limits = HttpLimits::default();
        let deep = |open: &str, close: &str, levels: usize| {
            format!("{{ f(a: {}1{}) }}", open.repeat(levels), close.repeat(levels))
        };
        for (open, close) in [("[", "]"), ("{a:", "}")] {
            let params = |levels| Params {
                query: deep(open, close, levels),
                ..Params::default()
            };
            let levels = limits.max_query_nesting - 2;
            assert!(prepare(params(levels), &limits, &Trace::fresh()).is_ok());
            assert!(prepare(params(levels + 1), &limits, &Trace::fresh()).is_err());
            assert!(prepare(params(300_000), &limits, &Trace::fresh()).is_err());
        }
    }

    #[test]
    fn the_operation_that_is_named_decides_the_kind() {
        let both = "query a { x } mutation b { y } subscription c { z }";
        for (query, name, expected) in [
            ("{ x }", None, Kind::Query),
            ("mutation { x }", Some("unknown"), Kind::Mutation),
            ("subscription s { x }", None, Kind::Subscription),
            (both, Some("a"), Kind::Query),
            (both, Some("b"), Kind::Mutation),
            (both, Some("c"), Kind::Subscription),
            (both, None, Kind::Query),
            ("mutation {", None, Kind::Query),
        ] {
            let (query, operation_name) = (query.to_owned(), name.map(str::to_owned));
            let params = Params {
                query,
                operation_name,
                ..Params::default()
            };
            let operation = prepare(params, &HttpLimits::default(), &Trace::fresh()).expect("small");
            assert_eq!(operation.kind, expected);
        }
    }
}
