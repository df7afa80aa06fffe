//! Who runs docket, and who runs the server. std can start a process as another user, but not say who we are: `id`
//! can, also where users come from a directory service.

use std::{fs, io};

use super::error::EmbeddedError;

/// A user of the operating system.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) name: String,
}

impl Account {
    /// Who runs this process.
    pub(super) fn current() -> Result<Self, EmbeddedError> {
        let output = std::process::Command::new("id")
            .output()
            .map_err(EmbeddedError::WhoAmI)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut numbers = text.split(['=', '(', ' ']).filter_map(|part| part.parse().ok());
        let (Some(uid), Some(gid)) = (numbers.next(), numbers.next()) else {
            return Err(EmbeddedError::WhoAmI(io::Error::other("`id` shows no numbers")));
        };
        let name = text
            .strip_prefix(&format!("uid={uid}("))
            .and_then(|rest| rest.split(')').next());
        let name = name.ok_or(EmbeddedError::NamelessUser { uid })?.to_owned();
        Ok(Self { uid, gid, name })
    }

    /// Who runs the server: this user, or for root `postgres` before `nobody`, whom others may share.
    pub(super) fn of_server(&self) -> Result<Self, EmbeddedError> {
        if self.uid != 0 {
            return Ok(self.clone());
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = |name: &str| {
            let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut ids = line.split(':').skip(2);
            let (uid, gid) = (ids.next()?.parse().ok()?, ids.next()?.parse().ok()?);
            Some(Self {
                uid,
                gid,
                name: name.to_owned(),
            })
        };
        user("postgres")
            .or_else(|| user("nobody"))
            .ok_or(EmbeddedError::NoServerUser)
    }
}
