//! An identity provider: keys that sign, and the address where it publishes them.

mod key;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

pub use self::key::SigningKey;

/// What it says of itself.
pub const ISSUER: &str = "https://id.shop.example";
/// Whom its tokens are for.
pub const AUDIENCE: &str = "docket";

/// A running identity provider; it is gone with the handle.
#[derive(Debug)]
pub struct IdentityProvider {
    address: SocketAddr,
    shared: Arc<Shared>,
    _server: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    keys: Mutex<Value>,
    status: Mutex<StatusCode>,
    reads: AtomicU64,
    /// Answers wait while it is false.
    answers: watch::Sender<bool>,
}

impl IdentityProvider {
    /// One that publishes these keys.
    pub async fn start(keys: &[&SigningKey]) -> IdentityProvider {
        let shared = Arc::new(Shared {
            keys: Mutex::new(Value::Null),
            status: Mutex::new(StatusCode::OK),
            reads: AtomicU64::new(0),
            answers: watch::Sender::new(true),
        });
        let app = Router::new()
            .route("/keys", get(answer))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let serve = async move { axum::serve(listener, app).await.expect("it serves") };
        let provider = IdentityProvider {
            address,
            shared,
            _server: AbortOnDropHandle::new(tokio::spawn(serve)),
        };
        provider.publish(keys);
        provider
    }

    /// Where its keys are.
    pub fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    /// Publishes these keys from now on.
    pub fn publish(&self, keys: &[&SigningKey]) {
        self.publish_document(json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}));
    }

    /// Publishes whatever a test wants.
    pub fn publish_document(&self, document: Value) {
        *self.shared.keys.lock().expect("nobody panics with it") = document;
    }

    /// Answers with this status from now on.
    pub fn answer_with(&self, status: u16) {
        let status = StatusCode::from_u16(status).expect("a status");
        *self.shared.status.lock().expect("nobody panics with it") = status;
    }

    /// Holds every answer back, or lets them go.
    pub fn hold(&self, held: bool) {
        self.shared.answers.send_replace(!held);
    }

    /// How often the keys were asked for.
    pub fn reads(&self) -> u64 {
        self.shared.reads.load(Ordering::SeqCst)
    }
}

async fn answer(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    shared.reads.fetch_add(1, Ordering::SeqCst);
    let mut answers = shared.answers.subscribe();
    let _ = answers.wait_for(|answers| *answers).await;
    let status = *shared.status.lock().expect("nobody panics with it");
    let keys = shared.keys.lock().expect("nobody panics with it").clone();
    (status, keys.to_string())
}

/// Claims that hold for an hour: whose they are, and as what.
pub fn claims(subject: &str, roles: Value) -> Value {
    let now = chrono::Utc::now().timestamp();
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "roles": roles, "iat": now, "nbf": now, "exp": now + 3_600})
}
