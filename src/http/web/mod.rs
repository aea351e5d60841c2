//! The pages for people: their templates and files are in `web/`, and every text is escaped as the templates are compiled.

mod files;
mod people;
pub mod ready;
mod staff;
pub mod track;

use std::sync::LazyLock;

use askama::Template;
use http_kit::{
    Problem,
    web::{File, Files, WebPage},
};

pub use files::{PageFiles, PageTag};
pub use people::Frame;
pub use staff::{StaffLoginPage, StaffPage, StaffRow};

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($($content_type:ident $name:literal),* $(,)?) => {
        [$(File { name: $name, content_type: $content_type, text: include_str!(concat!("../../../web/", $name)) }),*]
    };
}

/// What the pages load, from `/assets/{version}/{name}`.
pub static FILES: LazyLock<Files> = LazyLock::new(|| Files::new(TEXTS));

static TEXTS: &[File] = &files![
    CSS "bar.css",
    CSS "base.css",
    CSS "basket.css",
    CSS "order.css",
    CSS "people.css",
    CSS "ready.css",
    CSS "staff-card.css",
    CSS "staff.css",
    CSS "station.css",
    CSS "ticket.css",
    CSS "track.css",
    JAVASCRIPT "actions.js",
    JAVASCRIPT "basket.js",
    JAVASCRIPT "board.js",
    JAVASCRIPT "chooser.js",
    JAVASCRIPT "counts.js",
    JAVASCRIPT "dishes.js",
    JAVASCRIPT "dom.js",
    JAVASCRIPT "faults.js",
    JAVASCRIPT "keys.js",
    JAVASCRIPT "live.js",
    JAVASCRIPT "order.js",
    JAVASCRIPT "placing.js",
    JAVASCRIPT "ready.js",
    JAVASCRIPT "say.js",
    JAVASCRIPT "sound.js",
    JAVASCRIPT "staff-actions.js",
    JAVASCRIPT "staff-api.js",
    JAVASCRIPT "staff-card.js",
    JAVASCRIPT "staff-orders.js",
    JAVASCRIPT "staff-panels.js",
    JAVASCRIPT "staff.js",
    JAVASCRIPT "station.js",
    JAVASCRIPT "ticket.js",
    JAVASCRIPT "track.js",
    JAVASCRIPT "words.js",
];

/// The page of a kitchen station.
#[derive(Debug, Template)]
#[template(path = "station.html")]
pub struct StationPage<'a> {
    /// The worker's name.
    pub station: &'a str,
    /// The account that is logged in: actions that a tablet keeps while it is offline are sent for that account alone.
    pub account: &'a str,
}

/// The form that makes a session.
#[derive(Debug, Default, Template)]
#[template(path = "login.html")]
pub struct LoginPage<'a> {
    /// What one logs in to, where that is known.
    pub place: &'a str,
    /// The name that was tried.
    pub name: &'a str,
    /// Why that was no success; empty at first.
    pub error: &'a str,
}

/// The HTML of a page.
///
/// # Errors
/// 500 where a template fails, which none of these does.
pub fn page(template: &impl Template) -> Result<WebPage, Problem> {
    template.render().map(WebPage::new).map_err(Problem::internal)
}

/// Stands in the templates.
pub(crate) fn version() -> &'static str {
    FILES.version()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn a_name_is_text_wherever_it_stands() {
        let nasty = "<img src=x onerror=alert(1)>\"'";
        let station = StationPage { station: nasty, account: nasty }.render().unwrap();
        let login = LoginPage { place: nasty, name: nasty, error: nasty }.render().unwrap();
        for html in [station, login] {
            assert!(!html.contains("<img"), "{html}");
            assert!(!html.contains("1)>\"'"), "{html}");
        }
    }

    #[test]
    fn every_file_beside_the_templates_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let files =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        let names = files.map(|file| file.file_name().unwrap().to_str().unwrap().to_owned());
        let kept: BTreeSet<String> = names.filter(|name| !name.ends_with(".html")).collect();
        assert_eq!(kept, TEXTS.iter().map(|file| file.name.to_owned()).collect());
    }

    #[test]
    fn pages_load_only_files_of_this_version_and_have_nothing_inline() {
        let station = StationPage { station: "grill", account: "anna" }.render().unwrap();
        let login = LoginPage::default().render().unwrap();
        for html in [station, login] {
            for address in html.split(['"']).filter(|part| part.starts_with("/assets/")) {
                let (version, name) = address["/assets/".len()..].split_once('/').unwrap();
                assert!(FILES.get(version, name, &Default::default()).is_ok(), "{address}");
            }
            assert!(!html.contains("<style") && !html.contains(" style="), "{html}");
            let handler =
                html.split(" on").skip(1).find(|rest| rest.split([' ', '>']).next().unwrap().contains('='));
            assert_eq!(handler, None);
            assert!(!html.replace("<script type=\"module\" src=", "").contains("<script"), "{html}");
        }
    }
}
