//! A way out of this process that never holds up whoever writes: a thread that writes, and a bounded queue before it.
//!
//! All output of a role goes through here: its log in every format, what it prints ([`Outlet::print`]), and standard
//! error ([`complain`]). A pipe that nobody reads, or a journal that hangs, stops the writing thread and nothing else.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::sync::locked;
use tokio::sync::oneshot;

/// Lines that may wait to be written; beyond that they are dropped and counted.
const MAX_WAITING: usize = 4096;

/// The same in bytes.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;

/// How long the end of the process waits for what is still to be written.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Lines that wait together go together up to so many bytes, a page, which a pipe takes as a whole or not at all, whoever
/// else writes to it (`PIPE_BUF`).
const MAX_TOGETHER_BYTES: usize = 4096;

/// For so long the thread lets lines gather after it has written some: to be woken for each would cost more than the line.
const LINE_LINGER: Duration = Duration::from_millis(1);

/// Until a stream that somebody else has set to non-blocking is tried again while it is full.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// What is written as a whole: a text with its line end, or an entry of the journal.
pub trait Line: Send + 'static {
    /// The memory that it takes while it waits, roughly.
    fn bytes(&self) -> usize;

    /// Takes `next` in, where the two may be written as one.
    fn joins(&mut self, next: &mut Self) -> bool;
}

impl Line for Vec<u8> {
    fn bytes(&self) -> usize {
        self.len()
    }

    fn joins(&mut self, next: &mut Self) -> bool {
        let has_room = self.len() + next.len() <= MAX_TOGETHER_BYTES;
        if has_room {
            self.append(next);
        }
        has_room
    }
}

/// Where lines go in the end.
pub trait Sink: Send + 'static {
    /// What it takes.
    type Line: Line;

    /// Writes a whole line, or several that were joined, however long that takes.
    ///
    /// # Errors
    /// They are lost.
    fn write(&mut self, line: &Self::Line) -> io::Result<()>;
}

/// A file descriptor of its own for one of the process's streams: the standard library's lock would be held, also
/// against the end of the process, for as long as a write hangs.
#[derive(Debug)]
pub struct Stream(File);

impl Stream {
    /// For standard output or standard error.
    ///
    /// # Errors
    /// The process is at its limit of open files.
    pub fn of(stream: &impl AsFd) -> io::Result<Self> {
        Ok(Self(File::from(stream.as_fd().try_clone_to_owned()?)))
    }
}

impl Sink for Stream {
    type Line = Vec<u8>;

