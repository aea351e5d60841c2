//! What is left of secrets in a running role, and who could read it.

use crate::support::{Role, STAFF_TOKEN, TestEnv};
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// An account that is not root's, on every system.
const NOBODY: u32 = 65_534;

#[tokio::test]
async fn nobody_but_root_reads_the_memory_of_a_role() {
    // Another account may have no way to where the program was built.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let (built, program) = (env!("CARGO_BIN_EXE_restaurant-system"), folder.path().join("restaurant-system"));
    std::fs::hard_link(built, &program).or_else(|_| std::fs::copy(built, &program).map(drop)).unwrap();
    let mut command = Command::new(program);
    command.args(["order-service", "--port", "0", "--log-format", "json"]).current_dir("/");
    // There is nothing at this port.
    command.env_clear().env("RESTAURANT_DATABASE_PORT", "1").env("RESTAURANT_RABBITMQ_PORT", "1");
    if nix::unistd::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let role = Role::spawn("order-service", command);
    role.url().await;
    let process = format!("/proc/{}", role.pid());
    let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
    assert!(!status.contains("\nUid:\t0\t"), "{status}");
    // The kernel gives what it keeps from the process's own user to root.
    assert_eq!(std::fs::metadata(format!("{process}/environ")).unwrap().uid(), 0);
}

#[tokio::test]
async fn a_role_keeps_nothing_of_the_staff_token_but_its_hash() {
    if !nix::unistd::geteuid().is_root() {
        // Nobody else may look.
        return;
    }
    let env = TestEnv::new().await;
    let role = env.spawn(&["tracking-service", "--port", "0"]);
    role.wait_for_action("db_connected").await;
    assert!(!places_of(role.pid(), b"restaurant-system tracking-service").is_empty(), "nothing is found");
    let found = places_of(role.pid(), STAFF_TOKEN.as_bytes());
    assert_eq!(found, Vec::<String>::new(), "the token is in the memory of the role");
}

/// Where in its writable memory a process has a text.
fn places_of(pid: u32, text: &[u8]) -> Vec<String> {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = Vec::new();
    for map in maps.lines().filter(|map| map.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw")))
    {
        let (begin, end) = map.split(' ').next().unwrap().split_once('-').unwrap();
        let (begin, end) = (u64::from_str_radix(begin, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - begin).unwrap()];
        if memory.read_exact_at(&mut bytes, begin).is_ok()
            && bytes.windows(text.len()).any(|part| part == text)
        {
            found.push(map.to_owned());
        }
    }
    found
}
