//! The OpenAPI documents: what they say, and that what is served is what is printed.

use crate::support::{Http, TestEnv, answer};
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
fn the_stations_document_is_as_agreed() {
    insta::assert_json_snapshot!("station", snapshot_of("station"));
}

#[test]
fn the_gateways_document_is_as_agreed() {
    insta::assert_json_snapshot!("gateway", snapshot_of("gateway"));
}

#[test]
fn a_document_is_the_same_every_time() {
    assert_eq!(printed("order"), printed("order"));
}

#[tokio::test]
async fn what_is_served_is_what_is_printed_and_the_page_needs_nothing_from_elsewhere() {
    let env = TestEnv::new().await;
    for (role, name) in [("order-service", "order"), ("tracking-service", "tracking")] {
        let service = env.spawn(&[role, "--port", "0"]);
        let served = Http::of(&service).await.get("/openapi.json").await.ok();
        let printed: Value = serde_json::from_str(&printed(name)).unwrap();
        assert_eq!(served, printed);
        assert_eq!(served["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}

#[tokio::test]
async fn no_route_passes_over_a_query_parameter_that_it_does_not_have() {
    let env = TestEnv::new().await;
    for (role, name) in [("order-service", "order"), ("tracking-service", "tracking")] {
        let service = env.spawn(&[role, "--port", "0"]);
        let http = Http::of(&service).await;
        let document: Value = serde_json::from_str(&printed(name)).unwrap();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let path = path.replace("{order_number}", "ORD_20261122_001");
            for (method, operation) in operations.as_object().unwrap() {
                assert!(operation["responses"]["400"].is_object(), "{method} {path}");
                let method = method.to_uppercase();
                let asked = answer(http.request(&method, &format!("{path}?surprise=1"))).await;
                assert_eq!(asked.status, 400, "{method} {path}");
                let problem = asked.json();
                assert!(
                    problem["detail"].as_str().unwrap().contains("surprise"),
                    "{method} {path}: {problem}"
                );
            }
        }
        for (method, path, status) in
            [("GET", "/nowhere?surprise=1", 404), ("DELETE", "/healthz?surprise=1", 405)]
        {
            assert_eq!(answer(http.request(method, path)).await.status, status, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_documentation_page_needs_nothing_from_elsewhere() {
    let env = TestEnv::new().await;
    let service = env.spawn(&["tracking-service", "--port", "0"]);
    let answer = Http::of(&service).await.get("/docs").await;
    // The browser is told to fetch nothing from another host, whatever the page's scripts may ask for.
    let policy = answer.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none';") && !policy.contains("http") && !policy.contains('*'),
        "{policy}"
    );
    let page = &answer.text;
    assert!(page.contains("SwaggerUIBundle") && page.contains("/orders/{order_number}/events"));
    for tag in tags(page) {
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
