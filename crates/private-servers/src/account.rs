//! The user that a server runs as. PostgreSQL refuses root, and a broker has no need of it: root drops to the
//! server's own user. An ordinary user runs the servers as it is.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::ServerError;
use super::files::{self, Ids};

/// Whom to run a server as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    /// User and group to drop to; `None` to stay who we are.
    drop_to: Option<Ids>,
}

impl Account {
    /// Whom to run `server` as with its data in `data`: for root the owner of an existing `data`, which is to be one of
    /// `users`, else the first of them that exists.
    pub(crate) fn choose(
        server: &'static str,
        data: &Path,
        users: &[&'static str],
    ) -> Result<Self, ServerError> {
        if !files::is_root() {
            return Ok(Self { drop_to: None });
        }
        let known = ids_of(users);
        let owner = data.symlink_metadata().ok().map(|meta| meta.uid()).filter(|uid| *uid != 0);
        let chosen = match owner {
            None => known.first().ok_or(ServerError::NoAccount { server, users: users.to_vec() })?,
            Some(owner) => known
                .iter()
                .find(|(uid, _)| *uid == owner)
                .ok_or(ServerError::ForeignState { path: data.to_path_buf() })?,
        };
        Ok(Self { drop_to: Some(*chosen) })
    }

    /// Makes a command run as this account.
    pub(crate) fn apply(self, command: &mut Command) {
        if let Some((uid, gid)) = self.drop_to {
            command.uid(uid).gid(gid);
        }
    }

    /// Creates `dir` for this account alone where it is missing. One that is there has to be the account's or ours, and
    /// no link.
    pub(crate) fn create_dir(self, dir: &Path) -> Result<(), ServerError> {
        let me = nix::unistd::geteuid().as_raw();
        match dir.symlink_metadata() {
            Ok(meta) if meta.is_dir() && self.drop_to.is_some_and(|(uid, _)| uid == meta.uid()) => {
                return Ok(());
            }
            Ok(meta) if meta.is_dir() && meta.uid() == me => {}
            Ok(_) => return Err(ServerError::ForeignState { path: dir.to_path_buf() }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                std::fs::DirBuilder::new().mode(0o700).create(dir).map_err(ServerError::io("create", dir))?;
            }
            Err(error) => return Err(ServerError::io("look at", dir)(error)),
        }
        let Some((uid, gid)) = self.drop_to else { return Ok(()) };
        std::os::unix::fs::lchown(dir, Some(uid), Some(gid))
            .map_err(ServerError::io("change the owner of", dir))
    }

    /// Writes a file that only this account (and root) can read.
    pub(crate) fn write(self, file: &Path, text: &str) -> Result<(), ServerError> {
        files::write(file, text, self.drop_to)
    }
}

/// The home of a server, where we write and the server may only pass through; its data is in folders of its own there.
pub(crate) fn claim_home(home: &Path, users: &[&'static str]) -> Result<(), ServerError> {
    if files::is_root() { files::take_back_dir(home, &ids_of(users)) } else { files::own_dir(home) }
}

/// Those of the users that exist.
fn ids_of(users: &[&'static str]) -> Vec<Ids> {
    let known = users.iter().filter_map(|name| nix::unistd::User::from_name(name).ok().flatten());
    known.map(|user| (user.uid.as_raw(), user.gid.as_raw())).collect()
}

/// The folder for the servers' files when `program` asks for `wanted`.
///
/// It is `wanted` itself unless we are root and some folder above it is closed to the users that the servers run as
/// (`/root`, say); then it is a folder of the system's temporary folder whose name depends on the two alone, so
/// that the next start finds it again.
pub(crate) fn servers_home(wanted: &Path, program: &str) -> Result<PathBuf, ServerError> {
    let wanted = std::path::absolute(wanted).map_err(ServerError::io("find", wanted))?;
    if !files::is_root() || open_to_everybody(&wanted) {
        return Ok(wanted);
    }
    use sha2::Digest;
    let digest = sha2::Sha256::digest(wanted.as_os_str().as_encoded_bytes());
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let home = std::env::temp_dir().join(format!("{program}-{name}"));
    Ok(home)
}

/// Whether every existing folder from the root down to `path` can be passed by any user.
fn open_to_everybody(path: &Path) -> bool {
    let passable = |meta: Metadata| meta.permissions().mode() & 0o001 != 0;
    path.ancestors().filter_map(|dir| dir.metadata().ok()).all(passable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_closed_to_others_is_noticed_above_a_missing_one() {
        let dir = tempfile::tempdir().unwrap();
        files::set_mode(dir.path(), 0o700).unwrap();
        assert!(!open_to_everybody(&dir.path().join("state/servers")));
        files::set_mode(dir.path(), 0o711).unwrap();
        assert!(open_to_everybody(&dir.path().join("state/servers")));
    }

    #[test]
    fn the_same_state_folder_always_gives_the_same_home() {
        let dir = tempfile::tempdir().unwrap();
        let first = servers_home(&dir.path().join(".dev"), "test").unwrap();
        assert_eq!(servers_home(&dir.path().join(".dev"), "test").unwrap(), first);
        assert!(first.is_absolute());
    }
}
