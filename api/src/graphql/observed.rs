//! What is seen of an operation from outside: how long it took, by its name, and its span, where traces are kept.

use async_graphql::{
    Request, Response, Value,
    parser::types::{OperationDefinition, OperationType, Selection},
};
use docket_domain::Role;
use opentelemetry::KeyValue;
use std::time::Instant;

use super::guard::Guards;
use crate::{
    http::Trace,
    telemetry::traces::{Spanned, Traces},
};

/// An operation's name where nothing is known of it: it was refused before it was understood.
pub(super) const REFUSED: &str = "refused";

/// The name that an operation goes by in metrics and traces: its field of the root, so there are as many as the schema
/// has; `several` where it has more than one.
pub(super) fn name(guards: &Guards, operation: &OperationDefinition) -> String {
    let root = match operation.ty {
        OperationType::Query => &guards.query,
        OperationType::Mutation => &guards.mutation,
        OperationType::Subscription => &guards.subscription,
    };
    let [only] = operation.selection_set.node.items.as_slice() else {
        return "several".to_owned();
    };
    match &only.node {
        Selection::Field(field) => {
            let name = field.node.name.node.as_str();
            if guards.field(root, name).is_some() {
                name
            } else {
                "introspection"
            }
            .to_owned()
        }
        Selection::FragmentSpread(_) | Selection::InlineFragment(_) => "fragment".to_owned(),
    }
}

/// A query or mutation from when it was admitted to its response.
pub(super) struct Observed {
    name: String,
    began: Instant,
    span: Option<Spanned>,
}

impl Observed {
    /// Begins. Where traces are kept, the request's own trace goes on below the operation's span.
    pub(super) fn begin(
        traces: Option<&Traces>,
        request: &mut Request,
        name: String,
        trace: Option<&Trace>,
        role: Option<Role>,
    ) -> Observed {
        let span = traces.zip(trace).map(|(traces, trace)| {
            let mut span = traces.operation(&name, trace);
            let role = role.map_or("anonymous", Role::as_str);
            span.tell([
                KeyValue::new("docket.role", role),
                KeyValue::new("docket.trace", trace.id().to_owned()),
            ]);
            request.data.insert(trace.below(span.traceparent()));
            span
        });
        Observed {
            name,
            began: Instant::now(),
            span,
        }
    }

    /// Ends with what is answered.
    pub(super) fn end(mut self, response: &Response) {
        let code = response.errors.first().map(|error| {
            let code = error.extensions.as_ref().and_then(|values| values.get("code"));
            match code {
                Some(Value::String(code)) => code.clone(),
                _ => "BAD_USER_INPUT".to_owned(),
            }
        });
        if let (Some(span), Some(code)) = (&mut self.span, code) {
            span.failed(&code);
        }
    }
}

impl Drop for Observed {
    /// However it ended: one that took too long, or whose caller went away, took time as well.
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        metrics::histogram!("docket_graphql_seconds", "operation" => name).record(self.began.elapsed());
    }
}
