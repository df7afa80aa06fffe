//! Tokens open what their role has, until they end.

use docket::{
    auth::{Caller, Callers, TokenError, Tokens, create_token, revoke_token},
    http::{AuthError, Authenticate},
};
use docket_domain::Role;
use docket_event_store::migrate;
use docket_tests::database;
use sqlx::postgres::PgPoolOptions;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_holds_until_it_ends_or_is_revoked() {
    let db = database().await;
    migrate(&db.connect_options(), None).await.unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect_with(db.connect_options())
        .await
        .unwrap();
    let hour = Duration::from_secs(3_600);
    let made = create_token(&pool, Role::Gateway, "acme", "test", hour)
        .await
        .unwrap();
    let short = create_token(&pool, Role::Staff, "s", "", Duration::from_secs(1))
        .await
        .unwrap();
    assert!(!format!("{made:?}").contains(&made.text));
    let stored: i64 =
        sqlx::query_scalar("select count(*) from api_tokens where label like $1 or actor_id like $1")
            .bind(format!("%{}%", &made.text[10..]))
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(stored, 0);

    let tokens = Callers::new(Tokens::new(pool.clone()), None);
    assert_eq!(tokens.authenticate(None).await.unwrap().caller, Caller::Anonymous);
    let session = tokens.authenticate(Some(&made.text)).await.unwrap();
    assert_eq!(session.caller, Caller::known(Role::Gateway, "acme"));
    assert!(
        session
            .valid_for
            .is_some_and(|left| left <= hour && left > hour - Duration::from_secs(60))
    );
    let changed = made.text.replace(
        &made.text[20..21],
        if &made.text[20..21] == "A" { "B" } else { "A" },
    );
    for forged in ["", "docket_", "nonsense", &changed] {
        assert!(
            matches!(tokens.authenticate(Some(forged)).await, Err(AuthError::Invalid)),
            "{forged}"
        );
    }

    assert!(tokens.authenticate(Some(&short.text)).await.is_ok());
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(matches!(
        tokens.authenticate(Some(&short.text)).await,
        Err(AuthError::Invalid)
    ));

    assert!(revoke_token(&pool, made.id).await.unwrap());
    assert!(!revoke_token(&pool, made.id).await.unwrap());
    // Another process has not remembered it.
    let others = Callers::new(Tokens::new(pool.clone()), None);
    assert!(matches!(
        others.authenticate(Some(&made.text)).await,
        Err(AuthError::Invalid)
    ));

    for (actor, lifetime) in [
        ("", hour),
        (&"x".repeat(256), hour),
        ("a\0", hour),
        ("a", Duration::ZERO),
        ("a", hour * 1_000_000),
    ] {
        assert!(
            create_token(&pool, Role::Staff, actor, "", lifetime)
                .await
                .is_err(),
            "{actor:.9} {lifetime:?}"
        );
    }
    pool.close().await;
    let away = create_token(&pool, Role::Staff, "a", "", hour).await;
    assert!(matches!(away, Err(TokenError::Database(_))));
    assert!(matches!(
        others.authenticate(Some(&made.text)).await,
        Err(AuthError::Unavailable(_))
    ));
}
