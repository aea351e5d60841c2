//! What the documents say is what the program does.

use std::path::{Path, PathBuf};

use restaurant_system::config::{Config, ConfigSources};
use restaurant_system::domain::{Status, TRANSITIONS};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn the_states_document_shows_the_transition_table() {
    let text = read(&repository().join("docs/STATES.md"));
    let documented: Vec<(Status, Status)> = text
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|').map(|cell| cell.trim().trim_matches('`'));
            Some((cells.next()?.parse().ok()?, cells.next()?.parse().ok()?))
        })
        .collect();
    assert_eq!(documented, TRANSITIONS);
}

#[test]
#[allow(clippy::field_reassign_with_default, reason = "not all of its fields are public")]
fn the_example_configuration_has_every_default() {
    let example = repository().join("config.example.yaml");
    let mut sources = ConfigSources::default();
    sources.file = Some(example);
    let (example, built_in) =
        (Config::load(&sources).unwrap(), Config::load(&ConfigSources::default()).unwrap());
    let shown = |config: &Config| {
        let Config { database, rabbitmq, kitchen, outbox, tracking, http, staff, .. } = config;
        format!("{database:?} {rabbitmq:?} {kitchen:?} {outbox:?} {tracking:?} {http:?} {staff:?}")
    };
    assert_eq!(shown(&example), shown(&built_in));
}

#[test]
fn the_example_configuration_names_every_key() {
    let text = read(&repository().join("config.example.yaml"));
    for key in [
        "host",
        "port",
        "user",
        "password",
        "password_file",
        "database",
        "tls",
        "ca_file",
        "pool_size",
        "connect_timeout_seconds",
        "statement_timeout_seconds",
        "max_rows",
        "connections_per_address",
        "trusted_proxies",
        "announce_again_seconds",
        "repeat_updates_seconds",
        "max_event_streams",
        "public_lists",
        "vhost",
        "queue_type",
        "confirm_timeout_seconds",
        "heartbeat_seconds",
        "cook_seconds",
        "stop_seconds",
        "grace_seconds",
        "token_file",
    ] {
        assert!(text.contains(&format!("{key}:")), "{key} is missing");
    }
}

#[test]
fn the_documents_link_to_files_that_exist() {
    let root = repository();
    let mut documents = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    documents.extend(std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    for document in documents.iter().filter(|d| d.extension().is_some_and(|e| e == "md")) {
        for target in read(document).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = document.parent().unwrap().join(target.split('#').next().unwrap());
            assert!(target.starts_with("http") || path.exists(), "{} links to {target}", document.display());
        }
    }
}

/// `kitchen::rail::a_test` → the source of its module, which is below `tests/`.
fn module_of(path: &str) -> Option<(PathBuf, &str)> {
    let (module, test) = path.rsplit_once("::")?;
    let file = module.replace("::", "/");
    let below = ["tests/it/", "tests/"].map(|folder| repository().join(folder).join(&file));
    let candidates = below.iter().flat_map(|base| [base.with_extension("rs"), base.join("mod.rs")]);
    candidates.into_iter().find(|file| file.exists()).map(|file| (file, test))
}

#[test]
fn every_test_that_the_guarantees_name_exists() {
    let text =
        ["GUARANTEES", "SECURITY"].map(|name| read(&repository().join(format!("docs/{name}.md")))).concat();
    let names: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let (file, test) = module_of(name).unwrap_or_else(|| panic!("{name}: no such module"));
        assert!(read(&file).contains(&format!("fn {test}(")), "{name} is not in {}", file.display());
    }
}
