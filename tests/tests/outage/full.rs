//! A disk without room: nothing is taken that cannot be kept, and room is enough to go on.

use crate::load::{Load, create};
use docket_tests::server::{Client, Server, deadline, embedded, verb};
use docket_tests::{Scratch, eventually, scratch};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use uuid::Uuid;

const WITHIN: Duration = Duration::from_secs(60);

/// A small file system of its own, gone with the handle.
struct Small {
    path: PathBuf,
    _folder: Scratch,
}

impl Small {
    /// None where nobody may mount.
    fn mount(megabytes: u32) -> Option<Small> {
        let folder = scratch("full");
        fs::create_dir_all(folder.path()).unwrap();
        let size = format!("size={megabytes}m");
        let args = ["-t", "tmpfs", "-o", &size, "docket-test"];
        let mounted = Command::new("mount").args(args).arg(folder.path()).output();
        mounted
            .is_ok_and(|mounted| mounted.status.success())
            .then(|| Small {
                path: folder.path().to_owned(),
                _folder: folder,
            })
    }

    fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Takes all the room that there is.
    fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        let block = vec![7; 64 * 1024];
        while ballast.write_all(&block).is_ok() {}
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a failing test may leave a server in it.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

async fn staff(data: &Path, server: &Server) -> Client {
    let made = verb(
        embedded(data),
        &["token", "create", "--role", "staff", "--actor", "s-1"],
    )
    .await;
    let said: Value = serde_json::from_slice(&made.stdout).unwrap_or_else(|_| panic!("{made:?}"));
    server.client(said["token"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_recovers_when_there_is_room() {
    let Some(small) = Small::mount(450) else {
        eprintln!("skipped: no file system can be mounted here, so none can be full");
        return;
    };
    let server = Server::start_embedded(&small.data()).await;
    let client = staff(&small.data(), &server).await;
    let load = Load::start(&client, 6, &"A".repeat(200));
    load.goes_on(WITHIN).await;
    small.fill();
    let refused = async || {
        let reply = client.ask(create(Uuid::new_v4(), &"A".repeat(200))).await;
        (reply.code() != "none").then_some(reply)
    };
    let refused = eventually(WITHIN, refused).await;
    assert!(
        ["UNAVAILABLE", "OUTCOME_UNKNOWN"].contains(&refused.code().as_str()),
        "{refused:?}"
    );
    // The load goes on, so somebody meets the full disk again and again.
    let unready = async || Some(client.ready().await).filter(|(status, _)| *status == 503);
    let (_, reasons) = eventually(WITHIN, unready).await;
    println!("while full: {reasons}");
    assert_ne!(reasons, serde_json::json!([]));
    fs::remove_file(small.ballast()).unwrap();
    load.goes_on(WITHIN).await;
    let ready = async || (client.ready().await.0 == 200).then_some(());
    eventually(WITHIN, ready).await;
    let orders = load.end().await.settle(&client).await;
    for (order, _) in orders {
        let query = format!("{{events(stream:\"{order}\"){{events{{version}}}}}}");
        let events = client.run(&query, Value::Null).await.data();
        assert_eq!(events["events"].as_array().unwrap().len(), 1, "{order}");
    }
    assert!(deadline(server.stop()).await.success());
    let verified = verb(embedded(&small.data()), &["verify"]).await;
    assert!(verified.status.success(), "{verified:?}");
}
