//! Files and folders of the state folder, opened so that nobody else decides what is written or read.
//!
//! The servers of root run as other accounts. Root writes only into folders that root alone may write, beside the
//! servers' own folders. In theirs an account could plant a link and have root write to any file.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK};

use super::error::ServerError;

/// A user and its group, as the kernel numbers them.
pub type Ids = (u32, u32);

/// The largest file of ours that is read is a password file of some lines.
const MAX_READ_BYTES: u64 = 16 * 1024;
/// A folder that others may write can be filled with links by them.
const WRITABLE_BY_GROUP: u32 = 0o020;
const WRITABLE_BY_ALL: u32 = 0o002;

/// Makes `dir` where it is missing, or checks that it is ours alone to write. Root's servers, who are other users, can
/// pass through it; an ordinary user's is private.
///
/// # Errors
/// It is a link, another user's or open to others, or cannot be made.
pub fn own_dir(dir: &Path) -> Result<(), ServerError> {
    let dir = plain(dir);
    match dir.symlink_metadata() {
        Ok(meta) => check_own(&dir, &meta),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(parent) = dir.parent() {
                std::fs::create_dir_all(parent).map_err(ServerError::io("create", parent))?;
            }
            let mode = if is_root() { 0o711 } else { 0o700 };
            DirBuilder::new().mode(mode).create(&dir).map_err(ServerError::io("create", &dir))?;
            set_mode(&dir, mode)
        }
        Err(error) => Err(ServerError::io("look at", &dir)(error)),
    }
}

/// Makes a folder of [`own_dir`] of one that belonged to one of these accounts, as earlier versions left it.
pub(crate) fn take_back_dir(dir: &Path, accounts: &[Ids]) -> Result<(), ServerError> {
    let dir = plain(dir);
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(O_DIRECTORY | O_NOFOLLOW);
    if let Ok(opened) = options.open(&dir)
        && opened.metadata().is_ok_and(|meta| accounts.iter().any(|(uid, _)| *uid == meta.uid()))
    {
        std::os::unix::fs::fchown(&opened, Some(0), Some(0))
            .and_then(|()| opened.set_permissions(Permissions::from_mode(0o711)))
            .map_err(ServerError::io("change the owner of", &dir))?;
    }
    own_dir(&dir)
}

/// Writes a file for its owner alone from its first byte on, in place of what had this name; `owner` is us where none
/// is named.
///
/// # Errors
/// It cannot be written, or not be given to `owner`.
pub fn write(file: &Path, text: &str, owner: Option<Ids>) -> Result<(), ServerError> {
    let fresh = file.with_extension("new");
    let mut opened = create(&fresh)?;
    owner
        .map_or(Ok(()), |(uid, gid)| std::os::unix::fs::fchown(&opened, Some(uid), Some(gid)))
        .and_then(|()| opened.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&fresh, file))
        .map_err(ServerError::io("write", file))
}

/// A new empty file for us alone, in place of what had this name: a link is replaced, not followed.
pub(crate) fn create(file: &Path) -> Result<File, ServerError> {
    if let Err(error) = std::fs::remove_file(file)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(ServerError::io("replace", file)(error));
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(file).map_err(ServerError::io("create", file))
}

/// A file that stays the same from one start to the next, made where it is missing: for a lock.
pub(crate) fn keep(file: &Path) -> Result<File, ServerError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(O_NOFOLLOW | O_NONBLOCK);
    options.open(file).and_then(regular).map_err(ServerError::io("open", file))
}

/// The text of a small file; none where it is missing, or is a link, a pipe or anything else but a file.
pub fn read(file: &Path) -> Option<String> {
    let mut options = OpenOptions::new();
    // A pipe that nobody writes to would be waited for.
    options.read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK);
    let opened = options.open(file).and_then(regular).ok()?;
    let mut text = String::new();
    opened.take(MAX_READ_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Sets the permission bits of a file or folder of ours.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), ServerError> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(ServerError::io("change the permissions of", path))
}

