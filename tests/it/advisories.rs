//! No dependency has a known hole: `Cargo.lock` against the RustSec database, as `deny-advisories.txt` keeps it for
//! machines that have neither the network nor cargo-deny.
//!
//! To renew the file from a clone of <https://github.com/rustsec/advisory-db>:
//! `ADVISORY_DB=path cargo test --test it -- --ignored advisories::renew`.

use semver::{Version, VersionReq};
use std::path::{Path, PathBuf};

/// One line of the file: `RUSTSEC-2026-0194 quick-xml >= 0.41.0; < 0.1`, the versions that are not affected.
struct Advisory {
    id: String,
    package: String,
    unaffected: Vec<VersionReq>,
}

impl Advisory {
    fn parse(line: &str) -> Self {
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (id, package, versions) = (word(), word(), word());
        let requirements = versions.split(';').map(str::trim).filter(|r| !r.is_empty());
        let unaffected = requirements.map(|r| VersionReq::parse(r).unwrap_or_else(|e| panic!("{line}: {e}")));
        Self { id, package, unaffected: unaffected.collect() }
    }

    fn affects(&self, version: &Version) -> bool {
        !self.unaffected.iter().any(|requirement| requirement.matches(version))
    }
}

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn known() -> Vec<Advisory> {
    let text = std::fs::read_to_string(root("deny-advisories.txt")).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(Advisory::parse).collect()
}

/// Name and version of every package in `Cargo.lock`.
fn locked() -> Vec<(String, Version)> {
    let text = std::fs::read_to_string(root("Cargo.lock")).unwrap();
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let blocks = text.split("[[package]]").skip(1);
    blocks.map(|b| (value(b, "name").unwrap(), value(b, "version").unwrap().parse().unwrap())).collect()
}

fn hits(advisories: &[Advisory], packages: &[(String, Version)]) -> Vec<String> {
    let hit = |a: &&Advisory| packages.iter().any(|(name, version)| *name == a.package && a.affects(version));
    advisories.iter().filter(hit).map(|a| a.id.clone()).collect()
}

#[test]
fn every_known_advisory_about_a_locked_version_is_explained() {
    let deny = std::fs::read_to_string(root("deny.toml")).unwrap();
    let explained = |id: &String| deny.contains(&format!("{{ id = \"{id}\", reason = "));
    let unexplained: Vec<String> =
        hits(&known(), &locked()).into_iter().filter(|id| !explained(id)).collect();
    assert_eq!(
        unexplained,
        Vec::<String>::new(),
        "update the crate, or say in deny.toml why it does not matter"
    );
}

#[test]
fn no_explanation_outlives_its_advisory() {
    let hits = hits(&known(), &locked());
    let deny = std::fs::read_to_string(root("deny.toml")).unwrap();
    let ids = deny.lines().filter_map(|line| line.trim().strip_prefix("{ id = \"")?.split('"').next());
    let stale: Vec<&str> = ids.filter(|id| !hits.iter().any(|hit| hit == id)).collect();
    assert_eq!(stale, Vec::<&str>::new(), "remove it from deny.toml");
}

#[test]
fn a_version_before_the_fix_is_found() {
    let advisories = [Advisory::parse("RUSTSEC-1 a >= 1.2.3; < 0.5"), Advisory::parse("RUSTSEC-2 b ")];
    let found = |name: &str, version: &str| hits(&advisories, &[(name.to_owned(), version.parse().unwrap())]);
    assert_eq!(found("a", "1.2.2"), ["RUSTSEC-1"]);
    assert_eq!(found("a", "1.2.3"), Vec::<String>::new());
    assert_eq!(found("a", "0.4.9"), Vec::<String>::new());
    assert_eq!(found("b", "9.9.9"), ["RUSTSEC-2"], "an abandoned crate is affected in every version");
}

