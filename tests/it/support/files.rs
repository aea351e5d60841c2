//! Files of the repository.

use std::path::{Path, PathBuf};

/// All code of the program and its crates, without that of the tests.
pub fn code_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["src", "crates"].iter().flat_map(|folder| files_below(&root.join(folder), "rs")).collect()
}

/// The files with this extension in a folder and those below.
pub fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}
