//! The Nix files, looked at without Nix.

use crate::support::files_below;
use std::path::Path;

#[test]
fn every_nix_file_is_formatted_as_nixfmt_does_it() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = files_below(&repository.join("nix"), "nix");
    files.push(repository.join("flake.nix"));
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let formatted =
            nixfmt_rs::format(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(text == formatted, "{} is to be formatted with `nix fmt`", file.display());
    }
}

#[test]
fn the_documents_show_the_examples_that_are_evaluated() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(repository.join("docs/NIXOS.md")).unwrap();
    let examples = files_below(&repository.join("nix/examples"), "nix");
    assert_eq!(examples.len(), 2, "{examples:?}");
    for example in examples {
        let text = std::fs::read_to_string(&example).unwrap();
        let block = format!("```nix\n{text}```\n");
        assert!(document.contains(&block), "docs/NIXOS.md does not show {}", example.display());
    }
}

#[test]
fn the_module_gives_each_role_the_documented_rights_in_rabbitmq() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(repository.join("docs/OPERATIONS.md")).unwrap();
    let module = std::fs::read_to_string(repository.join("nix/module/servers.nix")).unwrap();
    let three = |text: &str, start: &str, quote: char| -> Vec<String> {
        let (_, after) = text.split_once(start).unwrap_or_else(|| panic!("no {start}"));
        after.split(quote).skip(1).step_by(2).take(3).map(str::to_owned).collect()
    };
    for (user, role) in [
        ("restaurant_order", "order-service"),
        ("restaurant_kitchen", "kitchen-worker"),
        ("restaurant_subscriber", "notification-subscriber"),
        ("restaurant_tracking", "tracking-service"),
    ] {
        let documented = three(&document, &format!("set_permissions {user} "), '\'');
        let given = three(&module, &format!("{role} = ["), '"').join("\n").replace(r"\\", r"\");
        assert_eq!(given, documented.join("\n"), "{role}");
    }
}
