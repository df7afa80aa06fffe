//! Tokens that somebody forged, changed, kept too long or got for another purpose: each by its name.

use crate::door::{Door, LEEWAY, ORDERS, create, ends};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use docket::auth::{create_token, revoke_token};
use docket_domain::Role;
use docket_tests::{
    eventually,
    identity_provider::{SigningKey, claims},
    server::{Ask, Reply, token},
};
use serde_json::{Value, json};
use std::time::Duration;

const SECOND: i64 = 1;
const LEEWAY_S: i64 = LEEWAY as i64;

/// A door with one key, and what a good token of it looks like.
struct Attack {
    door: Door,
    _provider: docket_tests::identity_provider::IdentityProvider,
    key: SigningKey,
    refusal: Reply,
}

impl Attack {
    async fn on(key: SigningKey) -> Attack {
        let (door, provider) = Door::with(&[&key]).await;
        let refusal = door.knock("nonsense").await;
        assert_eq!(refusal.status, 401);
        let attack = Attack {
            door,
            _provider: provider,
            key,
            refusal,
        };
        // The door is not shut for everybody.
        let good = attack.key.token(&staff());
        let opened = attack.door.knock(&good).await;
        assert_eq!(opened.data(), json!({"edges": []}), "{opened:?}");
        attack
    }

    /// The token opens nothing, and the answer does not say why.
    async fn refused(&self, what: &str, token: &str) {
        let reply = self.door.knock(token).await;
        assert_eq!(reply.status, 401, "{what}: {reply:?}");
        assert_eq!(reply.code(), "UNAUTHENTICATED", "{what}");
        let errors = |reply: &Reply| reply.json()["errors"].clone();
        assert_eq!(errors(&reply), errors(&self.refusal), "{what}");
    }

    async fn refused_claims(&self, what: &str, change: impl FnOnce(&mut Value)) {
        let mut claims = staff();
        change(&mut claims);
        self.refused(what, &self.key.token(&claims)).await;
    }

    async fn accepted_claims(&self, what: &str, change: impl FnOnce(&mut Value)) {
        let mut claims = staff();
        change(&mut claims);
        let reply = self.door.knock(&self.key.token(&claims)).await;
        assert_eq!(reply.status, 200, "{what}: {reply:?}");
    }
}

fn staff() -> Value {
    claims("ann", json!(["staff"]))
}

fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test]
async fn expired() {
    let attack = Attack::on(SigningKey::es256("k")).await;
    let late = now() - LEEWAY_S - 10 * SECOND;
    attack.refused_claims("expired", |c| c["exp"] = json!(late)).await;
    for (what, exp) in [
        ("zero", json!(0)),
        ("negative", json!(-1)),
        ("text", json!("2999")),
        ("null", Value::Null),
        ("beyond every clock", json!(1e300)),
    ] {
        attack
            .refused_claims(&format!("exp {what}"), |c| c["exp"] = exp)
            .await;
    }
    attack
        .refused_claims("without an end", |c| {
            c.as_object_mut().unwrap().remove("exp");
        })
        .await;
    attack
        .accepted_claims("within the leeway", |c| {
            c["exp"] = json!(now() - LEEWAY_S + 10 * SECOND)
        })
        .await;
    attack
        .accepted_claims("an end in the far future", |c| c["exp"] = json!(u64::MAX / 4))
        .await;
}

#[tokio::test]
async fn not_yet_valid() {
    let attack = Attack::on(SigningKey::es256("k")).await;
    let soon = now() + LEEWAY_S + 60 * SECOND;
    attack.refused_claims("nbf", |c| c["nbf"] = json!(soon)).await;
    attack.refused_claims("iat", |c| c["iat"] = json!(soon)).await;
    attack
        .refused_claims("nbf of text", |c| c["nbf"] = json!("now"))
        .await;
    attack
        .refused_claims("iat of text", |c| c["iat"] = json!("now"))
        .await;
    attack
        .accepted_claims("within the leeway", |c| {
            c["nbf"] = json!(now() + LEEWAY_S - 10 * SECOND);
            c["iat"] = json!(now() + LEEWAY_S - 10 * SECOND);
        })
        .await;
}

