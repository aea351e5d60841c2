//! Requests at a rate, at random times as customers make them, whatever the answers take. `h2load` paces all its
//! connections in step, which measures bursts.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::pulse::Pulse;
use crate::tools::Answers;

/// Requests that may wait for a connection; more are not sent, and count as failed.
const MAX_WAITING: usize = 10_000;

/// At most so exactly are requests sent when they are due: waking up for each would be a load by itself.
const PACE: Duration = Duration::from_micros(500);

/// What came of one request: its status, when it was due, and microseconds since then.
type Outcome = (u16, Instant, i64);

/// Posts JSON so often a second over at most so many connections. The first second is not measured. Says beside how it went
/// while the machine ran as it does most of the time.
pub async fn post(
    url: &str,
    path: &str,
    body: &str,
    connections: usize,
    per_second: f64,
    seconds: u64,
) -> Result<Answers> {
    let pulse = Pulse::start();
    let address = url.trim_start_matches("http://").to_owned();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (due, times) = mpsc::channel::<Instant>(MAX_WAITING);
    let times = std::sync::Arc::new(Mutex::new(times));
    let measured_from = Instant::now() + Duration::from_secs(1);
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        let (address, request, times) = (address.clone(), request.clone(), times.clone());
        clients.spawn(async move {
            let mut connection = Connection::open(&address).await?;
            let mut outcomes: Vec<Outcome> = Vec::new();
            loop {
                let Some(due) = times.lock().await.recv().await else { return anyhow::Ok(outcomes) };
                let status = match connection.ask(&request).await {
                    Ok(status) => status,
                    Err(_) => {
                        connection = Connection::open(&address).await?;
                        0
                    }
                };
                if due >= measured_from {
                    outcomes.push((status, due, i64::try_from(due.elapsed().as_micros())?));
                }
            }
        });
    }
    let end = measured_from + Duration::from_secs(seconds);
    let unsent = tokio::task::spawn_blocking(move || pace(&due, per_second, end)).await?;
    let mut outcomes = Vec::new();
    while let Some(client) = clients.join_next().await {
        outcomes.extend(client??);
    }
    let slowed = pulse.end()?;
    let took = |wanted: fn(u16) -> bool| -> Vec<i64> {
        outcomes.iter().filter(move |(s, ..)| wanted(*s)).map(|(_, _, us)| *us).collect()
    };
    let undisturbed = outcomes.iter().filter(|(status, due, us)| {
        (200..400).contains(status) && !slowed.touches(*due, Duration::from_micros(us.unsigned_abs()))
    });
    let undisturbed: Vec<i64> = undisturbed.map(|(_, _, us)| *us).collect();
    let failed = outcomes.iter().filter(|(status, ..)| !matches!(status, 200..400 | 503)).count() + unsent;
    let answers = Answers::of(took(|s| (200..400).contains(&s)), took(|s| s == 503), failed, seconds)?;
    Ok(answers.with_undisturbed(undisturbed))
}

/// Sends the times at which requests are due, until `end`; how many found no room. It blocks: the runtime's clock ticks in
/// milliseconds, which every latency would be the longer for.
fn pace(due: &mpsc::Sender<Instant>, per_second: f64, end: Instant) -> usize {
    let (mut next, mut unsent) = (Instant::now(), 0);
    while next < end {
        let pause = next.saturating_duration_since(Instant::now());
        if !pause.is_zero() {
            std::thread::sleep(pause.max(PACE));
        }
        unsent += usize::from(due.try_send(next).is_err());
        // The pauses between independent customers: exponentially distributed.
        next += Duration::from_secs_f64(-fastrand::f64().max(1e-12).ln() / per_second);
    }
    unsent
}

/// One connection, with one request at a time.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(1_024) })
    }

    /// Sends a request and reads the whole answer; its status.
    async fn ask(&mut self, request: &str) -> Result<u16> {
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the connection was closed");
            let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.buffer[..end])?.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let whole = end + 4 + length.context("no content-length")?.parse::<usize>()?;
            if self.buffer.len() >= whole {
                return Ok(head.get(9..12).context("no status")?.parse()?);
            }
        }
    }
}
