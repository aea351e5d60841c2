//! Loading as a whole: files in a temporary folder, the environment passed in.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;

use super::testing::FromSources;
use super::*;

const TABLE: Table = Table {
    env_prefix: "APP_",
    rows: &[
        Key::list("database.host", "localhost", ""),
        Key::number("database.port", (1, 65_535), "5432", ""),
        Key::text("database.user", "app", ""),
        Key::text("database.password", "secret", ""),
        Key::text("database.password_file", "PATH", "").unset(),
        Key::text("database.ca_file", "PATH", "").unset(),
        Key::text("broker.password", "guest", ""),
        Key::text("broker.password_file", "PATH", "").unset(),
        Key::seconds("broker.wait_seconds", 0.5, "10", ""),
        Key::text("staff.token_file", "PATH", "").unset(),
        Key::text("users_file", "PATH", "").unset(),
    ],
};

/// What the tests look at.
#[derive(Debug)]
struct Config {
    hosts: Vec<HostPort>,
    user: String,
    password: SecretString,
    broker_password: SecretString,
    wait: Duration,
    token: Option<SecretString>,
    file: Option<PathBuf>,
    warnings: Vec<Diagnostic>,
}

fn load(sources: &ConfigSources) -> Result<Config, ConfigError> {
    let mut reader = Reader::new(&TABLE, sources)?;
    let port = reader.number("database.port");
    let certificate = |path: &std::path::Path| match read_bounded(path, 100) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{} can't be read: {error}", path.display())),
    };
    reader.file_at("database.ca_file", certificate);
    let config = Config {
        hosts: reader.hosts("database.host", |text| HostPort::parse(text, port)),
        user: reader.text("database.user"),
        password: reader.secret("database.password"),
        broker_password: reader.secret("broker.password"),
        wait: reader.seconds("broker.wait_seconds"),
        token: reader.secret_file("staff.token_file", |_| None),
        file: reader.file().map(Into::into),
        warnings: Vec::new(),
    };
    Ok(Config { warnings: reader.finish()?, ..config })
}

type Case = testing::Case<Config>;

impl FromSources for Config {
    fn from_sources(sources: &ConfigSources) -> Result<Self, ConfigError> {
        load(sources)
    }
}

fn error_of(content: &str) -> String {
    Case::new(content).error()
}

fn assert_is_default(config: &Config) {
    assert_eq!(config.hosts, [HostPort { host: "localhost".into(), port: 5432 }]);
    assert_eq!((&*config.user, config.password.expose_secret()), ("app", "secret"));
    assert_eq!((config.broker_password.expose_secret(), config.wait), ("guest", Duration::from_secs(10)));
    assert!(config.token.is_none());
}

#[test]
fn a_key_that_the_table_lacks_or_has_as_another_kind_is_told_by_any_load() {
    let read = |ask: fn(&mut Reader)| {
        let mut reader = Reader::new(&TABLE, &ConfigSources::default()).unwrap();
        ask(&mut reader);
        reader.finish().unwrap_err().to_string()
    };
    let of_default =
        |key: &str| format!("built-in default: {key}: the table of keys has no such key of this kind");
    assert_eq!(read(|reader| _ = reader.text("database.usr")), of_default("database.usr"));
    assert_eq!(read(|reader| _ = reader.number::<u16>("database.user")), of_default("database.user"));
    assert_eq!(read(|reader| _ = reader.seconds("database.port")), of_default("database.port"));
    assert_eq!(read(|reader| _ = reader.text("staff.token_file")), of_default("staff.token_file"));
}

#[test]
fn the_default_file_is_used_where_it_exists_and_a_named_one_must_exist() {
    let case = Case::new("database: {user: from_file}");
    let default_file = case.sources.file.clone();
    let sources = ConfigSources { default_file: default_file.clone(), ..ConfigSources::default() };
    let config = load(&sources).unwrap();
    assert_eq!((config.user.as_str(), config.file), ("from_file", default_file));

    let missing = Some(case.folder.path().join("nothing.yaml"));
    let sources = ConfigSources { default_file: missing.clone(), ..ConfigSources::default() };
    assert_is_default(&load(&sources).unwrap());
    let error = load(&ConfigSources { file: missing.clone(), ..ConfigSources::default() }).unwrap_err();
    assert_eq!((error.file(), error.line()), (missing.as_deref(), None));
    assert!(error.to_string().contains("nothing.yaml: the configuration file can't be read: No such file"));
}

#[test]
fn scalars_are_taken_as_the_text_that_is_written() {
    for (written, expected) in [
        ("0123", "0123"),
        ("yes", "yes"),
        ("1e3", "1e3"),
        ("0x1F", "0x1F"),
        ("'12 '", "12 "),
        ("\"null\"", "null"),
    ] {
        let config =
            Case::new(format!("database:\n  user: {written}\n  password: {written}\n")).load().unwrap();
        assert_eq!(config.user, expected);
        assert_eq!(config.password.expose_secret(), expected);
    }
}

