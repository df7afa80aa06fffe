//! The server's settings. Our file is written anew at each start and includes `postgresql.conf`, where initdb left
//! what it found out about the machine. Who wants to tune the server uses `ALTER SYSTEM`, which wins over both.

use std::fs;

/// One part in eight of the memory goes to the buffers, within these bounds. The log is read near its head
/// only, so that more would just take memory from the page cache; less than PostgreSQL's own default never pays.
const BUFFERS_SHARE: u64 = 8;
const BUFFERS_MB: std::ops::RangeInclusive<u64> = 128..=1024;

/// New log file at this size. With [`KEPT_LOGS`](super::server::KEPT_LOGS) it bounds the logs' room.
const LOG_FILE_MB: u32 = 10;

/// The settings that do not depend on the machine, each with its reason.
const FIXED: &[(&str, &str)] = &[
    ("cluster_name", "docket"), // tells our processes from other servers' in `ps`
    // An acknowledged event is on the disk. These are the defaults; they stand here so that nothing inherited
    // and no habit of benchmarks switches them off unseen.
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    // A log is written all the time: checkpoints by time, not by volume, so that a page is written in full
    // once in a long while instead of at each burst; spread out, so that no append waits behind one.
    ("max_wal_size", "4GB"),
    ("min_wal_size", "256MB"), // segments are recycled instead of created in the path of a commit
    ("checkpoint_timeout", "10min"),
    ("checkpoint_completion_target", "0.9"),
    ("wal_buffers", "16MB"), // a batch of 1,000 events fits without a write in between
    ("jit", "off"),          // statements are short; compiling one costs more than running it
    ("max_connections", "300"),
    ("autovacuum", "on"),          // read models and checkpoints are updated in place
    ("autovacuum_naptime", "20s"), // small hot tables (heads, checkpoints) bloat within a minute
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    // Its own files, because the server outlives a docket that was killed. A new file at each start and at each
    // LOG_FILE_MB; docket removes the oldest.
    ("logging_collector", "on"),
    ("log_directory", "log"),
    ("log_filename", "postgres-%Y%m%dT%H%M%S.log"),
    ("log_rotation_age", "0"),
    ("log_checkpoints", "on"),
    ("log_lock_waits", "on"), // a wait of more than a second on a head row is worth a line
    // Statements and the values of keys may show a person's data: no such detail reaches a log.
    ("log_error_verbosity", "terse"),
    ("log_min_error_statement", "panic"),
    ("log_parameter_max_length", "0"),
    ("log_parameter_max_length_on_error", "0"),
];

/// The file of our settings, in the cluster.
pub(super) const FILE: &str = "docket.conf";

/// The text of [`FILE`]; the last word has `extra`.
pub(super) fn configuration(wal_compression: &str, extra: &[(String, String)]) -> String {
    let mut text =
        "# Written at each start. Use ALTER SYSTEM to change a setting.\ninclude 'postgresql.conf'\n"
            .to_owned();
    let mut put = |name: &str, value: &str| {
        text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
    };
    put("shared_buffers", &format!("{}MB", buffers_mb(memory_bytes())));
    put("log_rotation_size", &format!("{LOG_FILE_MB}MB"));
    // JSON payloads and full pages shrink to less than half, for less than the time to write the rest.
    put("wal_compression", wal_compression);
    for (name, value) in FIXED {
        put(name, value);
    }
    for (name, value) in extra {
        put(name, value);
    }
    text
}

/// Who may connect: over the socket only, and only those whom [`identities`] names. The kernel tells the server
/// who is at the other end, so that there is no password to keep, to leak or to rotate.
pub(super) const AUTHENTICATION: &str = "local all all peer map=docket\n";

/// The one user of the operating system that runs docket, as the roles that docket uses. The user that runs the
/// server (another one where docket is run by root) is not among them.
pub(super) fn identities(user: &str, roles: &[&str]) -> String {
    roles
        .iter()
        .map(|role| format!("docket \"{user}\" {role}\n"))
        .collect()
}

fn buffers_mb(memory: Option<u64>) -> u64 {
    let share = memory.unwrap_or(0) / BUFFERS_SHARE / (1 << 20);
    share.clamp(*BUFFERS_MB.start(), *BUFFERS_MB.end())
}

/// The memory of the machine or, where that is less, of the container.
fn memory_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    });
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(container).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_stay_within_their_bounds() {
        assert_eq!(buffers_mb(None), 128);
        assert_eq!(buffers_mb(Some(512 << 20)), 128);
        assert_eq!(buffers_mb(Some(4 << 30)), 512);
        assert_eq!(buffers_mb(Some(64 << 30)), 1024);
    }

    #[test]
    fn what_a_caller_adds_comes_last_and_is_quoted() {
        let text = configuration("on", &[("fsync".into(), "o'ff".into())]);
        assert!(text.ends_with("fsync = 'o''ff'\n"), "{text}");
    }
}
