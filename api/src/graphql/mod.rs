//! The schema, and the door in front of it.
//!
//! A request passes [`Api`] before anything of it runs: [`document`] walks it once, refuses what its caller may not ask
//! for ([`guard`]: one table, deny by default) and what costs too much ([`limits`]). There is no other way to the
//! schema: it is private to [`Api`], which is what the transports are given.
//!
//! A folder for each concept: types, queries, mutations, subscriptions.

mod budget;
mod command;
mod count;
mod cursor;
mod customer;
mod dead_letter;
mod document;
mod error;
mod event;
mod fraud;
pub mod guard;
pub mod limits;
mod node;
mod notification;
mod observed;
mod order;
mod paging;
mod payload;
mod payment;
mod plain;
mod position;
mod projection;
mod sales;
mod scalars;
mod sequence;
mod shape;
mod shipment;
mod user_error;
mod validate;
mod validated;

use std::{future::Future, net::IpAddr, sync::Arc, time::Instant};

use async_graphql::{
    Context, Data, Executor, MergedObject, MergedSubscription, Name, OutputType, PathSegment, Request,
    Response, SDLExportOptions, Schema, ServerError, SubscriptionType, ValidationMode, Value,
    dataloader::DataLoader, registry::Registry,
};
use docket_domain::Actor;
use docket_event_store::{InUse, Store};
use docket_projections::{
    Projections, Serving, overview::Watch, reactors::notifications::Live, read_models::order_search,
    rebuild::Attendant,
};
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::{
    budget::{Budgets, Counted, Standing},
    customer::queries::CustomerQueries,
    dead_letter::{mutations::DeadLetterMutations, queries::DeadLetterQueries},
    document::Measure,
    error::{Causes, Refused},
    event::queries::EventQueries,
    fraud::queries::FraudQueries,
    guard::Guards,
    node::NodeQueries,
    notification::{queries::NotificationQueries, subscriptions::NotificationSubscriptions},
    observed::Observed,
    order::{
        documents::Documents, facts::OrderFacts, mutations::OrderMutations, queries::OrderQueries,
        subscriptions::OrderSubscriptions, timeline::Timelines,
    },
    payment::{ledger::LedgerQueries, mutations::PaymentMutations},
    plain::Unmerged,
    projection::{
        mutations::ProjectionMutations, queries::ProjectionQueries, subscriptions::ProjectionSubscriptions,
    },
    sales::queries::SalesQueries,
    sequence::Sequence,
    shipment::{board::ShipmentQueries, mutations::ShipmentMutations, subscriptions::ShipmentSubscriptions},
    validated::{Given, Known, Validated},
};
pub use self::{
    budget::{Rate, Rates},
    document::Introspection,
    validate::Validator,
};
use crate::{
    auth::Caller,
    http::{Peer, Trace, began, code},
    json::TakesJson,
    telemetry::traces::Traces,
};

/// What can be read.
#[derive(MergedObject, Default)]
pub struct Query(
    OrderQueries,
    NodeQueries,
    EventQueries,
    ShipmentQueries,
    CustomerQueries,
    LedgerQueries,
    SalesQueries,
    FraudQueries,
    NotificationQueries,
    ProjectionQueries,
    DeadLetterQueries,
);

/// What can be changed. Each mutation is one command: it is done once, whole, or not at all.
#[derive(MergedObject, Default)]
pub struct Mutation(
    OrderMutations,
    PaymentMutations,
    ShipmentMutations,
    ProjectionMutations,
    DeadLetterMutations,
);

/// What can be followed. A stream of events begins with its cursor; `after` goes on from one without a gap and without a
/// repetition.
#[derive(MergedSubscription, Default)]
pub struct Subscription(
    OrderSubscriptions,
    ShipmentSubscriptions,
    NotificationSubscriptions,
    ProjectionSubscriptions,
);

type DocketSchema = Schema<Query, Mutation, Subscription>;

/// What resolvers work with.
pub(crate) struct Services {
    store: Store,
    projections: Projections,
    facts: OrderFacts,
    documents: Documents,
    notifications: Live,
    watch: Watch,
    /// What does rebuilds in this process, where it does any.
    rebuilds: Option<Attendant>,
    /// What makes the hashes that people's orders are found by.
    search: order_search::Index,
    timelines: DataLoader<Timelines>,
    /// Whoever folds an order for time travel holds one.
    folds: Semaphore,
    traces: Option<Traces>,
}