#[tokio::test]
async fn forged_signature() {
    for key in [
        SigningKey::es256("k"),
        SigningKey::ed25519("k"),
        SigningKey::rsa("k", 0),
    ] {
        let attack = Attack::on(key).await;
        let good = attack.key.token(&staff());
        let (message, signature) = good.rsplit_once('.').unwrap();
        let (header, payload) = message.split_once('.').unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            attack
                .refused("a changed bit", &format!("{message}.{}", encode(changed)))
                .await;
        }
        let nothing = encode(vec![0; bytes.len()]);
        attack.refused("zeroes", &format!("{message}.{nothing}")).await;
        attack.refused("no signature", &format!("{message}.")).await;
        let operator = encode(claims("ann", json!(["operator"])).to_string());
        attack
            .refused("other claims", &format!("{header}.{operator}.{signature}"))
            .await;
        let typeless =
            encode(json!({"alg": attack.key.algorithm(), "kid": "k", "typ": "at+jwt"}).to_string());
        attack
            .refused("another header", &format!("{typeless}.{payload}.{signature}"))
            .await;
    }
}

#[tokio::test]
async fn alg_none() {
    let attack = Attack::on(SigningKey::rsa("k", 0)).await;
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let header = encode(json!({"alg": none, "typ": "JWT", "kid": "k"}).to_string());
        let payload = encode(staff().to_string());
        attack.refused(none, &format!("{header}.{payload}.")).await;
        let (_, signature) = attack
            .key
            .token(&staff())
            .rsplit_once('.')
            .map(|(m, s)| (m.to_owned(), s.to_owned()))
            .unwrap();
        attack
            .refused(none, &format!("{header}.{payload}.{signature}"))
            .await;
    }
    let header = encode(json!({"typ": "JWT", "kid": "k"}).to_string());
    attack
        .refused("no alg", &format!("{header}.{}.", encode(staff().to_string())))
        .await;
}

/// The public key is public: whoever may choose the algorithm signs with it.
#[tokio::test]
async fn hs256_with_the_public_key_as_secret() {
    for key in [SigningKey::rsa("k", 0), SigningKey::es256("k")] {
        let attack = Attack::on(key).await;
        let jwk = attack.key.jwk();
        let halves = ["n", "e", "x", "y"].map(|part| jwk[part].as_str().unwrap_or_default().to_owned());
        let mut secrets: Vec<Vec<u8>> = vec![jwk.to_string().into_bytes(), Vec::new()];
        for half in halves {
            secrets.push(URL_SAFE_NO_PAD.decode(&half).unwrap());
            secrets.push(half.into_bytes());
        }
        for (algorithm, digest) in [
            ("HS256", ring::hmac::HMAC_SHA256),
            ("HS512", ring::hmac::HMAC_SHA512),
        ] {
            for secret in &secrets {
                let header = encode(json!({"alg": algorithm, "typ": "JWT", "kid": "k"}).to_string());
                let message = format!("{header}.{}", encode(staff().to_string()));
                let signed = ring::hmac::sign(&ring::hmac::Key::new(digest, secret), message.as_bytes());
                attack
                    .refused(algorithm, &format!("{message}.{}", encode(signed)))
                    .await;
            }
        }
    }
}

#[tokio::test]
async fn swapped_kid() {
    let (ours, other, stranger) = (
        SigningKey::rsa("a", 0),
        SigningKey::rsa("b", 1),
        SigningKey::es256("a"),
    );
    let (door, _provider) = Door::with(&[&ours, &other]).await;
    let sign = |key: &SigningKey, header: Value| key.sign(&header, &staff());
    assert!(door.opens(&ours.token(&staff())).await);
    assert!(door.opens(&other.token(&staff())).await);
    assert!(
        door.opens(&sign(&ours, json!({"alg": "PS256", "kid": "a"})))
            .await,
        "a key without `alg` checks both"
    );
    for (what, token) in [
        ("another's id", sign(&ours, json!({"alg": "RS256", "kid": "b"}))),
        (
            "an id of nobody",
            sign(&ours, json!({"alg": "RS256", "kid": "c"})),
        ),
        ("an empty id", sign(&ours, json!({"alg": "RS256", "kid": ""}))),
        ("no id, and two keys", sign(&ours, json!({"alg": "RS256"}))),
        (
            "an id that is a path",
            sign(&ours, json!({"alg": "RS256", "kid": "../a"})),
        ),
        (
            "an id that is a number",
            sign(&ours, json!({"alg": "RS256", "kid": 1})),
        ),
        ("an unknown key under a known id", stranger.token(&staff())),
        (
            "its own key in the header",
            sign(
                &stranger,
                json!({"alg": "ES256", "kid": "z", "jwk": stranger.jwk()}),
            ),
        ),
        (
            "its own key's address in the header",
            sign(
                &stranger,
                json!({"alg": "ES256", "jku": "http://127.0.0.1:1/keys"}),
            ),
        ),
        (
            "another algorithm of the family",
            sign(&ours, json!({"alg": "RS512", "kid": "a"})),
        ),
        (
            "an algorithm of another family",
            sign(&ours, json!({"alg": "ES256", "kid": "a"})),
        ),
        (
            "PS256 over a signature of RS256",
            ours.token(&staff()).replacen(
                &encode(json!({"alg": "RS256", "typ": "JWT", "kid": "a"}).to_string()),
                &encode(json!({"alg": "PS256", "typ": "JWT", "kid": "a"}).to_string()),
                1,
            ),
        ),
        (
            "something that must be understood",
            sign(&ours, json!({"alg": "RS256", "kid": "a", "crit": ["exp"]})),
        ),
        (
            "a token for logging out",
            sign(&ours, json!({"alg": "RS256", "kid": "a", "typ": "logout+jwt"})),
        ),
    ] {
        assert!(!door.opens(&token).await, "{what}");
    }
}