/// 128 bits and more that nobody can guess, as a word.
pub fn random_word() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn check_own(dir: &Path, meta: &Metadata) -> Result<(), ServerError> {
    let path = dir.to_path_buf();
    if meta.is_symlink() {
        return Err(ServerError::LinkedState { path });
    }
    if !meta.is_dir() {
        return Err(ServerError::io("use", dir)(ErrorKind::NotADirectory.into()));
    }
    if meta.uid() != nix::unistd::geteuid().as_raw() {
        return Err(ServerError::ForeignState { path });
    }
    // A group of an ordinary user may be that user's alone.
    let group_may_write = is_root() && meta.gid() != 0 && meta.mode() & WRITABLE_BY_GROUP != 0;
    if group_may_write || meta.mode() & WRITABLE_BY_ALL != 0 {
        return Err(ServerError::OpenState { path });
    }
    Ok(())
}

fn regular(file: File) -> std::io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::Error::other("it is not a regular file")) }
}

/// Without the slash at the end that has the system follow a link.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    #[test]
    fn a_private_file_is_for_its_owner_only_and_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.yaml");
        std::fs::write(&file, "a much longer text that was there before").unwrap();
        write(&file, "new", None).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_written_replaces_a_link_and_leaves_its_target_alone() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        std::fs::write(&target, "precious").unwrap();
        for (name, hard) in [("postgres.log", false), ("epmd.log", true)] {
            let planted = dir.path().join(name);
            let plant = || {
                if hard { std::fs::hard_link(&target, &planted) } else { symlink(&target, &planted) }
                    .unwrap();
            };
            plant();
            create(&planted).unwrap().write_all(b"a log").unwrap();
            std::fs::remove_file(&planted).unwrap();
            plant();
            write(&planted, "4711", None).unwrap();
            assert_eq!(std::fs::read_to_string(&planted).unwrap(), "4711");
            assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious", "{name}");
        }
    }

    #[test]
    fn a_link_or_a_pipe_is_neither_read_nor_locked() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link, pipe) =
            (dir.path().join("target"), dir.path().join("link"), dir.path().join("pipe"));
        std::fs::write(&target, "4711").unwrap();
        symlink(&target, &link).unwrap();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(read(&target).as_deref(), Some("4711"));
        for path in [&link, &pipe] {
            assert_eq!(read(path), None);
            assert!(keep(path).is_err());
        }
        keep(&target).unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "4711", "a lock is not emptied");
    }

    #[test]
    fn a_state_folder_is_refused_that_is_a_link_or_that_others_may_write() {
        let dir = tempfile::tempdir().unwrap();
        let (state, link) = (dir.path().join("state"), dir.path().join("link"));
        own_dir(&state).unwrap();
        own_dir(&state).unwrap();
        symlink(&state, &link).unwrap();
        let slash = PathBuf::from(format!("{}/", link.display()));
        for path in [&link, &slash] {
            assert!(matches!(own_dir(path), Err(ServerError::LinkedState { .. })), "{}", path.display());
        }
        set_mode(&state, 0o777).unwrap();
        assert!(matches!(own_dir(&state), Err(ServerError::OpenState { .. })));
        let error = own_dir(Path::new("/dev/null")).unwrap_err();
        assert!(error.to_string().contains("/dev/null"), "{error}");
    }

    #[test]
    fn a_state_folder_of_another_user_is_refused() {
        // For root one of nobody, for everybody else one of root.
        let dir = tempfile::tempdir().unwrap();
        let mut foreign = PathBuf::from("/usr");
        if is_root() {
            foreign = dir.path().join("state");
            std::fs::create_dir(&foreign).unwrap();
            std::os::unix::fs::chown(&foreign, Some(65534), Some(65534)).unwrap();
        }
        assert!(matches!(own_dir(&foreign), Err(ServerError::ForeignState { .. })));
        if is_root() {
            take_back_dir(&foreign, &[(65534, 65534)]).unwrap();
            let meta = foreign.metadata().unwrap();
            assert_eq!(
                (meta.uid(), meta.mode() & 0o777),
                (0, 0o711),
                "unless a server of an earlier version had it"
            );
        }
    }
}
