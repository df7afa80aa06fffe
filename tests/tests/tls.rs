//! TLS at the door: what is agreed on, a certificate that changes while connections live, and clients that come to none.

use docket_domain::Role;
use docket_tests::server::{Ask, Reply, SERVE, Server, deadline, on, signal, token, verb};
use docket_tests::{TestDatabase, database, eventually};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, NamedGroup, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Above the ten seconds between two looks at the files.
const SEEN_WITHIN: Duration = Duration::from_secs(40);

/// A certificate and its key in PEM.
struct Made {
    certificate: String,
    key: String,
    der: CertificateDer<'static>,
}

fn make() -> Made {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    Made {
        certificate: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
        der: made.cert.der().clone(),
    }
}

struct World {
    db: TestDatabase,
    server: Server,
    certificate: PathBuf,
    key: PathBuf,
}

impl World {
    async fn open(made: &Made) -> World {
        let db = database().await;
        let folder = std::env::temp_dir().join(format!("docket-tls-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&folder).unwrap();
        let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
        fs::write(&certificate, &made.certificate).unwrap();
        fs::write(&key, &made.key).unwrap();
        let mut command = on(&db);
        command
            .env("DOCKET_SERVER__TLS__CERTIFICATE", &certificate)
            .env("DOCKET_SERVER__TLS__KEY", &key);
        let server = Server::launch(&mut command).await;
        World {
            db,
            server,
            certificate,
            key,
        }
    }

    async fn connect(&self, trusted: &Made) -> io::Result<TlsStream<TcpStream>> {
        let provider = aws_lc_rs::default_provider();
        self.connect_with(trusted, provider, rustls::ALL_VERSIONS).await
    }

    async fn connect_with(
        &self,
        trusted: &Made,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.der.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(self.server.address()).await?;
        let name = ServerName::try_from("localhost").unwrap();
        deadline(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }

    async fn close(self) {
        assert!(self.server.stop().await.success());
        fs::remove_dir_all(self.certificate.parent().unwrap()).unwrap();
    }
}

/// Asks one thing on a connection that stays open.
async fn ask(stream: &mut TlsStream<TcpStream>, world: &World, token: &str) -> Reply {
    let ask = Ask::operation("{orders{edges{cursor}}}", Value::Null)
        .header("connection", "")
        .header("authorization", &format!("Bearer {token}"));
    stream
        .write_all(&ask.bytes(world.server.address()))
        .await
        .unwrap();
    let mut answer = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = deadline(stream.read(&mut piece)).await.unwrap();
        assert_ne!(read, 0, "the connection ended");
        answer.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&answer);
        if let Some(reply) = Reply::parse(&text).filter(|reply| reply.body.ends_with('}')) {
            return reply;
        }
    }
}

#[tokio::test]
async fn the_key_exchange_that_withstands_a_quantum_computer_is_preferred_and_others_work() {
    let made = make();
    let world = World::open(&made).await;
    let token = token(&world.db, Role::Staff, "s-1").await;
    let only = |group: NamedGroup| {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups.retain(|known| known.name() == group);
        assert_eq!(provider.kx_groups.len(), 1);
        provider
    };
    for (provider, versions, group, version) in [
        (
            aws_lc_rs::default_provider(),
            rustls::ALL_VERSIONS,
            NamedGroup::X25519MLKEM768,
            ProtocolVersion::TLSv1_3,
        ),
        (
            only(NamedGroup::X25519),
            rustls::ALL_VERSIONS,
            NamedGroup::X25519,
            ProtocolVersion::TLSv1_3,
        ),
        (
            only(NamedGroup::secp256r1),
            &[&rustls::version::TLS12],
            NamedGroup::secp256r1,
            ProtocolVersion::TLSv1_2,
        ),
    ] {
        let mut stream = world.connect_with(&made, provider, versions).await.unwrap();
        let (_, session) = stream.get_ref();
        let agreed = session.negotiated_key_exchange_group().map(|group| group.name());
        assert_eq!((agreed, session.protocol_version()), (Some(group), Some(version)));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(
            ask(&mut stream, &world, &token).await.data(),
            json!({"edges": []})
        );
    }
    world.close().await;
}

#[tokio::test]
async fn a_certificate_changes_without_cutting_anybody_off_and_a_broken_one_changes_nothing() {
    let (first, second, third) = (make(), make(), make());
    let world = World::open(&first).await;
    let token = token(&world.db, Role::Staff, "s-1").await;
    let mut old = world.connect(&first).await.unwrap();
    ask(&mut old, &world, &token).await.data();

    fs::write(&world.key, &second.key).unwrap();
    fs::write(&world.certificate, &second.certificate).unwrap();
    signal(world.server.pid(), "HUP");
    let uses = async |made: &Made| world.connect(made).await.is_ok().then_some(());
    eventually(SEEN_WITHIN, || uses(&second)).await;
    assert!(world.connect(&first).await.is_err(), "the first one is gone");
    // The connection that was made with it is not.
    ask(&mut old, &world, &token).await.data();

    // Half a renewal, and a file that is none: both leave the second one in use.
    fs::write(&world.certificate, &third.certificate).unwrap();
    signal(world.server.pid(), "HUP");
    let complained = async |times| (world.server.said().matches("NOT USABLE").count() == times).then_some(());
    eventually(SEEN_WITHIN, || complained(1)).await;
    assert!(world.connect(&second).await.is_ok());
    fs::write(&world.certificate, "no certificate").unwrap();
    signal(world.server.pid(), "HUP");
    eventually(SEEN_WITHIN, || complained(2)).await;
    assert!(world.connect(&second).await.is_ok());

    // The whole renewal is seen without being told.
    fs::write(&world.key, &third.key).unwrap();
    fs::write(&world.certificate, &third.certificate).unwrap();
    eventually(SEEN_WITHIN, || uses(&third)).await;
    ask(&mut old, &world, &token).await.data();
    drop(old);
    world.close().await;
}

#[tokio::test]
async fn who_does_not_finish_a_handshake_is_cut_off_and_holds_up_nobody() {
    let made = make();
    let world = World::open(&made).await;
    let token = token(&world.db, Role::Staff, "s-1").await;
    let mut rogues = Vec::new();
    for at in 0..200 {
        let mut stream = TcpStream::connect(world.server.address()).await.unwrap();
        // Nothing at all, or the first bytes of a handshake.
        if at % 2 == 0 {
            stream.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.unwrap();
        }
        rogues.push(stream);
    }
    let mut good = world.connect(&made).await.unwrap();
    ask(&mut good, &world, &token).await.data();
    drop(good);
    for mut rogue in rogues {
        let mut answer = Vec::new();
        // An alert, the end, or a reset: it is over.
        let _ = deadline(rogue.read_to_end(&mut answer)).await;
        assert!(answer.len() < 100, "{answer:?}");
    }
    world.close().await;
}

#[tokio::test]
async fn plain_http_is_told_to_speak_tls() {
    let made = make();
    let world = World::open(&made).await;
    let reply = world.server.client("").run("{__typename}", Value::Null).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "BAD_USER_INPUT"));
    assert!(reply.body.contains("https"), "{reply:?}");
    assert!(world.connect(&made).await.is_ok());
    world.close().await;
}

#[tokio::test]
async fn half_of_the_files_and_files_that_do_not_fit_end_the_start() {
    let db = database().await;
    let (one, other) = (make(), make());
    let folder = std::env::temp_dir().join(format!("docket-tls-{}", uuid::Uuid::new_v4()));
    fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
    fs::write(&certificate, &one.certificate).unwrap();
    fs::write(&key, &other.key).unwrap();
    let absent = folder.join("absent");
    for (certificate, key, says) in [
        (
            Some(&certificate),
            None,
            "server.tls.certificate is set and server.tls.key is not",
        ),
        (Some(&certificate), Some(&key), "cannot be used"),
        (Some(&certificate), Some(&absent), "cannot be read"),
        (Some(&certificate), Some(&certificate), "holds no private key"),
        (Some(&key), Some(&key), "cannot be used"),
    ] {
        let mut command = on(&db);
        for (name, path) in [("CERTIFICATE", certificate), ("KEY", key)] {
            if let Some(path) = path {
                command.env(format!("DOCKET_SERVER__TLS__{name}"), path);
            }
        }
        let ended = verb(command, &SERVE).await;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && said.contains(says), "{says}: {said}");
    }
    fs::remove_dir_all(folder).unwrap();
}
