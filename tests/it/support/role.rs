//! A role of the program as a process, its output captured.

use super::wait::{DEADLINE, eventually_ok};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use private_servers::watch;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

type Lines = Arc<Mutex<Vec<String>>>;

/// A running role; killed when dropped, and should this process die.
pub struct Role {
    name: String,
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

impl Role {
    /// Starts a command; `name` is how failures call it.
    pub fn spawn(name: &str, command: Command) -> Self {
        Self::spawn_with_stdin(name, command, Stdio::null())
    }

    /// The same, with something at its standard input.
    pub fn spawn_with_stdin(name: &str, mut command: Command, stdin: Stdio) -> Self {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        watch::guard(&[child.id()]).unwrap();
        let stdout = capture(child.stdout.take().unwrap());
        let stderr = capture(child.stderr.take().unwrap());
        Self { name: name.to_owned(), child, stdout, stderr }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All lines on standard output so far.
    pub fn lines(&self) -> Vec<String> {
        self.stdout.lock().unwrap().clone()
    }

    /// All lines on standard error so far.
    pub fn error_lines(&self) -> Vec<String> {
        self.stderr.lock().unwrap().clone()
    }

    /// The lines on standard output so far that are JSON.
    pub fn logs(&self) -> Vec<Value> {
        self.lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The log lines so far with this action.
    pub fn logs_of(&self, action: &str) -> Vec<Value> {
        self.logs().into_iter().filter(|log| log["action"] == action).collect()
    }

    /// Waits for a JSON log line, one already there counts; fails the test after [`DEADLINE`].
    pub async fn wait_for_log(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let found =
            || self.logs().into_iter().find(|log| matches(log)).ok_or_else(|| format!("{:?}", self.output()));
        let what = format!("{}: a log line {what}", self.name);
        eventually_ok(&what, || std::future::ready(found())).await
    }

    /// Waits for a log line with this action.
    pub async fn wait_for_action(&self, action: &str) -> Value {
        self.wait_for_log(&format!("with action {action}"), |log| log["action"] == action).await
    }

    /// Waits for a line on standard output, JSON or not.
    pub async fn wait_for_line(&self, what: &str, matches: impl Fn(&str) -> bool) -> String {
        let found = || {
            self.lines().into_iter().find(|line| matches(line)).ok_or_else(|| format!("{:?}", self.output()))
        };
        let what = format!("{}: a line {what}", self.name);
        eventually_ok(&what, || std::future::ready(found())).await
    }

    /// The URL of an HTTP role, with no slash at its end: waits until it says where it listens.
    pub async fn url(&self) -> String {
        let log = self
            .wait_for_log("that says where it listens", |log| {
                log["action"] == "service_started" && log["address"].is_string()
            })
            .await;
        format!("http://{}", log["address"].as_str().unwrap())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(Pid::from_raw(self.pid().try_into().unwrap()), signal).unwrap();
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        watch::release(&[self.pid()]).unwrap();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended by itself; fails the test after [`DEADLINE`].
    pub async fn wait_exit(&mut self) -> ExitStatus {
        let deadline = std::time::Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                watch::release(&[self.pid()]).unwrap();
                self.read_out().await;
                return status;
            }
            let name = &self.name;
            assert!(std::time::Instant::now() < deadline, "{name} did not end: {:?}", self.output());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Waits until what it wrote last is captured; a process that has inherited its output is not waited for.
    async fn read_out(&self) {
        // Each capturing thread holds its lines until there are no more.
        let captured = || Arc::strong_count(&self.stdout) == 1 && Arc::strong_count(&self.stderr) == 1;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(1);
        while !captured() && std::time::Instant::now() < deadline {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// All output so far, for messages of failed tests.
    pub fn output(&self) -> Vec<String> {
        let mut all = self.lines();
        all.extend(self.error_lines().into_iter().map(|line| format!("stderr: {line}")));
        all
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln_lines(&self.name, &self.output());
        }
        let _ = watch::release(&[self.pid()]);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Shows what a role wrote when its test failed.
#[allow(clippy::print_stderr)]
fn eprintln_lines(name: &str, lines: &[String]) {
    eprintln!("---- output of {name}");
    lines.iter().for_each(|line| eprintln!("{line}"));
}

/// Collects the lines of a stream from now on, in a thread: it goes on while the test's runtime is busy.
fn capture(stream: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let sink = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            sink.lock().unwrap().push(line);
        }
    });
    lines
}
