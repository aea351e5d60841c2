//! Accessibility: axe-core finds nothing on a page, light and dark.

use super::page::Page;

const AXE: &str = include_str!("axe/axe.min.js");

/// WCAG 2.2 AA with all that it stands on, and what is good practice beyond.
const RUN: &str = r#"
(async () => {
    const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const found = await axe.run(document, {runOnly: rules, resultTypes: ["violations"]});
    return found.violations.flatMap(rule =>
        rule.nodes.map(node => `${rule.id}: ${rule.help}: ${node.target}: ${node.failureSummary}`));
})()
"#;

impl Page {
    /// Fails the test for anything that axe-core finds, in light colours or in dark ones.
    pub(super) async fn assert_accessible(&self) {
        for dark in [false, true] {
            self.set_dark(dark).await;
            let faults = self.accessibility_faults().await;
            assert!(faults.is_empty(), "dark: {dark}: {faults:#?}");
        }
    }

    /// What axe-core finds as the page is now.
    pub(super) async fn accessibility_faults(&self) -> Vec<String> {
        if self.eval("typeof axe").await == "undefined" {
            self.eval(&format!("{AXE};null")).await;
        }
        serde_json::from_value(self.eval(RUN).await).unwrap()
    }
}
