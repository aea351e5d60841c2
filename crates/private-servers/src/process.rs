//! One server process with its log and everything it started, and what `/proc` says about processes.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::account::Account;
use super::error::ServerError;
use super::files;
use super::watch;

const POLL: Duration = Duration::from_millis(20);
/// The shell becomes what is to run. Where `chrt` (of util-linux) is missing or not allowed to, that runs as everything else.
const AS_BATCH: &str = r#"chrt -b -p 0 $$ 2>/dev/null; exec "$0" "$@""#;
/// How long a process that was sent SIGKILL may take to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a tree that is being killed is looked through for processes started meanwhile.
const MAX_FREEZE_ROUNDS: usize = 20;
const TAIL_LINES: usize = 20;

/// A command that runs `program` under the policy for batch work (sched(7)): what becomes ready in it waits for its turn, and
/// never pushes another off the processor. Whoever shares the processors with it is interrupted less often.
pub(crate) fn batch_command(program: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", AS_BATCH]).arg(program);
    command
}

/// Asks a start or a stop in progress to give up waiting; clones share the one flag.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks all who hold a clone to give up.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A running server: killed with everything it started when dropped, and when this process dies.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    name: &'static str,
    child: Child,
    log: PathBuf,
    /// Set once it was waited for: its id may be another's from then on.
    waited_for: bool,
}

impl ServerProcess {
    /// Starts a server in a process group of its own, so that a terminal's Ctrl-C does not reach it, with its output
    /// in `log`, which begins anew.
    pub(crate) fn spawn(
        name: &'static str,
        mut command: Command,
        account: Account,
        log: &Path,
    ) -> Result<Self, ServerError> {
        let out = files::create(log)?;
        let err = out.try_clone().map_err(ServerError::io("open", log))?;
        let program = PathBuf::from(command.get_program());
        account.apply(&mut command);
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let child = command.spawn().map_err(ServerError::io("start", &program))?;
        let process = Self { name, child, log: log.to_path_buf(), waited_for: false };
        watch::guard(&[process.pid()])?;
        Ok(process)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is still running; one that ended stays a zombie until [`Self::stop`], so its id stays ours.
    pub(crate) fn is_running(&self) -> bool {
        is_alive(self.pid())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Waits until `ready` says so; fails when the server ends, time is up or the start was cancelled.
    pub(crate) fn wait_until(
        &self,
        timeout: Duration,
        cancel: &Cancel,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), ServerError> {
        let deadline = Instant::now() + timeout;
        loop {
            if ready() {
                return Ok(());
            }
            if !self.is_running() {
                // Its end may be what is waited for, and have come since.
                return if ready() { Ok(()) } else { Err(self.failure("ended while starting".to_owned())) };
            }
            if cancel.is_cancelled() {
                return Err(ServerError::Interrupted);
            }
            if Instant::now() > deadline {
                return Err(self.failure(format!("was not ready within {} s", timeout.as_secs())));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until it has ended, which must be with success: for programs that only prepare something.
    pub(crate) fn wait_success(&mut self, timeout: Duration, cancel: &Cancel) -> Result<(), ServerError> {
        let pid = self.pid();
        match self.wait_until(timeout, cancel, || !is_alive(pid)) {
            Ok(()) => watch::release(&[pid])?,
            Err(error) => return Err(error),
        }
        self.waited_for = true;
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(self.failure(format!("failed ({status})"))),
            Err(error) => Err(ServerError::io("wait for", Path::new(self.name))(error)),
        }
    }

    /// Ends it with `signal`, and by force when that took longer than `timeout` or is given up.
    pub(crate) fn stop(self, signal: Signal, timeout: Duration, cancel: &Cancel) {
        self.signal(signal);
        self.signal(Signal::SIGCONT);
        wait_for(timeout, || !self.is_running() || cancel.is_cancelled());
    }

    /// Stops it and all it started from running on (SIGSTOP), until [`Self::resume`].
    pub(crate) fn pause(&self) -> Result<(), ServerError> {
        self.signal(Signal::SIGSTOP);
        let children = descendants(self.pid());
        watch::guard(&children)?;
        children.into_iter().for_each(|pid| send(pid, Signal::SIGSTOP));
        Ok(())
    }

    /// Lets it run on after [`Self::pause`].
    pub(crate) fn resume(&self) -> Result<(), ServerError> {
        let children = descendants(self.pid());
        watch::release(&children)?;
        children.into_iter().for_each(|pid| send(pid, Signal::SIGCONT));
        self.signal(Signal::SIGCONT);
        Ok(())
    }

    /// The error that tells what happened to this server, with the end of its log.
    pub(crate) fn failure(&self, problem: String) -> ServerError {
        ServerError::ServerFailed { server: self.name, problem, log: self.log.clone(), tail: tail(&self.log) }
    }
}

impl Drop for ServerProcess {
    /// Kills it with all it had started, and waits until they are gone.
    fn drop(&mut self) {
        if self.waited_for {
            return;
        }
        let all = kill_tree(self.pid());
        let _ = watch::release(&all);
        let _ = self.child.wait();
    }
}

/// Kills a process, its group where it leads one, and all they started; waits until they are gone. Returns their ids.
///
/// All are frozen before any is killed: what is left of a tree with its root gone could not be found any more, and
/// none can start another meanwhile.
fn kill_tree(root: u32) -> Vec<u32> {
    send_to_group(root, Signal::SIGSTOP);
    let mut all = vec![root];
    send(root, Signal::SIGSTOP);
    for _ in 0..MAX_FREEZE_ROUNDS {
        let mut new = descendants(root);
        new.retain(|pid| !all.contains(pid));
        if new.is_empty() {
            break;
        }
        new.iter().for_each(|pid| send(*pid, Signal::SIGSTOP));
        all.extend(new);
    }
    send_to_group(root, Signal::SIGKILL);
    all.iter().for_each(|pid| send(*pid, Signal::SIGKILL));
    wait_for(KILL_TIMEOUT, || !all.iter().any(|pid| is_alive(*pid)));
    all
}

/// Waits until `done` says so or time is up.
fn wait_for(timeout: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + timeout;
    while !done() && Instant::now() < deadline {
        std::thread::sleep(POLL);
    }
}

/// Ends a server that an earlier, killed run left behind: `pid` if its command line has `mark` in it, and if it runs as
/// the owner of `data`.
///
/// The mark is a path of the state folder, so that a process which was given the same id later is left alone. The owner
/// has no say over processes of others, whatever it writes about them.
pub(crate) fn end_left_behind(pid: u32, mark: &str, data: &Path) {
    let owner = |path: &Path| path.symlink_metadata().ok().map(|meta| meta.uid());
    let process = PathBuf::from(format!("/proc/{pid}"));
    if !command_line(pid).contains(mark) || owner(&process) != owner(data) {
        return;
    }
    kill_tree(pid);
}

/// The arguments of a process with blanks between them; empty if there is no such process.
fn command_line(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Sends a signal; a process that is gone is no failure.
fn send(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = nix::sys::signal::kill(Pid::from_raw(pid), signal);
    }
}

/// Sends a signal to the process group that `leader` leads, if it leads one.
fn send_to_group(leader: u32, signal: Signal) {
    if let Ok(leader) = i32::try_from(leader) {
        let _ = nix::sys::signal::killpg(Pid::from_raw(leader), signal);
    }
}

/// Whether a process runs, be it ours or not; one that ended but was not waited for yet does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.state != 'Z' && stat.state != 'X')
}

/// The processes that `root` started, those that these started, and so on.
fn descendants(root: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = pids.filter_map(|pid| Some((pid, stat(pid)?.parent))).collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, its_parent)| *its_parent == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

struct Stat {
    state: char,
    parent: u32,
}

/// State and parent from `/proc/PID/stat`: they follow the name, which stands in parentheses and may hold any text.
fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Stat { state, parent })
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, dir: &Path) -> ServerProcess {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let account = Account::choose("a shell", &dir.join("data"), &["nobody"]).unwrap();
        ServerProcess::spawn("a shell", command, account, &dir.join("log")).unwrap()
    }

