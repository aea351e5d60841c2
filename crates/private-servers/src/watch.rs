//! A watcher that ends the servers with this process, even if it is killed. A small shell process holds a pipe from us. Once
//! the pipe closes because we are gone, it ends the processes and removes the folder that we had named to it.
//!
//! One watcher serves the whole process. It is told of each change, so that it never signals a process id that was
//! given back to the system: an id is removed here before the process is waited for.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

use daemon::sync::locked;

use super::error::ServerError;

/// `P` names all process ids anew, `D` the folder. SIGQUIT is PostgreSQL's immediate shutdown, which takes its child
/// processes with it; SIGCONT is for servers that were paused. `-$pid` is the process group, for those that lead one.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
pids= dir=
while IFS= read -r line; do
  case $line in
    P*) pids=${line#P} ;;
    D*) dir=${line#D} ;;
  esac
done
if [ -n "$pids" ]; then
  kill -QUIT $pids
  kill -CONT $pids
  sleep 1
  for pid in $pids; do kill -KILL -$pid; kill -KILL $pid; done
  sleep 0.2
fi 2>/dev/null
[ -z "$dir" ] || rm -rf -- "$dir"
"#;

static WATCHER: Mutex<Option<Watcher>> = Mutex::new(None);

struct Watcher {
    pipe: ChildStdin,
    pids: BTreeSet<u32>,
    /// Held so that it is clear whose child it is; it ends after us, so nobody waits for it.
    _shell: Child,
}

/// Has these processes ended should this process end without doing so.
///
/// # Errors
/// The watcher cannot be started or told.
pub fn guard(pids: &[u32]) -> Result<(), ServerError> {
    with_watcher(|watcher| watcher.pids.extend(pids))
}

/// Takes back [`guard`]: to be called before a process is waited for, since its id may then be given to another.
///
/// # Errors
/// As [`guard`].
pub fn release(pids: &[u32]) -> Result<(), ServerError> {
    with_watcher(|watcher| watcher.pids.retain(|pid| !pids.contains(pid)))
}

/// Has a folder removed with all that is in it when this process ends, in whatever way. There is one such folder a
/// process; naming another replaces it.
///
/// # Errors
/// As [`guard`].
pub fn remove_at_end(dir: &Path) -> Result<(), ServerError> {
    let mut line = b"D".to_vec();
    line.extend_from_slice(dir.as_os_str().as_encoded_bytes());
    line.push(b'\n');
    with_watcher(|_| ())?;
    let mut watcher = locked(&WATCHER);
    let Some(watcher) = watcher.as_mut() else { return Ok(()) };
    watcher.pipe.write_all(&line).map_err(ServerError::io("tell the watcher about", dir))
}

/// Changes the list of processes and tells the watcher, which is started at the first use.
fn with_watcher(change: impl FnOnce(&mut Watcher)) -> Result<(), ServerError> {
    let mut slot = locked(&WATCHER);
    let watcher = match slot.as_mut() {
        Some(watcher) => watcher,
        None => slot.insert(Watcher::start()?),
    };
    change(watcher);
    let pids: Vec<String> = watcher.pids.iter().map(u32::to_string).collect();
    let line = format!("P{}\n", pids.join(" "));
    watcher
        .pipe
        .write_all(line.as_bytes())
        .map_err(ServerError::io("write to", Path::new("the watcher's pipe")))
}

impl Watcher {
    fn start() -> Result<Self, ServerError> {
        let shell = Path::new("/bin/sh");
        let failed = || ServerError::io("start", shell);
        let mut command = Command::new(shell);
        command.args(["-c", SCRIPT, "private-servers-watch"]).current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(failed())?;
        let pipe =
            child.stdin.take().ok_or_else(|| std::io::Error::other("it has no pipe")).map_err(failed())?;
        Ok(Self { pipe, pids: BTreeSet::new(), _shell: child })
    }
}
