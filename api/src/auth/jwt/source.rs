//! Where a key set is read from: an address or a file.

use std::{io, path::PathBuf, sync::Arc};

use axum::{
    body::Bytes,
    http::{Request, Uri, header, uri::Scheme},
};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::crypto::aws_lc_rs;
use tokio::io::AsyncReadExt as _;

use super::limits::MAX_DOCUMENT_BYTES;

type HttpClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Where keys come from.
pub(super) enum Source {
    /// An address, over TLS, or of this machine.
    Address(Uri, Box<HttpClient>),
    /// A file that somebody else keeps up to date.
    File(PathBuf),
}

/// Why keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Neither an address that is allowed nor a file's name.
    #[error("`auth.jwks` is a file's path, an https:// address, or an http:// address of this machine")]
    Address,
    /// The system has no certificates to trust.
    #[error("the system's certificates cannot be read")]
    Certificates(#[source] io::Error),
    /// The file cannot be read.
    #[error("the file cannot be read")]
    File(#[source] io::Error),
    /// Nobody answers.
    #[error("the address does not answer")]
    Away(#[source] hyper_util::client::legacy::Error),
    /// The answer broke off.
    #[error("the answer broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Somebody answers with something else. Redirections are not followed: they would lead past what was configured.
    #[error("the address answers with status {0}")]
    Status(u16),
    /// More than is read.
    #[error("the document has more than {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge,
}

impl Source {
    /// The source that a setting names.
    pub(super) fn of(setting: &str) -> Result<Source, SourceError> {
        if !setting.contains("://") {
            return Ok(Source::File(PathBuf::from(setting)));
        }
        let address: Uri = setting.parse().map_err(|_| SourceError::Address)?;
        if !is_allowed(&address) {
            return Err(SourceError::Address);
        }
        // Named, because a process may hold several and rustls would not choose between them.
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(Arc::new(aws_lc_rs::default_provider()))
            .map_err(SourceError::Certificates)?
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Source::Address(address, Box::new(client)))
    }

    /// The document as it is now. Its time is the caller's to limit.
    pub(super) async fn read(&self) -> Result<Bytes, SourceError> {
        match self {
            Source::File(path) => {
                let file = tokio::fs::File::open(path).await.map_err(SourceError::File)?;
                let mut bytes = Vec::new();
                let mut bounded = file.take(MAX_DOCUMENT_BYTES as u64 + 1);
                bounded.read_to_end(&mut bytes).await.map_err(SourceError::File)?;
                if bytes.len() > MAX_DOCUMENT_BYTES {
                    return Err(SourceError::TooLarge);
                }
                Ok(bytes.into())
            }
            Source::Address(address, client) => fetch(address, client).await,
        }
    }
}

async fn fetch(address: &Uri, client: &HttpClient) -> Result<Bytes, SourceError> {
    let request = Request::get(address)
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .header(header::USER_AGENT, concat!("docket/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
        .map_err(|_| SourceError::Address)?;
    let answer = client.request(request).await.map_err(SourceError::Away)?;
    if answer.status() != 200 {
        return Err(SourceError::Status(answer.status().as_u16()));
    }
    let body = Limited::new(answer.into_body(), MAX_DOCUMENT_BYTES)
        .collect()
        .await;
    match body {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(SourceError::TooLarge),
        Err(error) => Err(SourceError::Broken(error)),
    }
}

/// Keys that came over a line without TLS are whoever's sits on the line; only this machine's line is our own.
fn is_allowed(address: &Uri) -> bool {
    let Some(authority) = address.authority() else {
        return false;
    };
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match address.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) if *scheme == Scheme::HTTP => is_loopback,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Source, SourceError};

    #[test]
    fn an_address_without_tls_is_of_this_machine() {
        for good in [
            "https://id.shop.example/keys",
            "http://127.0.0.1:9000/keys",
            "http://[::1]:9000/keys",
            "http://localhost/keys",
        ] {
            assert!(matches!(Source::of(good), Ok(Source::Address(..))), "{good}");
        }
        for bad in [
            "http://id.shop.example/keys",
            "http://127.0.0.1.evil.example/keys",
            "http://localhost@evil.example/keys",
            "https://user:password@id.shop.example/keys",
            "ftp://localhost/keys",
            "file:///etc/keys",
            "https://",
            "://",
        ] {
            assert!(matches!(Source::of(bad), Err(SourceError::Address)), "{bad}");
        }
        assert!(matches!(Source::of("/etc/docket/keys.json"), Ok(Source::File(_))));
    }
}
