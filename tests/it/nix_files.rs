//! The Nix files, looked at without Nix.

use std::path::{Path, PathBuf};

/// `*.nix` in this folder and those below.
fn nix_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            nix_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "nix") {
            found.push(path);
        }
    }
}

#[test]
fn every_nix_file_is_formatted_as_nixfmt_does_it() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![repository.join("flake.nix")];
    nix_files(&repository.join("nix"), &mut files);
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let formatted =
            nixfmt_rs::format(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(text == formatted, "{} is to be formatted with `nix fmt`", file.display());
    }
}