#[test]
fn what_is_not_a_plain_yaml_file_is_refused_with_the_line() {
    for (content, expected) in [
        (
            "database:\n\thost: x\n".as_bytes(),
            "config.yaml:2: not valid YAML: a tab in the indentation; use spaces",
        ),
        (b"database:\n  user: \xff\n", "config.yaml:2: the file is not UTF-8 text"),
        (b"\xff\xfed\0", "config.yaml:1: the file is UTF-16; save it as UTF-8"),
        (b"database: {\n", "config.yaml:1: not valid YAML"),
        (b"database:\n  port: 1\n  port: 2\n", "config.yaml:3: database.port: this key is already on line 2"),
        (
            b"database: {}\nstaff: {}\ndatabase: {}\n",
            "config.yaml:3: database: this key is already on line 1",
        ),
        (b"database: {}\n---\nstaff: {}\n", "config.yaml:2: only one YAML document is expected"),
        (b"database: {password: *hunter2}\n", "config.yaml:1: YAML aliases (*name) are not supported here"),
        (b"database: {password: &hunter2 x}\n", "config.yaml:1: YAML anchors (&name) are not supported here"),
        (b"database: {password: !hunter2 x}\n", "config.yaml:1: YAML tags are not supported here"),
        (b"database: {password: @hunter2}\n", "config.yaml:1: not valid YAML: an unexpected character"),
        (b"database: {password: \"hunter2}\n", "not valid YAML"),
        (b"database: {password:hunter2}\n", "config.yaml:1: database.(not a key): unknown key"),
        (b"database:\n  password:hunter2\n", "config.yaml:2: database: must be a mapping"),
        (b"database:\n  password: a\n  hunter2\n  b: hunter2", "not valid YAML"),
        (b"{{hunter2: x}: y}", "a key must be a plain word"),
    ] {
        let error = Case::new(content).error();
        let text = String::from_utf8_lossy(content);
        assert!(error.contains(expected) && !error.contains("hunter2"), "{text}\n{error}");
    }
}

#[test]
fn deep_nesting_and_huge_files_are_refused() {
    assert!(error_of(&format!("{}{}", "[".repeat(50), "]".repeat(50))).contains("nested too deeply"));
    assert!(error_of(&"# much\n".repeat(200_000)).contains("larger than 1048576 bytes"));
}

#[test]
fn a_password_file_is_read_next_to_the_configuration_without_its_last_line_end() {
    for (content, expected) in [("secret\n", "secret"), ("secret\r\n", "secret"), (" a b \n\n", " a b \n")] {
        let config = Case::new("database: {password_file: pw}").file("pw", content).load().unwrap();
        assert_eq!(config.password.expose_secret(), expected);
    }
    for content in ["", "\n", "a\0b"] {
        let error = Case::new("\ndatabase: {password_file: pw}").file("pw", content).error();
        assert!(error.starts_with("config.yaml:2: database.password_file: pw "), "{error}");
    }
    assert_eq!(
        error_of("broker:\n  password_file: missing"),
        "config.yaml:2: broker.password_file: missing can't be read: No such file or directory (os error 2)"
    );
    assert!(error_of("broker: {password_file: .}").contains("it is a folder"));
}

#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let case = Case::new("database: {password_file: pipe, ca_file: pipe}");
    let pipe = case.folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = case.error();
    for key in ["database.password_file", "database.ca_file"] {
        assert!(error.contains(&format!("{key}: pipe can't be read: it is not a regular file")), "{error}");
    }
    for file in [pipe, "/dev/zero".into()] {
        let error = load(&ConfigSources::default().with_file(file)).unwrap_err();
        assert!(error.to_string().contains("it is not a regular file"), "{error}");
    }
}

#[test]
fn secrets_that_others_may_read_are_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let case = Case::new("database: {password_file: pw}\nbroker:\n  password: x\nstaff: {token_file: pw}")
        .file("pw", "a-word-that-is-long-enough-for-all");
    let warnings = |pw_mode: u32, config_mode: u32| {
        for (file, mode) in [("pw", pw_mode), ("config.yaml", config_mode)] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(case.folder.path().join(file), permissions).unwrap();
        }
        let keys = case.load().unwrap().warnings.into_iter().filter_map(|warning| warning.key);
        keys.collect::<Vec<_>>()
    };
    assert_eq!(warnings(0o600, 0o640), Vec::<String>::new());
    assert_eq!(warnings(0o644, 0o600), ["database.password_file", "staff.token_file"]);
    assert_eq!(warnings(0o640, 0o644), ["broker.password"]);
    let text = case.load().unwrap().warnings[0].to_string();
    assert!(
        text.contains("config.yaml:3: broker.password: others may read") && text.contains("chmod o-r"),
        "{text}"
    );
}

