//! The accounts file while the services run, and the commands for it.

use super::{ACCOUNTS, Restaurant, STAFF, ask, configure, entry, login, write_accounts};
use crate::support::{Signal, TestEnv, blocking, eventually};
use restaurant_system::domain::PasswordHash;
use std::io::Write;
use std::process::Stdio;

#[tokio::test]
async fn the_accounts_are_read_again_on_sighup() {
    let restaurant = Restaurant::start().await;
    let [anna, carla, max] =
        [restaurant.token("anna").await, restaurant.token("carla").await, restaurant.token("max").await];
    let lists = async |token: &str| ask(&restaurant.track, "GET", "/orders", token).await.status;
    assert_eq!([lists(&anna).await, lists(&carla).await, lists(&max).await], [403, 200, 200]);

    // Anna is promoted, Carla has gone, Max has another password, and Li is new.
    let li = ("li", "counter", "chopsticks");
    let accounts = [("anna", "manager", STAFF[0].2), ("max", "manager", "another one"), li]
        .iter()
        .map(entry)
        .collect::<String>();
    write_accounts(&restaurant.env, &accounts);
    for role in [&restaurant.orders, &restaurant.tracking] {
        role.signal(Signal::SIGHUP);
        role.wait_for_action("configuration_reloaded").await;
    }
    assert_eq!([lists(&anna).await, lists(&carla).await, lists(&max).await], [200, 401, 401]);
    assert_eq!(login(&restaurant.http, "li", li.2, "198.51.100.7").await.status, 201);
    assert_eq!(login(&restaurant.http, "carla", STAFF[1].2, "198.51.100.8").await.status, 401);

    write_accounts(&restaurant.env, "- name: anna\n");
    restaurant.tracking.signal(Signal::SIGHUP);
    let failed = restaurant.tracking.wait_for_action("reload_failed").await;
    assert!(
        failed["error"]["msg"].as_str().unwrap().contains("accounts.yaml:1: role: is missing"),
        "{failed}"
    );
    assert_eq!(lists(&anna).await, 200, "what was read before holds");
}

#[tokio::test]
async fn a_role_does_not_start_with_faulty_accounts() {
    let env = TestEnv::new().await;
    configure(&env, true);
    write_accounts(&env, &ACCOUNTS.replace("role: manager", "role: boss"));
    let mut role = env.spawn(&["order-service", "--port", "0"]);
    assert_eq!(role.wait_exit().await.code(), Some(78));
    let said = role.error_lines().concat();
    assert!(said.contains("accounts.yaml:8: role: must be one of kitchen, counter, manager"), "{said}");
}

#[tokio::test]
async fn the_command_prints_a_hash_of_the_password_it_reads_and_lists_the_accounts() {
    let env = TestEnv::new().await;
    configure(&env, true);
    let mut command = env.command(&["staff", "hash"]);
    let output = blocking(move || {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"p\xc3\xa4ssword\nanother line\n").unwrap();
        child.wait_with_output().unwrap()
    })
    .await;
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    let hash = PasswordHash::parse(printed.strip_suffix('\n').unwrap()).unwrap();
    assert!(hash.is_of("pässword") && !hash.is_of("pässword\n"));

    let listed = env.run(&["staff", "list", "--config", env.config().to_str().unwrap()]).await;
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), "kitchen  anna\ncounter  carla\nmanager  max\n");
    let nothing = env.run(&["staff", "hash"]).await;
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
}

#[tokio::test]
async fn sessions_that_are_over_are_forgotten_in_time() {
    let restaurant = Restaurant::start().await;
    restaurant.token("max").await;
    let store = restaurant.env.store(std::time::Duration::from_secs(30)).await;
    assert_eq!(store.forget_sessions().await.unwrap(), 0);
    restaurant
        .db
        .batch_execute("update staff_sessions set created_at = now() - '49 hours'::interval")
        .await
        .unwrap();
    eventually("it is gone", || async { store.forget_sessions().await.unwrap() == 1 }).await;
}
