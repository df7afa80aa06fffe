//! A server in this process with an identity provider beside it, and times short enough to wait for.

use docket::{
    auth::{Jwks, JwksError, JwksLimits, JwtRules},
    graphql::Rates,
    http::{Drain, HostPolicy, HttpLimits, Trusted},
    server::{Parts, app},
};
use docket_domain::Role;
use docket_event_store::{MasterKey, Store, StoreConfig, migrate};
use docket_projections::{Projections, ProjectionsConfig};
use docket_tests::{
    TestDatabase, database,
    identity_provider::{AUDIENCE, ISSUER, IdentityProvider, SigningKey},
    server::{Client, Events, MASTER_KEY, Reply, token},
};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How far the two clocks may be apart.
pub(crate) const LEEWAY: u64 = 30;

pub(crate) struct Door {
    pub(crate) db: TestDatabase,
    pub(crate) address: SocketAddr,
    _server: AbortOnDropHandle<()>,
}

pub(crate) fn rules() -> JwtRules {
    JwtRules {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        roles_claim: "roles".to_owned(),
        leeway: Duration::from_secs(LEEWAY),
    }
}

/// Keys that are read as seldom as they may be, and at once when somebody names an unknown one.
pub(crate) fn at_once() -> JwksLimits {
    JwksLimits {
        least_between: Duration::ZERO,
        ..JwksLimits::default()
    }
}

pub(crate) async fn keys(source: &str, limits: JwksLimits) -> Result<Jwks, JwksError> {
    Jwks::start(source, rules(), limits).await
}

impl Door {
    /// Open to the tokens of a provider with these keys.
    pub(crate) async fn with(published: &[&SigningKey]) -> (Door, IdentityProvider) {
        let provider = IdentityProvider::start(published).await;
        let jwks = keys(&provider.url(), JwksLimits::default()).await.unwrap();
        (Door::open(Some(jwks)).await, provider)
    }

    pub(crate) async fn open(jwks: Option<Jwks>) -> Door {
        let db = database().await;
        migrate(&db.connect_options(), None).await.unwrap();
        let key = MasterKey::from_hex(MASTER_KEY).unwrap();
        let store = Store::open(StoreConfig::new(db.connect_options(), key))
            .await
            .unwrap();
        let projections = Projections::start(store.clone(), ProjectionsConfig::default())
            .await
            .unwrap();
        let stop = CancellationToken::new();
        let limits = HttpLimits {
            token_recheck: Duration::from_millis(100),
            ..HttpLimits::default()
        };
        let app = app(Parts {
            store,
            projections,
            rebuilds: None,
            jwks,
            limits,
            rates: Rates::default(),
            trusted: Trusted::default(),
            policy: HostPolicy::default(),
            traces: None,
            development: false,
            drain: Drain::new(stop.clone()),
            stop,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async move { axum::serve(listener, app).await.unwrap() };
        Door {
            db,
            address,
            _server: AbortOnDropHandle::new(tokio::spawn(serve)),
        }
    }

    /// Somebody with this token.
    pub(crate) fn client(&self, token: impl Into<String>) -> Client {
        Client::new(self.address, token)
    }

    /// Somebody with a random token.
    pub(crate) async fn known(&self, role: Role, actor: &str) -> Client {
        self.client(token(&self.db, role, actor).await)
    }

    /// Asks for what every role but `gateway` may ask for.
    pub(crate) async fn knock(&self, token: &str) -> Reply {
        self.client(token).run(ORDERS, Value::Null).await
    }

    /// Whether a token opens the door: the status says so, whatever is behind it.
    pub(crate) async fn opens(&self, token: &str) -> bool {
        let reply = self.knock(token).await;
        assert!([200, 401].contains(&reply.status), "{reply:?}");
        reply.status == 200
    }
}

pub(crate) const ORDERS: &str = "{ orders { edges { node { id customer } } } }";

pub(crate) fn create(customer: &str, key: &str) -> Value {
    json!({"customer": customer, "channel": "web", "currency": "EUR", "locale": "de-DE", "idempotencyKey": key})
}

/// A stream says that its token no longer holds, and is over.
pub(crate) async fn ends(stream: &mut Events) {
    let mut last = stream.next().await;
    // What was under way when the token ended may still come.
    while last.as_ref().is_some_and(|last| last["errors"].is_null()) {
        last = stream.next().await;
    }
    let last = last.expect("a last word");
    assert_eq!(
        last["errors"][0]["extensions"]["code"], "UNAUTHENTICATED",
        "{last}"
    );
    assert_eq!(stream.next().await, None);
}
