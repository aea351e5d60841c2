//! The roles as child processes, kept running as a service manager would: started again when one dies, asked to stop
//! in steps.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use daemon::retry::Backoff;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use private_servers::{ServerError, watch as watcher};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::error::DevError;
use super::say;

/// Wrong usage and unusable configuration (CONTRACT section 1): starting again would not help.
const LASTING_EXIT_CODES: [i32; 2] = [2, 78];
const FIRST_RESTART_DELAY: Duration = Duration::from_millis(500);
const MAX_RESTART_DELAY: Duration = Duration::from_secs(10);
/// A role that ran this long counts as healthy: its next end is a first one again.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
const MAX_RESTARTS_IN_A_ROW: u32 = 8;

/// One role: the program with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct RoleCommand {
    /// Its name in messages: `kitchen-worker chef_anna`.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// Whether ending with success is its normal end, after which it is not started again.
    pub(crate) may_end: bool,
    /// Whether standard error goes through us, so that the role does not draw on the terminal among the log lines.
    pub(crate) forward_stderr: bool,
}

/// How far the end has come; every step is a signal to those who still run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    /// SIGTERM: finish what is in progress.
    Stopping,
    /// A second SIGTERM: give it back.
    Hurrying,
    /// SIGKILL.
    Killing,
}

impl Phase {
    fn next(self) -> Self {
        match self {
            Self::Running => Self::Stopping,
            Self::Stopping => Self::Hurrying,
            Self::Hurrying | Self::Killing => Self::Killing,
        }
    }

    fn signal(self) -> Option<Signal> {
        match self {
            Self::Running => None,
            Self::Stopping | Self::Hurrying => Some(Signal::SIGTERM),
            Self::Killing => Some(Signal::SIGKILL),
        }
    }
}

/// A set of running roles; killed when dropped.
#[derive(Debug)]
pub(crate) struct Roles {
    phase: watch::Sender<Phase>,
    tasks: JoinSet<Result<(), DevError>>,
}

impl Roles {
    /// Starts the roles, and keeps them running.
    pub(crate) fn start(commands: Vec<RoleCommand>) -> Self {
        let (phase, _) = watch::channel(Phase::Running);
        let mut tasks = JoinSet::new();
        for command in commands {
            tasks.spawn(supervise(command, phase.subscribe()));
        }
        Self { phase, tasks }
    }

    /// Waits until a role has failed for good, which may be never.
    pub(crate) async fn failed(&mut self) -> DevError {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Err(error))) => return error,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Asks all to stop and waits until they have: at most `patience` until they are killed. Each `again` (a further
    /// Ctrl-C) is the next step: hurry, then kill.
    pub(crate) async fn stop(mut self, patience: Duration, mut again: impl AsyncFnMut()) {
        self.advance(Phase::Stopping);
        let deadline = Instant::now() + patience;
        loop {
            let next = tokio::select! {
                ended = self.tasks.join_next() => match ended {
                    Some(_) => continue,
                    None => return,
                },
                () = again() => self.phase.borrow().next(),
                () = tokio::time::sleep_until(deadline), if *self.phase.borrow() < Phase::Killing => {
                    say(format_args!("some roles did not stop within {} s: killing them", patience.as_secs()));
                    Phase::Killing
                }
            };
            self.advance(next);
        }
    }

    fn advance(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }
}

/// Runs one role until the end was asked for, it ended normally, or it failed for good.
async fn supervise(command: RoleCommand, mut phase: watch::Receiver<Phase>) -> Result<(), DevError> {
    let failed = |problem: String| DevError::RoleFailed { role: command.name.clone(), problem };
    let mut restarts = 0;
    let mut backoff = Backoff::new(FIRST_RESTART_DELAY, MAX_RESTART_DELAY);
    loop {
        let started = Instant::now();
        let mut child = spawn(&command)?;
        let status = run(&mut child, &mut phase).await.map_err(|error| failed(error.to_string()))?;
        if *phase.borrow() > Phase::Running || (command.may_end && status.success()) {
            return Ok(());
        }
        if status.code().is_some_and(|code| LASTING_EXIT_CODES.contains(&code)) {
            return Err(failed(format!("ended ({status}): starting it again would not help")));
        }
        if started.elapsed() >= HEALTHY_AFTER {
            restarts = 0;
            backoff.reset();
        }
        restarts += 1;
        if restarts > MAX_RESTARTS_IN_A_ROW {
            return Err(failed(format!("ended ({status}) {restarts} times in a row")));
        }
        let delay = backoff.next_delay();
        say(format_args!("{} ended ({status}): starting it again in {delay:.1?}", command.name));
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = phase.wait_for(|phase| *phase > Phase::Running) => return Ok(()),
        }
    }
}

