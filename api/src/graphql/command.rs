//! From a mutation's input to an executed command, the same way for all of them.
//!
//! The input types repeat the commands' JSON form field by field, so what an import file holds and what a mutation takes
//! is one contract, and one place validates it: reading it into the domain's types. The request hash is taken of the
//! input as it was received, not of what it was read into, so that an upgrade that reads it otherwise does not turn a
//! retry into another request.

use async_graphql::{Context, InputType, Value};
use docket_domain::{ActorKind, Command, Role, Version};
use docket_event_store::{Executed, Origin, Request, RequestHash, command_id};
use opentelemetry::KeyValue;
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

use super::{
    error::{self, Refused},
    services,
    user_error::UserError,
};
use crate::{
    auth::Caller,
    http::{Trace, code},
};

/// A mutation's input.
pub(super) trait CommandInput: InputType + Serialize + Send + Sync + 'static {
    /// The command that it asks for, which has the same JSON form.
    type Asks: DeserializeOwned + Into<Command>;

    /// The name of the mutation's payload type.
    const PAYLOAD: &'static str;

    /// The caller's name for this request.
    fn key(&self) -> Option<&str>;

    /// The version that the command's target must have.
    fn expected_version(&self) -> Option<i32>;
}

/// Ties an input to its command and payload. `required` is for what moves money or goods or makes a thing.
macro_rules! asks {
    ($($input:ident => $command:ty, $payload:literal, $key:ident;)+) => {$(
        impl $crate::graphql::command::CommandInput for $input {
            type Asks = $command;
            const PAYLOAD: &'static str = $payload;

            fn key(&self) -> Option<&str> {
                $crate::graphql::command::asks!(@$key self)
            }

            fn expected_version(&self) -> Option<i32> {
                self.expected_version
            }
        }
    )+};
    (@required $self:ident) => { Some(&$self.idempotency_key) };
    (@optional $self:ident) => { $self.idempotency_key.as_deref() };
}
pub(super) use asks;

/// What came of a mutation.
pub(super) type Outcome = Result<Executed, UserError>;

/// Runs the command that an input asks for.
pub(super) async fn run<I: CommandInput>(ctx: &Context<'_>, input: &I) -> async_graphql::Result<Outcome> {
    let mut request = request(ctx, input)?;
    let services = services(ctx)?;
    let mut span = services
        .traces
        .as_ref()
        .map(|traces| traces.command(request.command.name(), ctx.data_opt::<Trace>()));
    if let Some(recorded) = span.as_ref().filter(|span| span.is_recorded()) {
        request.traceparent = Some(recorded.traceparent().into());
    }
    match services.store.execute(request).await {
        Ok(executed) => {
            if let Some(span) = &mut span {
                span.tell([
                    KeyValue::new("docket.order", executed.target.order.to_string()),
                    KeyValue::new("docket.partition", i64::from(executed.position.partition)),
                    KeyValue::new("docket.offset", executed.position.offset),
                ]);
            }
            Ok(Ok(executed))
        }
        Err(error) => {
            let refused = error::of_command(error)?;
            metrics::counter!("docket_refusals_total", "rule" => refused.rule()).increment(1);
            Ok(Err(refused))
        }
    }
}

fn request<I: CommandInput>(ctx: &Context<'_>, input: &I) -> async_graphql::Result<Request> {
    let command: Command = read(input)?;
    let mut actor = ctx
        .data::<Caller>()?
        .actor()
        // The guards let nobody through without a token; this holds even so.
        .ok_or_else(|| Refused::new(code::UNAUTHENTICATED, "This needs a token."))?
        .as_ref()
        .clone();
    let command_id = match input.key() {
        Some(key) => {
            error::check_key(key)?;
            command_id::derive(&actor, key)
        }
        None => command_id::fresh(&actor),
    };
    // After the id is made: a key is one command's, whatever its caller speaks as.
    if actor.role == Role::Service && matches!(command, Command::RecordTracking(_)) {
        actor.kind = ActorKind::Carrier;
    }
    let expected_version = input.expected_version().map(|version| {
        let negative = || Refused::bad_input(format!("A version of {version} is negative."));
        if version < 0 {
            Err(negative())
        } else {
            Ok(Version(version))
        }
    });
    let received = command_id::canonical_json(&received(ctx)?);
    Ok(Request {
        request_hash: RequestHash::of(command.name(), &received),
        command: command.with_customer_of(&actor),
        command_id,
        actor,
        expected_version: expected_version.transpose()?,
        occurred_at: None,
        origin: Origin::Live,
        causation_id: None,
        traceparent: ctx.data_opt::<Trace>().and_then(Trace::parent).map(Arc::from),
    })
}

/// The input as it was received, with variables filled in. An absent field and a null are the same to us, so they are
/// the same here.
fn received(ctx: &Context<'_>) -> async_graphql::Result<serde_json::Value> {
    let arguments = ctx
        .field()
        .arguments()
        .map_err(|error| Refused::bad_input(error.message))?;
    let input = arguments
        .into_iter()
        .find(|(name, _)| name == "input")
        .map(|(_, value)| value);
    let json = without_nulls(input.unwrap_or_default()).into_json();
    // A value of GraphQL without uploads is JSON.
    Ok(json.map_err(|error| Refused::internal(&error))?)
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| *value != Value::Null);
            Value::Object(kept.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::List(items) => Value::List(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// Reads an input into the domain's types; where one does not fit, the error says which field.
fn read<I: CommandInput>(input: &I) -> async_graphql::Result<Command> {
    let json = serde_json::to_value(input).map_err(|error| Refused::internal(&error))?;
    let command: Result<I::Asks, _> = serde_path_to_error::deserialize(json);
    command.map(Into::into).map_err(|error| {
        let path = error.path().to_string();
        let refused = Refused::bad_input(format!("input.{path}: {}.", error.inner()));
        let mut field = vec![Value::from("input")];
        field.extend(path.split('.').map(Value::from));
        refused.with("field", Value::List(field)).into()
    })
}
