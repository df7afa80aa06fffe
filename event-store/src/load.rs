//! Loading what a command is decided over: from the cache, or from snapshot and stream.

use crate::{
    cache::Folded,
    execute::{After, ExecuteError},
    postgres::snapshot,
    store::Store,
};
use docket_domain::{Case, Command, OrderId, Scope, State, StreamId, StreamKind, Version};
use std::sync::Arc;

/// An order's streams as far as a command needs them, with the versions that they were read at.
pub(crate) struct LoadedCase {
    pub(crate) case: Case,
    streams: Vec<(StreamId, Arc<Folded>)>,
}

impl LoadedCase {
    /// Every stream that the decision reads, with its version; one that does not exist has version 0.
    pub(crate) fn versions(&self) -> impl Iterator<Item = (StreamId, Version)> {
        self.streams
            .iter()
            .map(|(stream, folded)| (*stream, folded.version))
    }

    pub(crate) fn version(&self, stream: StreamId) -> Version {
        self.folded(stream).map_or(Version::NONE, |folded| folded.version)
    }

    pub(crate) fn state(&self, stream: StreamId) -> State {
        self.folded(stream)
            .map_or_else(|| State::new(stream.kind), |folded| folded.state.clone())
    }

    fn folded(&self, stream: StreamId) -> Option<&Arc<Folded>> {
        self.streams
            .iter()
            .find(|(s, _)| *s == stream)
            .map(|(_, folded)| folded)
    }

    /// What is known of the order; none where its own stream was not needed.
    pub(crate) fn after(self) -> Option<After> {
        let (_, order) = self
            .streams
            .iter()
            .find(|(stream, _)| stream.kind == StreamKind::Order)?;
        Some(After {
            version: order.version,
            case: self.case,
        })
    }

    /// Adds a stream, or puts what it is now in the place of what it was.
    pub(crate) fn put(&mut self, stream: StreamId, folded: Arc<Folded>) {
        match &folded.state {
            State::Order(order) => self.case.order = Arc::clone(order),
            State::Payment(payment) => drop(self.case.payments.insert(stream.number, Arc::clone(payment))),
            State::Shipment(shipment) => {
                drop(self.case.shipments.insert(stream.number, Arc::clone(shipment)))
            }
        }
        match self.streams.iter_mut().find(|(known, _)| *known == stream) {
            Some((_, known)) => *known = folded,
            None => self.streams.push((stream, folded)),
        }
    }
}

impl Store {
    /// What `command` needs; with `newest`, as the log holds it now.
    pub(crate) async fn load_case(
        &self,
        command: &Command,
        newest: bool,
    ) -> Result<LoadedCase, ExecuteError> {
        let order = command.order();
        let needs = command.needs();
        let mut loaded = LoadedCase {
            case: Case::default(),
            streams: Vec::new(),
        };
        if needs.order {
            let stream = StreamId::order(order);
            loaded.put(stream, self.load_stream(stream, newest).await?);
        }
        let payments = numbers(needs.payments, loaded.case.order.payment_numbers());
        let shipments = numbers(needs.shipments, loaded.case.order.shipment_numbers());
        for stream in children(order, payments, shipments) {
            loaded.put(stream, self.load_stream(stream, newest).await?);
        }
        Ok(loaded)
    }

    async fn load_stream(&self, stream: StreamId, newest: bool) -> Result<Arc<Folded>, ExecuteError> {
        let known = self.0.cache.get(&stream);
        let folded = match known {
            Some(folded) if !newest => {
                metrics::counter!("docket_state_cache_total", "outcome" => "hit").increment(1);
                return Ok(folded);
            }
            // Only what is new: whoever loses a race must not lose the next one for reading a long stream anew.
            Some(folded) => self.fold_on(Folded::clone(&folded), stream, None).await?,
            None => self.fold_stream(stream, None).await?,
        };
        metrics::counter!("docket_state_cache_total", "outcome" => "miss").increment(1);
        let folded = Arc::new(folded);
        if folded.version != Version::NONE {
            self.0.cache.put(stream, Arc::clone(&folded));
        }
        Ok(folded)
    }

    /// Keeps a snapshot in the background; one that is not kept is made again later.
    pub(crate) fn keep_snapshot(&self, stream: StreamId, folded: Arc<Folded>) {
        let pool = self.pool().clone();
        tokio::spawn(async move {
            if let Err(error) = snapshot::save(&pool, stream, &folded).await {
                tracing::debug!(%stream, error = %error, "a snapshot was not kept");
            }
        });
    }
}

/// The numbers that a scope covers, of those that the order lists.
fn numbers(scope: Scope, listed: impl Iterator<Item = u16>) -> Vec<u16> {
    match scope {
        Scope::None => Vec::new(),
        Scope::One(number) => vec![number],
        Scope::All => listed.collect(),
    }
}

fn children(order: OrderId, payments: Vec<u16>, shipments: Vec<u16>) -> impl Iterator<Item = StreamId> {
    let payments = payments
        .into_iter()
        .map(move |number| StreamId::payment(order, number));
    payments.chain(
        shipments
            .into_iter()
            .map(move |number| StreamId::shipment(order, number)),
    )
}
