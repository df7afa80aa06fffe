//! Keys come and go while the server runs, and the provider is not always there.

use crate::door::{Door, at_once, ends, keys};
use docket::auth::JwksLimits;
use docket_tests::{
    eventually,
    identity_provider::{IdentityProvider, SigningKey, claims},
    server::Events,
};
use serde_json::{Value, json};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(3_600);

fn staff() -> Value {
    claims("ann", json!("staff"))
}

/// Keys that are read again after a moment.
fn often() -> JwksLimits {
    let moment = Duration::from_millis(100);
    JwksLimits {
        refresh: moment,
        retry: moment,
        ..at_once()
    }
}

async fn follow(door: &Door, token: &str) -> Events {
    let client = door.client(token);
    let mut stream = client
        .follow(
            "subscription { ordersChanged { cursor event { type } } }",
            Value::Null,
        )
        .await;
    let first = stream.next().await;
    assert!(
        first.as_ref().is_some_and(|first| first["errors"].is_null()),
        "{first:?}"
    );
    stream
}

#[tokio::test]
async fn a_key_is_added_then_the_old_one_removed_and_its_tokens_end_also_in_streams() {
    let (old, new) = (SigningKey::rsa("2024", 0), SigningKey::es256("2025"));
    let provider = IdentityProvider::start(&[&old]).await;
    let door = Door::open(Some(keys(&provider.url(), often()).await.unwrap())).await;
    let mut following = follow(&door, &old.token(&staff())).await;

    let mut socket = door.client("").socket(&[]).await.unwrap();
    socket.init(&old.token(&staff())).await;

    provider.publish(&[&old, &new]);
    // Known as soon as it is used, and the old one is good beside it.
    assert!(door.opens(&new.token(&staff())).await);
    assert!(door.opens(&old.token(&staff())).await);
    let mut following_new = follow(&door, &new.token(&staff())).await;

    provider.publish(&[&new]);
    let ended = async || (!door.opens(&old.token(&staff())).await).then_some(());
    eventually(DEADLINE, ended).await;
    ends(&mut following).await;
    let (closed, _) = socket.next().await.unwrap_err();
    assert_eq!(closed, 4403, "a WebSocket ends with its token's key as well");
    assert!(door.opens(&new.token(&staff())).await);
    // The other one is still told what happens.
    let made = door
        .client(new.token(&staff()))
        .mutate("createOrder", crate::door::create("ada", "k"))
        .await;
    assert_eq!(made.code(), "none", "{made:?}");
    assert!(following_new.event(&mut None).await.is_some());
}

#[tokio::test]
async fn a_stream_ends_when_its_token_does() {
    let key = SigningKey::ed25519("k");
    let (door, _provider) = Door::with(&[&key]).await;
    let mut claims = staff();
    // Over by its own word, and good for two seconds more by the leeway.
    claims["exp"] = json!(chrono::Utc::now().timestamp() - i64::try_from(crate::door::LEEWAY).unwrap() + 2);
    let mut stream = follow(&door, &key.token(&claims)).await;
    ends(&mut stream).await;
    assert!(!door.opens(&key.token(&claims)).await);
}

/// Invented keys have the document read once in an interval, however many there are.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_with_invented_keys_do_not_flood_the_provider() {
    let (key, stranger) = (SigningKey::es256("k"), SigningKey::es256("x"));
    let provider = IdentityProvider::start(&[&key]).await;
    let limits = JwksLimits {
        least_between: LONG,
        ..JwksLimits::default()
    };
    let door = Door::open(Some(keys(&provider.url(), limits).await.unwrap())).await;
    assert_eq!(provider.reads(), 1);
    let invented = |number: u32| {
        let header = json!({"alg": "ES256", "kid": format!("x-{number}")});
        stranger.sign(&header, &staff())
    };
    for number in 0..50 {
        assert!(!door.opens(&invented(number)).await);
    }
    assert_eq!(
        provider.reads(),
        1,
        "the interval had begun with the first reading"
    );

    // Where the interval is over, all who come while one reading is under way wait for that one.
    let provider = IdentityProvider::start(&[&key]).await;
    let door = Door::open(Some(keys(&provider.url(), at_once()).await.unwrap())).await;
    provider.hold(true);
    let tokens: Vec<String> = (0..50).map(invented).collect();
    let knocks = futures::future::join_all(tokens.iter().map(|token| door.opens(token)));
    let release = async {
        eventually(DEADLINE, async || (provider.reads() == 2).then_some(())).await;
        // Whoever holds a good token does not wait for it.
        assert!(door.opens(&key.token(&staff())).await);
        provider.hold(false);
    };
    let (opened, ()) = futures::future::join(knocks, release).await;
    assert!(opened.iter().all(|opened| !opened));
    // A few may have come after its end, each of which may begin one more; not one for each token.
    assert!(provider.reads() < 25, "{} readings", provider.reads());
}

