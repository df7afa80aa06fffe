//! One WebSocket connection: a loop that owns the socket, and a task for each operation.
//!
//! The loop is the only one that reads and writes, so messages never interleave and every reason to close meets in
//! one place. Operations hand their messages over through one short queue: while it is full they wait and their
//! sources are not polled, so a client that does not read costs the queue and one message for each operation, and
//! after the write timeout its connection.
//!
//! An id is free again when its last message leaves the queue, not when the operation ends: a client can then never
//! see two operations of one id mixed. After a client's `complete` nothing of that operation is written any more,
//! also not what already stood in the queue; a number that is never used twice tells them apart.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::{Future, pending},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use async_graphql::{Executor, ServerError};
use axum::{
    extract::ws::{Message, Utf8Bytes, WebSocket},
    http::HeaderMap,
};
use futures::StreamExt;
use serde_json::{Map, Value};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    close::Close,
    message::{FromClient, FromServer},
};
use crate::http::{
    Peer, Transport,
    answer::{Answer, coded, over},
    auth::{self, AuthError, Authenticate},
    code,
    execute::{self, Event},
    queue::{Bytes, Room},
    request::Params,
    trace::Trace,
    with_data,
};

/// A message of an operation, on its way to the socket.
struct Outgoing {
    id: String,
    number: u64,
    text: Utf8Bytes,
    last: bool,
    _room: Room,
}

/// An operation that runs; dropping it cancels it.
struct Running {
    number: u64,
    _task: AbortOnDropHandle<()>,
}

/// How far the client has come.
enum Phase<C> {
    /// Must say who it is before this moment.
    Waiting { until: Instant },
    /// May run operations.
    Open { caller: C },
}

/// What the loop waits for.
enum Input {
    Received(Option<Result<Message, axum::Error>>),
    Queued(Outgoing),
    Tick,
    Due(Close),
}

/// Why the loop ends.
#[derive(Debug)]
enum Ended {
    /// The client is to be told.
    Close(Close),
    /// The client has left, or cannot be reached.
    Gone,
}

impl From<Close> for Ended {
    fn from(close: Close) -> Ended {
        Ended::Close(close)
    }
}

pub(super) struct Connection<E, A: Authenticate> {
    transport: Arc<Transport<E, A>>,
    socket: WebSocket,
    /// The `Authorization` of the upgrade.
    upgrade: HeaderMap,
    peer: Option<Peer>,
    phase: Phase<A::Caller>,
    token_ends: Pin<Box<dyn Future<Output = ()> + Send>>,
    operations: HashMap<String, Running>,
    started: u64,
    queue: Sender<Outgoing>,
    bytes: Bytes,
    queued: Receiver<Outgoing>,
    ticks: Interval,
    /// Whether the client was heard since the last tick but one.
    silent_ticks: u8,
}

impl<E: Executor, A: Authenticate> Connection<E, A> {
    pub(super) fn new(
        transport: Arc<Transport<E, A>>,
        socket: WebSocket,
        upgrade: HeaderMap,
        peer: Option<Peer>,
    ) -> Self {
        let limits = &transport.limits;
        let (queue, queued) = mpsc::channel(limits.max_queued_messages);
        let mut ticks = interval_at(Instant::now() + limits.keep_alive, limits.keep_alive);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let until = Instant::now() + limits.connection_init_timeout;
        let bytes = Bytes::new(limits.max_queued_bytes);
        let (phase, operations) = (Phase::Waiting { until }, HashMap::new());
        let token_ends = Box::pin(pending());
        Connection {
            transport,
            socket,
            upgrade,
            peer,
            phase,
            token_ends,
            operations,
            started: 0,
            queue,
            bytes,
            queued,
            ticks,
            silent_ticks: 0,
        }
    }

    /// Serves until either side ends it.
    pub(super) async fn serve(mut self, protocol_is_spoken: bool) {
        let ended = match protocol_is_spoken {
            true => self.run().await,
            false => Ended::Close(Close::no_subprotocol()),
        };
        self.operations.clear();
        tracing::debug!(?ended, "a WebSocket connection ended");
        let limits = &self.transport.limits;
        let (grace, slow_grace) = (limits.close_grace, limits.slow_grace);
        let slow = matches!(&ended, Ended::Close(close) if close.is_too_slow());
        let stops = self.transport.drain.signal().clone();
        // Whatever happens in here, the socket is dropped afterwards.
        let parting = self.part(ended);
        tokio::pin!(parting);
        if slow {
            // The reason stands behind what was not read: there is time to read that, unless the server stops.
            tokio::select! {
                _ = timeout(slow_grace, &mut parting) => return,
                () = stops.cancelled() => {}
            }
        }
        let _ = timeout(grace, parting).await;
    }

