//! Looking at the processes of this machine.

use std::path::Path;

/// The command lines of all living processes that name `path`, arguments separated by blanks.
pub fn processes_naming(path: &Path) -> Vec<String> {
    let wanted = path.to_string_lossy();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().chars().all(|c| c.is_ascii_digit()))
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
        .filter(|line| line.contains(&*wanted))
        .collect()
}
