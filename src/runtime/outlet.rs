//! A way out of this process that never holds up whoever writes: a thread that writes, and a bounded queue before it.
//!
//! All output of a role goes through here: its log in every format, what it prints ([`Outlet::print`]), and standard
//! error ([`complain`]). A pipe that nobody reads, or a journal that hangs, stops the writing thread and nothing else.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

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
const REST: Duration = Duration::from_millis(1);

/// Until a stream that somebody else has set to non-blocking is tried again while it is full.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// Where lines go in the end.
pub trait Sink: Send + 'static {
    /// Whether several lines may be written as one.
    const JOINS_LINES: bool;

    /// Writes a whole line, or several, however long that takes.
    ///
    /// # Errors
    /// They are lost.
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()>;
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
    const JOINS_LINES: bool = true;

    /// In one write, unless the system takes less at a time: other processes may share the pipe.
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut rest = lines;
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
struct Entry {
    line: Vec<u8>,
    /// How many dropped lines it tells of: they are to be told again if it is lost as well.
    told: u64,
    /// Who waits for it. Where nobody does any more it is not written.
    printed: Option<oneshot::Sender<io::Result<()>>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Entry>,
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

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    progress: Condvar,
    /// Lines that were lost, and of which no other line has told.
    dropped: AtomicU64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole at every panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, mut state: MutexGuard<'_, State>, entry: Entry) {
        state.bytes += entry.line.len();
        state.taken += 1;
        // Somebody waits for a printed line. Else waking costs a system call, which a thread at work does not need.
        let is_urgent = entry.printed.is_some();
        state.waiting.push_back(entry);
        if std::mem::take(&mut state.is_idle) || is_urgent {
            self.arrived.notify_one();
        }
    }

    /// Waits for the next line; `None`: there will be none.
    fn next(&self) -> Option<Entry> {
        let mut state = self.lock();
        if state.waiting.is_empty() && !state.is_closed {
            let rested = self.arrived.wait_timeout(state, REST);
            state = rested.unwrap_or_else(PoisonError::into_inner).0;
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
    fn join(&self, first: &mut Entry) {
        let mut state = self.lock();
        while let Some(next) = state.waiting.front()
            && next.printed.is_none()
            && first.line.len() + next.line.len() <= MAX_TOGETHER_BYTES
            && let Some(next) = state.waiting.pop_front()
        {
            first.line.extend_from_slice(&next.line);
            first.told += next.told + 1;
            state.finished += 1;
        }
    }

    fn finish(&self, entry: Entry, written: io::Result<()>) {
        if written.is_err() && entry.printed.is_none() {
            self.dropped.fetch_add(entry.told + 1, Ordering::Relaxed);
        }
        let mut state = self.lock();
        state.bytes -= entry.line.len();
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

    fn write_all<S: Sink>(&self, sink: &mut S) {
        while let Some(mut entry) = self.next() {
            if S::JOINS_LINES && entry.printed.is_none() {
                self.join(&mut entry);
            }
            let is_wanted = entry.printed.as_ref().is_none_or(|printed| !printed.is_closed());
            let written = if is_wanted { sink.write_lines(&entry.line) } else { Ok(()) };
            self.finish(entry, written);
        }
    }
}

/// A queue of lines and the thread that writes them. When it is dropped the thread ends, after what still waits.
#[derive(Debug)]
pub struct Outlet(Arc<Shared>);

impl Outlet {
    /// Starts the thread, under this name.
    ///
    /// # Errors
    /// The process is at a limit of the system.
    pub fn start(name: &str, mut sink: impl Sink) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || theirs.write_all(&mut sink))?;
        Ok(Self(shared))
    }

    /// To standard output.
    ///
    /// # Errors
    /// The process is at a limit of the system.
    pub fn to_stdout() -> io::Result<Self> {
        Self::start("stdout", Stream::of(&io::stdout())?)
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
    pub fn offer(&self, line: Vec<u8>, told: u64) {
        let Self(shared) = self;
        let state = shared.lock();
        if state.waiting.len() >= MAX_WAITING || state.bytes + line.len() > MAX_WAITING_BYTES {
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
    pub async fn print(&self, line: Vec<u8>) -> io::Result<()> {
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

impl Drop for Outlet {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::io::{PipeReader, Read, pipe};
    use std::sync::mpsc;

    use super::*;

    /// Until a test that hangs fails.
    const DEADLINE: Duration = Duration::from_secs(20);

    /// More than a pipe takes.
    const TOO_LONG: usize = 256 * 1024;

    /// An outlet into a pipe that nobody reads so far, its thread held up in a first line of [`TOO_LONG`] bytes.
    fn stuck() -> (PipeReader, Outlet) {
        let (reader, writer) = pipe().unwrap();
        let outlet = Outlet::start("test", Stream::of(&writer).unwrap()).unwrap();
        outlet.offer(vec![b'-'; TOO_LONG], 0);
        while outlet.stuck_for().is_zero() {
            std::thread::yield_now();
        }
        (reader, outlet)
    }

    fn read_all(mut reader: PipeReader) -> String {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text.trim_start_matches('-').to_owned()
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_the_rest_is_counted() {
        let (reader, outlet) = stuck();
        for n in 0..MAX_WAITING + 3 {
            outlet.offer(format!("{n}\n").into_bytes(), 0);
        }
        assert_eq!((outlet.take_dropped(), outlet.take_dropped()), (3, 0), "told once");
        outlet.offer(b"tells of three".to_vec(), 3);
        assert_eq!(outlet.take_dropped(), 4, "what a lost line was to tell is told by another");
        drop(outlet);
        assert_eq!(read_all(reader).lines().count(), MAX_WAITING, "in the end all that had room is written");
    }

    #[test]
    fn what_waits_is_bounded_in_bytes() {
        let (reader, outlet) = stuck();
        for _ in 0..20 {
            outlet.offer(vec![b'x'; 1024 * 1024], 0);
        }
        assert_eq!(outlet.take_dropped(), 5, "15 of them and the first line have room in 16 MiB");
        drop(outlet);
        assert_eq!(read_all(reader).len(), 15 * 1024 * 1024);
    }

    #[test]
    fn lines_that_wait_go_together_as_whole_lines_up_to_a_page() {
        /// Writes into memory, each time after it was let.
        struct Gated(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);
        impl Sink for Gated {
            const JOINS_LINES: bool = true;
            fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
                self.0.recv().unwrap();
                self.1.send(lines.to_vec()).unwrap();
                Ok(())
            }
        }
        let (gate, is_let) = mpsc::channel();
        let (sink, written) = mpsc::channel();
        let outlet = Outlet::start("test", Gated(is_let, sink)).unwrap();
        let line = format!("{}\n", "x".repeat(999));
        for _ in 0..9 {
            outlet.offer(line.clone().into_bytes(), 0);
        }
        (0..9).for_each(|_| gate.send(()).unwrap());
        drop(outlet);
        let writes: Vec<Vec<u8>> = written.iter().collect();
        assert_eq!(writes.concat(), line.repeat(9).into_bytes());
        assert!(writes.iter().all(|lines| lines.ends_with(b"\n") && lines.len() <= MAX_TOGETHER_BYTES));
        assert!(writes.len() <= 5, "the first alone at most, then four by four: {}", writes.len());
    }

    #[test]
    fn a_line_that_cannot_be_written_counts_as_dropped() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let outlet = Outlet::start("test", Stream::of(&writer).unwrap()).unwrap();
        outlet.offer(b"tells of two\n".to_vec(), 2);
        outlet.flush();
        assert_eq!(outlet.take_dropped(), 3);
    }

    #[test]
    fn a_stream_that_somebody_set_to_non_blocking_gets_whole_lines() {
        let (reader, writer) = pipe().unwrap();
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
        let outlet = Outlet::start("test", Stream::of(&writer).unwrap()).unwrap();
        let line = format!("{}\n", "x".repeat(TOO_LONG));
        outlet.offer(line.clone().into_bytes(), 0);
        drop((outlet, writer));
        assert!(read_all(reader) == line);
    }

    #[test]
    fn a_flush_waits_for_what_was_taken_and_no_longer_than_its_time() {
        let (reader, outlet) = stuck();
        let began = Instant::now();
        outlet.flush();
        assert!(began.elapsed() >= CLOSE_TIMEOUT / 2 && began.elapsed() < DEADLINE, "{:?}", began.elapsed());
        let began = Instant::now();
        outlet.flush();
        assert!(began.elapsed() < CLOSE_TIMEOUT / 2, "who has been stuck for so long is not waited for");
        outlet.offer(b"last\n".to_vec(), 0);
        let (text, is_read) = mpsc::channel();
        std::thread::spawn(move || text.send(read_all(reader)).unwrap());
        while outlet.stuck_for() >= CLOSE_TIMEOUT {
            std::thread::yield_now();
        }
        outlet.flush();
        drop(outlet);
        assert_eq!(is_read.recv_timeout(DEADLINE).unwrap(), "last\n");
    }

    #[tokio::test]
    async fn a_printed_line_is_answered_when_it_is_out_and_keeps_its_place() {
        let (reader, outlet) = stuck();
        outlet.offer(b"before\n".to_vec(), 0);
        {
            let given_up = outlet.print(b"given up\n".to_vec());
            let printed = tokio::time::timeout(Duration::from_millis(50), given_up).await;
            assert!(printed.is_err(), "nobody reads yet");
        }
        let reading = std::thread::spawn(move || read_all(reader));
        tokio::time::timeout(DEADLINE, outlet.print(b"printed\n".to_vec())).await.unwrap().unwrap();
        outlet.offer(b"after\n".to_vec(), 0);
        drop(outlet);
        assert_eq!(reading.join().unwrap(), "before\nprinted\nafter\n");
    }

    #[tokio::test]
    async fn a_printed_line_that_cannot_be_written_is_an_error_and_no_dropped_one() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let outlet = Outlet::start("test", Stream::of(&writer).unwrap()).unwrap();
        let printed = tokio::time::timeout(DEADLINE, outlet.print(b"line\n".to_vec())).await.unwrap();
        assert_eq!(printed.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(outlet.take_dropped(), 0);
    }
}