impl Services {
    /// Which generations of read models are read now. What was waited for in another one is in these as well: see
    /// [`Projections::wait_for`].
    fn serving(&self) -> Serving {
        self.projections.serving()
    }

    /// A connection to answer a query over.
    async fn query_connection(&self) -> Result<InUse<'_>, Refused> {
        Ok(self.store.query_connection().await?)
    }

    /// Waits until one order more may be folded.
    async fn turn_to_fold(&self) -> Result<SemaphorePermit<'_>, Refused> {
        let turn = tokio::time::timeout(limits::MAX_FOLD_WAIT, self.folds.acquire()).await;
        // The semaphore is never closed.
        turn.ok().and_then(Result::ok).ok_or_else(|| {
            Refused::new(
                code::OVERLOADED,
                "Too many orders are being looked up as they were; try again later.",
            )
        })
    }
}

/// The services, in a resolver.
fn services<'a>(ctx: &Context<'a>) -> Result<&'a Services, Refused> {
    shared(ctx).map(Arc::as_ref)
}

/// The same, for a stream that outlives its request.
fn shared<'a>(ctx: &Context<'a>) -> Result<&'a Arc<Services>, Refused> {
    ctx.data::<Arc<Services>>().map_err(|_| Refused::unavailable())
}

/// Who asks, in a resolver. The guards let nobody through without a token; this holds even so.
fn actor<'a>(ctx: &Context<'a>) -> Result<&'a Actor, Refused> {
    let actor = ctx.data_opt::<Caller>().and_then(Caller::actor).map(Arc::as_ref);
    actor.ok_or_else(|| Refused::new(code::UNAUTHENTICATED, "This needs a token."))
}

fn builder() -> async_graphql::SchemaBuilder<Query, Mutation, Subscription> {
    // Depth and cost are measured before the engine sees a document; its own depth limit stays as a second line.
    Schema::build(Query::default(), Mutation::default(), Subscription::default())
        .limit_depth(limits::MAX_DEPTH as usize)
        .disable_suggestions()
}

/// The schema as text; needs no database.
pub fn sdl() -> String {
    builder()
        .finish()
        .sdl_with_options(SDLExportOptions::new().prefer_single_line_descriptions())
}

/// The types of the schema.
fn registry() -> Registry {
    let mut registry = Registry::default();
    <Query as OutputType>::create_type_info(&mut registry);
    <Mutation as OutputType>::create_type_info(&mut registry);
    <Subscription as SubscriptionType>::create_type_info(&mut registry);
    registry
}

/// The table of who may ask for what, joined with the schema's types.
pub fn guards() -> Guards {
    guards_of(&registry())
}

fn guards_of(registry: &Registry) -> Guards {
    let query = <Query as OutputType>::type_name();
    let mutation = <Mutation as OutputType>::type_name();
    Guards::new(
        registry,
        &query,
        &mutation,
        &<Subscription as SubscriptionType>::type_name(),
    )
}

/// What an API is told besides its log and its read models.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// What callers may spend.
    pub rates: Rates,
    /// Who may see the schema.
    pub introspection: Introspection,
    /// Where traces go, if anywhere.
    pub traces: Option<Traces>,
    /// What does rebuilds in this process, if it does any; it is woken where one is asked for.
    pub rebuilds: Option<Attendant>,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            rates: Rates::default(),
            introspection: Introspection::Everybody,
            traces: None,
            rebuilds: None,
        }
    }
}

/// The schema behind its guards and limits; clones share everything. Give it to [`crate::http::router`].
///
/// A request must carry a [`Caller`] in its data; one that does not is nobody's.
#[derive(Clone)]
pub struct Api {
    schema: DocketSchema,
    /// The same, for what it need not validate again.
    unvalidating: DocketSchema,
    validated: Arc<Validated>,
    guards: Arc<Guards>,
    budgets: Arc<Budgets>,
    introspection: Introspection,
    traces: Option<Traces>,
}

impl Api {
    /// Over a log and its read models, with the usual rates and a schema that everybody may see.
    pub fn new(store: Store, projections: Projections) -> Api {
        Api::with(store, projections, ApiOptions::default())
    }

