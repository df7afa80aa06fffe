//! TLS: 1.3 and 1.2, with the key exchange that a quantum computer does not break preferred (X25519MLKEM768).
//!
//! The certificate is read anew when its files change or the process is told to (`SIGHUP`). A connection keeps what it
//! was made with; the next one gets the new certificate. Files that do not fit (half written, a key of another
//! certificate) change nothing and are logged as an error until they do.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use ring::digest;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    sync::Semaphore,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::plain_answer;

/// How long a handshake may take: 10 s, four round trips of a bad mobile connection and a slow phone's arithmetic.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes at once: 512. Each is about a millisecond of a processor, and a client that does not go on with its own
/// holds one place for [`HANDSHAKE_TIMEOUT`].
pub const MAX_HANDSHAKES: usize = 512;
/// How often the files are looked at: 10 s, far below the days that a certificate is renewed before it ends.
pub const POLL: Duration = Duration::from_secs(10);
/// The largest file of a certificate or key, in bytes: 1 MiB. A chain takes about 10 kB.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// How long a client that speaks plain HTTP may take to take its answer.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that holds no PEM of the right kind.
    #[error("{} holds no {what} in PEM", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// A certificate and a key that do not fit each other, or one that is not understood.
    #[error("the certificate in {} and its key cannot be used", path.display())]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The library does not take the settings.
    #[error("TLS cannot be set up")]
    Config(#[source] rustls::Error),
}

/// Where the certificate and its key are; both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, then those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// TLS with the certificate of its files; clones share it.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    certificate: Arc<Current>,
}

/// The certificate in use, and what it was read from.
#[derive(Debug)]
struct Current {
    files: TlsFiles,
    key: RwLock<Arc<CertifiedKey>>,
    /// The digest of the files as they were last looked at, whether or not they fitted.
    seen: RwLock<[u8; 32]>,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            &self.key.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When they cannot be read or do not fit.
    pub fn open(files: TlsFiles) -> Result<Tls, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let read = read(&files)?;
        let certificate = Arc::new(Current {
            key: RwLock::new(Arc::new(certified(&files, &read, &provider)?)),
            seen: RwLock::new(read.digest()),
            files,
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Config)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls {
            config: Arc::new(config),
            certificate,
        })
    }

    /// Reads the files again; `false` where they are as they were when they were last looked at.
    ///
    /// # Errors
    /// When they cannot be read or do not fit: the certificate that is in use stays. The same files are not an error
    /// twice.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let Current { files, key, seen } = &*self.certificate;
        let read = read(files)?;
        let digest = read.digest();
        let mut seen = seen.write().unwrap_or_else(PoisonError::into_inner);
        if *seen == digest {
            return Ok(false);
        }
        *seen = digest;
        let new = certified(files, &read, self.config.crypto_provider())?;
        *key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(true)
    }

    /// Reads the files again every [`POLL`] and whenever `told`; never returns.
    pub async fn watch(self, mut told: impl AsyncFnMut()) {
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = told() => {}
            }
            let tls = self.clone();
            let outcome = match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Ok(false)) => continue,
                Ok(Ok(true)) => {
                    tracing::info!("the new certificate is in use");
                    "done"
                }
                Ok(Err(error)) => {
                    let cause = crate::cli::chain(&error);
                    tracing::error!(
                        cause,
                        "THE NEW CERTIFICATE IS NOT USABLE; the former one stays in use"
                    );
                    "failed"
                }
                Err(error) => {
                    tracing::error!(%error, "the certificate could not be looked at");
                    "failed"
                }
            };
            metrics::counter!("docket_tls_reloads_total", "outcome" => outcome).increment(1);
        }
    }
}

/// What the two files hold.
struct Read {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Read {
    fn digest(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&(self.certificate.len() as u64).to_be_bytes());
        context.update(&self.certificate);
        context.update(&self.key);
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

fn read(files: &TlsFiles) -> Result<Read, TlsError> {
    Ok(Read {
        certificate: read_file(&files.certificate)?,
        key: read_file(&files.key)?,
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(failed)?.len() > MAX_FILE_BYTES {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    fs::read(path).map_err(failed)
}

fn certified(files: &TlsFiles, read: &Read, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let no_pem = |path: &Path, what| {
        let path = path.to_owned();
        move |source| TlsError::Pem { path, what, source }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read.certificate).collect();
    let chain = chain.map_err(no_pem(&files.certificate, "certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&read.key).map_err(no_pem(&files.key, "private key"))?;
    let unusable = |source| TlsError::Certificate {
        path: files.certificate.clone(),
        source,
    };
    if chain.is_empty() {
        return Err(unusable(rustls::Error::NoCertificatesPresented));
    }
    CertifiedKey::from_der(chain, key, provider).map_err(unusable)
}

/// The handshakes of one listener.
pub(super) struct Handshakes {
    acceptor: TlsAcceptor,
    free: Semaphore,
    limit: Duration,
}

impl Handshakes {
    pub(super) fn new(tls: Tls, at_once: usize, limit: Duration) -> Handshakes {
        Handshakes {
            acceptor: TlsAcceptor::from(tls.config),
            free: Semaphore::new(at_once),
            limit,
        }
    }

    /// The encrypted stream, or `None` where the client does not come to one in time. The wait for a place counts.
    pub(super) async fn shake(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let shaken = timeout(self.limit, async {
            if speaks_plain_http(&stream).await? {
                refuse_plain(stream).await;
                return Ok(None);
            }
            // Never closed; if it were, the handshake would go on uncounted.
            let _place = self.free.acquire().await.ok();
            self.acceptor.accept(stream).await.map(Some)
        });
        let (outcome, stream) = match shaken.await {
            Ok(Ok(Some(stream))) => ("done", Some(stream)),
            Ok(Ok(None)) => ("plain", None),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a handshake failed");
                ("failed", None)
            }
            Err(_) => ("late", None),
        };
        metrics::counter!("docket_tls_handshakes_total", "outcome" => outcome).increment(1);
        stream
    }
}

/// A handshake begins with byte 22, a method of HTTP with a letter.
async fn speaks_plain_http(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let seen = stream.peek(&mut first).await?;
    Ok(seen == 1 && first[0].is_ascii_alphabetic())
}

async fn refuse_plain(mut stream: TcpStream) {
    let body = r#"{"errors":[{"message":"This port speaks TLS: use https.","extensions":{"code":"BAD_USER_INPUT"}}]}"#;
    let answer = plain_answer("400 Bad Request", "", body);
    let told = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Read on: a socket that is closed over unread bytes takes its answer back.
        let mut rest = [0; 4096];
        while tokio::io::AsyncReadExt::read(&mut stream, &mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(REFUSAL_TIMEOUT, told).await;
}
