//! What single requests are answered with.

use super::*;

#[tokio::test]
async fn unknown_paths_are_problems() {
    let server = Server::start().await;
    for path in [
        "/nothing",
        "/things/",
        "/things/a/b",
        "/%ff",
        "/things/%ff",
        "/%2e%2e/etc",
        "//things",
        &format!("/{}", "x".repeat(5000)),
    ] {
        let response = server.get(path).await;
        assert_eq!(response.status(), 404, "{path}");
        let request_id = response.headers()["x-request-id"].clone();
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(body["type"], "urn:test:problem:not-found", "{path}");
        assert_eq!(body["request_id"], request_id.to_str().unwrap());
        assert!(body["instance"].as_str().unwrap().len() <= 256);
    }
}

#[tokio::test]
async fn a_known_path_says_which_methods_it_allows() {
    let server = Server::start().await;
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "QUERY", "BREW"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let response = server.client.request(method.clone(), server.url("/things")).send().await.unwrap();
        assert_eq!(response.headers()["allow"], "GET, HEAD, OPTIONS, POST", "{method}");
        problem(response, 405).await;
    }
    let response = server.client.post(server.url("/things/x")).send().await.unwrap();
    assert_eq!(response.headers()["allow"], "GET, HEAD, OPTIONS");
    problem(response, 405).await;
    let response =
        server.client.request(reqwest::Method::OPTIONS, server.url("/things/x")).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["allow"].as_bytes()[..3]),
        (204, &b"GET"[..])
    );
    let response = server.client.head(server.url("/things/x")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let response = server.client.put(server.url("/docs")).send().await.unwrap();
    problem(response, 405).await;
}

#[tokio::test]
async fn what_a_route_would_pass_over_of_a_query_is_refused_by_name() {
    let server = Server::start().await;
    for path in
        ["/things?limit=3&also=4&also=5", "/things?also=4&limit=3&also=5", "/things?l%69mit=3&also=4&also=5"]
    {
        assert_eq!(server.get(path).await.text().await.unwrap(), "[3,4,5]", "{path}");
    }
    for path in ["/things?", "/things?&", "/healthz?"] {
        assert_eq!(server.get(path).await.status(), 200, "{path}");
    }
    for (path, detail) in [
        ("/things?limti=3", "the parameter limti is unknown; there are also, limit here"),
        ("/things?b&limit=x&a=1&b=2", "the parameters a, b are unknown; there are also, limit here"),
        ("/things?limit=3&limit=3", "the parameter limit is there more than once"),
        ("/things?=3", "the parameter without a name is unknown; there are also, limit here"),
        ("/things?a%0A%E2%80%AE=3", "the parameter a\u{fffd}\u{fffd} is unknown; there are also, limit here"),
        (
            "/things?a&b&c&d&e&f&g",
            "the parameters a, b, c, d, e and 2 more are unknown; there are also, limit here",
        ),
        ("/things/none?x=1", "the parameter x is unknown; there are none here"),
        ("/healthz?x=1", "the parameter x is unknown; there are none here"),
        ("/docs?x=1", "the parameter x is unknown; there are none here"),
    ] {
        let body = problem(server.get(path).await, 400).await;
        assert_eq!(body["type"], "urn:test:problem:invalid-parameter", "{path}");
        assert_eq!(body["detail"], detail, "{path}");
    }
    assert_eq!(server.get("/docs?utm_source=leaflet&fbclid=x").await.status(), 200);
    for path in ["/docs?x=1&utm_source=leaflet", "/docs?x=1&fbclid"] {
        let detail = &problem(server.get(path).await, 400).await["detail"];
        assert_eq!(detail, "the parameter x is unknown; there are none here", "{path}");
    }
    let detail = &problem(server.get("/things?utm_source=leaflet").await, 400).await["detail"];
    assert_eq!(detail, "the parameter utm_source is unknown; there are also, limit here");
    let head = server.client.head(server.url("/healthz?x=1")).send().await.unwrap();
    assert_eq!(head.status(), 400);
    let post = server.client.post(server.url("/things?limit=3")).json(&serde_json::json!({"name": "a"}));
    problem(post.send().await.unwrap(), 400).await;
    let long = format!("/things?{}=1", "x".repeat(5000));
    assert!(problem(server.get(&long).await, 400).await["detail"].as_str().unwrap().len() < 200);
}

#[tokio::test]
async fn a_panic_is_a_problem_and_the_connection_lives_on() {
    let server = Server::start().await;
    let body = problem(server.get("/things/panic").await, 500).await;
    assert!(!body.to_string().contains("a bug"), "{body}");
    assert_eq!(server.get("/things/x").await.status(), 200);
}

