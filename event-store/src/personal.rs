//! Personal data under lock: one key a subject, wrapped by a master key, destroyed to forget.
//!
//! A sealed value is `version | key id | nonce | ciphertext and tag` (ChaCha20-Poly1305; the header is authenticated).
//! The nonce is a keyed hash of the value, so that equal values of one subject have equal bytes: that is all that a
//! decision needs to tell "already done", and all that sealing gives away. A value whose key is gone, or that was not
//! sealed by this log, opens as the forgotten mark, never as an error.

use crate::{
    connections::Connections,
    gather::{Gather, GatherError, GatherLimits, Read},
    index_key::IndexKey,
    limits, wakeup,
};
use docket_domain::{SealedValue, Subject};
use quick_cache::sync::Cache;
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use sqlx::{PgExecutor, PgPool, Row, postgres::PgRow};
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use uuid::Uuid;

const FORMAT: u8 = 1;
const KEY_BYTES: usize = 32;
const HEADER_BYTES: usize = 1 + 16;

/// The key that wraps all subjects' keys: 32 bytes from the environment. Losing it loses every personal value.
#[derive(Clone)]
pub struct MasterKey(Arc<[u8; KEY_BYTES]>);

/// A master key's text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a master key is 64 hexadecimal digits (32 bytes); `openssl rand -hex 32` makes one")]
pub struct MasterKeyError;

