//! One headless Chromium for the whole run, spoken to in the DevTools protocol over two pipes: no port, no driver, no crate.

use crate::support::DEADLINE;
use private_servers::watch;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::oneshot;

/// Chromium reads commands on descriptor 3 and answers on 4. It ends when the pipe closes, so with this process in any case;
/// the shell then removes its profile. SIGQUIT is the watcher's first signal: the shell has to outlive it for that.
const START: &str = r#"
trap '' QUIT
profile=$(mktemp -d) || exit 1
chromium --user-data-dir="$profile" "$@" 3<&0 4>&1 0</dev/null 1>&2
rm -rf -- "$profile"
"#;

const ARGUMENTS: &[&str] = &[
    "--headless",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--mute-audio",
    "--disable-gpu",
    "--hide-scrollbars",
    // Containers have a /dev/shm of 64 MiB.
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    // Several pages at once are all looked at, as tablets are.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
];

/// What a page reported that should not be.
pub(super) type Faults = Arc<Mutex<Vec<String>>>;

/// The browser's process and what is awaited of it.
pub(super) struct Chromium {
    pipe: Mutex<ChildStdin>,
    waiting: Mutex<Waiting>,
    stderr: Arc<Mutex<String>>,
    _shell: Child,
}

#[derive(Default)]
struct Waiting {
    last_id: u64,
    answers: HashMap<u64, oneshot::Sender<Value>>,
    /// By session, which is one page's.
    faults: HashMap<String, Faults>,
}

/// The run's browser, started by the first test that asks.
pub(super) fn chromium() -> &'static Chromium {
    static CHROMIUM: OnceLock<Arc<Chromium>> = OnceLock::new();
    CHROMIUM.get_or_init(Chromium::start)
}

impl Chromium {
    fn start() -> Arc<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there = std::env::split_paths(&path).any(|dir| dir.join("chromium").is_file());
        assert!(there, "no `chromium` in PATH: scripts/test installs it, as does `apt-get install chromium`");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", START, "chromium-of-tests"]).args(ARGUMENTS);
        if nix::unistd::geteuid().is_root() {
            command.arg("--no-sandbox");
        }
        // A group of its own: Ctrl-C reaches it through the pipe.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut shell = command.spawn().expect("a shell starts");
        watch::guard(&[shell.id()]).unwrap();
        let answers = BufReader::new(shell.stdout.take().unwrap());
        let mut errors = shell.stderr.take().unwrap();
        let stderr = Arc::<Mutex<String>>::default();
        let text = Arc::clone(&stderr);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = errors.read(&mut buffer) {
                text.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        let pipe = Mutex::new(shell.stdin.take().unwrap());
        let chromium = Arc::new(Self { pipe, waiting: Mutex::default(), stderr, _shell: shell });
        let receiver = Arc::clone(&chromium);
        std::thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                receiver.receive(serde_json::from_slice(&message).unwrap());
            }
            // Whoever waits for an answer is told that none comes.
            receiver.waiting.lock().unwrap().answers.clear();
        });
        chromium
    }

    fn receive(&self, message: Value) {
        let mut waiting = self.waiting.lock().unwrap();
        if let Some(id) = message["id"].as_u64() {
            if let Some(answer) = waiting.answers.remove(&id) {
                let _ = answer.send(message);
            }
            return;
        }
        let session = message["sessionId"].as_str().unwrap_or_default();
        let Some(faults) = waiting.faults.get(session) else { return };
        if let Some(fault) = fault(message["method"].as_str().unwrap_or_default(), &message["params"]) {
            faults.lock().unwrap().push(fault);
        }
    }

    /// Where the faults of this session's page will be.
    pub(super) fn faults_of(&self, session: &str) -> Faults {
        Arc::clone(self.waiting.lock().unwrap().faults.entry(session.to_owned()).or_default())
    }

    /// Gives a command, to the browser itself or to a page, and does not wait.
    pub(super) fn send(
        &self,
        session: Option<&str>,
        method: &str,
        params: &Value,
    ) -> oneshot::Receiver<Value> {
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap();
        waiting.last_id += 1;
        let id = waiting.last_id;
        waiting.answers.insert(id, sender);
        drop(waiting);
        let mut command = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let line = format!("{command}\0");
        // Should it be gone, then the answer says so.
        let _ = self.pipe.lock().unwrap().write_all(line.as_bytes());
        answer
    }

    /// Gives a command and waits for its result.
    pub(super) async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, String> {
        let answer = self.send(session, method, &params);
        match tokio::time::timeout(DEADLINE, answer).await {
            Ok(Ok(mut message)) if message["error"].is_null() => Ok(message["result"].take()),
            Ok(Ok(message)) => Err(format!("{method}: {}", message["error"]["message"])),
            Ok(Err(_)) => Err(format!("{method}: Chromium has ended: {}", self.stderr.lock().unwrap())),
            Err(_) => Err(format!("{method}: no answer from Chromium within {DEADLINE:?}")),
        }
    }
}

/// What an event says is wrong: an exception, an error on the console, something that the policy forbids.
fn fault(event: &str, params: &Value) -> Option<String> {
    match event {
        "Runtime.exceptionThrown" => {
            let details = &params["exceptionDetails"];
            Some(format!("exception: {} {}", details["text"], details["exception"]["description"]))
        }
        "Runtime.consoleAPICalled" if ["error", "assert"].contains(&params["type"].as_str()?) => {
            Some(format!("console: {}", params["args"]))
        }
        "Log.entryAdded" if params["entry"]["level"] == "error" => {
            let entry = &params["entry"];
            Some(format!("{}: {} {}", entry["source"], entry["text"], entry["url"]))
        }
        "Audits.issueAdded" if params["issue"]["code"] == "ContentSecurityPolicyIssue" => {
            Some(format!("policy: {}", params["issue"]["details"]["contentSecurityPolicyIssueDetails"]))
        }
        _ => None,
    }
}
