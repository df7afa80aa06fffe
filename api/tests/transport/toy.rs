//! A small schema with one field for each way an operation can go, and tokens for each way a caller can be.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use async_graphql::{Context, Error, ErrorExtensions, Object, Result, Schema, Subscription};
use axum::Router;
use docket::http::{AuthError, Authenticate, Drain, HostPolicy, HttpLimits, Session, Trusted, router};
use futures::{Stream, StreamExt, stream};
use tokio::sync::watch;

/// Held by every token that is accepted.
pub const TOKEN: &str = "good";

/// What a test sees of the server, and how it steers it.
#[derive(Clone)]
pub struct World {
    /// How many subscriptions are alive.
    pub subscriptions: watch::Sender<usize>,
    /// What `feed` shows; every change is a message.
    pub news: watch::Sender<i32>,
    /// How often a mutation ran.
    pub mutations: Arc<AtomicI64>,
    /// Whether the token "revocable" was taken back.
    pub revoked: Arc<AtomicBool>,
    /// The `slow` fields that wait, and whether they may go on.
    pub waiting: watch::Sender<usize>,
    pub gate: watch::Sender<bool>,
}

impl World {
    pub fn new() -> World {
        World {
            subscriptions: watch::Sender::new(0),
            news: watch::Sender::new(0),
            mutations: Arc::default(),
            revoked: Arc::default(),
            waiting: watch::Sender::new(0),
            gate: watch::Sender::new(false),
        }
    }

    async fn at_the_gate(&self) -> i32 {
        let _waiting = Counted::new(&self.waiting);
        let opened = self
            .gate
            .subscribe()
            .wait_for(|open| *open)
            .await
            .map(|open| *open);
        i32::from(opened.unwrap_or(false))
    }
}

/// Counted as long as it lives.
struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(count: &watch::Sender<usize>) -> Counted {
        count.send_modify(|count| *count += 1);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[derive(Clone)]
pub struct Caller(Option<String>);

/// Accepts "good", "short" (for 20 ms) and "revocable"; cannot check "down", hangs on "hang" and panics on "panic".
pub struct Tokens(pub World);

impl Authenticate for Tokens {
    type Caller = Caller;

    async fn authenticate(&self, bearer: Option<&str>) -> Result<Session<Caller>, AuthError> {
        let mut valid_for = None;
        match bearer {
            None | Some(TOKEN) => {}
            Some("short") => valid_for = Some(Duration::from_millis(20)),
            Some("revocable") if !self.0.revoked.load(Ordering::SeqCst) => {}
            Some("down") => return Err(AuthError::Unavailable("the token table is away".into())),
            Some("hang") => std::future::pending().await,
            Some("panic") => panic!("the token check broke"),
            Some(_) => return Err(AuthError::Invalid),
        }
        Ok(Session {
            caller: Caller(bearer.map(str::to_owned)),
            valid_for,
        })
    }
}

fn caller(ctx: &Context<'_>) -> Result<String> {
    let Caller(name) = ctx.data::<Caller>()?;
    let denied = || Error::new("Sign in.").extend_with(|_, e| e.set("code", "UNAUTHENTICATED"));
    name.clone().ok_or_else(denied)
}

pub struct Query;

#[Object]
impl Query {
    async fn hello(&self) -> &str {
        "world"
    }

    async fn echo(&self, text: String) -> String {
        text
    }

    async fn whoami(&self, ctx: &Context<'_>) -> Result<String> {
        caller(ctx)
    }

    async fn maybe(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        caller(ctx).map(Some)
    }

    async fn boom(&self) -> i32 {
        assert!(std::hint::black_box(false), "secret of the resolver");
        0
    }

    async fn leak(&self) -> Result<i32> {
        Ok("password=hunter2"
            .parse::<i32>()
            .map_err(|_| std::io::Error::other("password=hunter2"))?)
    }

    async fn slow(&self, ctx: &Context<'_>) -> Result<i32> {
        Ok(ctx.data::<World>()?.at_the_gate().await)
    }
}

pub struct Mutation;

#[Object]
impl Mutation {
    async fn add(&self, ctx: &Context<'_>) -> Result<i64> {
        Ok(ctx.data::<World>()?.mutations.fetch_add(1, Ordering::SeqCst) + 1)
    }

    async fn repeat(&self, text: String) -> String {
        text
    }

    async fn slow(&self, ctx: &Context<'_>) -> Result<i32> {
        Ok(ctx.data::<World>()?.at_the_gate().await)
    }
}

pub struct Subscriptions;

#[Subscription]
impl Subscriptions {
    /// 1 to `to`, then the end.
    async fn count(&self, to: i32) -> impl Stream<Item = i32> {
        stream::iter(1..=to)
    }

    /// The news from now on; never ends by itself.
    async fn feed(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = i32> + use<>> {
        let world = ctx.data::<World>()?;
        let state = (world.news.subscribe(), Counted::new(&world.subscriptions));
        Ok(stream::unfold(state, |(mut news, alive)| async move {
            news.changed().await.ok()?;
            let newest = *news.borrow_and_update();
            Some((newest, (news, alive)))
        }))
    }

    /// Large messages without a pause.
    async fn flood(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = String> + use<>> {
        let alive = Counted::new(&ctx.data::<World>()?.subscriptions);
        Ok(stream::repeat("x".repeat(256 * 1024)).map(move |text| (text, &alive).0))
    }

    async fn denied(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = i32> + use<>> {
        caller(ctx).map(|_| stream::iter([1]))
    }

    /// A first event that fails, then one that does not.
    async fn hiccup(&self) -> impl Stream<Item = Result<i32>> {
        stream::iter([Err(Error::new("not this one")), Ok(2)])
    }

    /// One event, then a panic.
    async fn boom(&self) -> impl Stream<Item = i32> {
        stream::iter([1, 2]).map(|n| if n == 2 { panic!("secret of the stream") } else { n })
    }
}

/// The transports over this schema.
pub fn toy(world: World, limits: HttpLimits, policy: HostPolicy, drain: Drain) -> Router {
    let schema = Schema::build(Query, Mutation, Subscriptions)
        .data(world.clone())
        .finish();
    router(schema, Tokens(world), limits, policy, Trusted::default(), drain)
}