/// Waits for a child, passing on the signal of each phase that is reached meanwhile.
async fn run(child: &mut Child, phase: &mut watch::Receiver<Phase>) -> std::io::Result<ExitStatus> {
    let pid = child.id();
    let mut passed_on = Phase::Running;
    let status = loop {
        let reached = *phase.borrow_and_update();
        if reached > passed_on {
            passed_on = reached;
            send(pid, reached.signal());
        }
        tokio::select! {
            status = child.wait() => break status,
            Ok(()) = phase.changed() => {}
        }
    };
    let _ = watcher::release(pid.as_slice());
    status
}

fn send(pid: Option<u32>, signal: Option<Signal>) {
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Starts a role in a process group of its own, which a terminal's Ctrl-C does not reach: we pass on what it means.
///
/// Standard output is ours: a role writes each line as a whole, so that lines of several roles do not mix.
fn spawn(role: &RoleCommand) -> Result<Child, ServerError> {
    let mut command = Command::new(&role.program);
    command.args(&role.args).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    if role.forward_stderr {
        command.stderr(Stdio::piped());
    }
    let mut child = command.spawn().map_err(ServerError::io("start", &role.program))?;
    if let Some(pid) = child.id() {
        watcher::guard(&[pid])?;
    }
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                say(format_args!("{line}"));
            }
        });
    }
    Ok(child)
}

/// Runs a role that only does one thing, and must succeed.
pub(crate) async fn run_once(role: &RoleCommand) -> Result<(), DevError> {
    let mut child = spawn(role)?;
    let pid = child.id();
    let status = child.wait().await;
    let _ = watcher::release(pid.as_slice());
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            Err(DevError::RoleFailed { role: role.name.clone(), problem: format!("failed ({status})") })
        }
        Err(error) => Err(ServerError::io("wait for", &role.program)(error).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn shell(script: String) -> RoleCommand {
        RoleCommand {
            name: "a role".to_owned(),
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            may_end: false,
            forward_stderr: false,
        }
    }

    async fn appears(file: &Path) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match tokio::fs::read_to_string(file).await {
                Ok(text) if !text.is_empty() => return text,
                _ => assert!(Instant::now() < deadline, "{} did not appear", file.display()),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_role_that_dies_is_started_again() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        let (f, s) = (first.display(), second.display());
        let script = format!("[ -e {f} ] && {{ echo up > {s}; exec sleep 60; }}; echo up > {f}; kill -9 $$");
        let roles = Roles::start(vec![shell(script)]);
        appears(&second).await;
        roles.stop(DEADLINE, std::future::pending).await;
    }

    #[tokio::test]
    async fn wrong_usage_and_configuration_are_not_tried_again() {
        for code in LASTING_EXIT_CODES {
            let mut roles = Roles::start(vec![shell("exec sleep 60".into()), shell(format!("exit {code}"))]);
            let error = tokio::time::timeout(DEADLINE, roles.failed()).await.unwrap();
            assert!(error.to_string().contains(&format!("exit status: {code}")), "{error}");
        }
    }

    #[tokio::test]
    async fn a_role_is_asked_twice_and_then_killed() {
        let dir = tempfile::tempdir().unwrap();
        let (up, asked) = (dir.path().join("up"), dir.path().join("asked"));
        let script = format!(
            "trap 'echo asked >> {a}' TERM; echo up > {u}; while :; do sleep 0.05; done",
            a = asked.display(),
            u = up.display()
        );
        let roles = Roles::start(vec![shell(script)]);
        appears(&up).await;
        let mut count = 0;
        let again = async || {
            count += 1;
            if count > 2 {
                std::future::pending::<()>().await;
            }
            let deadline = Instant::now() + DEADLINE;
            while appears(&asked).await.lines().count() < count {
                assert!(Instant::now() < deadline);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, roles.stop(DEADLINE, again)).await.unwrap();
        assert_eq!(appears(&asked).await.lines().count(), 2);
    }

    #[tokio::test]
    async fn a_role_that_does_not_stop_is_killed_when_patience_ends() {
        let dir = tempfile::tempdir().unwrap();
        let up = dir.path().join("up");
        let script = format!("trap '' TERM; echo up > {}; while :; do sleep 0.05; done", up.display());
        let roles = Roles::start(vec![shell(script)]);
        appears(&up).await;
        let stop = roles.stop(Duration::from_millis(100), std::future::pending);
        tokio::time::timeout(DEADLINE, stop).await.unwrap();
    }
}
