//! Folders, files and locks of the private PostgreSQL.
//!
//! Locks, not process ids, say who is there: the kernel drops a lock with its last holder, however that died, and
//! no number is ever taken for another process'.
//!
//! Where root runs docket, the cluster's folder belongs to another user. Root therefore never follows a link in
//! it: files are created under a fresh name and renamed into place.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown, symlink,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use super::account::Account;
use super::error::EmbeddedError;

/// The longest path of a Unix socket: 108 bytes in `sockaddr_un` (104 on BSD and macOS), one of them the end.
const SOCKET_PATH_BYTES: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// How often a lock that is held is tried again.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// One try for a lock, shared or not.
pub(super) type Attempt = fn(&File) -> Result<(), TryLockError>;

/// Creates the data folder for its owner alone, or checks the one that is there.
pub(super) fn prepare(path: &Path, owner: u32) -> Result<PathBuf, EmbeddedError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    if fs::metadata(path).is_ok_and(|found| !found.is_dir()) {
        return Err(EmbeddedError::NotAFolder {
            path: path.to_owned(),
        });
    }
    made.map_err(|source| EmbeddedError::CreateFolder {
        path: path.to_owned(),
        source,
    })?;
    let path = fs::canonicalize(path).map_err(|source| read(path, source))?;
    let found = fs::metadata(&path).map_err(|source| read(&path, source))?;
    if found.uid() != owner {
        return Err(EmbeddedError::ForeignFolder {
            path,
            owner: found.uid(),
        });
    }
    if found.mode() & 0o022 != 0 {
        return Err(EmbeddedError::SharedFolder {
            path,
            mode: found.mode() & 0o7777,
        });
    }
    Ok(path)
}

/// Creates a folder for `account` alone, in a folder that may belong to it already.
pub(super) fn create_for(path: &Path, account: &Account) -> Result<(), EmbeddedError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.and_then(|()| lchown(path, Some(account.uid), Some(account.gid))),
    }
    .map_err(|source| EmbeddedError::CreateFolder {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file for `account` alone, wholly or not at all.
pub(super) fn write_for(path: &Path, text: &str, account: &Account) -> Result<(), EmbeddedError> {
    let fresh = path.with_extension("fresh");
    let write = || {
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)?;
        fchown(&file, Some(account.uid), Some(account.gid))?;
        file.write_all(text.as_bytes())?;
        fs::rename(&fresh, path)
    };
    write().map_err(|source| EmbeddedError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Removes a file that need not be there.
pub(super) fn remove_file(path: &Path) -> Result<(), EmbeddedError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(EmbeddedError::Remove {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// Opens a folder that is its own lock.
pub(super) fn open(path: &Path) -> Result<File, EmbeddedError> {
    File::open(path).map_err(|source| read(path, source))
}

/// Whether a try took the lock (`true`) or met another holder.
pub(super) fn taken(path: &Path, tried: Result<(), TryLockError>) -> Result<bool, EmbeddedError> {
    match tried {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(EmbeddedError::Lock {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Takes the lock file at `path` with `attempt`; see [`lock_open`].
pub(super) async fn lock_file(
    path: &Path,
    patience: Duration,
    attempt: Attempt,
) -> Result<File, EmbeddedError> {
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path);
    let file = opened.map_err(|source| EmbeddedError::Write {
        path: path.to_owned(),
        source,
    })?;
    lock_open(path, file, patience, attempt).await
}

/// Locks with `attempt`, which is tried until it succeeds or `patience` is over.
pub(super) async fn lock_open(
    path: &Path,
    file: File,
    patience: Duration,
    attempt: Attempt,
) -> Result<File, EmbeddedError> {
    let started = Instant::now();
    while !taken(path, attempt(&file))? {
        if started.elapsed() > patience {
            return Err(EmbeddedError::Busy {
                path: path.to_owned(),
                seconds: patience.as_secs(),
            });
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
    Ok(file)
}

/// A path to the socket folder that is short enough to connect to: the folder itself, or a link to it in a
/// private folder under `XDG_RUNTIME_DIR` or `/tmp`. The server itself binds to a relative path, which is
/// always short, so that every process may have a link of its own.
pub(super) fn reachable_socket(folder: &Path, uid: u32) -> Result<PathBuf, EmbeddedError> {
    let fits = |folder: &Path| folder.join(".s.PGSQL.5432").as_os_str().len() <= SOCKET_PATH_BYTES;
    if fits(folder) {
        return Ok(folder.to_owned());
    }
    let name = format!("docket-{uid}-{:016x}", fingerprint(folder));
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let private = [runtime, Some(PathBuf::from("/tmp"))]
        .into_iter()
        .flatten()
        .map(|base| base.join(&name));
    let Some(private) = private
        .filter(|path| path.is_absolute() && fits(&path.join("s")))
        .find(|path| {
            let _ = DirBuilder::new().mode(0o700).create(path);
            path.symlink_metadata().is_ok()
        })
    else {
        let source = io::Error::other("no folder for a short socket path");
        return Err(EmbeddedError::CreateFolder {
            path: PathBuf::from("/tmp").join(name),
            source,
        });
    };
    // Everybody may write to /tmp: what stands there under our name must really be ours, and a folder.
    let found = private
        .symlink_metadata()
        .map_err(|source| read(&private, source))?;
    if !found.is_dir() {
        return Err(EmbeddedError::NotAFolder { path: private });
    }
    if found.uid() != uid {
        return Err(EmbeddedError::ForeignFolder {
            path: private,
            owner: found.uid(),
        });
    }
    fs::set_permissions(&private, Permissions::from_mode(0o700)).map_err(|source| EmbeddedError::Write {
        path: private.clone(),
        source,
    })?;
    let link = private.join("s");
    if fs::read_link(&link).is_ok_and(|target| target == folder) {
        return Ok(link);
    }
    let _ = fs::remove_file(&link);
    match symlink(folder, &link) {
        // Another process of ours was faster with the same link.
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(EmbeddedError::Write { path: link, source })
        }
        _ => Ok(link),
    }
}

/// Removes the link that [`reachable_socket`] made, if it made one.
pub(super) fn remove_link(socket: &Path) {
    if fs::read_link(socket).is_ok() && fs::remove_file(socket).is_ok() {
        let _ = socket.parent().map(fs::remove_dir);
    }
}

/// FNV-1a over the path: the same in every build, which a `Hasher` of std does not promise.
fn fingerprint(path: &Path) -> u64 {
    path.as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

/// The error of a path that could not be inspected.
pub(super) fn read(path: &Path, source: io::Error) -> EmbeddedError {
    EmbeddedError::Read {
        path: path.to_owned(),
        source,
    }
}