    #[test]
    fn a_batch_command_runs_its_program_under_that_policy() {
        let script = r#"cat /proc/$$/stat; test "$0" = "an argument""#;
        let run = batch_command(Path::new("/bin/sh")).args(["-c", script, "an argument"]).output().unwrap();
        assert!(run.status.success(), "{run:?}");
        let stat = String::from_utf8(run.stdout).unwrap();
        // proc(5): the policy is field 41, and the name before it the second.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let policy = fields.split(' ').nth(41 - 3).unwrap();
        assert_eq!(policy, "3", "SCHED_BATCH; is chrt (util-linux) installed?");
    }

    #[test]
    fn a_server_is_ended_with_all_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let server = shell("sleep 60 & (sleep 60 & sleep 60; true) & wait", dir.path());
        let pid = server.pid();
        wait_for(Duration::from_secs(10), || descendants(pid).len() == 4);
        let all = descendants(pid);
        assert_eq!(all.len(), 4);
        drop(server);
        assert!(all.iter().chain([&pid]).all(|pid| !is_alive(*pid)));
    }

    #[test]
    fn a_server_that_ends_while_starting_is_reported_with_the_end_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let server = shell("echo could not bind; exit 1", dir.path());
        let error = server.wait_until(Duration::from_secs(10), &Cancel::default(), || false).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("ended while starting") && text.contains("could not bind"), "{text}");
    }

    #[test]
    fn a_start_that_takes_too_long_or_is_cancelled_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let server = shell("sleep 60", dir.path());
        let error = server.wait_until(Duration::ZERO, &Cancel::default(), || false).unwrap_err();
        assert!(error.to_string().contains("not ready within"), "{error}");
        let cancel = Cancel::default();
        cancel.cancel();
        let error = server.wait_until(Duration::from_secs(10), &cancel, || false).unwrap_err();
        assert!(matches!(error, ServerError::Interrupted));
    }

    #[test]
    fn only_a_process_with_the_mark_in_its_command_line_is_taken_for_a_left_behind_server() {
        let dir = tempfile::tempdir().unwrap();
        let server = shell("sleep 60; : this-is-the-mark", dir.path());
        wait_for(Duration::from_secs(10), || command_line(server.pid()).contains("this-is-the-mark"));
        let data = PathBuf::from(format!("/proc/{}", server.pid()));
        end_left_behind(server.pid(), "another-mark", &data);
        end_left_behind(server.pid(), "this-is-the-mark", Path::new("/nowhere"));
        assert!(server.is_running());
        end_left_behind(server.pid(), "this-is-the-mark", &data);
        assert!(!server.is_running());
    }
}
