//! The errors of the `dev` command.

use private_servers::ServerError;

/// A failure of the `dev` command.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// The private servers, or a file or a process of `dev` itself.
    #[error("{}", told(.0))]
    Servers(ServerError),
    /// A fixed port is taken.
    #[error("port {port} is taken by another program: stop it, or choose another port with {flag}")]
    PortTaken {
        /// The port.
        port: u16,
        /// The flag that changes it.
        flag: &'static str,
    },
    /// A role could not be started or kept running.
    #[error("{role} {problem}")]
    RoleFailed {
        /// The role, as on its command line.
        role: String,
        /// The failure.
        problem: String,
    },
}

impl From<ServerError> for DevError {
    fn from(error: ServerError) -> Self {
        Self::Servers(error)
    }
}

/// The text of a server's failure. Where the state folder is to be another one, it has the flag.
fn told(error: &ServerError) -> String {
    match error {
        ServerError::StateInUse { path } => format!(
            "the state folder {} is in use by another running `dev`: stop that one, or choose another folder with --state-dir",
            path.display()
        ),
        ServerError::ForeignState { .. }
        | ServerError::LinkedState { .. }
        | ServerError::OpenState { .. } => format!("{error} with --state-dir"),
        _ => error.to_string(),
    }
}
