//! The load generators: `pgbench` for PostgreSQL, `h2load` for HTTP. Both are a small part of what they load.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::deployment::Section;

/// What `pgbench` found.
#[derive(Debug, Clone, Copy)]
pub struct Transactions {
    pub per_second: f64,
    /// The mean.
    pub latency_ms: f64,
    pub clients: usize,
}

/// Runs a script of transactions with each number of clients; the best of them.
pub async fn pgbench(
    section: &Section<'_>,
    script: &str,
    clients: &[usize],
    seconds: u64,
) -> Result<Transactions> {
    let mut best: Option<Transactions> = None;
    for &clients in clients {
        let found = pgbench_once(section, script, clients, seconds).await?;
        if best.is_none_or(|best| found.per_second > best.per_second) {
            best = Some(found);
        }
    }
    best.context("no numbers of clients")
}

async fn pgbench_once(
    section: &Section<'_>,
    script: &str,
    clients: usize,
    seconds: u64,
) -> Result<Transactions> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("script.sql");
    fs::write(&file, script)?;
    let mut command = Command::new("pgbench");
    command.args(["-n", "-M", "prepared", "-j", "1", "-c", &clients.to_string(), "-T", &seconds.to_string()]);
    command.args(["-h", "127.0.0.1", "-p", &section.deployment.servers.postgres.port().to_string()]);
    command.args(["-U", "restaurant_user", "--random-seed", "1", "-f"]).arg(&file).arg(&section.name);
    let text = output(command.env("PGPASSWORD", "restaurant_pass")).await?;
    let figure = |before: &str| -> Result<f64> {
        let (_, rest) = text.split_once(before).with_context(|| format!("no {before:?} in {text}"))?;
        Ok(rest.split_whitespace().next().unwrap_or_default().parse()?)
    };
    Ok(Transactions { per_second: figure("tps = ")?, latency_ms: figure("latency average = ")?, clients })
}

/// What is sent by `h2load`, over how many connections with one request at a time each.
pub struct Load<'a> {
    pub url: &'a str,
    /// Paths that each connection asks for in turn.
    pub paths: Vec<String>,
    /// A body makes it a POST of JSON.
    pub body: Option<&'a str>,
    pub headers: Vec<String>,
    pub connections: usize,
    pub seconds: u64,
}

/// What `h2load` found. Latencies are of the answers with 2xx or 3xx.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    good: usize,
    pub good_per_second: f64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// The share of good answers for which the machine ran as usual, and their p99; where that was looked at.
    pub undisturbed: f64,
    pub undisturbed_p99_ms: f64,
    /// Answers with 503 a second, and what they took.
    pub refused_per_second: f64,
    pub refused_p99_ms: f64,
    /// All other answers, and requests without one.
    pub failed: usize,
}

/// Seconds that are not measured: connections are made, caches filled.
const WARM_UP_SECONDS: u64 = 1;

pub async fn h2load(load: &Load<'_>) -> Result<Answers> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("log");
    let mut command = Command::new("h2load");
    command.args(["--h1", "-t", "1", "-c", &load.connections.to_string()]);
    command.args(["-D", &load.seconds.to_string(), "--warm-up-time", &WARM_UP_SECONDS.to_string()]);
    command.arg("--log-file").arg(&log);
    for header in &load.headers {
        command.args(["-H", header]);
    }
    if let Some(body) = load.body {
        command.args(["-H", "content-type: application/json", "-d"]).arg(file(&dir, "body", body)?);
    }
    let urls: Vec<String> = load.paths.iter().map(|path| format!("{}{path}", load.url)).collect();
    command.arg("-i").arg(file(&dir, "urls", &urls.join("\n"))?);
    output(&mut command).await?;
    answers(&fs::read_to_string(&log)?, load.seconds)
}

fn file(dir: &TempDir, name: &str, text: &str) -> Result<std::path::PathBuf> {
    let path = dir.path().join(name);
    fs::write(&path, text)?;
    Ok(path)
}

/// Each line: microseconds of the start, status, microseconds that it took. What belongs to the warm-up is not there.
fn answers(log: &str, seconds: u64) -> Result<Answers> {
    let (mut good_us, mut refused_us, mut failed) = (Vec::new(), Vec::new(), 0);
    for line in log.lines() {
        let fields: Vec<i64> = line.split('\t').filter_map(|field| field.parse().ok()).collect();
        let [_, status, took, ..] = fields[..] else { continue };
        match status {
            200..400 => good_us.push(took),
            503 => refused_us.push(took),
            _ => failed += 1,
        }
    }
    Answers::of(good_us, refused_us, failed, seconds)
}

impl Answers {
    /// From what each answer took, in microseconds.
    pub fn of(mut good_us: Vec<i64>, mut refused_us: Vec<i64>, failed: usize, seconds: u64) -> Result<Self> {
        ensure!(!good_us.is_empty(), "there was no good answer, and {failed} others");
        good_us.sort_unstable();
        refused_us.sort_unstable();
        let quantile_ms = |sorted: &[i64], q: f64| match sorted.len() {
            0 => 0.0,
            n => sorted[((n as f64 * q) as usize).min(n - 1)] as f64 / 1e3,
        };
        Ok(Self {
            good: good_us.len(),
            good_per_second: good_us.len() as f64 / seconds as f64,
            mean_ms: good_us.iter().sum::<i64>() as f64 / 1e3 / good_us.len() as f64,
            p50_ms: quantile_ms(&good_us, 0.5),
            p99_ms: quantile_ms(&good_us, 0.99),
            refused_per_second: refused_us.len() as f64 / seconds as f64,
            refused_p99_ms: quantile_ms(&refused_us, 0.99),
            failed,
            ..Self::default()
        })
    }

    /// The same with those, in microseconds, for which the machine ran as usual.
    pub fn with_undisturbed(mut self, mut undisturbed_us: Vec<i64>) -> Self {
        undisturbed_us.sort_unstable();
        let at = undisturbed_us.len() * 99 / 100;
        self.undisturbed_p99_ms = undisturbed_us.get(at).map_or(f64::NAN, |us| *us as f64 / 1e3);
        self.undisturbed = undisturbed_us.len() as f64 / self.good as f64;
        self
    }
}

/// Runs a tool beside this runtime, and yields what it prints.
async fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        tokio::task::block_in_place(|| command.output()).with_context(|| format!("{name} cannot be run"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{name}: {}: {text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}