impl MasterKey {
    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn from_hex(text: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim().as_bytes();
        if text.len() != 2 * KEY_BYTES {
            return Err(MasterKeyError);
        }
        let mut key = [0; KEY_BYTES];
        for (byte, digits) in key.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |d: u8| char::from(d).to_digit(16).ok_or(MasterKeyError);
            // Two hexadecimal digits fit a byte.
            *byte = (digit(digits[0])? * 16 + digit(digits[1])?) as u8;
        }
        Ok(Self(Arc::new(key)))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// A fresh key as 64 hexadecimal digits.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate_hex() -> Result<String, PersonalError> {
        let key: [u8; KEY_BYTES] = random()?;
        Ok(key.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// Why personal data could not be sealed or opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PersonalError {
    /// The keys could not be read or written.
    #[error("the keys of personal data cannot be reached")]
    Keys(#[source] Arc<sqlx::Error>),
    /// Too many wait for keys.
    #[error("too many wait for the keys of personal data")]
    Overloaded,
    /// A key is there, and the master key does not open it.
    #[error("the master key does not fit this database's keys of personal data")]
    WrongMasterKey,
    /// The system gave no randomness, or the cipher refused.
    #[error("the cipher failed")]
    Cipher,
}

impl From<GatherError> for PersonalError {
    fn from(error: GatherError) -> Self {
        match error {
            GatherError::Full => Self::Overloaded,
            GatherError::Late => sqlx::Error::PoolTimedOut.into(),
            GatherError::Gone => sqlx::Error::WorkerCrashed.into(),
        }
    }
}

impl From<sqlx::Error> for PersonalError {
    fn from(error: sqlx::Error) -> Self {
        Self::Keys(Arc::new(error))
    }
}

/// A subject's key, unwrapped.
pub struct SubjectKey {
    id: Uuid,
    cipher: LessSafeKey,
    nonce: hmac::Key,
}

impl SubjectKey {
    fn new(id: Uuid, secret: &[u8; KEY_BYTES]) -> Result<Self, PersonalError> {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let cipher = hmac::sign(&root, b"docket personal cipher");
        let nonce = hmac::sign(&root, b"docket personal nonce");
        let cipher =
            UnboundKey::new(&CHACHA20_POLY1305, cipher.as_ref()).map_err(|_| PersonalError::Cipher)?;
        let nonce = hmac::Key::new(hmac::HMAC_SHA256, nonce.as_ref());
        Ok(Self {
            id,
            cipher: LessSafeKey::new(cipher),
            nonce,
        })
    }

    /// Seals a value; the same value always has the same bytes.
    ///
    /// # Errors
    /// When the cipher refuses, which it does only past 256 GiB.
    pub fn seal(&self, clear: &[u8]) -> Result<SealedValue, PersonalError> {
        let tag = hmac::sign(&self.nonce, clear);
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&tag.as_ref()[..NONCE_LEN]);
        let mut sealed =
            Vec::with_capacity(HEADER_BYTES + NONCE_LEN + clear.len() + CHACHA20_POLY1305.tag_len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(self.id.as_bytes());
        let header = Aad::from(sealed.clone());
        sealed.extend_from_slice(&nonce);
        let mut text = clear.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.cipher
            .seal_in_place_append_tag(nonce, header, &mut text)
            .map_err(|_| PersonalError::Cipher)?;
        sealed.extend_from_slice(&text);
        Ok(SealedValue::new(sealed))
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (header, rest) = sealed.split_at_checked(HEADER_BYTES)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let length = self
            .cipher
            .open_in_place(nonce, Aad::from(header), &mut text)
            .ok()?
            .len();
        text.truncate(length);
        Some(text)
    }
}

fn key_id(sealed: &SealedValue) -> Option<Uuid> {
    let bytes = sealed.as_bytes();
    let id = bytes.get(1..HEADER_BYTES).filter(|_| bytes[0] == FORMAT)?;
    Uuid::from_slice(id).ok()
}

/// Opens the values whose keys it was made with.
#[derive(Default)]
pub struct Opener(HashMap<Uuid, Arc<SubjectKey>>);

impl Opener {
    /// The clear bytes; `None` is the forgotten mark.
    pub fn open(&self, sealed: &SealedValue) -> Option<Vec<u8>> {
        self.0.get(&key_id(sealed)?)?.open(sealed.as_bytes())
    }
}

/// Wrapped keys by their ids; none where a key was destroyed.
type Wrapped = HashMap<Uuid, Option<Arc<[u8]>>>;

/// An opener that is being made.
struct Opening {
    emptied: u64,
    opener: Opener,
    missing: Vec<Uuid>,
}

/// Reads wrapped keys for all who wait.
struct KeyReader(Arc<Connections>);

impl Read for KeyReader {
    type Key = Uuid;
    type Value = Option<Arc<[u8]>>;
    type Error = PersonalError;

    async fn read(&self, keys: &[Uuid]) -> Result<Wrapped, PersonalError> {
        let mut connection = self.0.take(limits::MAX_POOL_WAIT).await?;
        let keys = wrapped_keys(&mut *connection, keys).await;
        Ok(connection.finish(keys)?)
    }
}

async fn wrapped_keys<'e>(database: impl PgExecutor<'e>, keys: &[Uuid]) -> Result<Wrapped, sqlx::Error> {
    let rows = sqlx::query(KEYS).bind(keys).fetch_all(database).await?;
    let key = |row: &PgRow| {
        let wrapped: Option<&[u8]> = row.try_get(1)?;
        Ok((row.try_get(0)?, wrapped.map(Arc::from)))
    };
    rows.iter().map(key).collect()
}

/// The subjects' keys.
pub struct Vault {
    pool: PgPool,
    wrapped: Gather<KeyReader>,
    root: MasterKey,
    master: LessSafeKey,
    by_subject: Cache<Subject, (Instant, Arc<SubjectKey>)>,
    by_id: Cache<Uuid, (Instant, Option<Arc<SubjectKey>>)>,
    /// Raised whenever the caches are emptied: what was read before that must not come in after it.
    emptied: AtomicU64,
}

const ANY_KEY: &str = "select key_id, wrapped_key from personal_keys where wrapped_key is not null limit 1";
const LIVING_KEY: &str =
    "select key_id, wrapped_key from personal_keys where subject = $1 and wrapped_key is not null";
const NEW_KEY: &str =
    "insert into personal_keys (key_id, subject, wrapped_key) values ($1, $2, $3) on conflict do nothing";
const KEYS: &str = "select key_id, wrapped_key from personal_keys where key_id = any ($1)";
const DESTROY: &str = r#"
with destroyed as (
    update personal_keys set wrapped_key = null, destroyed_at = now() where subject = $1 and wrapped_key is not null
    returning key_id
)
select count(*), pg_notify($2, $3) from destroyed"#;

impl Vault {
    /// A vault over the database's keys, which are read over connections of their own: an answer to a command does not wait
    /// behind queries.
    ///
    /// # Errors
    /// When the cipher refuses the master key.
    pub fn new(pool: PgPool, readers: Arc<Connections>, master: &MasterKey) -> Result<Self, PersonalError> {
        let key =
            UnboundKey::new(&CHACHA20_POLY1305, master.0.as_slice()).map_err(|_| PersonalError::Cipher)?;
        let limits = GatherLimits {
            lanes: limits::KEY_LANES,
            together: limits::MAX_KEYS_TOGETHER,
            waiting: limits::MAX_KEY_READS,
            time: limits::MAX_GATHERED_READ,
        };
        Ok(Self {
            wrapped: Gather::new(KeyReader(readers), limits),
            pool,
            root: master.clone(),
            master: LessSafeKey::new(key),
            by_subject: Cache::new(limits::MAX_CACHED_KEYS),
            by_id: Cache::new(limits::MAX_CACHED_KEYS),
            emptied: AtomicU64::new(0),
        })
    }