#[tokio::test]
async fn other_issuer() {
    let attack = Attack::on(SigningKey::ed25519("k")).await;
    for issuer in [
        json!("https://id.shop.example/"),
        json!("https://evil.example"),
        json!("https://ID.shop.example"),
        json!(""),
        json!(7),
        Value::Null,
    ] {
        attack
            .refused_claims(&issuer.to_string(), |c| c["iss"] = issuer.clone())
            .await;
    }
    attack
        .refused_claims("none", |c| {
            c.as_object_mut().unwrap().remove("iss");
        })
        .await;
}

#[tokio::test]
async fn other_audience() {
    let attack = Attack::on(SigningKey::ed25519("k")).await;
    for audience in [
        json!("billing"),
        json!(["billing", "crm"]),
        json!([]),
        json!("Docket"),
        json!(["docket2"]),
        json!({"docket": true}),
        Value::Null,
    ] {
        attack
            .refused_claims(&audience.to_string(), |c| c["aud"] = audience.clone())
            .await;
    }
    attack
        .refused_claims("none", |c| {
            c.as_object_mut().unwrap().remove("aud");
        })
        .await;
    attack
        .accepted_claims("one of several", |c| c["aud"] = json!(["billing", "docket"]))
        .await;
}

#[tokio::test]
async fn missing_role() {
    let attack = Attack::on(SigningKey::es256("k")).await;
    attack
        .refused_claims("no claim", |c| {
            c.as_object_mut().unwrap().remove("roles");
        })
        .await;
    for roles in [
        json!([]),
        Value::Null,
        json!(""),
        json!({}),
        json!({"staff": true}),
        json!(1),
        json!([["staff"]]),
    ] {
        attack
            .refused_claims(&roles.to_string(), |c| c["roles"] = roles.clone())
            .await;
    }
    attack
        .refused_claims("in another claim", |c| {
            c["roles"].take();
            c["role"] = json!("staff");
        })
        .await;
}

#[tokio::test]
async fn unknown_role() {
    let attack = Attack::on(SigningKey::es256("k")).await;
    for role in [
        "admin",
        "Staff",
        "STAFF",
        " staff",
        "staff ",
        "staff,operator",
        "*",
        "anonymous",
    ] {
        attack.refused_claims(role, |c| c["roles"] = json!([role])).await;
        attack.refused_claims(role, |c| c["roles"] = json!(role)).await;
    }
    attack
        .accepted_claims("one of ours among others", |c| {
            c["roles"] = json!(["offline_access", "staff", "uma_authorization"])
        })
        .await;
    attack
        .accepted_claims("as text", |c| c["roles"] = json!("staff"))
        .await;
}

#[tokio::test]
async fn two_roles() {
    let attack = Attack::on(SigningKey::es256("k")).await;
    for roles in [
        json!(["staff", "operator"]),
        json!(["customer", "staff"]),
        json!(["staff", "other", "customer"]),
        json!(["staff", "staff"]),
    ] {
        attack
            .refused_claims(&roles.to_string(), |c| c["roles"] = roles.clone())
            .await;
    }
}

