//! The headers that every answer has, whatever it is: what a browser and a cache are held to.

use base64::{Engine, prelude::BASE64_STANDARD};
use poem::http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// Each with its value where an answer does not have its own: nothing is kept, nothing is guessed about the type, nobody else
/// learns the address, and what a browser shows as a page may load, run and be framed by nothing.
const ALWAYS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];

/// Gives an answer the headers that it does not have yet.
pub(super) fn complete(headers: &mut HeaderMap) {
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// The same for an answer that is written by hand, each as a line.
pub(super) fn lines() -> String {
    ALWAYS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

/// The policy for a page that has its scripts and styles inline: these and no others, named by their hashes. The page may
/// ask its own service and show the pictures that it has in itself.
///
/// # Errors
/// 500 where a hash is no header's value, which no hash is.
pub(super) fn policy_of_page(html: &str) -> Result<HeaderValue, Problem> {
    let (mut scripts, mut styles) = (String::new(), String::new());
    for (element, content) in inline_elements(html) {
        let hash = BASE64_STANDARD.encode(Sha256::digest(content.as_bytes()));
        let sources = if element == SCRIPT { &mut scripts } else { &mut styles };
        sources.push_str(&format!(" 'sha256-{hash}'"));
    }
    let policy = format!(
        "default-src 'none'; script-src{scripts}; style-src{styles}; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).map_err(Problem::internal)
}

const SCRIPT: &str = "script";
const STYLE: &str = "style";

/// The scripts and styles that stand in a page, in their order, as a browser reads them: up to the first end tag.
fn inline_elements(html: &str) -> Vec<(&'static str, &str)> {
    let mut elements = Vec::new();
    let mut rest = html;
    let first_of = |rest: &str| {
        let begins = [SCRIPT, STYLE].map(|element| rest.find(&format!("<{element}")).map(|at| (at, element)));
        begins.into_iter().flatten().min()
    };
    while let Some((at, element)) = first_of(rest) {
        let Some((_, behind)) = rest[at..].split_once('>') else { break };
        let (content, behind) = behind.split_once(&format!("</{element}")).unwrap_or((behind, ""));
        elements.push((element, content));
        rest = behind;
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_the_headers_that_it_has() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        complete(&mut headers);
        assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers.len(), ALWAYS.len());
    }

    #[test]
    fn the_scripts_and_styles_of_a_page_are_named_by_their_hashes() {
        let html = "<style a=\"b\">p{}</style><script>let a = \"<style>\";</script>\n<script>\n</script>";
        assert_eq!(inline_elements(html), [(STYLE, "p{}"), (SCRIPT, "let a = \"<style>\";"), (SCRIPT, "\n")]);
        let policy = policy_of_page("<style></style>").unwrap();
        let of_nothing = "style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='";
        assert!(policy.to_str().unwrap().contains(of_nothing), "{policy:?}");
    }
}
