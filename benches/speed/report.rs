//! What was found: a table for the screen, JSON and a chart to keep.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

/// One path through the system, with what it must reach.
pub struct Line {
    pub path: &'static str,
    pub measured: f64,
    pub unit: &'static str,
    /// What it is compared with, in words and figures.
    pub beside: String,
    /// What it must reach, and what is aimed at, in the unit; one of them at least.
    pub must: Option<f64>,
    pub aim: Option<f64>,
    /// Whether it must be at least so much; otherwise at most.
    pub more_is_better: bool,
}

impl Line {
    /// What it is held to: what it must reach, or, where it need not, what is aimed at.
    fn goal(&self) -> f64 {
        self.must.or(self.aim).unwrap_or(f64::NAN)
    }

    /// Above 1 it is as good as its goal.
    fn ratio(&self) -> f64 {
        if self.more_is_better { self.measured / self.goal() } else { self.goal() / self.measured }
    }

    fn verdict(&self) -> &'static str {
        let reaches =
            |goal: f64| if self.more_is_better { self.measured >= goal } else { self.measured <= goal };
        match (self.must, self.aim) {
            (_, Some(aim)) if reaches(aim) => "aim",
            (None, _) => "not aim",
            (Some(must), _) if reaches(must) => "must",
            _ => "MISSED",
        }
    }
}

/// Everything that one run found.
#[derive(Default)]
pub struct Report {
    pub lines: Vec<Line>,
    /// What the lines are compared with, and more that was measured on the way.
    pub figures: Vec<(String, f64, &'static str)>,
}

impl Report {
    pub fn figure(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        let name = name.into();
        say(&format!("  {name}: {} {unit}", number(value)));
        self.figures.push((name, value, unit));
    }

    pub fn line(&mut self, line: Line) {
        say(&format!("  {}: {} {} ({})", line.path, number(line.measured), line.unit, line.verdict()));
        self.lines.push(line);
    }

    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<52}{:>12}{:>12}{:>8}  {:<7} {}\n",
            "path", "measured", "goal", "ratio", "reached", "beside"
        );
        for line in &self.lines {
            let figure = |value: f64| format!("{} {}", number(value), line.unit);
            let _ = writeln!(
                text,
                "{:<52}{:>12}{:>12}{:>8.2}  {:<7} {}",
                line.path,
                figure(line.measured),
                figure(line.goal()),
                line.ratio(),
                line.verdict(),
                line.beside
            );
        }
        text
    }

    /// Writes `speed.json` and `speed.svg`.
    pub fn save(&self, dir: &Path, seconds: u64, servers: &str) -> Result<()> {
        fs::create_dir_all(dir)?;
        let lines: Vec<Value> = self
            .lines
            .iter()
            .map(|l| {
                json!({"path": l.path, "measured": rounded(l.measured), "unit": l.unit, "must": l.must.map(rounded),
                       "aim": l.aim.map(rounded), "ratio": rounded(l.ratio()), "reached": l.verdict(), "beside": l.beside})
            })
            .collect();
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|(name, v, unit)| json!({"name": name, "value": rounded(*v), "unit": unit}))
            .collect();
        let all = json!({"machine": machine(), "servers": servers, "seconds_each": seconds, "lines": lines, "figures": figures});
        fs::write(dir.join("speed.json"), format!("{all:#}\n"))?;
        fs::write(dir.join("speed.svg"), self.chart())?;
        Ok(())
    }

    /// Bars: how often what was measured is what it must be, at most four times.
    fn chart(&self) -> String {
        const ROW: usize = 34;
        const LEFT: f64 = 380.0;
        const UNIT: f64 = 110.0;
        let height = self.lines.len() * ROW + 50;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"960\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"20\" y=\"24\" font-weight=\"bold\">Measured ÷ what it must reach, or, in yellow, aims at (bars end at 4)</text>\n"
        );
        for (i, line) in self.lines.iter().enumerate() {
            let y = i * ROW + 40;
            let colour = match line.verdict() {
                "aim" => "#2e7d32",
                "must" => "#81c784",
                "not aim" => "#ffd54f",
                _ => "#e57373",
            };
            let _ = writeln!(
                svg,
                "<text x=\"20\" y=\"{}\">{}</text><rect x=\"{LEFT}\" y=\"{y}\" width=\"{:.0}\" height=\"22\" fill=\"{colour}\"/>\
                 <text x=\"{:.0}\" y=\"{}\">{:.2} · {} {}</text>",
                y + 16,
                line.path.replace('&', "&amp;").replace('<', "&lt;"),
                line.ratio().min(4.0) * UNIT,
                LEFT + line.ratio().min(4.0) * UNIT + 6.0,
                y + 16,
                line.ratio(),
                number(line.measured),
                line.unit
            );
        }
        let x = LEFT + UNIT;
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" y1=\"34\" x2=\"{x}\" y2=\"{height}\" stroke=\"#333\" stroke-dasharray=\"4\"/>\n</svg>"
        );
        svg
    }
}

/// Three digits, with a sign between the thousands.
pub fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.*}", if value < 10.0 { 2 } else { 1 });
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// Progress goes to standard error, the table to standard output.
#[allow(clippy::print_stderr)]
pub fn say(text: &str) {
    eprintln!("{text}");
}

/// What the figures depend on.
fn machine() -> Value {
    let first = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let says = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output();
        output.map_or_else(|_| String::new(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
    };
    json!({
        "processor": first("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": first("/proc/meminfo", "MemTotal"),
        "system": says("uname", &["-s", "-m"]),
        "h2load": says("h2load", &["--version"]),
        "commit": says("git", &["describe", "--always", "--dirty"]),
    })
}
