//! Whether the machine runs as it does most of the time. What runs beside a virtual machine can make all of its processors
//! several times slower for a tenth of a second, again and again, without a trace in its own accounts: a small piece of work
//! that is always the same takes several times as much processor time then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rustix::time::{ClockId, clock_gettime};

/// How often it is felt.
const INTERVAL: Duration = Duration::from_millis(2);
/// The work: so many reads, each of a place that the one before names, of an array that fits into a processor's cache, which
/// is what is shared with others.
const READS: usize = 1_500;
const PLACES: usize = 1 << 16;
/// Slow is what takes so many times what is usual in the same run.
const SLOW: u32 = 2;
/// What is due so soon after a slow moment still waits behind what it has held up.
const AFTERMATH: Duration = Duration::from_millis(60);

/// A thread that feels it.
pub struct Pulse {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(Instant, Duration)>>,
}

impl Pulse {
    pub fn start() -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let places: Vec<usize> = (0..PLACES).map(|_| fastrand::usize(..PLACES)).collect();
            let mut beats = Vec::new();
            while !asked.load(Ordering::Relaxed) {
                std::thread::sleep(INTERVAL);
                beats.push((Instant::now(), processor_time_of(|| walk(&places))));
            }
            beats
        });
        Self { ends, thread }
    }

    /// When it was slow.
    pub fn end(self) -> Result<Slowed> {
        self.ends.store(true, Ordering::Relaxed);
        let beats =
            self.thread.join().map_err(|_| anyhow!("the thread that feels the pulse has panicked"))?;
        let mut usual: Vec<Duration> = beats.iter().map(|(_, took)| *took).collect();
        usual.sort_unstable();
        let usual = usual.get(usual.len() / 2).copied().unwrap_or_default();
        let slow = beats.iter().filter(|(_, took)| *took > usual * SLOW);
        Ok(Slowed(slow.map(|(at, _)| *at).collect()))
    }
}

/// The moments at which the machine was slow, in their order.
pub struct Slowed(Vec<Instant>);

impl Slowed {
    /// Whether one of them concerns what was due then and took so long.
    pub fn touches(&self, due: Instant, took: Duration) -> bool {
        let from = due.checked_sub(AFTERMATH).unwrap_or(due);
        let next = self.0.partition_point(|at| *at < from);
        self.0.get(next).is_some_and(|at| *at <= due + took)
    }
}

fn walk(places: &[usize]) {
    let mut at = 0;
    for step in 0..READS {
        at = places[(at + step) % PLACES];
    }
    std::hint::black_box(at);
}

/// Of this thread, which others may have interrupted meanwhile: their time is not counted.
fn processor_time_of(work: impl FnOnce()) -> Duration {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
    };
    let before = now();
    work();
    now().saturating_sub(before)
}
