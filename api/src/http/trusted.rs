//! Trusted documents: texts that a manifest names, so that requests need only say which.
//!
//! Where only they are run, a stranger can ask nothing that the shop's own programs do not ask. Two kinds of manifest are
//! read as their tools write them: that of the Relay compiler (`{"id": "text"}`) and Apollo's
//! (`{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id", "name", "type", "body"}]}`).
//!
//! A request names a document in one of the ways that clients have: `documentId` (GraphQL over HTTP; also as
//! `sha256:...`), `doc_id` (Relay), `extensions.persistedQuery.sha256Hash` (Apollo and urql). Documents are never
//! registered by requests: that would let anybody add one.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use async_graphql::{ServerError, Value};
use ring::digest;
use serde::Deserialize;

use super::{
    answer::coded,
    code,
    limits::HttpLimits,
    request::{Params, measure},
};

/// The largest manifest, in bytes: 16 MiB. A large front end's has about 1 MiB.
pub const MAX_MANIFEST_BYTES: u64 = 16 * 1024 * 1024;
/// The most documents of a manifest: 10,000, ten times a large front end's.
pub const MAX_DOCUMENTS: usize = 10_000;
/// The longest id of a document, in bytes.
pub const MAX_ID_BYTES: usize = 256;
/// What Apollo's manifests say that they are.
const APOLLO_FORMAT: &str = "apollo-persisted-query-manifest";

/// Why a manifest is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file that cannot be read.
    #[error("the manifest {} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No JSON, or of neither form.
    #[error("the manifest {} is neither Relay's nor Apollo's", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A manifest of another kind or version.
    #[error(
        "the manifest says format {format:?}, version {version}; {APOLLO_FORMAT:?}, version 1 is understood"
    )]
    Format {
        /// What it says.
        format: String,
        /// What it says.
        version: u64,
    },
    /// Too many documents.
    #[error("the manifest has {0} documents; {MAX_DOCUMENTS} are allowed")]
    TooMany(usize),
    /// Documents that cannot be trusted, each with the reason.
    #[error("the manifest has documents that cannot be run:\n{}", .0.join("\n"))]
    Documents(Vec<String>),
}

