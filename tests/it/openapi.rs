//! The OpenAPI documents: what they say, and that what is served is what is printed.

use crate::support::TestEnv;
use serde_json::Value;
use std::process::Command;

fn printed(service: &str) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_restaurant-system")).args(["openapi", service]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    String::from_utf8(output.stdout).unwrap()
}

/// The document without the program's version, which changes with each release.
fn snapshot_of(service: &str) -> Value {
    let mut document: Value = serde_json::from_str(&printed(service)).unwrap();
    document["info"]["version"] = "[version]".into();
    document
}

#[test]
fn the_order_services_document_is_as_agreed() {
    insta::assert_json_snapshot!("order-service", snapshot_of("order"));
}

#[test]
fn the_tracking_services_document_is_as_agreed() {
    insta::assert_json_snapshot!("tracking-service", snapshot_of("tracking"));
}

#[test]
fn a_document_is_the_same_every_time() {
    assert_eq!(printed("order"), printed("order"));
}

#[tokio::test]
async fn what_is_served_is_what_is_printed_and_the_page_needs_nothing_from_elsewhere() {
    let env = TestEnv::new().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (role, name) in [("order-service", "order"), ("tracking-service", "tracking")] {
        let service = env.spawn(&[role, "--port", "0"]);
        let url = service.url().await;
        let get =
            async |path: &str| http.get(format!("{url}{path}")).send().await.unwrap().text().await.unwrap();
        let served: Value = serde_json::from_str(&get("/openapi.json").await).unwrap();
        let printed: Value = serde_json::from_str(&printed(name)).unwrap();
        assert_eq!(served, printed);
        assert_eq!(served["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}

#[tokio::test]
async fn no_route_passes_over_a_query_parameter_that_it_does_not_have() {
    let env = TestEnv::new().await;
    let http =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (role, name) in [("order-service", "order"), ("tracking-service", "tracking")] {
        let service = env.spawn(&[role, "--port", "0"]);
        let url = service.url().await;
        let document: Value = serde_json::from_str(&printed(name)).unwrap();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let path = path.replace("{order_number}", "ORD_20261122_001");
            for (method, operation) in operations.as_object().unwrap() {
                assert!(operation["responses"]["400"].is_object(), "{method} {path}");
                let method = method.to_uppercase().parse::<reqwest::Method>().unwrap();
                let answer =
                    http.request(method.clone(), format!("{url}{path}?surprise=1")).send().await.unwrap();
                assert_eq!(answer.status(), 400, "{method} {path}");
                let problem: Value = answer.json().await.unwrap();
                assert!(
                    problem["detail"].as_str().unwrap().contains("surprise"),
                    "{method} {path}: {problem}"
                );
            }
        }
        for (method, path, status) in
            [("GET", "/nowhere?surprise=1", 404), ("DELETE", "/healthz?surprise=1", 405)]
        {
            let request = http.request(method.parse().unwrap(), format!("{url}{path}"));
            assert_eq!(request.send().await.unwrap().status(), status, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_documentation_page_needs_nothing_from_elsewhere() {
    let env = TestEnv::new().await;
    let service = env.spawn(&["tracking-service", "--port", "0"]);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.get(format!("{}/docs", service.url().await)).send().await.unwrap();
    // The browser is told to fetch nothing from another host, whatever the page's scripts may ask for.
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(
        policy.starts_with("default-src 'none';") && !policy.contains("http") && !policy.contains('*'),
        "{policy}"
    );
    let page = answer.text().await.unwrap();
    assert!(page.contains("SwaggerUIBundle") && page.contains("/orders/{order_number}/events"));
    for tag in tags(&page) {
        let fetches = ["src=", "href=", "data=", "srcset="].iter().any(|attribute| tag.contains(attribute));
        assert!(!fetches || !(tag.contains("//") || tag.contains("http")), "{tag}");
    }
    for import in ["@import", "url(http", "url(\"http", "url('http", "url(//"] {
        assert!(!page.contains(import), "{import}");
    }
}

/// The tags of a page, without what stands inside scripts and styles.
fn tags(page: &str) -> Vec<String> {
    let (mut tags, mut rest) = (Vec::new(), page);
    while let Some((_, from)) = rest.split_once('<') {
        let (tag, behind) = from.split_once('>').unwrap_or((from, ""));
        rest = behind;
        for raw in ["script", "style"] {
            if tag.starts_with(raw) {
                rest = rest.split_once(&format!("</{raw}>")).map_or("", |(_, behind)| behind);
            }
        }
        tags.push(tag.to_owned());
    }
    tags
}
