//! How a process ends, as its parent sees it.

/// The exit codes of every command. Service managers rely on them: [`ExitCode::Usage`] and [`ExitCode::Config`] do
/// not get better by a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Asked to stop, and did; or the work is done.
    Ok = 0,
    /// A failure at run time, a worker name that is in use among them.
    Failure = 1,
    /// The command line can't be used.
    Usage = 2,
    /// The configuration can't be used (`EX_CONFIG` of sysexits).
    Config = 78,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
