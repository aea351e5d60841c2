//! What goes from a client to a service and back, and what does not.

use std::collections::BTreeSet;

use super::stub::Stub;
use crate::support::answer;

const OK: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n";

fn names(head: &str) -> BTreeSet<String> {
    let lines = head.lines().skip(1).take_while(|line| !line.is_empty());
    lines.map(|line| line.split(':').next().unwrap().to_lowercase()).collect()
}

#[tokio::test]
async fn a_service_is_shown_what_it_needs_and_nothing_of_the_connection() {
    let stub = Stub::start(&format!("{OK}\r\n{{}}"), None).await;
    let request = stub.http.request("GET", "/api/orders/ORD_20261201_001?");
    let request = request
        .header("connection", "keep-alive, x-order-token")
        .header("x-order-token", "an order's")
        .header("x-table-token", "a table's")
        .header("x-request-id", "abc-1")
        .header("x-forwarded-for", "6.6.6.6")
        .header("forwarded", "for=6.6.6.6")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "evil.test")
        .header("cookie", "lang=de; __Host-session=s3cret")
        .header("te", "trailers")
        .header("upgrade", "websocket")
        .header("proxy-authorization", "Basic YTpi")
        .header("x-http-method-override", "DELETE");
    let answered = answer(request).await;
    assert_eq!((answered.status, answered.header("x-request-id")), (200, "abc-1"));
    let [head] = &stub.asked()[..] else { panic!("{:?}", stub.asked()) };
    assert!(head.starts_with("GET /orders/ORD_20261201_001 HTTP/1.1\r\n"), "{head}");
    let expected = ["accept", "authorization", "host", "x-forwarded-for", "x-order-token", "x-request-id"];
    assert_eq!(names(head), expected.map(str::to_owned).into(), "{head}");
    let lower = head.to_lowercase();
    for shown in [
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-order-token: an order's\r\n",
        "authorization: bearer s3cret\r\n",
    ] {
        assert!(lower.contains(shown), "{shown}: {head}");
    }
}

#[tokio::test]
async fn a_client_gets_of_an_answer_what_is_meant_for_it() {
    let extra = "set-cookie: session=stolen\r\nserver: inside\r\nx-powered-by: inside\r\netag: \"1\"\r\n\
                 location: http://inside.test/orders/1\r\nrefresh: 0;url=http://evil.test\r\n";
    let stub = Stub::start(&format!("{OK}{extra}\r\n{{}}"), None).await;
    let answered = answer(stub.http.request("GET", "/api/menu").header("if-none-match", "\"0\"")).await;
    assert_eq!((answered.ok(), answered.header("etag")), (serde_json::json!({}), "\"1\""));
    for name in ["set-cookie", "server", "x-powered-by", "location", "refresh"] {
        assert_eq!(answered.header(name), "", "{name}");
    }
    assert!(stub.asked()[0].to_lowercase().contains("if-none-match: \"0\"\r\n"));
}

#[tokio::test]
async fn an_answer_that_no_service_gives_is_a_problem_of_the_gateways_own() {
    for answer in [
        "HTTP/1.1 500 Oops\r\ncontent-type: text/html\r\ncontent-length: 3\r\nconnection: close\r\n\r\n<p>",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\nconnection: close\r\n\r\n{}",
        "nonsense\r\n\r\n",
        "",
    ] {
        let stub = Stub::start(answer, None).await;
        let answered = stub.http.get("/api/menu").await;
        answered.problem(503);
        assert_ne!(answered.header("retry-after"), "", "{answer}");
    }
}

#[tokio::test]
async fn no_token_is_in_a_log() {
    let stub = Stub::start(&format!("{OK}\r\n{{}}"), None).await;
    let secret = "tok3n-that-nobody-may-read";
    for path in [
        "/api/orders/mine".to_owned(),
        format!("/t/{secret}"),
        format!("/api/orders/{secret}/status"),
        format!("/?table={secret}"),
    ] {
        let request = stub.http.request("GET", &path);
        let request =
            request.header("x-order-token", secret).header("referer", format!("http://a.test/t/{secret}"));
        answer(request.bearer_auth(secret)).await;
    }
    let output = stub.gateway.output();
    assert!(output.iter().any(|line| line.contains("request_completed")), "nothing of requests is logged");
    assert!(!output.iter().any(|line| line.contains(secret)), "{output:?}");
}
