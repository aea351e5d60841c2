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
    struct HeldSink(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);
    impl Sink for HeldSink {
        type Line = Vec<u8>;
        fn write(&mut self, lines: &Vec<u8>) -> io::Result<()> {
            self.0.recv().unwrap();
            self.1.send(lines.clone()).unwrap();
            Ok(())
        }
    }
    let (gate, is_let) = mpsc::channel();
    let (sink, written) = mpsc::channel();
    let outlet = Outlet::start("test", HeldSink(is_let, sink)).unwrap();
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