#[tokio::test]
async fn a_subject_that_nobody_can_be() {
    let attack = Attack::on(SigningKey::es256("k")).await;
    for subject in [
        json!(""),
        json!("x".repeat(256)),
        json!("a\0b"),
        json!(7),
        Value::Null,
        json!(["ann"]),
    ] {
        attack
            .refused_claims("a subject", |c| c["sub"] = subject.clone())
            .await;
    }
    attack
        .accepted_claims("the longest", |c| c["sub"] = json!("x".repeat(255)))
        .await;
    for subject in ["", &"x".repeat(256), "a\u{7}b"] {
        attack
            .refused(
                "a customer",
                &attack.key.token(&claims(subject, json!("customer"))),
            )
            .await;
    }
}

/// The role is the token's: nothing else in a request can raise it.
#[tokio::test]
async fn a_customers_token_with_a_smuggled_staff_header() {
    let key = SigningKey::es256("k");
    let (door, _provider) = Door::with(&[&key]).await;
    let header = json!({"alg": "ES256", "typ": "JWT", "kid": "k", "roles": ["staff"], "role": "staff"});
    let mut smuggled = claims("eve", json!(["customer"]));
    smuggled["role"] = json!("staff");
    smuggled["realm_access"] = json!({"roles": ["staff"]});
    smuggled["actor"] = json!("ann");
    for token in [
        key.sign(&header, &smuggled),
        token(&door.db, Role::Customer, "eve").await,
    ] {
        let eve = door.client(&token);
        let mut ask = Ask::operation("{ events(partition: 0) { endCursor } }", Value::Null);
        for (name, value) in [
            ("x-role", "staff"),
            ("x-docket-role", "staff"),
            ("x-forwarded-user", "ann"),
            ("x-remote-user", "ann"),
            ("x-actor", "ann"),
            ("proxy-authorization", "Bearer staff"),
            ("cookie", "role=staff"),
        ] {
            ask = ask.and(name, value);
        }
        assert_eq!(eve.ask(ask).await.code(), "FORBIDDEN");
        // Who an order is for is not theirs to say either.
        let other = eve.mutate("createOrder", create("ada", "k")).await;
        assert_eq!(other.code(), "FORBIDDEN", "{other:?}");
        let own = eve.run(ORDERS, Value::Null).await;
        assert_eq!(own.code(), "none");

        let mut socket = eve.socket(&[("x-role", "staff")]).await.unwrap();
        socket
            .send(json!({"type": "connection_init", "payload": {"token": token, "role": "staff", "roles": ["staff"]}}))
            .await;
        assert_eq!(socket.next().await.unwrap()["type"], "connection_ack");
        socket
            .subscribe("1", "{ events(partition: 0) { endCursor } }", Value::Null)
            .await;
        let message = socket.next().await.unwrap();
        assert_eq!(message["type"], "error", "{message}");
        assert_eq!(
            message["payload"][0]["extensions"]["code"], "FORBIDDEN",
            "{message}"
        );
    }
}

#[tokio::test]
async fn oversized() {
    let attack = Attack::on(SigningKey::es256("k")).await;
    let padded = |bytes: usize| {
        let mut claims = staff();
        claims["padding"] = json!("x".repeat(bytes));
        attack.key.token(&claims)
    };
    let largest = padded(5_700);
    assert!(largest.len() <= docket::auth::MAX_TOKEN_BYTES && largest.len() > 7_000);
    assert!(attack.door.opens(&largest).await);
    for bytes in [6_200, 20_000, 60_000] {
        let token = padded(bytes);
        assert!(token.len() > docket::auth::MAX_TOKEN_BYTES);
        attack.refused("a good token that is too long", &token).await;
    }
}

#[tokio::test]
async fn truncated() {
    let attack = Attack::on(SigningKey::es256("k")).await;
    let good = attack.key.token(&staff());
    let header = good.find('.').unwrap();
    let payload = header + 1 + good[header + 1..].find('.').unwrap();
    let ends = [
        1,
        header - 1,
        header,
        header + 1,
        payload - 1,
        payload,
        payload + 1,
        good.len() - 40,
        good.len() - 1,
    ];
    for end in ends {
        attack.refused(&format!("{end} bytes"), &good[..end]).await;
    }
    attack.refused("from the middle", &good[header + 1..]).await;
}

