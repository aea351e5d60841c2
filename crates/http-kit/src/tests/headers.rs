//! What every answer has, and for which hosts there are answers.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::hosts::RequestHost;

/// Sends a request as it is, which says that it is the last on its connection; the head and the body of the answer.
async fn raw(server: &Server, request: &str) -> (BTreeMap<String, String>, String) {
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("the server closes").unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let fields = lines.map(|line| line.split_once(": ").unwrap());
    let fields = fields.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    (fields.chain([("status".to_owned(), status)]).collect(), body.to_owned())
}

fn last(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n")
}

#[tokio::test]
async fn every_answer_has_the_headers_that_hold_browsers_and_caches() {
    let server = Server::start().await;
    let json = "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    for (request, status, cache) in [
        (last("GET", "/things", ""), "200", "no-store"),
        (last("POST", "/things", "Content-Length: 0\r\n"), "415", "no-store"),
        (last("POST", "/things", json), "503", "no-store"),
        (last("GET", "/nothing", ""), "404", "no-store"),
        (last("DELETE", "/things", ""), "405", "no-store"),
        (last("TRACE", "/things", ""), "405", "no-store"),
        (last("OPTIONS", "/things", ""), "204", "no-store"),
        (last("GET", "/things/panic", ""), "500", "no-store"),
        (last("GET", "/things?x=1", ""), "400", "no-store"),
        (last("POST", "/guarded", ""), "401", "no-store"),
        (last("GET", "/tagged", ""), "200", "no-cache"),
        (last("GET", "/tagged", "If-None-Match: *\r\n"), "304", "no-cache"),
        (last("GET", "/docs", "Accept-Encoding: gzip\r\n"), "200", "no-cache"),
        (last("GET", "/docs", "If-None-Match: *\r\n"), "304", "no-cache"),
        (last("GET", "/openapi.json", ""), "200", "no-cache"),
        (last("GET", "/", ""), "307", "no-store"),
        (last("GET", "/healthz", ""), "200", "no-store"),
        (last("GET", "/readyz", ""), "503", "no-store"),
        (last("GET", "/metrics", ""), "200", "no-store"),
        (last("HEAD", "/events", ""), "200", "no-store"),
        (last("GET", "/events", "Last-Event-ID: 100\r\n"), "204", "no-store"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400", "no-store"),
        ("nonsense\r\n\r\n".to_owned(), "400", "no-store"),
        (last("GET", "/", &format!("X-Long: {}\r\n", "x".repeat(200_000))), "431", "no-store"),
    ] {
        let shown = &request[..request.len().min(80)];
        let (head, _) = raw(&server, &request).await;
        assert_eq!(head["status"], status, "{shown}");
        assert_eq!(head["cache-control"], cache, "{shown}");
        assert_eq!(head["x-content-type-options"], "nosniff", "{shown}");
        assert_eq!(head["referrer-policy"], "no-referrer", "{shown}");
        assert!(head.contains_key("x-request-id"), "{shown}");
        let policy = &head["content-security-policy"];
        assert!(policy.starts_with("default-src 'none'; "), "{shown}: {policy}");
        assert!(
            policy.ends_with("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{shown}: {policy}"
        );
    }
}

#[tokio::test]
async fn head_is_answered_as_get_is_and_a_wrong_method_with_what_is_allowed() {
    let server = Server::start().await;
    for path in [
        "/things",
        "/things/a",
        "/tagged",
        "/guarded",
        "/docs",
        "/openapi.json",
        "/healthz",
        "/readyz",
        "/",
        "/nothing",
    ] {
        let of = async |method: &str| {
            let (mut head, body) = raw(&server, &last(method, path, "")).await;
            head.remove("date");
            head.remove("x-request-id");
            (head, body)
        };
        let ((mut get, _), (head, body)) = (of("GET").await, of("HEAD").await);
        if path == "/" {
            // There is nothing to say the length of.
            get.remove("content-length");
        }
        assert_eq!((head, body.as_str()), (get, ""), "{path}");
        for method in ["DELETE", "TRACE", "BREW"] {
            let (head, _) = raw(&server, &last(method, path, "")).await;
            let expected = if path == "/nothing" { ("404", None) } else { ("405", Some(true)) };
            let allow = head.get("allow").map(|allow| allow.contains("GET, HEAD, OPTIONS"));
            assert_eq!((head["status"].as_str(), allow), expected, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn answers_say_on_what_they_depend() {
    let server = Server::start().await;
    for (path, vary) in [
        ("/guarded", Some("Authorization")),
        ("/docs", Some("Accept-Encoding")),
        ("/openapi.json", Some("Accept-Encoding")),
        ("/things", None),
    ] {
        for more in ["", "Authorization: Bearer wrong\r\n", "If-None-Match: *\r\nAccept-Encoding: gzip\r\n"] {
            let (head, _) = raw(&server, &last("GET", path, more)).await;
            let said = head.get("vary").map(|vary| vary.to_lowercase());
            assert_eq!(said, vary.map(str::to_lowercase), "{path} {more}");
        }
    }
}

#[tokio::test]
async fn the_documentation_runs_what_is_in_it_and_nothing_else() {
    let server = Server::start().await;
    let page = server.get("/docs").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let html = page.text().await.unwrap();
    for refused in ["unsafe", "*", "http:", "https:"] {
        assert!(!policy.contains(refused), "{policy}");
    }
    let sources = |directive: &str| -> Vec<String> {
        let directive = policy.split("; ").find_map(|each| each.strip_prefix(directive)).unwrap();
        directive.split_whitespace().map(str::to_owned).collect()
    };
    let hash = |content: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(content)));
    let begun = |text: &'static str, part: &str| -> Option<(String, String)> {
        let (before, element) = part.split_once(text)?;
        Some((before.to_owned(), element.split_once('>')?.1.to_owned()))
    };
    let scripts: Vec<_> = html.split("</script>").filter_map(|part| begun("<script", part)).collect();
    let styles: Vec<_> = scripts[0].0.split("</style>").filter_map(|part| begun("<style", part)).collect();
    let inline = |elements: &[(String, String)]| -> Vec<String> {
        elements.iter().map(|(_, content)| hash(content)).collect()
    };
    assert_eq!((sources("script-src"), sources("script-src").len()), (inline(&scripts), 2));
    assert_eq!((sources("style-src"), sources("style-src").len()), (inline(&styles), 1));
    assert_eq!(
        (sources("connect-src"), sources("img-src")),
        (vec!["'self'".to_owned()], vec!["data:".to_owned()])
    );
    // A browser hashes what it has parsed, in which there are no carriage returns.
    assert!(!html.contains('\r'));
    let markup: String = html.split("</script>").map(|part| part.split("<script").next().unwrap()).collect();
    for inline in ["style=", "onload=", "onclick=", "javascript:", "src="] {
        assert!(!markup.contains(inline), "{inline}");
    }
}

#[tokio::test]
async fn requests_for_other_hosts_are_misdirected() {
    let allowed_hosts = RequestHost::parse("orders.example.org").into_iter().collect();
    let server = Server::start_with(ServerLimits { allowed_hosts, ..ServerLimits::default() }).await;
    let ask = async |target: &str, host: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        raw(&server, &request).await
    };
    for host in ["orders.example.org", "ORDERS.example.org.:3000"] {
        assert_eq!(ask("/things", host).await.0["status"], "200", "{host}");
    }
    for host in
        ["evil.test", "evil.test:3000", "127.0.0.1:3000", "localhost", "orders.example.org.evil.test", ""]
    {
        let (head, body) = ask("/things", host).await;
        assert_eq!(
            (head["status"].as_str(), head["content-type"].as_str()),
            ("421", "application/problem+json")
        );
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["type"], "urn:test:problem:misdirected-request", "{host}");
        assert_eq!(body["request_id"].as_str().unwrap(), head["x-request-id"]);
    }
    assert_eq!(ask("http://evil.test/things", "orders.example.org").await.0["status"], "421");
    assert_eq!(ask("http://orders.example.org/things", "evil.test").await.0["status"], "421");
    assert_eq!(ask("/healthz", "127.0.0.1:3000").await.0["status"], "200");
    assert_eq!(ask("/healthz", "evil.test").await.0["status"], "421");
    let (_, metrics) = ask("/metrics", "127.0.0.1").await;
    assert!(
        metrics.contains("http_requests_total{method=\"GET\",route=\"/things\",status=\"421\"} 8\n"),
        "{metrics}"
    );
}