    /// Over a log and its read models.
    pub fn with(store: Store, projections: Projections, options: ApiOptions) -> Api {
        let ApiOptions {
            rates,
            introspection,
            traces,
            rebuilds,
        } = options;
        let services = Services {
            facts: OrderFacts::new(store.clone(), projections.clone()),
            documents: Documents::new(store.clone(), projections.clone()),
            notifications: Live::start(store.clone()),
            watch: Watch::start(store.pool().clone()),
            rebuilds,
            search: order_search::Index::new(store.vault()),
            timelines: Timelines::loader(store.clone(), projections.clone()),
            folds: Semaphore::new(limits::MAX_FOLDS_AT_ONCE),
            store,
            projections,
            traces: traces.clone(),
        };
        let services = Arc::new(services);
        let registry = registry();
        let unvalidating = builder().validation_mode(ValidationMode::Fast);
        Api {
            schema: builder().data(Arc::clone(&services)).finish(),
            unvalidating: unvalidating.data(services).finish(),
            guards: Arc::new(guards_of(&registry)),
            validated: Arc::new(Validated::new(registry)),
            budgets: Arc::new(Budgets::new(rates)),
            introspection,
            traces,
        }
    }

    /// Who asks, for what, and how much of it: refused here, or measured and paid.
    fn admit(&self, request: &mut Request, asker: &Asker) -> Result<Admitted, Turned> {
        let now = Instant::now();
        let spend = |cost| self.budgets.spend(asker.caller.as_ref(), asker.peer, cost, now);
        match self.measure(request, asker) {
            Ok(measured) => {
                let (standing, paid) = spend(measured.measure.cost);
                let cost = cost(measured.measure, standing);
                match paid {
                    Ok(()) => Ok(Admitted { measured, cost }),
                    Err(refused) => Err(Turned {
                        error: Box::new(refused.into_server_error()),
                        cost: Some(cost),
                    }),
                }
            }
            Err(error) => {
                // Looking at it was work, whatever the bucket says.
                let _ = spend(limits::REFUSED_COST);
                Err(Turned {
                    error: Box::new(error),
                    cost: None,
                })
            }
        }
    }

    fn measure(&self, request: &mut Request, asker: &Asker) -> Result<Measured, ServerError> {
        let role = asker.caller.as_ref().and_then(Caller::role);
        let (name, variables) = (request.operation_name.clone(), request.variables.clone());
        let known = self.validated.get(&request.query, name.as_deref());
        let document = request.parsed_query()?;
        let operation = document::chosen(document, name.as_deref());
        let operation = operation.map_err(Refused::into_server_error)?;
        let measure = document::check(
            &self.guards,
            document,
            operation,
            &variables,
            role,
            self.introspection,
        );
        let given = Given::of(operation, &variables);
        let is_valid = |known: &Arc<Known>| {
            given.is_within(&known.given) && self.validated.admits(operation, &variables)
        };
        Ok(Measured {
            measure: measure.map_err(Refused::into_server_error)?,
            name: observed::name(&self.guards, operation),
            is_valid: known.as_ref().is_some_and(is_valid),
            sequence: match &known {
                Some(known) => Arc::clone(&known.sequence),
                None => Arc::new(Sequence::of(document, operation)),
            },
            given,
        })
    }

    /// Runs what was admitted; a document that is run for the first time is validated, and remembered.
    async fn run(&self, mut request: Request, admitted: Admitted) -> Response {
        let Admitted { measured, cost } = admitted;
        let Measured {
            sequence,
            is_valid,
            given,
            ..
        } = measured;
        if sequence.is_unmerged() && datum::<TakesJson>(&request.data).is_some() {
            request.data.insert(Unmerged);
        }
        let mut response = if is_valid {
            self.unvalidating.execute(request).await
        } else {
            let (text, operation) = (request.query.clone(), request.operation_name.clone());
            let response = self.schema.execute(request).await;
            if began(&response) {
                let sequence = Arc::clone(&sequence);
                let known = Known {
                    operation,
                    given,
                    sequence,
                };
                self.validated.insert(text, known);
            }
            response
        };
        sequence.put(&mut response);
        response.extension("cost", cost)
    }
}

/// What is known of an operation before it runs.
struct Measured {
    measure: Measure,
    name: String,
    sequence: Arc<Sequence>,
    given: Given,
    /// The engine validated it before, and its variables are of their types.
    is_valid: bool,
}

/// An operation that was paid for.
struct Admitted {
    measured: Measured,
    cost: Value,
}

/// An operation that does not run.
struct Turned {
    error: Box<ServerError>,
    cost: Option<Value>,
}