    async fn run(&mut self) -> Ended {
        loop {
            let step = match self.next().await {
                Input::Received(received) => self.received(received).await,
                Input::Queued(outgoing) => self.write_queued(outgoing).await,
                Input::Tick => self.tick().await,
                Input::Due(close) => Err(close.into()),
            };
            if let Err(ended) = step {
                return ended;
            }
        }
    }

    async fn next(&mut self) -> Input {
        let init_is_due = async {
            match &self.phase {
                Phase::Waiting { until } => sleep_until(*until).await,
                Phase::Open { .. } => pending().await,
            }
        };
        tokio::select! {
            () = self.transport.drain.signal().cancelled() => Input::Due(Close::going_away()),
            () = &mut self.token_ends => Input::Due(Close::token_ended()),
            () = init_is_due => Input::Due(Close::init_timeout()),
            received = self.socket.recv() => Input::Received(received),
            Some(outgoing) = self.queued.recv() => Input::Queued(outgoing),
            _ = self.ticks.tick() => Input::Tick,
        }
    }

    async fn received(&mut self, received: Option<Result<Message, axum::Error>>) -> Result<(), Ended> {
        self.silent_ticks = 0;
        match received {
            Some(Ok(Message::Text(text))) => self.message(FromClient::parse(&text)?).await,
            Some(Ok(Message::Binary(_))) => Err(Close::bad_message("expected text").into()),
            // The library answers a WebSocket ping by itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(_))) | None => Err(Ended::Gone),
            Some(Err(error)) => Err(self.broken(error)),
        }
    }

    fn broken(&self, error: axum::Error) -> Ended {
        use tungstenite::Error;
        match error.into_inner().downcast_ref::<Error>() {
            Some(Error::Capacity(_)) => Close::too_big(self.transport.limits.max_body_bytes).into(),
            Some(Error::Utf8(_)) => Close::not_utf8().into(),
            Some(Error::Protocol(_)) => Close::broken_framing().into(),
            _ => Ended::Gone,
        }
    }

    async fn message(&mut self, message: FromClient) -> Result<(), Ended> {
        match message {
            FromClient::ConnectionInit { payload } => self.init(payload).await,
            FromClient::Ping { payload } => self.write(FromServer::Pong { payload }.text()).await,
            FromClient::Pong { .. } => Ok(()),
            FromClient::Subscribe { id, payload } => self.subscribe(id, *payload).await,
            FromClient::Complete { id } => {
                self.operations.remove(&id);
                Ok(())
            }
        }
    }

    async fn init(&mut self, payload: Option<Map<String, Value>>) -> Result<(), Ended> {
        if let Phase::Open { .. } = self.phase {
            return Err(Close::too_many_inits().into());
        }
        let refused = |error: AuthError| match error {
            AuthError::Invalid => Close::forbidden(),
            AuthError::Unavailable(source) => {
                tracing::error!(error = %source, "a token could not be checked");
                Close::unavailable()
            }
        };
        let bearer = match auth::payload_token(payload.as_ref()).map_err(refused)? {
            Some(token) => Some(token),
            None => auth::header_token(&self.upgrade).map_err(refused)?,
        };
        let transport = self.transport.clone();
        let limit = transport.limits.request_timeout;
        let session = tokio::select! {
            () = transport.drain.signal().cancelled() => return Err(Close::going_away().into()),
            session = auth::ask(&transport.authenticator, bearer.as_deref(), limit) => session.map_err(refused)?,
        };
        self.phase = Phase::Open {
            caller: session.caller,
        };
        self.token_ends = Box::pin(async move {
            let (authenticator, recheck) = (&transport.authenticator, transport.limits.token_recheck);
            auth::watch(
                authenticator,
                bearer.as_deref(),
                session.valid_for,
                recheck,
                limit,
            )
            .await;
        });
        self.write(FromServer::ConnectionAck.text()).await
    }

