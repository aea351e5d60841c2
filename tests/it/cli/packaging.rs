//! What a package calls while it is built: a configuration is checked, completions and manual pages are written.

use super::{code, text};
use crate::support::TestEnv;

#[tokio::test]
async fn a_configuration_is_checked_without_starting_anything() {
    let env = TestEnv::new().await;
    let check = async |content: &str, more: &[&str]| {
        std::fs::write(env.dir().join("some.yaml"), content).unwrap();
        env.run(&[&["check-config", "--config", "some.yaml"], more].concat()).await
    };
    assert_eq!(code(&check("database: {port: 5433}\n", &[]).await), Some(0));
    let refused = check("database:\n  prot: 5433\nkitchen:\n  stop_seconds: -1\n", &[]).await;
    assert_eq!(code(&refused), Some(78));
    for said in ["some.yaml:2: database.prot", "some.yaml:4: kitchen.stop_seconds"] {
        assert!(text(&refused).contains(said), "{}", text(&refused));
    }
    assert_eq!(code(&env.run(&["check-config", "--config", "missing.yaml"]).await), Some(78));

    std::fs::write(env.dir().join("pw"), "secret").unwrap();
    let doubtful = check("database: {password_file: pw}\n", &[]).await;
    assert_eq!(code(&doubtful), Some(0));
    assert!(text(&doubtful).contains("warning: some.yaml:1: database.password_file: others may read"));

    // Where the secrets are not.
    let elsewhere = "database: {password_file: '${CREDENTIALS_DIRECTORY}/pw', tls: {ca_file: missing}}\nstaff: {token_file: missing}\n";
    let refused = check(elsewhere, &[]).await;
    assert_eq!((code(&refused), text(&refused).lines().count()), (Some(78), 3), "{}", text(&refused));
    assert_eq!(code(&check(elsewhere, &["--without-files"]).await), Some(0));
    assert_eq!(code(&check("database: {prot: 1}\n", &["--without-files"]).await), Some(78));
}

#[tokio::test]
async fn completions_and_manual_pages_have_every_command() {
    let env = TestEnv::new().await;
    for shell in ["bash", "zsh", "fish"] {
        let completions = env.run(&["completions", shell]).await;
        assert_eq!(code(&completions), Some(0));
        assert!(text(&completions).contains("kitchen-worker"), "{shell}");
    }
    assert_eq!(code(&env.run(&["man", "pages/man1"]).await), Some(0));
    let page = |name: &str| std::fs::read_to_string(env.dir().join("pages/man1").join(name)).unwrap();
    assert!(page("restaurant-system.1").contains("kitchen\\-worker"));
    assert!(page("restaurant-system-kitchen-worker.1").contains("order\\-types"));
}