    /// Whether the master key opens what the database holds: a wrong one would wrap new keys that the right one does not
    /// open, and nobody would see it before somebody looks for the values.
    ///
    /// # Errors
    /// When the keys cannot be reached, or the master key does not fit.
    pub(crate) async fn check(&self) -> Result<(), PersonalError> {
        let any = sqlx::query(ANY_KEY).fetch_optional(&self.pool).await;
        let Some(row) = any? else {
            return Ok(());
        };
        let id = row.try_get(0)?;
        self.unwrap(id, row.try_get(1)?).map(drop)
    }

    /// The key of the index with this label; see [`MasterKey::index_key`].
    pub fn index_key(&self, label: &str) -> IndexKey {
        self.root.index_key(label)
    }

    /// The living key of a subject, made where there is none.
    ///
    /// # Errors
    /// When the keys cannot be reached, or the master key does not fit.
    pub async fn key_of(&self, subject: &Subject) -> Result<Arc<SubjectKey>, PersonalError> {
        if let Some((_, key)) = self.by_subject.get(subject).filter(|(since, _)| fresh(*since)) {
            return Ok(key);
        }
        // Someone else may make it in between, or destroy it: a few rounds settle it.
        for _ in 0..limits::MAX_KEY_ROUNDS {
            let emptied = self.emptied.load(Ordering::SeqCst);
            let living = sqlx::query(LIVING_KEY)
                .bind(subject.to_string())
                .fetch_optional(&self.pool)
                .await;
            if let Some(row) = living? {
                let id = row.try_get(0)?;
                let key = self.unwrap(id, row.try_get(1)?)?;
                // What is sealed now is opened soon, by its id.
                let now = Instant::now();
                self.by_subject.insert(subject.clone(), (now, Arc::clone(&key)));
                self.by_id.insert(id, (now, Some(Arc::clone(&key))));
                if self.emptied.load(Ordering::SeqCst) != emptied {
                    // Somebody was forgotten while it was read, and this may be who.
                    self.by_subject.remove(subject);
                    self.by_id.remove(&id);
                    continue;
                }
                return Ok(key);
            }
            let id = Uuid::now_v7();
            sqlx::query(NEW_KEY)
                .bind(id)
                .bind(subject.to_string())
                .bind(self.wrap(id, &random()?)?)
                .execute(&self.pool)
                .await?;
        }
        Err(sqlx::Error::RowNotFound.into())
    }

    /// An opener for these values; one statement at most, which others share.
    ///
    /// # Errors
    /// When the keys cannot be reached, or the master key does not fit.
    pub async fn opener<'a>(
        &self,
        sealed: impl IntoIterator<Item = &'a SealedValue>,
    ) -> Result<Opener, PersonalError> {
        let mut opening = self.begin(sealed);
        if !opening.missing.is_empty() {
            let wrapped = self.wrapped.find(opening.missing.clone()).await?;
            self.end(&mut opening, wrapped)?;
        }
        Ok(opening.opener)
    }

