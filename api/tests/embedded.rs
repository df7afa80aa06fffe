//! The private PostgreSQL: it keeps what was committed, whoever is killed, and lets nobody else in.
//!
//! As root these tests also cover that the server runs as another user, in a folder that this user cannot reach
//! by its path.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use docket::embedded::{EmbeddedConfig, EmbeddedError, EmbeddedPostgres};
use sqlx::{Connection, PgConnection};

const DEADLINE: Duration = Duration::from_secs(30);
/// Set for the second process: the data folder it shares.
const SHARED_DIR: &str = "DOCKET_TEST_SHARED_DIR";

/// An empty data folder, removed when the test is done.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn config(&self) -> EmbeddedConfig {
        config(&self.0)
    }

    async fn start(&self) -> EmbeddedPostgres {
        EmbeddedPostgres::start(self.config()).await.unwrap()
    }
}

fn config(data_dir: &Path) -> EmbeddedConfig {
    let extra_settings = vec![("shared_buffers".to_owned(), "16MB".to_owned())];
    EmbeddedConfig {
        extra_settings,
        ..EmbeddedConfig::new(data_dir)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A failed test leaves its server behind: end the very one that lives in this folder.
        if let Ok(pid) = fs::read_to_string(self.0.join("postgres/postmaster.pid")) {
            signal("QUIT", pid.lines().next().unwrap());
            std::thread::sleep(Duration::from_millis(500));
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn signal(name: &str, pid: impl ToString) {
    let pid = pid.to_string();
    let status = Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid])
        .status()
        .unwrap();
    assert!(status.success(), "kill -s {name} {pid}");
}

async fn write(postgres: &EmbeddedPostgres, value: i32) {
    let mut connection = PgConnection::connect_with(&postgres.connect_options())
        .await
        .unwrap();
    sqlx::query("create table if not exists kept (value int)")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query("insert into kept values ($1)")
        .bind(value)
        .execute(&mut connection)
        .await
        .unwrap();
}

async fn try_read(postgres: &EmbeddedPostgres) -> Result<Vec<i32>, sqlx::Error> {
    let mut connection = PgConnection::connect_with(&postgres.connect_options()).await?;
    sqlx::query_scalar("select value from kept order by value")
        .fetch_all(&mut connection)
        .await
}

/// What `kept` holds, as soon as the server answers.
async fn read(postgres: &EmbeddedPostgres) -> Vec<i32> {
    let started = Instant::now();
    loop {
        match try_read(postgres).await {
            Ok(values) => return values,
            Err(error) if started.elapsed() > DEADLINE => panic!("no answer: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn show(postgres: &EmbeddedPostgres, setting: &'static str) -> String {
    let mut connection = PgConnection::connect_with(&postgres.superuser_options())
        .await
        .unwrap();
    let query = "select current_setting($1)";
    sqlx::query_scalar(query)
        .bind(setting)
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

fn process_exists(pid: u32) -> bool {
    // A process that nobody waited for is gone as well.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_stop_and_a_second_start() {
    let folder = Folder::new("restart");
    let postgres = folder.start().await;
    write(&postgres, 1).await;
    let pid = postgres.server_pid().unwrap();
    postgres.stop().await.unwrap();
    assert!(!process_exists(pid), "the last one out stops the server");

    let postgres = folder.start().await;
    assert_eq!(read(&postgres).await, [1]);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_is_durable_and_has_the_settings_of_a_log() {
    let folder = Folder::new("settings");
    let postgres = folder.start().await;
    for (setting, value) in [
        ("fsync", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("max_wal_size", "4GB"),
        ("jit", "off"),
        ("TimeZone", "UTC"),
    ] {
        assert_eq!(show(&postgres, setting).await, value, "{setting}");
    }
    let mut connection = PgConnection::connect_with(&postgres.connect_options())
        .await
        .unwrap();
    let locale = "select datcollate, rolsuper from pg_database, pg_roles
                  where datname = current_database() and rolname = current_user";
    let row: (String, bool) = sqlx::query_as(locale).fetch_one(&mut connection).await.unwrap();
    assert_eq!(row, ("C".to_owned(), false), "locale C, and no superuser");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_server_is_started_again_with_what_was_committed() {
    let folder = Folder::new("killed-server");
    let postgres = folder.start().await;
    for round in 1..=3 {
        write(&postgres, round).await;
        let killed = postgres.server_pid().unwrap();
        signal("KILL", killed);
        assert_eq!(read(&postgres).await, (1..=round).collect::<Vec<_>>());
        assert_ne!(postgres.server_pid(), Some(killed));
    }
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_whose_docket_was_killed_is_adopted() {
    let folder = Folder::new("adopted");
    let mut first = SecondProcess::start(&folder);
    let server = first.ready();
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    assert!(process_exists(server), "the server outlives its docket");

    let postgres = folder.start().await;
    assert_eq!(postgres.server_pid(), Some(server));
    write(&postgres, 1).await;
    // An adopted server is looked after like an own one.
    signal("KILL", server);
    assert_eq!(read(&postgres).await, [1]);
    let pid = postgres.server_pid().unwrap();
    postgres.stop().await.unwrap();
    assert!(!process_exists(pid));
}

#[tokio::test]
async fn a_server_killed_together_with_its_docket_recovers() {
    let folder = Folder::new("both-killed");
    let postgres = folder.start().await;
    write(&postgres, 1).await;
    postgres.stop().await.unwrap();
    let mut process = SecondProcess::start(&folder);
    let server = process.ready();
    // docket first: its supervisor would have the server up again.
    process.child.kill().unwrap();
    process.child.wait().unwrap();
    signal("KILL", server);

    let postgres = folder.start().await;
    assert_eq!(read(&postgres).await, [1]);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn two_processes_share_a_server_and_the_last_one_out_stops_it() {
    let folder = Folder::new("shared");
    let postgres = folder.start().await;
    let pid = postgres.server_pid().unwrap();
    write(&postgres, 1).await;
    let second = SecondProcess::start(&folder);
    assert_eq!(second.ready(), pid);

    postgres.stop().await.unwrap();
    assert!(process_exists(pid), "the second process still uses it");
    second.leave();
    ended(pid).await;
}

#[tokio::test]
async fn processes_that_start_at_once_agree_on_one_server() {
    let folder = Folder::new("race");
    let processes: Vec<_> = (0..4).map(|_| SecondProcess::start(&folder)).collect();
    let pids: Vec<_> = processes.iter().map(SecondProcess::ready).collect();
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    for process in processes {
        process.leave();
    }
    ended(pids[0]).await;
}

/// Returns when the server is gone that the last one out stopped. It gives its data directory back, which is what the last one
/// out waits for, and ends a moment later.
async fn ended(server: u32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while process_exists(server) {
        assert!(Instant::now() < deadline, "the last one out stops it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_stale_process_id_does_not_keep_the_server_from_starting() {
    let folder = Folder::new("stale");
    let postgres = folder.start().await;
    write(&postgres, 1).await;
    postgres.stop().await.unwrap();
    // As after a crash, with the number given to another living process since: this one.
    let stale = format!(
        "{}\n/elsewhere\n1\n5432\nsocket\n\n  1 1\nready\n",
        std::process::id()
    );
    fs::write(folder.0.join("postgres/postmaster.pid"), stale).unwrap();
    let postgres = folder.start().await;
    assert_eq!(read(&postgres).await, [1]);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_initdb_leaves_no_half_cluster() {
    let folder = Folder::new("half");
    fs::create_dir_all(folder.0.join("postgres.new/base")).unwrap();
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(folder.0.join("postgres.new/PG_VERSION"), "").unwrap();
    let postgres = folder.start().await;
    assert!(!folder.0.join("postgres.new").exists());
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_reached_by_a_link_of_our_own() {
    let folder = Folder::new(&"long".repeat(40));
    let postgres = folder.start().await;
    write(&postgres, 1).await;
    assert!(postgres.socket_dir().as_os_str().len() < 100);
    let private = postgres.socket_dir().parent().unwrap().to_owned();
    assert_eq!(fs::metadata(&private).unwrap().mode() & 0o777, 0o700);
    postgres.stop().await.unwrap();
    assert!(!private.exists());
}

#[tokio::test]
async fn nobody_else_gets_in() {
    let folder = Folder::new("private");
    let postgres = folder.start().await;
    for path in ["", "postgres", "postgres/socket"] {
        let mode = fs::metadata(folder.0.join(path)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o700, "{path:?}");
    }
    let ours = fs::metadata(&folder.0).unwrap().uid();
    let server = fs::metadata(folder.0.join("postgres")).unwrap().uid();
    assert_eq!(
        server == ours,
        ours != 0,
        "root runs the server as another user, others as themselves"
    );
    if ours == 0 {
        let connect = |user: &str, folder: &Path| {
            let mut psql = Command::new("setpriv");
            psql.args([
                "--reuid",
                user,
                "--clear-groups",
                "psql",
                "-U",
                "docket",
                "-d",
                "docket",
                "-c",
                "select 1",
            ]);
            psql.arg("-h").arg(folder).current_dir("/").output().unwrap()
        };
        let socket = postgres.socket_dir().to_owned();
        assert!(
            connect("0", &socket).status.success(),
            "the test's own way in works"
        );
        assert!(!connect("nobody", &socket).status.success());
        // Even through a socket in an open folder: the server asks the kernel who is there, and its own user is
        // not us either. (A hard link needs both folders on one file system.)
        let open = Path::new("/tmp").join(format!("docket-open-{}", std::process::id()));
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        let name = ".s.PGSQL.5432";
        let linked = fs::hard_link(socket.join(name), open.join(name));
        let refused = ["nobody", "postgres"].map(|user| connect(user, &open));
        fs::remove_dir_all(&open).unwrap();
        if linked.is_ok() {
            for output in refused {
                let error = String::from_utf8_lossy(&output.stderr);
                assert!(error.contains("Peer authentication failed"), "{error}");
            }
        }
    }
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn each_obstacle_has_its_own_error() {
    let folder = Folder::new("obstacles");
    fs::create_dir_all(&folder.0).unwrap();
    let start = async |data_dir: PathBuf| {
        EmbeddedPostgres::start(EmbeddedConfig::new(data_dir))
            .await
            .unwrap_err()
    };

    let file = folder.0.join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(
        start(file.clone()).await,
        EmbeddedError::NotAFolder { .. }
    ));
    assert!(matches!(
        start(file.join("below")).await,
        EmbeddedError::CreateFolder { .. }
    ));
    assert!(matches!(
        start("/proc/docket".into()).await,
        EmbeddedError::CreateFolder { .. }
    ));

    let shared = folder.0.join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(
        start(shared).await,
        EmbeddedError::SharedFolder { mode: 0o777, .. }
    ));

    let other_version = folder.0.join("version");
    fs::create_dir_all(other_version.join("postgres")).unwrap();
    fs::write(other_version.join("postgres/PG_VERSION"), "9.6\n").unwrap();
    assert!(matches!(
        start(other_version).await,
        EmbeddedError::WrongVersion { needed: 9, .. }
    ));
}

#[tokio::test]
async fn without_binaries_one_line_names_both_remedies() {
    let folder = Folder::new("no-binaries");
    let config = EmbeddedConfig {
        bin_dir: Some("/nonexistent".into()),
        ..folder.config()
    };
    let error = EmbeddedPostgres::start(config).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::NoBinaries { .. }));
    let line = error.to_string();
    assert!(
        !line.contains('\n') && line.contains("apt-get install postgresql"),
        "{line}"
    );
    assert!(line.contains("DATABASE_URL"), "{line}");
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let folder = Folder::new("bad-setting");
    let extra_settings = vec![("shared_buffers".to_owned(), "many".to_owned())];
    let config = EmbeddedConfig {
        extra_settings,
        ..folder.config()
    };
    let error = EmbeddedPostgres::start(config).await.unwrap_err().to_string();
    assert!(
        error.contains("FATAL") || error.contains("shared_buffers"),
        "{error}"
    );
}

/// Another process on the same data folder: this test binary, running only [`second_process`].
struct SecondProcess {
    child: Child,
    ready: PathBuf,
}

impl SecondProcess {
    fn start(folder: &Folder) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "second_process", "--nocapture"])
            .env(SHARED_DIR, &folder.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let ready = folder.0.join(format!("ready-{}", child.id()));
        Self { child, ready }
    }

    /// Waits until the process has its share; the process id of the server.
    fn ready(&self) -> u32 {
        let started = Instant::now();
        loop {
            if let Ok(Ok(pid)) = fs::read_to_string(&self.ready).map(|text| text.parse()) {
                return pid;
            }
            assert!(started.elapsed() < DEADLINE, "the second process is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets the process give its share back and end.
    fn leave(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// Not a test by itself: what [`SecondProcess`] runs. It ends when its standard input does.
#[tokio::test]
async fn second_process() {
    let Some(folder) = std::env::var_os(SHARED_DIR).map(PathBuf::from) else {
        return;
    };
    let postgres = EmbeddedPostgres::start(config(&folder)).await.unwrap();
    let ready = folder.join(format!("ready-{}", std::process::id()));
    fs::write(ready, postgres.server_pid().unwrap().to_string()).unwrap();
    let wait = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(wait).await.unwrap().unwrap();
    postgres.stop().await.unwrap();
}
