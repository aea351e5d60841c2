//! `menu`: the menu in a file.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::error::CliError;
use crate::config::read_menu;
use crate::domain::{Menu, MenuItem};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  restaurant-system menu check menu.yaml
  restaurant-system menu show menu.yaml

docs/OPERATIONS.md, \"The menu\", says what stands in such a file; contrib/menu.example.yaml is one to begin with.

Exit codes: 0 it can be used; 78 it cannot, and every fault is named with its line.")]
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
}

#[derive(Debug, Args)]
struct MenuFile {
    /// The menu, as YAML
    file: PathBuf,
}

pub(super) fn run(args: &MenuArgs) -> Result<(), CliError> {
    let (MenuCommand::Check(MenuFile { file }) | MenuCommand::Show(MenuFile { file })) = &args.command;
    let menu = read_menu(file)?;
    let mut stdout = io::stdout().lock();
    let written = match args.command {
        MenuCommand::Check(_) => {
            let (items, categories) = (menu.items().count(), menu.categories.len());
            writeln!(stdout, "{}: {items} items in {categories} categories; it can be used", file.display())
        }
        MenuCommand::Show(_) => show(&menu, &mut stdout),
    };
    written.map_err(CliError::failed)
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