/// The documents of a manifest. Each fits the schema.
#[derive(Debug, Default)]
pub struct Manifest {
    by_id: HashMap<String, Arc<str>>,
    by_hash: HashMap<String, Arc<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Apollo {
    format: String,
    version: u64,
    operations: Vec<ApolloOperation>,
}

#[derive(Deserialize)]
struct ApolloOperation {
    id: String,
    name: String,
    body: String,
}

/// A document as a manifest has it.
struct Entry {
    id: String,
    /// The operation's name, where the manifest tells it.
    name: Option<String>,
    text: String,
}

impl Entry {
    fn label(&self) -> String {
        let name = self.name.clone().or_else(|| operation_names(&self.text));
        format!("{} ({})", self.id, name.unwrap_or_else(|| "no name".to_owned()))
    }
}

/// The names of a document's operations, as far as it can be read.
fn operation_names(text: &str) -> Option<String> {
    let document = async_graphql::parser::parse_query(text).ok()?;
    let names: Vec<&str> = document
        .operations
        .iter()
        .filter_map(|(name, _)| Some(name?.as_str()))
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

impl Manifest {
    /// Reads a manifest and has `validate` check each of its documents against the schema: the reasons why it cannot run,
    /// or none.
    ///
    /// # Errors
    /// When the file cannot be read, or any document cannot run, is too large, or does not have the hash that its id is.
    /// All such documents are named.
    pub fn read(path: &Path, validate: impl Fn(&str) -> Vec<String>) -> Result<Manifest, ManifestError> {
        let limits = HttpLimits::default();
        let (mut manifest, mut wrong) = (Manifest::default(), Vec::new());
        for entry in entries(path)? {
            let hash = hash(&entry.text);
            let reasons = reasons(&entry, &hash, &limits, &validate);
            if !reasons.is_empty() {
                wrong.push(format!("  {}: {}", entry.label(), reasons.join("; ")));
                continue;
            }
            let text: Arc<str> = entry.text.into();
            let known = manifest.by_id.insert(key(&entry.id), Arc::clone(&text));
            if known.is_some_and(|known| known != text) {
                wrong.push(format!("  {}: the id names two documents", entry.id));
            }
            manifest.by_hash.insert(hash, text);
        }
        if wrong.is_empty() {
            Ok(manifest)
        } else {
            Err(ManifestError::Documents(wrong))
        }
    }

    /// How many ids it has.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    fn named(&self, id: &str) -> Option<&Arc<str>> {
        let bare = id.strip_prefix("sha256:");
        let by_id = || self.by_id.get(&key(id));
        match bare {
            Some(hash) => self.by_hash.get(&hash.to_ascii_lowercase()).or_else(by_id),
            None => by_id(),
        }
    }
}

fn entries(path: &Path) -> Result<Vec<Entry>, ManifestError> {
    let failed = |source| ManifestError::Read {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(failed)?.len() > MAX_MANIFEST_BYTES {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    let bytes = fs::read(path).map_err(failed)?;
    let malformed = |source| ManifestError::Form {
        path: path.to_owned(),
        source,
    };
    let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(malformed)?;
    let entries: Vec<Entry> = if json.get("operations").is_some_and(|value| !value.is_string()) {
        let apollo: Apollo = serde_json::from_value(json).map_err(malformed)?;
        let (format, version) = (apollo.format, apollo.version);
        if format != APOLLO_FORMAT || version != 1 {
            return Err(ManifestError::Format { format, version });
        }
        let entry = |operation: ApolloOperation| Entry {
            id: operation.id,
            name: Some(operation.name),
            text: operation.body,
        };
        apollo.operations.into_iter().map(entry).collect()
    } else {
        let relay: HashMap<String, String> = serde_json::from_value(json).map_err(malformed)?;
        let entry = |(id, text)| Entry { id, name: None, text };
        relay.into_iter().map(entry).collect()
    };
    match entries.len() {
        count if count > MAX_DOCUMENTS => Err(ManifestError::TooMany(count)),
        _ => Ok(entries),
    }
}

/// Why a document cannot be trusted.
fn reasons(
    entry: &Entry,
    hash: &str,
    limits: &HttpLimits,
    validate: &impl Fn(&str) -> Vec<String>,
) -> Vec<String> {
    if !(1..=MAX_ID_BYTES).contains(&entry.id.len()) {
        return vec![format!("an id has 1 to {MAX_ID_BYTES} bytes")];
    }
    let is_hash = entry.id.len() == 64 && entry.id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash && !entry.id.eq_ignore_ascii_case(hash) {
        return vec![format!("the id is no SHA-256 of the document, which has {hash}")];
    }
    // Measured before anything walks it, like a stranger's.
    match measure(&entry.text, limits) {
        Err(error) => vec![error.message],
        Ok(()) => validate(&entry.text),
    }
}

/// Hashes are the same in either case; other ids are what they are.
fn key(id: &str) -> String {
    if id.len() == 64 {
        id.to_ascii_lowercase()
    } else {
        id.to_owned()
    }
}

/// The SHA-256 of a text in hexadecimal digits.
fn hash(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Which texts may run; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    manifest: Option<Arc<RwLock<Arc<Manifest>>>>,
    only: bool,
}

impl Trusted {
    /// Documents of a manifest beside any other, or, with `only`, alone.
    pub fn new(manifest: Manifest, only: bool) -> Trusted {
        Trusted {
            manifest: Some(Arc::new(RwLock::new(Arc::new(manifest)))),
            only,
        }
    }

    /// Puts another manifest in the place of the one there; requests that have begun keep theirs.
    pub fn replace(&self, new: Manifest) {
        if let Some(manifest) = &self.manifest {
            *manifest.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        }
    }

    fn manifest(&self) -> Option<Arc<Manifest>> {
        let manifest = self.manifest.as_ref()?;
        Some(Arc::clone(
            &manifest.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }

    /// The parameters with the text that they stand for.
    pub(super) fn resolve(&self, mut params: Params) -> Result<Params, ServerError> {
        let manifest = self.manifest();
        let Some(id) = params.document_id() else {
            let known =
                || manifest.is_some_and(|manifest| manifest.by_hash.contains_key(&hash(&params.query)));
            return if !self.only || known() {
                Ok(params)
            } else {
                Err(coded(
                    code::PERSISTED_QUERY_ID_REQUIRED,
                    "Only documents of the manifest are run here; name one by documentId.",
                ))
            };
        };
        let Some(manifest) = manifest else {
            return if params.query.is_empty() {
                // In the very words that Apollo Client and urql wait for: they send the text then.
                Err(coded(
                    code::PERSISTED_QUERY_NOT_SUPPORTED,
                    "PersistedQueryNotSupported",
                ))
            } else {
                Ok(params)
            };
        };
        match manifest.named(&id) {
            Some(text) if params.query.is_empty() || params.query == **text => {
                params.query = text.as_ref().to_owned();
                Ok(params)
            }
            Some(_) => Err(coded(
                code::BAD_USER_INPUT,
                "The request has a document that is not the one that its id names.",
            )),
            None if self.only || params.query.is_empty() => {
                Err(coded(code::PERSISTED_QUERY_NOT_FOUND, "PersistedQueryNotFound"))
            }
            None => Ok(params),
        }
    }
}

impl Params {
    /// The document that a request names, in any of the three ways.
    pub(super) fn document_id(&self) -> Option<String> {
        if let Some(id) = &self.document_id {
            return Some(id.clone());
        }
        let Value::Object(persisted) = self.extensions.get("persistedQuery")? else {
            return None;
        };
        match persisted.get("sha256Hash")? {
            Value::String(hash) => Some(hash.clone()),
            _ => None,
        }
    }
}
