//! The service manager's side of a process: when it is ready, what it does in words, that it lives, and the socket that
//! it was started with. Speaks `sd_notify(3)`; where `NOTIFY_SOCKET` is not set nothing is sent and no task runs.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::clock::whole_ms;
use super::shutdown::Shutdown;
use super::sync::locked;

/// How often a role is asked for its condition.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A role that waits for a server counts as started after this time: it goes on waiting, and its status says so.
const READY_PATIENCE: Duration = Duration::from_secs(10);
/// A stop that is still finishing something asks for so much more time, again and again.
const EXTENSION: Duration = Duration::from_secs(5);

/// What a role says about itself.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// What it does, in words: `cooking 3 orders, 120 done`.
    pub doing: String,
    /// The servers that are away, in words: `PostgreSQL since 14:02 UTC`.
    pub waiting_for: Option<String>,
    /// How long, from the request to stop on, it may take to finish what is in progress; `None`: nothing is.
    pub finishing: Option<Duration>,
}

impl Condition {
    fn text(&self) -> String {
        match &self.waiting_for {
            Some(servers) if self.doing.is_empty() => format!("waiting for {servers}"),
            Some(servers) => format!("{}; waiting for {servers}", self.doing),
            None => self.doing.clone(),
        }
    }
}

/// The service manager that started this process, or nobody. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct ServiceManager(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    started: Instant,
    /// Without a sign of life for so long the process is ended and started again.
    watchdog: Option<Duration>,
    is_ready: AtomicBool,
    ready: Notify,
    told_ready: AtomicBool,
    /// When each loop turned last, in milliseconds from `started`.
    loops: Mutex<Vec<Weak<AtomicU64>>>,
}

impl ServiceManager {
    /// The one that the environment names.
    pub fn from_env() -> Self {
        if std::env::var_os("NOTIFY_SOCKET").is_none_or(|path| path.is_empty()) {
            return Self(None);
        }
        Self(Some(Arc::new(Shared::new(sd_notify::watchdog_enabled()))))
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// The role can do its job.
    pub fn ready(&self) {
        if let Some(shared) = &self.0 {
            shared.is_ready.store(true, Ordering::Release);
            shared.ready.notify_one();
        }
    }

    /// Says something in words, until the next `condition` of [`ServiceManager::follow`] says something else.
    pub fn say(&self, status: &str) {
        if self.is_there() {
            tell(&[NotifyState::Status(&one_line(status))]);
        }
    }

    /// Runs a reload so that the manager knows when it is done (`RELOADING=1`, then `READY=1`).
    pub fn reload(&self, reload: impl FnOnce()) {
        // Before `READY=1` this would be one.
        let told = self.0.as_ref().is_some_and(|shared| shared.told_ready.load(Ordering::Acquire));
        if told && let Ok(now) = NotifyState::monotonic_usec_now() {
            tell(&[NotifyState::Reloading, now]);
        }
        reload();
        if told {
            tell(&[NotifyState::Ready]);
        }
    }

    /// A loop without which this process is worth nothing: it has to turn ([`Heartbeat::due`]) as long as it is there, or
    /// the process is started again.
    pub fn heartbeat(&self) -> Heartbeat {
        let Some(shared) = &self.0 else { return Heartbeat(None) };
        let Some(watchdog) = shared.watchdog else { return Heartbeat(None) };
        let last = Arc::new(AtomicU64::new(shared.now_ms()));
        locked(&shared.loops).push(Arc::downgrade(&last));
        let mut interval = interval(watchdog / 8);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Heartbeat(Some(Beat { shared: Arc::clone(shared), last, interval }))
    }

    /// Reports to the manager what `condition` says, from now on until the result is dropped: readiness, status,
    /// signs of life, and from the request to stop on that it stops.
    #[must_use = "dropping it ends the reports"]
    pub fn follow(
        &self,
        shutdown: &Shutdown,
        condition: impl Fn() -> Condition + Send + 'static,
    ) -> Option<AbortOnDropHandle<()>> {
        let shared = Arc::clone(self.0.as_ref()?);
        Some(AbortOnDropHandle::new(tokio::spawn(follow(shared, shutdown.stopping(), condition))))
    }
}

/// A loop's sign of life for the watchdog. When it is dropped the loop has ended, and is not waited for any more.
#[derive(Debug, Default)]
pub struct Heartbeat(Option<Beat>);

#[derive(Debug)]
struct Beat {
    shared: Arc<Shared>,
    last: Arc<AtomicU64>,
    interval: Interval,
}

impl Heartbeat {
    /// Ends when the loop should turn, even if there is nothing else to do: one branch of its `select!`. Never ends where
    /// nobody watches.
    pub async fn due(&mut self) {
        let Some(beat) = &mut self.0 else { return std::future::pending().await };
        beat.interval.tick().await;
        beat.last.store(beat.shared.now_ms(), Ordering::Relaxed);
    }
}

impl Shared {
    fn new(watchdog: Option<Duration>) -> Self {
        Self {
            started: Instant::now(),
            watchdog,
            is_ready: AtomicBool::new(false),
            ready: Notify::new(),
            told_ready: AtomicBool::new(false),
            loops: Mutex::default(),
        }
    }