/// What `scripts/check-dependencies --files` says of a repository with these lines at the end of its files.
fn check_files(manifest: &str, lock: &str, cargo_config: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    for (name, more) in [
        ("Cargo.toml", manifest),
        ("Cargo.lock", lock),
        ("deny.toml", ""),
        ("deny-advisories.txt", ""),
        ("scripts/check-dependencies", ""),
    ] {
        let copy = dir.path().join(name);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::write(copy, std::fs::read_to_string(root(name)).unwrap() + more).unwrap();
    }
    for entry in std::fs::read_dir(root("crates")).unwrap() {
        let from = entry.unwrap();
        let to = dir.path().join("crates").join(from.file_name());
        std::fs::create_dir_all(&to).unwrap();
        std::fs::copy(from.path().join("Cargo.toml"), to.join("Cargo.toml")).unwrap();
    }
    std::fs::create_dir(dir.path().join(".cargo")).unwrap();
    std::fs::write(dir.path().join(".cargo/config.toml"), cargo_config).unwrap();
    let script = dir.path().join("scripts/check-dependencies");
    let output = std::process::Command::new("bash").arg(script).arg("--files").output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn a_crate_from_elsewhere_is_found_however_it_is_written() {
    for manifest in [
        "\n[patch.crates-io]\nserde = { path = \"evil\" }\n",
        "\n[ \"patch\" . 'https://example.org/index' ]\n",
        "\n[replace]\n",
        "\n[dependencies.evil]\ngit = \"https://example.org/evil\"\n",
        "\n[target.'cfg(unix)'.dev-dependencies]\nevil = {version = \"1\", path='../evil'}\n",
        "\n[dependencies.evil]\npath = \"crates/../../evil\"\n",
        "\n[dependencies]\nevil = { path = \"crates/settings\", git = \"https://example.org/evil\" }\n",
        "\n[build-dependencies]\nevil = { registry = \"mine\", version = \"1\" }\n",
    ] {
        let (good, said) = check_files(manifest, "", "");
        assert!(!good && said.contains("from elsewhere than crates.io"), "{manifest}: {said}");
    }
    for config in
        ["[patch.crates-io]\n", "[source.crates-io]\nreplace-with = 'x'\n", "paths = [\"../evil\"]\n"]
    {
        let (good, said) = check_files("", "", config);
        assert!(!good && said.contains(".cargo/config.toml"), "{config}: {said}");
    }
    for lock in [
        "\n[[package]]\nname = \"evil\"\nversion = \"1.0.0\"\n",
        "\n[[package]]\nname = \"evil\"\nversion = \"1.0.0\"\nsource = \"git+https://example.org/evil#1\"\n",
        "\n[[patch.unused]]\nname = \"evil\"\nversion = \"1.0.0\"\n",
    ] {
        let (good, said) = check_files("", lock, "");
        assert!(!good, "{lock}: {said}");
    }
}

#[test]
fn a_banned_crate_is_found_in_any_spelling() {
    let source = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    for name in ["native-tls", "native_tls", "Native-TLS"] {
        let lock = format!("\n[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n{source}\n");
        let (good, said) = check_files("", &lock, "");
        assert!(!good && said.contains("native-tls is banned"), "{name}: {said}");
    }
}

#[test]
fn the_age_of_the_advisories_is_said() {
    let (good, said) = check_files("", "", "");
    assert!(good && said.contains("deny-advisories.txt is of 20") && said.contains("days old"), "{said}");
}

#[test]
#[ignore = "writes deny-advisories.txt anew; wants ADVISORY_DB"]
fn renew() {
    let database = PathBuf::from(std::env::var_os("ADVISORY_DB").expect("ADVISORY_DB names the clone"));
    let mut lines = Vec::new();
    for package in std::fs::read_dir(database.join("crates")).unwrap() {
        for file in std::fs::read_dir(package.unwrap().path()).unwrap() {
            lines.extend(line_of(&std::fs::read_to_string(file.unwrap().path()).unwrap()));
        }
    }
    lines.sort();
    let newest = std::process::Command::new("git")
        .args(["log", "-1", "--format=%cs %H"])
        .current_dir(database)
        .output()
        .unwrap();
    let newest = String::from_utf8(newest.stdout).unwrap();
    let head = format!(
        "# The RustSec advisory database (public domain, CC0) of {newest}# Advisory, crate, versions that are not affected. Renewed by a test: tests/it/advisories.rs\n"
    );
    std::fs::write(root("deny-advisories.txt"), format!("{head}{}\n", lines.join("\n"))).unwrap();
}

/// The line of an advisory's file, whose head is TOML; none for one that was withdrawn or only says something.
fn line_of(text: &str) -> Option<String> {
    let head = text.split("```").nth(1)?;
    let quoted = |text: &str| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let value = |key: &str| {
        let at = head.find(&format!("\n{key} = "))? + key.len() + 4;
        let rest = head.get(at..)?;
        let end = if rest.starts_with('[') { rest.find(']')? } else { rest.find('\n')? };
        Some(quoted(rest.get(..end)?))
    };
    if value("withdrawn").is_some() || value("informational").is_some_and(|kind| kind == ["notice"]) {
        return None;
    }
    let mut versions = value("patched").unwrap_or_default();
    versions.extend(value("unaffected").unwrap_or_default());
    Some(format!("{} {} {}", value("id")?.first()?, value("package")?.first()?, versions.join("; ")))
}
