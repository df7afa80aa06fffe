//! Which keys of a published set are used, and for what.

use crate::door::{Door, at_once, keys, rules};
use docket::{
    auth::{Callers, Jwks, JwksError, Tokens},
    http::Authenticate,
};
use docket_tests::{
    eventually,
    identity_provider::{IdentityProvider, SigningKey, claims},
    scratch,
    server::{SERVE, Server, on, verb},
};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::{fs, time::Duration};

fn staff() -> Value {
    claims("ann", json!("staff"))
}

/// A key with something else said of it.
fn but(key: &SigningKey, name: &str, value: Value) -> Value {
    let mut jwk = key.jwk();
    jwk[name] = value;
    jwk
}

#[tokio::test]
async fn a_key_checks_only_what_it_says_it_is_for() {
    let (good, key) = (SigningKey::ed25519("good"), SigningKey::rsa("k", 0));
    let (curve, point) = (SigningKey::es256("k"), SigningKey::ed25519("k"));
    let provider = IdentityProvider::start(&[&good]).await;
    // A JWT needs no database.
    let nowhere = PgPool::connect_lazy("postgres://127.0.0.1:1/none").unwrap();
    let sign = |algorithm: &str| key.sign(&json!({"alg": algorithm, "kid": "k"}), &staff());
    let (rs256, ps256) = (sign("RS256"), sign("PS256"));
    let es256 = curve.token(&staff());
    let eddsa = point.token(&staff());
    for (what, jwk, token, opens) in [
        ("as it is", key.jwk(), &rs256, true),
        ("named for RS256", but(&key, "alg", json!("RS256")), &rs256, true),
        ("named for PS256", but(&key, "alg", json!("PS256")), &ps256, true),
        (
            "RS256 by a key for PS256",
            but(&key, "alg", json!("PS256")),
            &rs256,
            false,
        ),
        (
            "PS256 by a key for RS256",
            but(&key, "alg", json!("RS256")),
            &ps256,
            false,
        ),
        (
            "by a key for HS256",
            but(&key, "alg", json!("HS256")),
            &rs256,
            false,
        ),
        (
            "by a key for nothing known",
            but(&key, "alg", json!("XS1")),
            &rs256,
            false,
        ),
        (
            "by a key for encryption",
            but(&key, "use", json!("enc")),
            &rs256,
            false,
        ),
        (
            "by a key that only signs",
            but(&key, "key_ops", json!(["sign"])),
            &rs256,
            false,
        ),
        (
            "by a key that verifies",
            but(&key, "key_ops", json!(["verify"])),
            &rs256,
            true,
        ),
        (
            "by a private key that was published",
            but(&key, "d", json!("AAAA")),
            &rs256,
            false,
        ),
        ("of another type", but(&key, "kty", json!("EC")), &rs256, false),
        (
            "of a shared secret",
            json!({"kty": "oct", "k": "c2VjcmV0", "kid": "k"}),
            &rs256,
            false,
        ),
        ("a point as it is", curve.jwk(), &es256, true),
        (
            "on another curve",
            but(&curve, "crv", json!("P-384")),
            &es256,
            false,
        ),
        (
            "on a curve of another type",
            but(&curve, "crv", json!("Ed25519")),
            &es256,
            false,
        ),
        ("half a point", but(&curve, "y", json!("AAAA")), &es256, false),
        (
            "a point that is none",
            but(&curve, "x", curve.jwk()["y"].clone()),
            &es256,
            false,
        ),
        ("Ed25519 as it is", point.jwk(), &eddsa, true),
        (
            "Ed25519 named for it",
            but(&point, "alg", json!("EdDSA")),
            &eddsa,
            true,
        ),
        ("Ed448", but(&point, "crv", json!("Ed448")), &eddsa, false),
        ("a short modulus", but(&key, "n", json!("AQAB")), &rs256, false),
        ("an exponent of one", but(&key, "e", json!("AQ")), &rs256, false),
    ] {
        // A key that is of no use does not spoil the others.
        provider.publish_document(json!({"keys": [good.jwk(), jwk, {"kty": "new"}, 7]}));
        let jwks = keys(&provider.url(), at_once()).await.unwrap();
        let callers = Callers::new(Tokens::new(nowhere.clone()), Some(jwks));
        let opened = async |token: &str| callers.authenticate(Some(token)).await.is_ok();
        assert_eq!(opened(token).await, opens, "{what}");
        assert!(opened(&good.token(&staff())).await, "{what}");
    }
}

