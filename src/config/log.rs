//! `log:` the level and the format of the log.

use clap::ValueEnum;
use settings::Reader;

use daemon::telemetry::{LogFormat, LogLevel};

/// The log. The flags `--log-level` and `--log-format` beat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// From which level on; read again on a reload.
    pub level: LogLevel,
    pub format: LogFormat,
}

impl LogConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            level: reader.word("log.level", &words::<LogLevel>()),
            format: reader.word("log.format", &words::<LogFormat>()),
        }
    }
}

/// The words of a flag's values, so that the file has the same.
fn words<T: ValueEnum + Clone>() -> Vec<(String, T)> {
    let named = |value: &T| Some((value.to_possible_value()?.get_name().to_owned(), value.clone()));
    T::value_variants().iter().filter_map(named).collect()
}
