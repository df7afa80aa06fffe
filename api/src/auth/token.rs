//! Making, finding and revoking tokens.

use std::{fmt, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use docket_domain::{Actor, Role};
use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
};
use sqlx::{PgPool, Row};
use uuid::Uuid;

/// What a token begins with, so that a leaked one is recognised by people and by scanners.
const PREFIX: &str = "docket_";
/// Random bytes of a token.
const SECRET_BYTES: usize = 32;
/// The longest time that a token may hold: ten years. "For ever" is a date that somebody has to renew.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 366 * 24 * 3_600);

/// The SHA-256 of a token's text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a text that has a token's form; `None` for anything else, which then costs no statement.
    pub(super) fn of(text: &str) -> Option<TokenHash> {
        let secret = text.strip_prefix(PREFIX)?;
        let bytes = URL_SAFE_NO_PAD.decode(secret).ok()?;
        (bytes.len() == SECRET_BYTES).then(|| {
            let mut hash = [0; 32];
            hash.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
            TokenHash(hash)
        })
    }
}

/// A token that was just made. Its text is not kept anywhere.
pub struct NewToken {
    /// What names it in lists and when it is revoked.
    pub id: Uuid,
    /// What the caller sends.
    pub text: String,
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewToken({})", self.id)
    }
}

/// Why a token could not be made or checked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The table of tokens could not be reached.
    #[error("the tokens cannot be read or written")]
    Database(#[from] sqlx::Error),
    /// The system gave no randomness.
    #[error("the system gives no randomness")]
    Randomness,
    /// Nobody, or a name over 255 bytes.
    #[error("the id of a token's actor has {0} bytes; 1 to 255 are allowed")]
    ActorId(usize),
    /// A label over 255 bytes.
    #[error("the label of a token has {0} bytes; at most 255 are allowed")]
    Label(usize),
    /// Not at all, or longer than ten years.
    #[error("a token holds for at least a second and at most ten years")]
    Lifetime,
    /// The table holds a role that this binary does not know.
    #[error("the role of a token is unknown")]
    UnknownRole,
}

/// Makes a token for `actor_id` in `role` that holds for `lifetime` from now, by the database's clock.
///
/// # Errors
/// See [`TokenError`].
pub async fn create_token(
    pool: &PgPool,
    role: Role,
    actor_id: &str,
    label: &str,
    lifetime: Duration,
) -> Result<NewToken, TokenError> {
    // A NUL byte cannot be stored; everything else can.
    if !(1..=255).contains(&actor_id.len()) || actor_id.contains('\0') {
        return Err(TokenError::ActorId(actor_id.len()));
    }
    if label.len() > 255 || label.contains('\0') {
        return Err(TokenError::Label(label.len()));
    }
    if lifetime.as_secs() == 0 || lifetime > MAX_LIFETIME {
        return Err(TokenError::Lifetime);
    }
    let mut secret = [0; SECRET_BYTES];
    SystemRandom::new()
        .fill(&mut secret)
        .map_err(|_| TokenError::Randomness)?;
    let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret));
    let hash = TokenHash::of(&text).ok_or(TokenError::Randomness)?;
    let id = sqlx::query_scalar(
        "insert into api_tokens (token_hash, role, actor_id, label, expires_at)
         values ($1, $2, $3, $4, now() + $5 * interval '1 second') returning token_id",
    )
    .bind(hash.0.as_slice())
    .bind(role.as_str())
    .bind(actor_id)
    .bind(label)
    .bind(lifetime.as_secs_f64())
    .fetch_one(pool)
    .await?;
    Ok(NewToken { id, text })
}

/// Ends a token; `false` where there is none of this id or it was ended before.
///
/// # Errors
/// When the table of tokens cannot be reached.
pub async fn revoke_token(pool: &PgPool, id: Uuid) -> Result<bool, TokenError> {
    let revoked =
        sqlx::query("update api_tokens set revoked_at = now() where token_id = $1 and revoked_at is null")
            .bind(id)
            .execute(pool)
            .await?;
    Ok(revoked.rows_affected() > 0)
}

/// The actor of a token that holds now, and for how long it goes on holding.
pub(super) async fn find(pool: &PgPool, hash: TokenHash) -> Result<Option<(Actor, Duration)>, TokenError> {
    let row = sqlx::query(
        "select role, actor_id, extract(epoch from expires_at - now())::float8 from api_tokens
          where token_hash = $1 and revoked_at is null and expires_at > now()",
    )
    .bind(hash.0.as_slice())
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let role: Role = row
        .try_get::<&str, _>(0)?
        .parse()
        .map_err(|_| TokenError::UnknownRole)?;
    let left = Duration::try_from_secs_f64(row.try_get(2)?).unwrap_or_default();
    Ok(Some((Actor::new(role, row.try_get::<String, _>(1)?), left)))
}

#[cfg(test)]
mod tests {
    use super::TokenHash;

    #[test]
    fn only_a_text_of_the_right_form_is_looked_up() {
        let right = format!("docket_{}", "A".repeat(43));
        assert!(TokenHash::of(&right).is_some());
        for wrong in [
            String::new(),
            "docket_".to_owned(),
            right[..49].to_owned(),
            format!("{right}A"),
            right.replace("docket_", "docker_"),
            format!("docket_{}", "ä".repeat(43)),
        ] {
            assert!(TokenHash::of(&wrong).is_none(), "{wrong}");
        }
    }
}
