//! The roles, each a process that is started again whenever it ends, as a service manager would.

use crate::support::{Role, Signal};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A role that was asked to end has the longest of its deadlines (30 s for the orders in hand) and some.
const STOP_DEADLINE: Duration = Duration::from_secs(60);
/// How soon a role that ended by itself is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
/// How often it is looked whether all run.
const LOOK: Duration = Duration::from_millis(50);

/// One place for a process.
struct Place {
    name: &'static str,
    command: Vec<String>,
    /// The living process and those before it, whose output is still of use. Held as long as a fault lasts.
    processes: tokio::sync::Mutex<Vec<Role>>,
    /// Where it listens, while that is known.
    url: Mutex<Option<String>>,
}

/// Makes a command a process.
type Spawn = Box<dyn Fn(&[&str]) -> Role + Send + Sync>;

/// All roles.
pub struct Staff {
    places: Vec<Place>,
    spawn: Spawn,
    /// What roles did that they should not do: ended by themselves, did not end when asked to.
    misbehaved: Mutex<Vec<String>>,
}

impl Staff {
    /// Starts the roles, each a name for the report and a command, which `spawn` makes a process of.
    pub async fn start<C: AsRef<str>>(
        roles: impl IntoIterator<Item = (&'static str, Vec<C>)>,
        spawn: impl Fn(&[&str]) -> Role + Send + Sync + 'static,
    ) -> Self {
        let place = |(name, command): (_, Vec<C>)| Place {
            name,
            command: command.iter().map(|word| word.as_ref().to_owned()).collect(),
            processes: tokio::sync::Mutex::default(),
            url: Mutex::default(),
        };
        let places = roles.into_iter().map(place).collect();
        let staff = Self { places, spawn: Box::new(spawn), misbehaved: Mutex::default() };
        for role in staff.roles() {
            staff.start_one(role, &mut *staff.places[role].processes.lock().await);
        }
        staff
    }

    /// The places of all roles.
    pub fn roles(&self) -> std::ops::Range<usize> {
        0..self.places.len()
    }

    /// Where an HTTP role listens, if that is known right now.
    pub fn url(&self, role: usize) -> Option<String> {
        self.places[role].url.lock().unwrap().clone()
    }

    /// What roles did that they should not do.
    pub fn misbehaved(&self) -> Vec<String> {
        self.misbehaved.lock().unwrap().clone()
    }

    /// Remembers something that should not be.
    pub fn note(&self, what: String) {
        self.misbehaved.lock().unwrap().push(what);
    }

    /// All that a role wrote on standard output so far, over all its starts. Waits for a fault on it to end.
    pub async fn lines(&self, role: usize) -> Vec<String> {
        let processes = self.places[role].processes.lock().await;
        processes.iter().flat_map(Role::lines).collect()
    }

    /// Writes what every role wrote into files of this folder.
    pub async fn keep_output(&self, dir: &Path) {
        std::fs::create_dir_all(dir).unwrap();
        for place in &self.places {
            let processes = place.processes.lock().await;
            let lines: Vec<String> = processes.iter().flat_map(Role::output).collect();
            std::fs::write(dir.join(format!("{}.log", place.name)), lines.join("\n")).unwrap();
        }
    }

    /// Looks after the roles for ever: starts again what ended by itself, and reads where HTTP roles listen.
    pub async fn tend(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            for role in self.roles() {
                // A role that a fault has in hand is that fault's business.
                let Ok(mut processes) = self.places[role].processes.try_lock() else { continue };
                self.see_to_it_that_it_runs(role, &mut processes).await;
                if self.url(role).is_none() {
                    *self.places[role].url.lock().unwrap() = processes.last().and_then(listens_at);
                }
            }
        }
    }

    /// Kills a role, and starts it again after the pause.
    pub async fn kill(&self, role: usize, down: Duration) {
        let mut processes = self.hold(role).await;
        processes.last_mut().unwrap().kill();
        tokio::time::sleep(down).await;
        self.start_one(role, &mut processes);
    }

    /// Freezes a role for a while.
    pub async fn freeze(&self, role: usize, frozen: Duration) {
        let processes = self.hold(role).await;
        let process = processes.last().unwrap();
        process.signal(Signal::SIGSTOP);
        tokio::time::sleep(frozen).await;
        process.signal(Signal::SIGCONT);
    }

    /// Asks a role to end, which it must do in time and say that all went well, and starts it again.
    pub async fn restart(&self, role: usize) {
        let mut processes = self.hold(role).await;
        let name = self.places[role].name;
        let process = processes.last_mut().unwrap();
        process.signal(Signal::SIGTERM);
        let asked = Instant::now();
        while process.is_running() && asked.elapsed() < STOP_DEADLINE {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if process.is_running() {
            self.note(format!("{name} did not end within {STOP_DEADLINE:?} of SIGTERM"));
            process.kill();
        } else {
            let status = process.wait_exit().await;
            // A process that has only just been started does not know the signal yet, and dies of it.
            if !status.success() && status.signal() != Some(Signal::SIGTERM as i32) {
                self.note(format!("{name} was asked to stop: {status}: {}", last_lines(process)));
            }
        }
        self.start_one(role, &mut processes);
    }

    /// The role's processes, the last one of them running.
    async fn hold(&self, role: usize) -> tokio::sync::MutexGuard<'_, Vec<Role>> {
        let mut processes = self.places[role].processes.lock().await;
        self.see_to_it_that_it_runs(role, &mut processes).await;
        processes
    }

    /// Starts the role again if it ended by itself, which is remembered.
    async fn see_to_it_that_it_runs(&self, role: usize, processes: &mut Vec<Role>) {
        let Some(process) = processes.last_mut() else { return };
        if process.is_running() {
            return;
        }
        // It is gone: this only tells those who watch over its id.
        process.kill();
        self.note(format!("{} ended by itself: {}", self.places[role].name, last_lines(process)));
        tokio::time::sleep(RESTART_PAUSE).await;
        self.start_one(role, processes);
    }

    fn start_one(&self, role: usize, processes: &mut Vec<Role>) {
        let place = &self.places[role];
        *place.url.lock().unwrap() = None;
        let command: Vec<&str> = place.command.iter().map(String::as_str).collect();
        processes.push((self.spawn)(&command));
    }
}

/// What a process wrote last, the last line first.
fn last_lines(process: &Role) -> String {
    let last: Vec<String> = process.output().into_iter().rev().take(3).collect();
    last.join(" | ")
}

/// Where this process says that it listens.
fn listens_at(process: &Role) -> Option<String> {
    let started = process.logs_of("service_started").into_iter().find(|log| log["address"].is_string())?;
    Some(format!("http://{}", started["address"].as_str()?))
}