    /// The same by one statement at most over a connection of the caller's.
    ///
    /// # Errors
    /// As [`Vault::opener`].
    pub async fn opener_over<'a, 'e>(
        &self,
        database: impl PgExecutor<'e>,
        sealed: impl IntoIterator<Item = &'a SealedValue>,
    ) -> Result<Opener, PersonalError> {
        let mut opening = self.begin(sealed);
        if !opening.missing.is_empty() {
            let wrapped = wrapped_keys(database, &opening.missing).await?;
            self.end(&mut opening, wrapped)?;
        }
        Ok(opening.opener)
    }

    /// With the keys that are at hand.
    fn begin<'a>(&self, sealed: impl IntoIterator<Item = &'a SealedValue>) -> Opening {
        let mut opening = Opening {
            emptied: self.emptied.load(Ordering::SeqCst),
            opener: Opener::default(),
            missing: Vec::new(),
        };
        // Values of one order follow each other, and most have one key.
        let mut last = None;
        for id in sealed.into_iter().filter_map(key_id) {
            if last.replace(id) == Some(id) {
                continue;
            }
            match self.by_id.get(&id).filter(|(since, _)| fresh(*since)) {
                Some((_, Some(key))) => drop(opening.opener.0.insert(id, key)),
                Some((_, None)) => {}
                None if opening.missing.contains(&id) => {}
                None => opening.missing.push(id),
            }
        }
        opening
    }

    /// With those that had to be read.
    fn end(&self, opening: &mut Opening, wrapped: Wrapped) -> Result<(), PersonalError> {
        for (id, wrapped) in wrapped {
            let key = wrapped.map(|wrapped| self.unwrap(id, &wrapped)).transpose()?;
            self.by_id.insert(id, (Instant::now(), key.clone()));
            opening.opener.0.extend(key.map(|key| (id, key)));
        }
        if self.emptied.load(Ordering::SeqCst) != opening.emptied {
            let read = opening.missing.iter();
            read.for_each(|id| drop(self.by_id.remove(id)));
        }
        Ok(())
    }

    /// Destroys a subject's key: what was sealed with it is unreadable for ever, here at once and in other processes as
    /// soon as they hear of it, in any case within [`limits::KEY_LIFETIME`]. `false` where there was no living key.
    ///
    /// # Errors
    /// When the keys cannot be reached.
    pub async fn destroy(&self, subject: &Subject) -> Result<bool, PersonalError> {
        let destroyed = sqlx::query_scalar::<_, i64>(DESTROY)
            .bind(subject.to_string())
            .bind(wakeup::CHANNEL)
            .bind(wakeup::FORGOTTEN)
            .fetch_one(&self.pool)
            .await;
        self.drop_keys();
        Ok(destroyed? > 0)
    }

    /// Forgets every unwrapped key; they are read again when needed.
    pub(crate) fn drop_keys(&self) {
        // Before they are emptied: whoever comes in after that sees it.
        self.emptied.fetch_add(1, Ordering::SeqCst);
        self.by_subject.clear();
        self.by_id.clear();
    }

    fn wrap(&self, id: Uuid, secret: &[u8; KEY_BYTES]) -> Result<Vec<u8>, PersonalError> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut text = secret.to_vec();
        let sealed = self.master.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(id.as_bytes()),
            &mut text,
        );
        sealed.map_err(|_| PersonalError::Cipher)?;
        Ok([nonce.as_slice(), &text].concat())
    }

    fn unwrap(&self, id: Uuid, wrapped: &[u8]) -> Result<Arc<SubjectKey>, PersonalError> {
        let open = || {
            let (nonce, text) = wrapped.split_at_checked(NONCE_LEN)?;
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut text = text.to_vec();
            let secret = self
                .master
                .open_in_place(nonce, Aad::from(id.as_bytes()), &mut text)
                .ok()?;
            <[u8; KEY_BYTES]>::try_from(&*secret).ok()
        };
        let secret = open().ok_or(PersonalError::WrongMasterKey)?;
        SubjectKey::new(id, &secret).map(Arc::new)
    }
}

fn fresh(since: Instant) -> bool {
    since.elapsed() < limits::KEY_LIFETIME
}

fn random<const N: usize>() -> Result<[u8; N], PersonalError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| PersonalError::Cipher)?;
    Ok(bytes)
}
