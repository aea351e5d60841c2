//! The menu in a file: what is a menu, and that each fault is named where it stands.

use std::path::Path;
use std::process::{Command, Output};

use super::{code, text};

const EXAMPLE: &str = "contrib/menu.example.yaml";

fn menu(command: &str, file: &Path) -> Output {
    let program = env!("CARGO_BIN_EXE_restaurant-system");
    Command::new(program).args(["menu", command]).arg(file).output().unwrap()
}

fn check(content: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("menu.yaml");
    std::fs::write(&file, content).unwrap();
    let output = menu("check", &file);
    (code(&output), text(&output).replace(&format!("{}/", folder.path().display()), ""))
}

#[test]
fn the_example_is_a_menu_of_many_dishes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(EXAMPLE);
    let output = menu("check", &file);
    assert_eq!(code(&output), Some(0), "{}", text(&output));
    let said = text(&output);
    let items: usize = said.split_once(" items").unwrap().0.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(items >= 25, "{said}");
    let shown = text(&menu("show", &file));
    assert!(shown.contains("    9.80  Pizza Margherita (margherita): vegetarian, gluten, milk\n"), "{shown}");
}

#[test]
fn every_fault_is_named_with_its_line_and_its_path() {
    let (code, said) = check(
        "categories:
  - name: Pizze
    items:
      - id: Margherita
        name: ''
        price: 9.999
        allergens: [glutn]
        diets: [vegan, paleo]
        order_types: []
        available_from: 25:00
        colour: red
      - id: calzone
        name: Calzone
        price: 1000
        options:
          - id: size
            name: Size
            min: 2
            max: 1
            choices:
              - {id: small, name: Small, price_delta: x}
              - {id: small, name: Small}
          - id: extra
            name: Extra
            min: 3
            max: 2
            choices: [{id: a, name: A}, {id: b, name: B}]
      - id: calzone
        name: Calzone
        price: 9.00
        allergens: [milk]
        diets: [vegan]
",
    );
    assert_eq!(code, Some(78), "{said}");
    for fault in [
        "menu.yaml:4: categories.0.items.0.id: must be a slug",
        "menu.yaml:5: categories.0.items.0.name: must have 1 to 50 characters, has 0",
        "menu.yaml:6: categories.0.items.0.price: must have at most two decimals",
        "menu.yaml:7: categories.0.items.0.allergens.0: must be one of gluten, ",
        "(did you mean \"gluten\"?)",
        "menu.yaml:8: categories.0.items.0.diets.1: must be one of vegetarian, vegan",
        "menu.yaml:9: categories.0.items.0.order_types: must have one at least",
        "menu.yaml:10: categories.0.items.0.available_from: must be a time from 00:00 to 23:59",
        "menu.yaml:11: categories.0.items.0.colour: unknown key",
        "menu.yaml:14: categories.0.items.1.price: must be from 0.01 to 999.99",
        "menu.yaml:21: categories.0.items.1.options.0.choices.0.price_delta: must be a number",
        "menu.yaml:22: categories.0.items.1.options.0.choices.1.id: this id is already on line 21",
        "menu.yaml:23: categories.0.items.1.options.1: min is 3, and max only 2",
        "menu.yaml:28: categories.0.items.2.id: this id is already on line 12",
    ] {
        assert!(said.contains(fault), "{fault}\n{said}");
    }
    assert!(!said.contains("has no item"), "they are there, and wrong: {said}");
}

#[test]
fn what_does_not_fit_together_is_a_fault_of_the_item() {
    let (code, said) = check(
        "categories:
  - name: Pizze
    items:
      - {id: calzone, name: Calzone, price: 9.00, allergens: [milk], diets: [vegan]}
",
    );
    let fault = "menu.yaml:4: categories.0.items.0: is vegan and has milk among its allergens\n";
    assert_eq!((code, said), (Some(78), format!("error: {fault}")));
}

#[test]
fn a_file_that_holds_no_menu_is_refused() {
    for (content, fault) in [
        ("", "menu.yaml:1: must have the fields categories"),
        ("categories: []\n", "menu.yaml:1: categories: has no item"),
        ("categories:\n  - name: A\n", "menu.yaml:2: categories.0.items: is missing"),
        ("categories: [\n", "not valid YAML"),
    ] {
        let (code, said) = check(content);
        assert!(code == Some(78) && said.contains(fault), "{content:?}: {said}");
    }
    let output = menu("check", Path::new("/nonexistent/menu.yaml"));
    assert!(code(&output) == Some(78) && text(&output).contains("can't be read"), "{}", text(&output));
}