/// The provider is away: its keys are kept for a time, and after it nobody is let in and nobody is called a liar.
#[tokio::test]
async fn keys_are_kept_while_the_provider_is_away_and_not_for_ever() {
    let key = SigningKey::es256("k");
    let provider = IdentityProvider::start(&[&key]).await;
    let kept = Door::open(Some(keys(&provider.url(), often()).await.unwrap())).await;
    let soon_over = JwksLimits {
        kept_while_away: Duration::ZERO,
        ..often()
    };
    let short = Door::open(Some(keys(&provider.url(), soon_over).await.unwrap())).await;
    let token = key.token(&staff());
    assert!(kept.opens(&token).await);

    provider.answer_with(503);
    let before = provider.reads();
    eventually(DEADLINE, async || (provider.reads() > before + 4).then_some(())).await;
    assert!(kept.opens(&token).await);
    let refused = async || {
        let reply = short.knock(&token).await;
        (reply.status == 503).then_some(reply)
    };
    let refused = eventually(DEADLINE, refused).await;
    assert_eq!(refused.code(), "UNAVAILABLE");
    assert_eq!(
        short.knock("nonsense").await.status,
        401,
        "random tokens need no provider"
    );

    // What is no key set does not take the place of one.
    provider.answer_with(200);
    for wrong in [
        json!({"keys": []}),
        json!({"error": "maintenance"}),
        json!("x"),
        json!({"keys": [{"kty": "oct", "k": "AAAA", "kid": "k"}]}),
        json!({"keys": vec![key.jwk(); 65]}),
        json!({"keys": [key.jwk()], "padding": "x".repeat(300_000)}),
    ] {
        provider.publish_document(wrong);
        let before = provider.reads();
        eventually(DEADLINE, async || (provider.reads() > before + 2).then_some(())).await;
        assert!(kept.opens(&token).await);
    }
    provider.publish(&[&key]);
    let opens = async || (short.knock(&token).await.status == 200).then_some(());
    eventually(DEADLINE, opens).await;
}

#[tokio::test]
async fn a_provider_that_hangs_or_is_not_there_yet_keeps_nobody_from_starting() {
    let key = SigningKey::es256("k");
    let provider = IdentityProvider::start(&[&key]).await;
    provider.hold(true);
    let limits = JwksLimits {
        fetch_timeout: Duration::from_millis(200),
        ..often()
    };
    let door = Door::open(Some(keys(&provider.url(), limits).await.unwrap())).await;
    assert_eq!(door.knock(&key.token(&staff())).await.status, 503);
    provider.hold(false);
    let opens = async || (door.knock(&key.token(&staff())).await.status == 200).then_some(());
    eventually(DEADLINE, opens).await;
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let (key, evil) = (SigningKey::es256("k"), SigningKey::es256("k"));
    let provider = IdentityProvider::start(&[&key]).await;
    let door = Door::open(Some(keys(&provider.url(), often()).await.unwrap())).await;
    provider.publish(&[&evil]);
    provider.answer_with(302);
    let before = provider.reads();
    eventually(DEADLINE, async || (provider.reads() > before + 2).then_some(())).await;
    assert!(door.opens(&key.token(&staff())).await);
    assert!(!door.opens(&evil.token(&staff())).await);
}