#[tokio::test]
async fn garbage_segments() {
    let attack = Attack::on(SigningKey::es256("k")).await;
    let good = attack.key.token(&staff());
    let parts: Vec<&str> = good.split('.').collect();
    let nested = format!("{}{}", "[".repeat(3_000), "]".repeat(3_000));
    let duplicate = r#"{"alg":"none","alg":"ES256","kid":"k"}"#;
    for garbage in [
        String::new(),
        "!!!".to_owned(),
        "====".to_owned(),
        encode("not json"),
        encode("null"),
        encode("[]"),
        encode("{}"),
        encode([0xff, 0xfe, 0x00]),
        encode(nested),
        encode(duplicate),
        "%2e%2e".to_owned(),
        "A".repeat(4_000),
    ] {
        for at in 0..3 {
            let mut changed = parts.clone();
            changed[at] = &garbage;
            let what = format!("part {at} {garbage:.20}");
            attack.refused(&what, &changed.join(".")).await;
        }
    }
    for (what, token) in [
        ("four parts", format!("{good}.{}", parts[2])),
        (
            "five parts, as an encrypted one",
            format!("{good}.{}.{}", parts[1], parts[2]),
        ),
        ("dots", "..".to_owned()),
        ("many dots", ".".repeat(8_000)),
        ("padded", format!("{good}==")),
        ("a space within", good.replacen('.', ". ", 1)),
        ("one after the other", format!("{good},{good}")),
    ] {
        attack.refused(what, &token).await;
    }
}

#[tokio::test]
async fn a_duplicated_authorization_header() {
    let key = SigningKey::es256("k");
    let (door, _provider) = Door::with(&[&key]).await;
    let good = format!("Bearer {}", key.token(&staff()));
    let ours = format!("Bearer {}", token(&door.db, Role::Staff, "s-1").await);
    for (first, second) in [(&good, &good), (&good, &ours), (&ours, &good), (&ours, &ours)] {
        let ask = Ask::operation(ORDERS, Value::Null)
            .header("authorization", first)
            .and("authorization", second);
        let reply = door.client("").ask(ask).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "UNAUTHENTICATED"));
    }
    let both = Ask::operation(ORDERS, Value::Null).header("authorization", &format!("{good}, {ours}"));
    assert_eq!(door.client("").ask(both).await.status, 401);
}

/// What stands in an address ends up in logs and histories.
#[tokio::test]
async fn a_token_in_the_query_string() {
    let key = SigningKey::es256("k");
    let (door, _provider) = Door::with(&[&key]).await;
    let query = "query=%7Borders%7Bedges%7Bcursor%7D%7D%7D";
    for token in [key.token(&staff()), token(&door.db, Role::Staff, "s-1").await] {
        for name in ["access_token", "token", "authorization", "bearer", "jwt"] {
            let ask = Ask::new("GET", format!("/graphql?{query}&{name}={token}"));
            let reply = door.client("").ask(ask).await;
            assert_eq!(reply.code(), "UNAUTHENTICATED", "{name}: {reply:?}");
            let post = Ask::operation(ORDERS, Value::Null).header("cookie", &format!("{name}={token}"));
            assert_eq!(door.client("").ask(post).await.code(), "UNAUTHENTICATED");
        }
        let ask = Ask::new("GET", format!("/graphql?{query}"));
        assert_eq!(door.client(&token).ask(ask).await.status, 200);
    }
}

#[tokio::test]
async fn a_jwt_where_no_key_set_is_configured() {
    let door = Door::open(None).await;
    let reply = door.knock(&SigningKey::es256("k").token(&staff())).await;
    assert_eq!((reply.status, reply.code().as_str()), (401, "UNAUTHENTICATED"));
    assert_eq!(
        reply.json()["errors"],
        door.knock("nonsense").await.json()["errors"]
    );
}

/// A stream ends when its token is taken back in the middle of it.
#[tokio::test]
async fn a_token_that_was_revoked_in_the_middle() {
    let door = Door::open(None).await;
    let pool = door.db.admin();
    let made = create_token(pool, Role::Staff, "s-1", "", Duration::from_secs(3_600))
        .await
        .unwrap();
    let client = door.client(&made.text);
    let mut stream = client
        .follow("subscription { ordersChanged { cursor } }", Value::Null)
        .await;
    assert!(stream.next().await.is_some());
    assert!(revoke_token(pool, made.id).await.unwrap());
    ends(&mut stream).await;
    let closed = async || (!door.opens(&made.text).await).then_some(());
    eventually(Duration::from_secs(20), closed).await;
}
