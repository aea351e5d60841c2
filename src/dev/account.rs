//! The user that a server runs as. PostgreSQL refuses root, and a broker has no need of it, so root drops to the
//! server's own user; an ordinary user runs the servers as it is.

use super::error::DevError;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whom to run a server as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    /// User and group to drop to; `None` to stay who we are.
    drop_to: Option<(u32, u32)>,
}

impl Account {
    /// Whom to run `server` as with its files in `home`: for root the owner of an existing `home`, else the first of
    /// `users` that exists.
    pub(crate) fn choose(
        server: &'static str,
        home: &Path,
        users: &[&'static str],
    ) -> Result<Self, DevError> {
        let me = nix::unistd::geteuid().as_raw();
        let owner = home.metadata().ok().map(|meta| (meta.uid(), meta.gid()));
        if me != 0 {
            return match owner {
                Some((uid, _)) if uid != me => Err(DevError::ForeignState { path: home.to_path_buf() }),
                _ => Ok(Self { drop_to: None }),
            };
        }
        if let Some((uid, gid)) = owner.filter(|(uid, _)| *uid != 0) {
            return Ok(Self { drop_to: Some((uid, gid)) });
        }
        let known = users.iter().find_map(|name| nix::unistd::User::from_name(name).ok().flatten());
        match known {
            Some(user) => Ok(Self { drop_to: Some((user.uid.as_raw(), user.gid.as_raw())) }),
            None => Err(DevError::NoAccount { server, users: users.to_vec() }),
        }
    }

    /// Makes a command run as this account.
    pub(crate) fn apply(self, command: &mut Command) {
        if let Some((uid, gid)) = self.drop_to {
            command.uid(uid).gid(gid);
        }
    }

    /// Creates `dir` for this account alone where it is missing, its parents for everybody.
    pub(crate) fn create_dir(self, dir: &Path) -> Result<(), DevError> {
        if dir.is_dir() {
            return Ok(());
        }
        std::fs::create_dir_all(dir).map_err(DevError::io("create", dir))?;
        set_mode(dir, 0o700)?;
        self.own(dir)
    }

    /// Writes a file that only this account (and root) can read.
    pub(crate) fn write(self, file: &Path, text: &str) -> Result<(), DevError> {
        write_private(file, text)?;
        self.own(file)
    }

    fn own(self, path: &Path) -> Result<(), DevError> {
        let Some((uid, gid)) = self.drop_to else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(uid), Some(gid))
            .map_err(DevError::io("change the owner of", path))
    }
}

/// Writes a file with mode 0600 from its first byte on, replacing an older one as a whole.
pub(crate) fn write_private(file: &Path, text: &str) -> Result<(), DevError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let fresh = file.with_extension("new");
    let _ = std::fs::remove_file(&fresh);
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(&fresh);
    opened
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&fresh, file))
        .map_err(DevError::io("write", file))
}

/// Sets the permission bits of a file or folder.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), DevError> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(DevError::io("change the permissions of", path))
}

/// The folder for the servers' files when `wanted` is asked for.
///
/// It is `wanted` itself unless we are root and some folder above it is closed to the users that the servers run as
/// (`/root`, say); then it is a folder of the system's temporary folder whose name depends on `wanted` alone, so that
/// the next start finds it again.
pub(crate) fn servers_home(wanted: &Path) -> Result<PathBuf, DevError> {
    let wanted = std::path::absolute(wanted).map_err(DevError::io("find", wanted))?;
    if !nix::unistd::geteuid().is_root() || open_to_everybody(&wanted) {
        return Ok(wanted);
    }
    use sha2::Digest;
    let digest = sha2::Sha256::digest(wanted.as_os_str().as_encoded_bytes());
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let home = std::env::temp_dir().join(format!("restaurant-system-{name}"));
    if home.symlink_metadata().is_ok_and(|meta| !meta.is_dir() || meta.uid() != 0) {
        return Err(DevError::ForeignState { path: home });
    }
    Ok(home)
}

/// Whether every existing folder from the root down to `path` can be passed by any user.
fn open_to_everybody(path: &Path) -> bool {
    let passable = |meta: Metadata| meta.permissions().mode() & 0o001 != 0;
    path.ancestors().filter_map(|dir| dir.metadata().ok()).all(passable)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_for_its_owner_only_and_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.yaml");
        std::fs::write(&file, "a much longer text that was there before").unwrap();
        write_private(&file, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_folder_closed_to_others_is_noticed_above_a_missing_one() {
        let dir = tempfile::tempdir().unwrap();
        set_mode(dir.path(), 0o700).unwrap();
        assert!(!open_to_everybody(&dir.path().join("state/servers")));
        set_mode(dir.path(), 0o711).unwrap();
        assert!(open_to_everybody(&dir.path().join("state/servers")));
    }

    #[test]
    fn the_same_state_folder_always_gives_the_same_home() {
        let dir = tempfile::tempdir().unwrap();
        let first = servers_home(&dir.path().join(".dev")).unwrap();
        assert_eq!(servers_home(&dir.path().join(".dev")).unwrap(), first);
        assert!(first.is_absolute());
    }
}
