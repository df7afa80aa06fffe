//! Finds the server's binaries. They are rarely in PATH: distributions keep several versions side by side.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::EmbeddedError;

/// The oldest major version that has all settings we write (`wal_compression` aside, which is asked for).
const MINIMUM_MAJOR: u32 = 14;

/// Where distributions put versioned server binaries: parent folder, what stands before the version, what follows.
const VERSIONED: &[(&str, &str, &str)] = &[
    ("/usr/lib/postgresql", "", "bin"),                       // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                                // PGDG on Red Hat and Fedora
    ("/usr/lib", "postgresql", "bin"),                        // SUSE
    ("/usr/libexec", "postgresql", ""),                       // Alpine
    ("/opt/homebrew/opt", "postgresql@", "bin"),              // Homebrew on Apple silicon
    ("/usr/local/opt", "postgresql@", "bin"),                 // Homebrew on Intel
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"), // Homebrew on Linux
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"), // Postgres.app
];

/// A folder with `initdb`, `pg_ctl` and `postgres` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// The newest binaries, or those of the major version `needed` by the cluster in `cluster`.
    /// An explicit `bin_dir` is the only place looked at: who names one does not want another.
    pub(super) fn find(
        bin_dir: Option<&Path>,
        cluster: &Path,
        needed: Option<u32>,
    ) -> Result<Self, EmbeddedError> {
        let places = match bin_dir {
            Some(folder) => vec![folder.to_owned()],
            None => places(env::var_os("PATH")),
        };
        let mut found = Vec::new();
        for folder in places {
            let Some(major) = major_of(&folder) else { continue };
            if needed.map_or(major >= MINIMUM_MAJOR, |needed| needed == major) {
                return Ok(Self { folder });
            }
            found.push(major);
        }
        found.dedup();
        Err(match needed {
            _ if found.is_empty() => EmbeddedError::NoBinaries {
                bin_dir: bin_dir.map(Path::to_owned),
            },
            Some(needed) => EmbeddedError::WrongVersion {
                cluster: cluster.to_owned(),
                needed,
                found,
            },
            None => EmbeddedError::TooOld {
                found,
                minimum: MINIMUM_MAJOR,
            },
        })
    }

    /// The path of one program.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Every folder worth a look, the best first.
fn places(path: Option<OsString>) -> Vec<PathBuf> {
    let mut versioned: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, before, after) in VERSIONED {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let version = name.to_str().and_then(|name| name.strip_prefix(before));
            if let Some(major) = version.and_then(|version| version.split('.').next()?.parse().ok()) {
                versioned.push((major, entry.path().join(after)));
            }
        }
    }
    versioned.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    let path = path
        .map(|path| env::split_paths(&path).collect::<Vec<_>>())
        .unwrap_or_default();
    versioned
        .into_iter()
        .map(|(_, folder)| folder)
        .chain(path)
        .collect()
}

/// The major version of a complete set of binaries, from the server's own words: a folder's name can lie.
fn major_of(folder: &Path) -> Option<u32> {
    if !["initdb", "pg_ctl", "postgres"]
        .iter()
        .all(|program| folder.join(program).is_file())
    {
        return None;
    }
    let output = Command::new(folder.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    parse_major(std::str::from_utf8(&output.stdout).ok()?)
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` -> 15; also `18beta1`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split(") ").nth(1)?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_releases_and_betas() {
        assert_eq!(
            parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_major("postgres (PostgreSQL) 17\n"), Some(17));
        assert_eq!(parse_major("postgres"), None);
    }

    #[test]
    fn an_empty_named_folder_is_refused_in_one_line_with_both_remedies() {
        let error = Binaries::find(Some(Path::new("/nonexistent")), Path::new("c"), None)
            .unwrap_err()
            .to_string();
        assert!(!error.contains('\n'), "{error}");
        for part in ["/nonexistent", "apt-get install postgresql", "DATABASE_URL"] {
            assert!(error.contains(part), "{error} lacks {part}");
        }
    }

    #[test]
    fn a_cluster_of_a_version_that_is_not_installed_is_refused_with_the_versions() {
        let error = Binaries::find(None, Path::new("/c"), Some(9)).unwrap_err();
        assert!(
            matches!(error, EmbeddedError::WrongVersion { needed: 9, .. }),
            "{error}"
        );
    }
}
