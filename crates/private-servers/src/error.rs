//! The errors of private servers.

use std::io;
use std::path::{Path, PathBuf};

/// The packages with all programs that are needed, so that one message is enough.
const DEBIAN_PACKAGES: &str = "postgresql rabbitmq-server";

/// A failure to start, use or stop private servers.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A program that is needed is not installed.
    #[error(
        "the program `{program}` was not found: install what is needed with `apt-get install {DEBIAN_PACKAGES}` (or run inside `nix develop`)"
    )]
    MissingProgram {
        /// The program's name.
        program: &'static str,
    },
    /// A file, folder or process could not be worked with.
    #[error("cannot {action} {}: {reason}", path.display())]
    Io {
        /// The action, as a verb: "create", "read", "start".
        action: &'static str,
        /// The file, folder or program.
        path: PathBuf,
        /// Why it failed. Part of the text, which says all there is to say.
        reason: io::Error,
    },
    /// A server ended, or was not ready in time.
    #[error("{server} {problem}; the end of its log ({}):\n{tail}", log.display())]
    ServerFailed {
        /// The server's name.
        server: &'static str,
        /// The failure.
        problem: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of its log.
        tail: String,
    },
    /// A helper program ended with a failure.
    #[error("`{program}` failed while trying to {task}: {output}")]
    ProgramFailed {
        /// The program's name.
        program: &'static str,
        /// Its task.
        task: String,
        /// Its standard error.
        output: String,
    },
    /// Somebody else uses the state folder.
    #[error("the state folder {} is in use by another process: stop that one, or choose another folder", path.display())]
    StateInUse {
        /// The state folder.
        path: PathBuf,
    },
    /// The state folder was made by another user.
    #[error("the state folder {} belongs to another user: run as that user, or choose another folder", path.display())]
    ForeignState {
        /// The state folder, or a folder in it.
        path: PathBuf,
    },
    /// The state folder is a link, which another may have made.
    #[error("the state folder {} is a symbolic link: name the folder itself", path.display())]
    LinkedState {
        /// The state folder, or a folder in it.
        path: PathBuf,
    },
    /// Others may write in the state folder, and so make links there.
    #[error("others may write in the state folder {}: `chmod go-w` it, or choose another folder", path.display())]
    OpenState {
        /// The state folder, or a folder in it.
        path: PathBuf,
    },
    /// No free port was found.
    #[error("found no free port on 127.0.0.1 between {low} and {high}")]
    NoFreePort {
        /// The lowest port tried.
        low: u16,
        /// The highest port tried.
        high: u16,
    },
    /// A database name that would need quoting.
    #[error("`{name}` is no usable database name: 1 to 63 of a-z, 0-9 and _, beginning with a letter")]
    BadDatabaseName {
        /// The name.
        name: String,
    },
    /// The server is not running, so the operation makes no sense.
    #[error("{server} is not running")]
    NotRunning {
        /// The server's name.
        server: &'static str,
    },
    /// The system has none of the users a server could run as.
    #[error("{server} refuses to run as root and this system has none of the users {users:?} to run it as")]
    NoAccount {
        /// The server's name.
        server: &'static str,
        /// The users that were looked for.
        users: Vec<&'static str>,
    },
    /// The start was given up because somebody asked to stop.
    #[error("stopped while starting")]
    Interrupted,
}

impl ServerError {
    /// For `map_err`: an I/O error with what was tried on what.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |reason| Self::Io { action, path, reason }
    }
}