    fn now_ms(&self) -> u64 {
        whole_ms(self.started.elapsed())
    }

    /// Whether every loop has turned within `limit`.
    fn all_turn(&self, limit: Duration) -> bool {
        let now = self.now_ms();
        let limit = whole_ms(limit);
        let mut loops = locked(&self.loops);
        loops.retain(|last| last.strong_count() > 0);
        loops
            .iter()
            .filter_map(Weak::upgrade)
            .all(|last| now.saturating_sub(last.load(Ordering::Relaxed)) <= limit)
    }

    /// `READY=1`, once: when the role is ready, or has waited for a server long enough.
    fn tell_ready(&self, condition: &Condition) {
        let waits = condition.waiting_for.is_some() && self.started.elapsed() >= READY_PATIENCE;
        if (waits || self.is_ready.load(Ordering::Acquire)) && !self.told_ready.swap(true, Ordering::AcqRel) {
            tell(&[NotifyState::Ready]);
        }
    }
}

async fn follow(shared: Arc<Shared>, stopping: CancellationToken, condition: impl Fn() -> Condition) {
    let mut look =
        interval(shared.watchdog.map_or(LOOK_INTERVAL, |watchdog| LOOK_INTERVAL.min(watchdog / 4)));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop_began = None;
    let mut told = String::new();
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = shared.ready.notified() => {}
            () = stopping.cancelled(), if stop_began.is_none() => {
                stop_began = Some(Instant::now());
                tell(&[NotifyState::Stopping]);
            }
        }
        let condition = condition();
        let text = one_line(&condition.text());
        if text != told {
            tell(&[NotifyState::Status(&text)]);
            told = text;
        }
        match stop_began {
            None => shared.tell_ready(&condition),
            Some(began) if condition.finishing.is_some_and(|limit| began.elapsed() < limit) => {
                tell(&[NotifyState::ExtendTimeoutUsec(
                    u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX),
                )]);
            }
            Some(_) => {}
        }
        // Who waits for a server is not wedged, whatever of it stands still meanwhile.
        if let Some(watchdog) = shared.watchdog
            && (condition.waiting_for.is_some() || shared.all_turn(watchdog / 2))
        {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// The protocol has a line for each thing that is said.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn tell(states: &[NotifyState<'_>]) {
    // A manager that does not listen is no reason to stop working.
    let _ = sd_notify::notify(states);
}

/// The listening TCP socket that the service manager has opened for this process (`LISTEN_FDS`), if it has.
///
/// # Errors
/// What it passed is something else.
pub fn inherited_socket() -> io::Result<Option<TcpListener>> {
    ListenFd::from_env().take_tcp_listener(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCHDOG: Duration = Duration::from_millis(400);

    fn watched() -> (Arc<Shared>, ServiceManager) {
        let shared = Arc::new(Shared::new(Some(WATCHDOG)));
        (Arc::clone(&shared), ServiceManager(Some(shared)))
    }

    #[tokio::test]
    async fn a_loop_that_turns_is_alive_and_one_that_is_stuck_is_not() {
        let (shared, manager) = watched();
        let mut turning = manager.heartbeat();
        let turns = tokio::spawn(async move {
            loop {
                turning.due().await;
            }
        });
        let stuck = manager.heartbeat();
        assert!(shared.all_turn(WATCHDOG));
        tokio::time::sleep(WATCHDOG * 2).await;
        assert!(!shared.all_turn(WATCHDOG), "a stuck loop is noticed");
        drop(stuck);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !shared.all_turn(WATCHDOG) {
            assert!(Instant::now() < deadline, "what has ended is not waited for, what turns is alive");
            tokio::time::sleep(WATCHDOG / 8).await;
        }
        turns.abort();
    }

    #[tokio::test]
    async fn without_a_manager_nothing_ever_becomes_due() {
        let manager = ServiceManager::default();
        assert!(!manager.is_there());
        assert!(manager.follow(&Shutdown::new(), Condition::default).is_none());
        assert!(tokio::time::timeout(Duration::from_millis(50), manager.heartbeat().due()).await.is_err());
    }

    #[test]
    fn a_status_is_one_line_that_says_what_is_missing() {
        let mut condition = Condition { doing: "cooking 3 orders".to_owned(), ..Condition::default() };
        assert_eq!(condition.text(), "cooking 3 orders");
        condition.waiting_for = Some("RabbitMQ since 14:02 UTC".to_owned());
        assert_eq!(condition.text(), "cooking 3 orders; waiting for RabbitMQ since 14:02 UTC");
        assert_eq!(one_line("a\nREADY=1"), "a READY=1");
    }
}