#[tokio::test]
async fn an_internal_error_shows_nothing_of_the_inside() {
    let server = Server::start().await;
    let body = problem(server.get("/things/broken").await, 500).await;
    assert!(!body.to_string().contains("SELECT"), "{body}");
    problem(server.get("/things/none").await, 404).await;
}

#[tokio::test]
async fn a_sane_request_id_is_echoed_and_any_other_replaced() {
    let server = Server::start().await;
    let ask = async |id: &str| {
        let request = server.client.get(server.url("/things/x")).header("x-request-id", id);
        let response = request.send().await.unwrap();
        let header = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(body["request_id"], header.as_str());
        header
    };
    assert_eq!(ask("client-1.2_3").await, "client-1.2_3");
    for bad in ["a b", "x;y", &"x".repeat(129)] {
        let made = ask(bad).await;
        assert_eq!(uuid::Uuid::parse_str(&made).unwrap().get_version_num(), 7);
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_and_without_its_length() {
    let server = Server::start().await;
    let big = format!("{{\"name\": \"{}\"}}", "x".repeat(64 * 1024));
    problem(server.post(big.clone()).await, 413).await;
    problem(server.post("x".repeat(3 * 1024 * 1024)).await, 413).await;
    let chunks: Vec<_> =
        big.as_bytes().chunks(1000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
    let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    problem(server.post(stream).await, 413).await;
    let fits = format!("{{\"name\": \"{}\"}}", "x".repeat(64 * 1024 - 12));
    let response = server.post(fits).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["location"]),
        (201, &"/things/1".parse().unwrap())
    );
}

#[tokio::test]
async fn only_json_is_taken() {
    let server = Server::start().await;
    let send = async |name: &'static str, value: &'static str| {
        let request = server.client.post(server.url("/things")).header(name, value).body("{\"name\": 1}");
        request.send().await.unwrap()
    };
    problem(send("content-type", "text/plain").await, 415).await;
    problem(send("content-type", "application/x+json").await, 415).await;
    problem(send("accept", "*/*").await, 415).await;
    assert_eq!(send("content-type", "application/json;charset=utf-8").await.status(), 201);
}

#[tokio::test]
async fn malformed_json_is_located_and_unknown_or_repeated_fields_are_named() {
    let server = Server::start().await;
    let body = problem(server.post("{\"name\":\n  oops}").await, 400).await;
    assert!(body["detail"].as_str().unwrap().contains("line 2, column 3"), "{body}");
    let body = problem(server.post("{\"name\": 1, \"name\": 2}").await, 400).await;
    assert_eq!(body["errors"][0]["pointer"], "/name");
    let body = problem(server.post("{\"name\": 1, \"x\": 2, \"y\": 2}").await, 400).await;
    assert_eq!((&body["errors"][0]["pointer"], &body["errors"][1]["pointer"]), (&"/x".into(), &"/y".into()));
    problem(server.post("[]").await, 400).await;
    problem(server.post("").await, 400).await;
}

#[tokio::test]
async fn unusable_parameters_are_named() {
    let server = Server::start().await;
    let body = problem(server.get("/things?limit=many").await, 400).await;
    assert_eq!(body["detail"], "the parameter limit is invalid: invalid digit found in string");
    problem(server.get("/slow/soon").await, 404).await;
    assert_eq!(server.get("/things?limit=3").await.text().await.unwrap(), "[3]");
}

#[tokio::test]
async fn unavailable_says_when_to_come_back() {
    let server = Server::start().await;
    let response = server.post("{}").await;
    assert_eq!(response.headers()["retry-after"], "2");
    problem(response, 503).await;
}

#[tokio::test]
async fn what_is_not_admitted_is_refused_on_its_route_alone_whatever_the_body_says() {
    let server = Server::start().await;
    server.full.store(true, Ordering::Relaxed);
    let response = server.post("no JSON").await;
    assert_eq!(response.headers()["retry-after"], "7");
    assert!(!response.headers().contains_key("connection"));
    assert_eq!(problem(response, 503).await["detail"], "nothing is admitted");
    assert_eq!(server.get("/things/a").await.status(), 200);
    let metrics = server.get("/metrics").await.text().await.unwrap();
    let counted = "http_requests_total{method=\"POST\",route=\"/things\",status=\"503\"} 1";
    assert!(metrics.contains(counted), "{counted} is not in\n{metrics}");

    server.full.store(false, Ordering::Relaxed);
    problem(server.post("no JSON").await, 400).await;
}

#[tokio::test]
async fn an_answer_that_the_client_has_is_not_sent_again() {
    let server = Server::start().await;
    let response = server.get("/tagged").await;
    let tag = response.headers()["etag"].clone();
    assert_eq!(response.text().await.unwrap(), "7");
    let ask = async |value: &reqwest::header::HeaderValue| {
        server.client.get(server.url("/tagged")).header("if-none-match", value).send().await.unwrap()
    };
    let response = ask(&tag).await;
    assert_eq!((response.status().as_u16(), &response.headers()["etag"]), (304, &tag));
    assert_eq!(response.text().await.unwrap(), "");
    assert_eq!(ask(&"\"other\"".parse().unwrap()).await.status(), 200);
}

#[tokio::test]
async fn events_go_on_behind_the_last_one_that_the_client_has() {
    let server = Server::start().await;
    let ask = async |last: &str| {
        server.client.get(server.url("/events")).header("last-event-id", last).send().await.unwrap()
    };
    let mut response = ask("41").await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let mut text = String::new();
    while !text.contains("data: 43") {
        text.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert_eq!(text, "retry: 2000\n\nid: 42\nevent: count\ndata: 42\n\nid: 43\nevent: count\ndata: 43\n\n");
    assert_eq!(ask("100").await.status(), 204);
}

#[tokio::test]
async fn health_and_readiness_name_the_servers() {
    let server = Server::start().await;
    assert_eq!(server.get("/healthz").await.text().await.unwrap(), "{\"status\":\"ok\"}");
    let response = server.get("/readyz").await;
    assert_eq!(response.status(), 503);
    let body: serde_json::Value = response.json().await.unwrap();
    let since = "1970-01-01T00:00:00.000Z";
    let checks = serde_json::json!({
        "postgresql": {"status": "down", "since": since}, "rabbitmq": {"status": "up", "since": since}
    });
    assert_eq!(body, serde_json::json!({"status": "unavailable", "checks": checks}));
}

#[tokio::test]
async fn metrics_count_by_route_and_not_by_path() {
    let server = Server::start().await;
    for path in ["/things/a", "/things/b", "/nothing/1", "/nothing/2"] {
        server.get(path).await;
    }
    let response = server.get("/metrics").await;
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let text = response.text().await.unwrap();
    for line in [
        "http_requests_total{method=\"GET\",route=\"/things/{name}\",status=\"200\"} 2",
        "http_requests_total{method=\"GET\",route=\"unmatched\",status=\"404\"} 2",
        "http_request_duration_seconds_count{route=\"/things/{name}\"} 2",
        "http_requests_in_flight 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn the_documentation_is_served_from_inside() {
    let server = Server::start().await;
    let document: serde_json::Value = server.get("/openapi.json").await.json().await.unwrap();
    let kind = &document["components"]["schemas"]["Problem"]["properties"]["type"]["description"];
    assert!(kind.as_str().unwrap().contains("`urn:test:problem:<kind>`"), "{kind}");
    assert!(
        document["paths"]["/things/{name}"]["get"]["responses"]["404"]["content"]["application/problem+json"]
            .is_object()
    );
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["NewThing"]["additionalProperties"], false);
    assert_eq!(schemas["NewPart"]["additionalProperties"], false);
    assert!(schemas["ReadinessReport"]["properties"]["checks"]["additionalProperties"].is_object());
    let page = server.get("/").await;
    assert_eq!(page.url().path(), "/docs");
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let page = page.text().await.unwrap();
    assert!(page.contains("SwaggerUIBundle({") && page.contains("get_thing"));
    for attribute in [
        "src=\"http",
        "href=\"http",
        "src='http",
        "href='http",
        "@import",
        "url(http",
        "url(//",
        "url(\"http",
    ] {
        let place = page
            .find(attribute)
            .map(|at| page[at.saturating_sub(80)..].chars().take(200).collect::<String>());
        assert_eq!(place, None, "{attribute} fetches");
    }
}

#[test]
fn the_document_is_the_same_every_time() {
    let document = crate::system::openapi_json::<TestApi>(&info());
    assert_eq!(document, crate::system::openapi_json::<TestApi>(&info()));
}

#[tokio::test]
async fn what_cannot_be_read_or_could_be_read_in_two_ways_is_a_problem_document_and_is_counted() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = Server::start().await;
    let long = "x".repeat(200_000);
    let many = "X-A: b\r\n".repeat(200);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("POST /things HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(), 400),
        ("POST /things HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n".to_owned(), 400),
        ("POST /things HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 400),
        ("no request at all\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
    ] {
        let shown = &request[..request.len().min(60)];
        let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(Duration::from_secs(5), read).await.expect("the server closes").unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {answer}");
        assert!(head.contains("content-type: application/problem+json"), "{shown}: {answer}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["status"], status, "{shown}");
        let id = format!("x-request-id: {}", body["request_id"].as_str().unwrap());
        assert!(head.contains(&id), "{shown}: {answer}");
    }
    let metrics = server.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("status=\"431\"} 2\n"), "{metrics}");
}