    async fn subscribe(&mut self, id: String, params: Params) -> Result<(), Ended> {
        let Phase::Open { caller } = &self.phase else {
            return Err(Close::unauthorized().into());
        };
        let full = self.operations.len() >= self.transport.limits.max_operations;
        match self.operations.entry(id) {
            Entry::Occupied(taken) => Err(Close::duplicate(taken.key()).into()),
            Entry::Vacant(free) if full => {
                let limit = self.transport.limits.max_operations;
                let message = format!("A connection may run {limit} operations at once.");
                let (limit, actual) = (limit as u64, limit as u64 + 1);
                let error = coded(code::OVERLOADED, message);
                let errors = [over(error, "operations of a connection", limit, actual)];
                let text = FromServer::Error {
                    id: free.key(),
                    payload: &errors,
                }
                .text();
                self.write(text).await
            }
            Entry::Vacant(free) => {
                self.started += 1;
                let (transport, caller, queue) = (self.transport.clone(), caller.clone(), self.queue.clone());
                let outbox = Outbox {
                    id: free.key().clone(),
                    number: self.started,
                    queue,
                    bytes: self.bytes.clone(),
                };
                let task = tokio::spawn(operate(transport, caller, self.peer, params, outbox));
                free.insert(Running {
                    number: self.started,
                    _task: AbortOnDropHandle::new(task),
                });
                Ok(())
            }
        }
    }

    async fn write_queued(&mut self, outgoing: Outgoing) -> Result<(), Ended> {
        let Entry::Occupied(running) = self.operations.entry(outgoing.id) else {
            return Ok(());
        };
        if running.get().number != outgoing.number {
            return Ok(());
        }
        if outgoing.last {
            running.remove();
        }
        self.write(outgoing.text).await
    }

    async fn tick(&mut self) -> Result<(), Ended> {
        self.silent_ticks += 1;
        if self.silent_ticks > 2 {
            return Err(Close::silent().into());
        }
        self.send(Message::Ping(Default::default())).await
    }

    async fn write(&mut self, text: Utf8Bytes) -> Result<(), Ended> {
        self.send(Message::Text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Ended> {
        let limit: Duration = self.transport.limits.write_timeout;
        match timeout(limit, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::Gone),
            Err(_) => Err(Close::too_slow().into()),
        }
    }

    /// The close handshake: our half where it is ours to begin, then reading on until the client's half has come and
    /// everything that was written has left.
    async fn part(&mut self, ended: Ended) {
        if let Ended::Close(close) = ended
            && self.socket.send(close.into_message()).await.is_err()
        {
            return;
        }
        while let Some(Ok(_)) = self.socket.recv().await {}
    }
}

/// Where an operation puts its messages.
struct Outbox {
    id: String,
    number: u64,
    queue: Sender<Outgoing>,
    bytes: Bytes,
}

impl Outbox {
    async fn next(&self, answer: &Answer) {
        let (id, payload) = (self.id.as_str(), answer);
        self.put(FromServer::Next { id, payload }, false).await;
    }

    async fn fail(&self, errors: &[ServerError]) {
        let (id, payload) = (self.id.as_str(), errors);
        self.put(FromServer::Error { id, payload }, true).await;
    }

    async fn complete(&self) {
        self.put(FromServer::Complete { id: &self.id }, true).await;
    }

    /// Waits while the queue is full. Nobody is left to hear of a queue that is closed.
    async fn put(&self, message: FromServer<'_>, last: bool) {
        let (id, number, text) = (self.id.clone(), self.number, message.text());
        let _room = self.bytes.room(text.len()).await;
        let _ = self
            .queue
            .send(Outgoing {
                id,
                number,
                text,
                last,
                _room,
            })
            .await;
    }
}

async fn operate<E: Executor, A: Authenticate>(
    transport: Arc<Transport<E, A>>,
    caller: A::Caller,
    peer: Option<Peer>,
    params: Params,
    outbox: Outbox,
) {
    let (trace, limits) = (Trace::fresh(), &transport.limits);
    let mut operation = match transport.prepare(params, &trace) {
        Ok(operation) => operation,
        Err(error) => return outbox.fail(&[error]).await,
    };
    operation.request = with_data(operation.request, caller, peer, trace.clone());
    let executor = transport.executor.clone();
    let mut events = execute::events(executor, operation, trace, limits.request_timeout);
    while let Some(event) = events.next().await {
        match event {
            Event::Next(answer) => outbox.next(&answer).await,
            Event::Failed(errors) => return outbox.fail(&errors).await,
        }
    }
    outbox.complete().await;
}