/// The program as its users run it, over a file that is put in place of the old one.
#[tokio::test]
async fn the_program_takes_its_keys_from_a_file_and_from_an_address() {
    let (key, next) = (SigningKey::rsa("k", 0), SigningKey::rsa("k2", 1));
    let folder = scratch("keys-program");
    fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("keys.json");
    fs::write(&file, json!({"keys": [key.jwk()]}).to_string()).unwrap();
    let provider = IdentityProvider::start(&[&key]).await;
    let db = docket_tests::database().await;
    for source in [file.display().to_string(), provider.url()] {
        let mut command = on(&db);
        command
            .env("DOCKET_AUTH__JWKS", &source)
            .env("DOCKET_AUTH__ISSUER", docket_tests::identity_provider::ISSUER)
            .env("DOCKET_AUTH__AUDIENCE", docket_tests::identity_provider::AUDIENCE)
            .env("DOCKET_AUTH__ROLES_CLAIM", "/realm_access/roles");
        let server = Server::launch(&mut command).await;
        let mut claims = claims("ann", Value::Null);
        claims["realm_access"] = json!({"roles": ["default", "operator"]});
        let answer = server
            .client(key.token(&claims))
            .run("{ events(partition: 0) { endCursor } }", Value::Null)
            .await;
        assert_eq!(answer.code(), "none", "{source}: {answer:?}");
        let other = server.client(next.token(&claims));
        assert_eq!(other.run("{ __typename }", Value::Null).await.status, 401);
        assert!(server.stop().await.success());
    }
}

#[tokio::test]
async fn half_a_configuration_does_not_start() {
    let db = docket_tests::database().await;
    let folder = scratch("keys-half");
    fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("keys.json");
    fs::write(&file, json!({"keys": [SigningKey::es256("k").jwk()]}).to_string()).unwrap();
    let file = file.display().to_string();
    let missing = folder.path().join("none.json").display().to_string();
    for (what, variables) in [
        (
            "auth.issuer",
            vec![("JWKS", file.as_str()), ("AUDIENCE", "docket")],
        ),
        ("auth.audience", vec![("JWKS", &file), ("ISSUER", "i")]),
        (
            "auth.leeway_s",
            vec![
                ("JWKS", &file),
                ("ISSUER", "i"),
                ("AUDIENCE", "a"),
                ("LEEWAY_S", "301"),
            ],
        ),
        (
            "none.json",
            vec![("JWKS", &missing), ("ISSUER", "i"), ("AUDIENCE", "a")],
        ),
        (
            "https://",
            vec![
                ("JWKS", "http://id.shop.example/keys"),
                ("ISSUER", "i"),
                ("AUDIENCE", "a"),
            ],
        ),
        ("unknown field", vec![("SECRET", "x")]),
    ] {
        let mut command = on(&db);
        for (name, value) in variables {
            command.env(format!("DOCKET_AUTH__{name}"), value);
        }
        let ended = verb(command, &SERVE).await;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && said.contains(what), "{what}: {said}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_key_set_is_refused_at_the_start() {
    let folder = scratch("keys-refused");
    fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("keys.json");
    let start = async |content: &str| {
        fs::write(&file, content).unwrap();
        Jwks::start(&file.display().to_string(), rules(), at_once()).await
    };
    for content in [
        "",
        "{}",
        "[]",
        "{\"keys\": []}",
        "{\"keys\": [{\"kty\": \"oct\", \"k\": \"AA\"}]}",
    ] {
        assert!(
            matches!(start(content).await, Err(JwksError::File(..))),
            "{content}"
        );
    }
}

/// A file is read again: it is put in place of the old one while the server runs.
#[tokio::test]
async fn a_file_may_be_changed_while_the_server_runs() {
    let (key, next) = (SigningKey::es256("a"), SigningKey::es256("b"));
    let folder = scratch("keys-changed");
    fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("keys.json");
    fs::write(&file, json!({"keys": [key.jwk()]}).to_string()).unwrap();
    let jwks = keys(&file.display().to_string(), at_once()).await.unwrap();
    let door = Door::open(Some(jwks)).await;
    assert!(door.opens(&key.token(&staff())).await);
    fs::write(&file, json!({"keys": [next.jwk()]}).to_string()).unwrap();
    assert!(door.opens(&next.token(&staff())).await);
    let gone = async || (!door.opens(&key.token(&staff())).await).then_some(());
    eventually(Duration::from_secs(10), gone).await;
}
