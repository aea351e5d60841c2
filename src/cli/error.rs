//! Why a command fails, and with which exit code.

use daemon::exit::ExitCode;

use crate::config::ConfigError;

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The command line asks for what cannot be had.
    #[error("{0}")]
    Usage(String),
    /// Anything that happened at run time; logged already where there is a log.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
    /// A role failed, and has logged why, or a command has said it on standard output.
    #[error("it has failed, and has said why")]
    Logged,
}

impl CliError {
    pub(super) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Failed(Box::new(error))
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::Config,
            Self::Usage(_) => ExitCode::Usage,
            Self::Failed(_) | Self::Logged => ExitCode::Failure,
        }
    }
}