#[test]
fn a_file_of_very_many_keys_is_refused_at_once_and_briefly() {
    let flat: String = (0..90_000).map(|n| format!("key{n}: x\n")).collect();
    let sections: String = (0..150).map(|n| format!("key{n}: x\n")).collect();
    let hosts = format!("database:\n  host: [{}]", "'',".repeat(19_000));
    for content in [flat, sections, hosts] {
        let started = std::time::Instant::now();
        let error = error_of(&content);
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        assert!(error.lines().count() <= 51, "{}", error.lines().count());
    }
}

#[test]
fn credentials_of_systemd_are_found() {
    let credentials = TempDir::new().unwrap();
    std::fs::write(credentials.path().join("db"), "from systemd\n").unwrap();
    for written in ["${CREDENTIALS_DIRECTORY}/db", "$CREDENTIALS_DIRECTORY/db"] {
        let case = Case::new(format!("database: {{password_file: \"{written}\"}}"));
        assert!(case.error().contains("CREDENTIALS_DIRECTORY is not set"));
        let case = case.env("CREDENTIALS_DIRECTORY", credentials.path().to_str().unwrap());
        assert_eq!(case.load().unwrap().password.expose_secret(), "from systemd");
    }
}

#[test]
fn password_and_password_file_exclude_each_other_only_within_one_source() {
    let both = Case::new("database:\n  password: x\n  password_file: pw\n").file("pw", "y");
    let expected = "config.yaml:3: database.password_file: password and password_file can't both be given";
    assert_eq!(both.error(), expected);
    let config = both.env("APP_DATABASE_PASSWORD", "from env").load().unwrap();
    assert_eq!(config.password.expose_secret(), "from env");

    let case = Case::new("database: {password: x}").file("pw", "from file");
    let path = case.folder.path().join("pw");
    let config = case.env("APP_DATABASE_PASSWORD_FILE", path.to_str().unwrap()).load().unwrap();
    assert_eq!(config.password.expose_secret(), "from file");
}

proptest::proptest! {
    /// Whatever is in the file: an answer, never a panic, and no error that shows the password.
    #[test]
    fn any_file_is_taken_or_refused(
        lines in proptest::collection::vec("[ ]{0,4}(database|broker|host|port|tls|- )?[:{}\\[\\],&*!|>'\"# \t]{0,3}\\PC{0,8}", 0..8),
    ) {
        let case = Case::new(format!("staff: {{password: hunter2}}\n{}", lines.join("\n")));
        let error = case.load().unwrap_err();
        proptest::prop_assert!(!error.to_string().contains("hunter2"));
        proptest::prop_assert!(error.file().is_some() && error.line().is_some());
    }
}

/// The pairs of names and colours in the file of records.
fn records(sources: &ConfigSources) -> Result<Option<Vec<[String; 2]>>, ConfigError> {
    let mut reader = Reader::new(&TABLE, sources)?;
    let read = reader.records("users_file", "users", ["name", "colour"], |[name, colour]| match colour {
        "red" => Err(vec![("colour", "must not be red".to_owned())]),
        _ => Ok([name.to_owned(), colour.to_owned()]),
    });
    reader.finish().map(|_| read)
}

#[test]
fn a_file_of_records_is_read_as_a_whole_and_every_fault_has_its_line() {
    let case = Case::new("users_file: u").file("u", "- {name: a, colour: 07}\n- {colour: b, name: c}\n");
    let found = records(&case.sources).unwrap().unwrap();
    assert_eq!(found, [["a", "07"], ["c", "b"]].map(|record| record.map(str::to_owned)));
    assert!(records(&Case::new("").sources).unwrap().is_none());

    let text = "users:\n- name: a\n  colour: red\n- name: b\n  color: blue\n- name:\n  colour: blue\n- c\n";
    let case = case.file("u", text);
    let folder = format!("{}/", case.folder.path().display());
    let error = records(&case.sources).unwrap_err().to_string().replace(&folder, "");
    assert_eq!(
        error.lines().collect::<Vec<_>>(),
        [
            "u:3: colour: must not be red",
            "u:4: colour: is missing",
            "u:5: color: unknown key (did you mean \"colour\"?)",
            "u:6: name: must be a text",
            "u:8: must have name, colour",
        ]
    );
    let mut sources = case.sources;
    sources.without_files = true;
    assert_eq!(records(&sources).unwrap(), Some(Vec::new()));
}