impl Turned {
    fn response(self) -> Response {
        let response = Response::from_errors(vec![*self.error]);
        match self.cost {
            Some(cost) => response.extension("cost", cost),
            None => response,
        }
    }
}

/// Who asks, from a request's data.
struct Asker {
    caller: Option<Caller>,
    peer: Option<IpAddr>,
    trace: Option<Trace>,
}

impl Asker {
    fn of(data: &Data, session: Option<&Data>) -> Asker {
        Asker {
            caller: datum(data).or_else(|| datum(session?)).cloned(),
            peer: datum(data).map(|Peer(address)| *address),
            trace: datum(data).cloned(),
        }
    }
}

/// A value of a request's data.
fn datum<T: 'static>(data: &Data) -> Option<&T> {
    data.get(&std::any::TypeId::of::<T>())
        .and_then(|value| value.downcast_ref())
}

impl Executor for Api {
    fn execute(&self, mut request: Request) -> impl Future<Output = Response> + Send {
        let asker = Asker::of(&request.data, None);
        let admitted = self.admit(&mut request, &asker);
        let name = match &admitted {
            Ok(admitted) => admitted.measured.name.clone(),
            Err(_) => observed::REFUSED.to_owned(),
        };
        let observed = Observed::begin(
            self.traces.as_ref(),
            &mut request,
            name,
            asker.trace.as_ref(),
            asker.caller.as_ref().and_then(Caller::role),
        );
        async move {
            let response = match admitted {
                Ok(admitted) => self.run(request, admitted).await,
                Err(turned) => turned.response(),
            };
            observed.end(&response);
            report_faults(&response, asker.trace.as_ref());
            response
        }
    }

    fn execute_stream(
        &self,
        mut request: Request,
        session: Option<Arc<Data>>,
    ) -> BoxStream<'static, Response> {
        let session = session.unwrap_or_default();
        let asker = Asker::of(&request.data, Some(&session));
        let admitted = self.admit(&mut request, &asker).and_then(|admitted| {
            let counted = self
                .budgets
                .subscribe(asker.caller.as_ref(), asker.peer, Instant::now());
            let counted = counted.map_err(|refused| Turned {
                error: Box::new(refused.into_server_error()),
                cost: None,
            })?;
            Ok((admitted, counted))
        });
        match admitted {
            Ok((admitted, counted)) => {
                let open = Open::new(asker.trace, counted);
                let stream = self.schema.execute_stream_with_session_data(request, session);
                let in_sequence = move |mut response| {
                    admitted.measured.sequence.put(&mut response);
                    open.sent(&response);
                    response
                };
                stream.map(in_sequence).boxed()
            }
            Err(turned) => {
                let response = turned.response();
                report_faults(&response, asker.trace.as_ref());
                stream::iter([response]).boxed()
            }
        }
    }
}

/// A subscription, counted as long as it lives.
struct Open {
    trace: Option<Trace>,
    _counted: Counted,
}

impl Open {
    fn new(trace: Option<Trace>, counted: Counted) -> Open {
        metrics::gauge!("docket_graphql_subscriptions").increment(1);
        Open {
            trace,
            _counted: counted,
        }
    }

    fn sent(&self, response: &Response) {
        metrics::counter!("docket_graphql_messages_total").increment(1);
        report_faults(response, self.trace.as_ref());
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("docket_graphql_subscriptions").decrement(1);
    }
}

/// Logs faults of ours, with the id that their callers are told.
fn report_faults(response: &Response, trace: Option<&Trace>) {
    for error in &response.errors {
        let Some(Causes(causes)) = error.source() else {
            continue;
        };
        let path = error.path.iter().map(|step| match step {
            PathSegment::Field(name) => name.clone(),
            PathSegment::Index(index) => index.to_string(),
        });
        let path = path.collect::<Vec<_>>().join(".");
        tracing::error!(
            trace.id = trace.map(Trace::id),
            path,
            causes,
            "a field failed for a fault of ours"
        );
    }
}

/// What an operation costs, what one may cost, and what its caller has left.
fn cost(measure: Measure, standing: Standing) -> Value {
    let cost = [
        ("requested", Value::from(measure.cost)),
        ("limit", Value::from(limits::MAX_COST)),
        ("throttleStatus", standing.value()),
    ];
    let named = cost.into_iter().map(|(name, value)| (Name::new(name), value));
    Value::Object(named.collect())
}
