//! What is refused before any rule is looked at, and the answer's form when an order is taken.

use super::client::OrderService;
use crate::support::{answer, takeout, with};
use serde_json::json;

#[tokio::test]
async fn a_taken_order_is_answered_as_the_contract_says() {
    let service = OrderService::start().await;
    let order = json!({"customer_name": "Ada Lovelace", "order_type": "takeout", "items": [
        {"name": "Margherita Pizza", "quantity": 1, "price": 15.99}, {"name": "Caesar Salad", "quantity": 1, "price": 8.99}]});
    let answer = service.http.post(&order).await;
    assert_eq!((answer.status, answer.header("content-type")), (201, "application/json"));
    let day = service.env.connect().await;
    let day = day.query_one("select to_char(now() at time zone 'UTC', 'YYYYMMDD')", &[]).await.unwrap();
    let number = format!("ORD_{}_001", day.get::<_, &str>(0));
    assert_eq!(answer.header("location"), format!("/orders/{number}"));
    let (told, token) = answer.text.split_once(r#","tracking_url":"/t/"#).unwrap();
    assert_eq!(told, format!(r#"{{"order_number":"{number}","status":"received","total_amount":24.98"#));
    assert_eq!(token.len(), 22 + r#""}"#.len(), "{token}");
    assert_eq!(service.http.get(answer.header("location")).await.status, 200);
}

#[tokio::test]
async fn unknown_fields_are_refused_and_named() {
    let service = OrderService::start().await;
    let mut order = with(&takeout(), "/tip", json!(1));
    order["items"][0]["size~/x"] = json!("L");
    assert_eq!(service.http.post(&order).await.violations(400), ["/tip", "/items/0/size~0~1x"]);
    for field in ["total_amount", "order_number", "status", "priority", "Customer_Name"] {
        let answer = service.http.post(&with(&takeout(), &format!("/{field}"), json!(null))).await;
        assert_eq!(answer.violations(400), [format!("/{field}")]);
    }
}

#[tokio::test]
async fn malformed_json_is_refused() {
    let service = OrderService::start().await;
    let right = takeout().to_string();
    let mut bad: Vec<Vec<u8>> = [
        "",
        " ",
        "{",
        "nonsense",
        "{}{}",
        "{'customer_name': 'Ada'}",
        "[]",
        "null",
        "true",
        "1",
        "\"x\"",
        "{\"a\":NaN}",
        "{\"a\":01}",
        "{\"a\":1,}",
        "{/* x */}",
        "\u{feff}{}",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    bad.push(format!("{right},").into_bytes());
    bad.push(right.replace("Ada", "A\nda").into_bytes());
    bad.push(right.replace("Ada", "A\0da").into_bytes());
    bad.push(right.replace("\"quantity\":1", "\"quantity\":1,\"quantity\":2").into_bytes());
    bad.push(right.replacen('{', "{\"order_type\":\"takeout\",", 1).into_bytes());
    bad.push(right.bytes().map(|byte| if byte == b'L' { 0xff } else { byte }).collect());
    bad.push("[".repeat(60_000).into_bytes());
    bad.push(format!("{{\"items\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000)).into_bytes());
    for body in bad {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let answer = service.http.post_text(body).await;
        assert!([400, 422].contains(&answer.status), "{shown}: {answer:?}");
        // Deep but well-formed nesting is a wrong kind of value; everything else here is no JSON object at all.
        answer.problem(if shown.starts_with("{\"items\":[[") { 422 } else { 400 });
    }
}

#[tokio::test]
async fn a_body_over_64_kib_is_refused_with_and_without_its_length() {
    let service = OrderService::start().await;
    let body = takeout().to_string();
    let padded = |bytes: usize| format!("{body}{}", " ".repeat(bytes - body.len()));
    assert_eq!(service.http.post_text(padded(64 * 1024)).await.status, 201);
    for bytes in [64 * 1024 + 1, 3_000_000] {
        let refused = service.http.post_text(padded(bytes)).await;
        refused.problem(413);
        // The rest of the body is still on the connection: the next request must go over another one.
        assert_eq!(refused.header("connection"), "close");
        let chunks: Vec<_> =
            padded(bytes).as_bytes().chunks(8192).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect();
        let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
        service.http.post_text(stream).await.problem(413);
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_by_its_type_is_refused() {
    let service = OrderService::start().await;
    let send = async |content_type: Option<&str>| {
        let request = service.http.request("POST", "/orders").body(takeout().to_string());
        answer(match content_type {
            Some(content_type) => request.header("content-type", content_type),
            None => request,
        })
        .await
    };
    for other in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/xml"),
        Some("*/*"),
    ] {
        send(other).await.problem(415);
    }
    for json in ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"] {
        assert_eq!(send(Some(json)).await.status, 201, "{json}");
    }
    let gzip = service.http.order_request(takeout().to_string()).header("content-encoding", "gzip");
    answer(gzip).await.problem(415);
}
