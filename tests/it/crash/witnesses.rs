//! Who sees a run from outside, and how it is told when everything has healed.

use super::evidence::Evidence;
use super::listener::{Notes, listen};
use super::load::Load;
use super::watcher::{Seen, watch};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long everything may take to heal.
const HEAL_DEADLINE: Duration = Duration::from_secs(240);
/// How long one look at the servers may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(40);
/// How often it is looked whether everything has healed.
const HEAL_POLL: Duration = Duration::from_millis(250);

/// A subscriber and a client of the event stream; they end when this is dropped.
pub struct Witnesses {
    notes: Notes,
    seen: Seen,
    _tasks: JoinSet<()>,
}

impl Witnesses {
    /// `tending` starts roles again, as long as there are witnesses. The subscriber has this queue of this virtual host.
    pub fn call(
        tending: impl Future<Output = ()> + Send + 'static,
        ports: Vec<u16>,
        (vhost, queue): (&str, &'static str),
        tracking_url: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let (notes, seen) = (Notes::default(), Seen::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(tending);
        tasks.spawn(listen(ports, vhost.to_owned(), queue, notes.clone()));
        tasks.spawn(watch(tracking_url, seen.clone()));
        Self { notes, seen, _tasks: tasks }
    }

    /// What they and the customers know by now.
    pub fn told(&self, load: &Load) -> Evidence {
        Evidence {
            answers: load.answers(),
            unanswered: load.waiting(),
            heard: self.notes.lock().unwrap().clone(),
            streamed: self.seen.lock().unwrap().clone(),
            ..Evidence::default()
        }
    }

    /// Waits until every customer was served and nothing is on its way, for so long without a break; `unfinished` is told
    /// how many events came. Gives up in the end: the audit finds what is left.
    pub async fn heal(
        &self,
        load: &Load,
        quiet: Duration,
        unfinished: impl AsyncFn(usize) -> Result<(), String>,
        mut tell: impl FnMut(&str),
    ) -> Duration {
        let healing = Instant::now();
        let mut told = String::new();
        let mut quiet_since = None;
        while healing.elapsed() < HEAL_DEADLINE {
            let streamed = self.seen.lock().unwrap().len();
            let looked = tokio::time::timeout(LOOK_TIMEOUT, unfinished(streamed)).await;
            let left =
                match (load.waiting(), looked.unwrap_or_else(|_| Err("no answer of a server".to_owned()))) {
                    (0, Ok(())) if quiet_since.get_or_insert_with(Instant::now).elapsed() >= quiet => break,
                    (0, Ok(())) => String::new(),
                    (0, Err(left)) => left,
                    (customers, _) => format!("{customers} customers"),
                };
            if !left.is_empty() {
                quiet_since = None;
            }
            // What is left changes all the time: only its kind is worth a line.
            let kind: String = left.chars().filter(|c| !c.is_ascii_digit()).collect();
            if kind != told && !left.is_empty() {
                tell(&format!("healing: {left}"));
                told = kind;
            }
            tokio::time::sleep(HEAL_POLL).await;
        }
        tell(&format!("healed, or given up, after {} ms", healing.elapsed().as_millis()));
        healing.elapsed()
    }
}
