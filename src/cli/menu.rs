//! `menu`: the menu in a file, and the one that is in force.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use tokio_util::sync::CancellationToken;

use super::common::{ConfigArgs, Usage, store_options};
use super::error::CliError;
use crate::config::{Config, read_menu};
use crate::domain::{Menu, MenuItem};
use crate::store::{Store, StoreError};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  restaurant-system menu check menu.yaml
  restaurant-system menu show menu.yaml
  restaurant-system menu apply menu.yaml --config /etc/restaurant-system/config.yaml

docs/OPERATIONS.md, \"The menu\", says what stands in such a file; contrib/menu.example.yaml is one to begin with.

A menu that is applied is in force at every order service within a second, until another is. An order service whose
configuration has menu.file applies that one at each start.

Exit codes: 0 it can be used; 1 PostgreSQL did not take it; 78 it cannot be used, and every fault is named with its line.")]
pub(super) struct MenuArgs {
    #[command(subcommand)]
    command: MenuCommand,
}

#[derive(Debug, Subcommand)]
enum MenuCommand {
    /// Say whether a menu can be used, and name every fault
    Check(MenuFile),
    /// Print a menu as people read it
    Show(MenuFile),
    /// Put a menu in force
    Apply {
        #[command(flatten)]
        menu: MenuFile,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

#[derive(Debug, Args)]
struct MenuFile {
    /// The menu, as YAML
    file: PathBuf,
}

pub(super) async fn run(args: &MenuArgs) -> Result<(), CliError> {
    let (MenuCommand::Check(menu) | MenuCommand::Show(menu) | MenuCommand::Apply { menu, .. }) =
        &args.command;
    let file = menu.file.display();
    let menu = read_menu(&menu.file)?;
    let items = menu.items().count();
    let mut stdout = io::stdout().lock();
    let written = match &args.command {
        MenuCommand::Check(_) => {
            let categories = menu.categories.len();
            writeln!(stdout, "{file}: {items} items in {categories} categories; it can be used")
        }
        MenuCommand::Show(_) => show(&menu, &mut stdout),
        MenuCommand::Apply { config, .. } => {
            let config = Config::load(&config.sources())?;
            match apply(&config, &menu).await.map_err(CliError::failed)? {
                Some(version) => writeln!(stdout, "{file}: {items} items are in force, as version {version}"),
                None => writeln!(stdout, "{file}: its {items} items are in force already"),
            }
        }
    };
    written.map_err(CliError::failed)
}

async fn apply(config: &Config, menu: &Menu) -> Result<Option<i64>, StoreError> {
    let options = store_options(&config.database, "menu", Usage::Worker);
    let store = Store::new(options, CancellationToken::new())?;
    store.ping().await?;
    store.apply_menu(menu).await
}

fn show(menu: &Menu, out: &mut impl Write) -> io::Result<()> {
    for category in &menu.categories {
        writeln!(out, "{}", category.name)?;
        for item in &category.items {
            writeln!(out, "{:>8}  {} ({}){}", item.price.to_string(), item.name, item.id, remarks(item))?;
            for option in &item.options {
                let choices: Vec<String> =
                    option.choices.iter().map(|c| format!("{} {}", c.id, c.price_delta)).collect();
                let (min, max) = (option.min, option.max);
                writeln!(out, "{:>10}{}, {min} to {max} of: {}", "", option.name, choices.join(", "))?;
            }
        }
    }
    Ok(())
}

/// What is to know of an item behind its name.
fn remarks(item: &MenuItem) -> String {
    let allergens = item.allergens.iter().map(|allergen| allergen.as_str());
    let remarks: Vec<&str> = item.diets.iter().map(|diet| diet.as_str()).chain(allergens).collect();
    if remarks.is_empty() { String::new() } else { format!(": {}", remarks.join(", ")) }
}