    /// In one write, unless the system takes less at a time: other processes may share the pipe.
    fn write(&mut self, lines: &Vec<u8>) -> io::Result<()> {
        let mut rest = lines.as_slice();
        while !rest.is_empty() {
            match self.0.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FULL_PAUSE),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A line in the queue.
#[derive(Debug)]
struct Entry<L> {
    line: L,
    /// How many dropped lines it tells of: they are to be told again if it is lost as well.
    told: u64,
    /// Who waits for it. Where nobody does any more it is not written.
    printed: Option<oneshot::Sender<io::Result<()>>>,
}

#[derive(Debug)]
struct State<L> {
    waiting: VecDeque<Entry<L>>,
    /// Bytes of the lines that wait, and of the one that is being written.
    bytes: usize,
    /// Since when a line is being written.
    writing_since: Option<Instant>,
    /// Lines that were ever let into the queue, and how many of them are dealt with.
    taken: u64,
    finished: u64,
    /// Whether the thread has to be woken.
    is_idle: bool,
    /// Those who wait for lines to be finished.
    flushing: usize,
    is_closed: bool,
}

#[derive(Debug)]
struct Shared<L> {
    state: Mutex<State<L>>,
    arrived: Condvar,
    progress: Condvar,
    /// Lines that were lost, and of which no other line has told.
    dropped: AtomicU64,
}

impl<L: Line> Shared<L> {
    fn new() -> Self {
        let state = State {
            waiting: VecDeque::new(),
            bytes: 0,
            writing_since: None,
            taken: 0,
            finished: 0,
            is_idle: false,
            flushing: 0,
            is_closed: false,
        };
        Self {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            progress: Condvar::new(),
            dropped: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<L>> {
        // Whole at every panic.
        locked(&self.state)
    }

    fn push(&self, mut state: MutexGuard<'_, State<L>>, entry: Entry<L>) {
        state.bytes += entry.line.bytes();
        state.taken += 1;
        // Somebody waits for a printed line. Else waking costs a system call, which a thread at work does not need.
        let is_urgent = entry.printed.is_some();
        state.waiting.push_back(entry);
        if std::mem::take(&mut state.is_idle) || is_urgent {
            self.arrived.notify_one();
        }
    }

    /// Waits for the next line; `None`: there will be none.
    fn next(&self) -> Option<Entry<L>> {
        let mut state = self.lock();
        if state.waiting.is_empty() && !state.is_closed {
            let lingered = self.arrived.wait_timeout(state, LINE_LINGER);
            state = lingered.unwrap_or_else(PoisonError::into_inner).0;
        }
        loop {
            if let Some(entry) = state.waiting.pop_front() {
                state.writing_since = Some(Instant::now());
                return Some(entry);
            }
            if state.is_closed {
                return None;
            }
            state.is_idle = true;
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes the lines that wait behind the first and may go with it. What becomes of it becomes of them.
    fn join(&self, first: &mut Entry<L>) {
        let mut state = self.lock();
        while let Some(next) = state.waiting.front_mut()
            && next.printed.is_none()
            && first.line.joins(&mut next.line)
            && let Some(next) = state.waiting.pop_front()
        {
            first.told += next.told + 1;
            state.finished += 1;
        }
    }

    fn finish(&self, entry: Entry<L>, written: io::Result<()>) {
        if written.is_err() && entry.printed.is_none() {
            self.dropped.fetch_add(entry.told + 1, Ordering::Relaxed);
        }
        let mut state = self.lock();
        state.bytes -= entry.line.bytes();
        state.finished += 1;
        state.writing_since = None;
        if state.flushing > 0 {
            self.progress.notify_all();
        }
        drop(state);
        if let Some(printed) = entry.printed {
            let _ = printed.send(written);
        }
    }

    fn write_all(&self, sink: &mut impl Sink<Line = L>) {
        while let Some(mut entry) = self.next() {
            if entry.printed.is_none() {
                self.join(&mut entry);
            }
            let is_wanted = entry.printed.as_ref().is_none_or(|printed| !printed.is_closed());
            let written = if is_wanted { sink.write(&entry.line) } else { Ok(()) };
            self.finish(entry, written);
        }
    }
}

/// A queue of lines and the thread that writes them. When it is dropped the thread ends, after what still waits.
#[derive(Debug)]
pub struct Outlet<L: Line = Vec<u8>>(Arc<Shared<L>>);

impl<L: Line> Outlet<L> {
    /// Starts the thread, under this name.
    ///
    /// # Errors
    /// The process is at a limit of the system.
    pub fn start(name: &str, mut sink: impl Sink<Line = L>) -> io::Result<Self> {
        let shared = Arc::new(Shared::new());
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || theirs.write_all(&mut sink))?;
        Ok(Self(shared))
    }

    /// How many lines were lost since the last call. Whoever asks tells of them in its next line ([`Outlet::offer`]).
    pub fn take_dropped(&self) -> u64 {
        let Self(shared) = self;
        // Hardly ever any: a read is cheaper than an exchange.
        if shared.dropped.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        shared.dropped.swap(0, Ordering::Relaxed)
    }

    /// Takes a line that tells of `told` lost ones. Where there is no room it is lost and counted, and they are again.
    pub fn offer(&self, line: L, told: u64) {
        let Self(shared) = self;
        let state = shared.lock();
        if state.waiting.len() >= MAX_WAITING || state.bytes + line.bytes() > MAX_WAITING_BYTES {
            drop(state);
            shared.dropped.fetch_add(told + 1, Ordering::Relaxed);
            return;
        }
        shared.push(state, Entry { line, told, printed: None });
    }

    /// Writes a line that must not be lost, behind those that wait. It finds room always: whoever prints waits for each
    /// line before the next. Given up before its turn has come, it is not written.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn print(&self, line: L) -> io::Result<()> {
        let (printed, answer) = oneshot::channel();
        let Self(shared) = self;
        shared.push(shared.lock(), Entry { line, told: 0, printed: Some(printed) });
        answer.await.unwrap_or_else(|_| Err(io::Error::other("the thread that writes has ended")))
    }

    /// How long a line has been waiting for its reader.
    pub fn stuck_for(&self) -> Duration {
        self.0.lock().writing_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Waits until everything so far is written, for 2 s at most. A line that has waited so long for its reader is not
    /// waited for.
    pub fn flush(&self) {
        let Self(shared) = self;
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        let mut state = shared.lock();
        let wanted = state.taken;
        state.flushing += 1;
        while state.finished < wanted {
            let stuck = state.writing_since.map(|since| since + CLOSE_TIMEOUT);
            let until = stuck.map_or(deadline, |stuck| stuck.min(deadline));
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = shared.progress.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.flushing -= 1;
    }
}

impl Outlet {
    /// To standard output.
    ///
    /// # Errors
    /// The process is at a limit of the system.
    pub fn to_stdout() -> io::Result<Self> {
        Self::start("stdout", Stream::of(&io::stdout())?)
    }
}

impl<L: Line> Drop for Outlet<L> {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.arrived.notify_one();
    }
}

/// Standard error, from its first use on.
static STDERR: OnceLock<Option<Outlet>> = OnceLock::new();

/// Says something to a person, on standard error: whole lines with their ends.
pub fn complain(lines: fmt::Arguments<'_>) {
    let start = || Outlet::start("stderr", Stream::of(&io::stderr())?);
    let text = lines.to_string();
    let Some(stderr) = STDERR.get_or_init(|| start().ok()) else {
        // No thread is to be had. Nobody to read it is no reason to fail.
        let _ = io::stderr().lock().write_all(text.as_bytes());
        return;
    };
    let told = stderr.take_dropped();
    let text =
        if told > 0 { format!("({told} messages before this one were dropped)\n{text}") } else { text };
    stderr.offer(text.into_bytes(), told);
}

/// Waits for what [`complain`] has still to write, as [`Outlet::flush`] does.
pub fn flush_complaints() {
    if let Some(Some(stderr)) = STDERR.get() {
        stderr.flush();
    }
}
