//! What a station has like every service.

use super::Grill;
use crate::support::answer;
use serde_json::Value;

#[tokio::test]
async fn a_station_has_its_document_health_and_metrics_and_reads_every_query() {
    let grill = Grill::start().await;
    let printed = grill.env.run(&["openapi", "station"]).await;
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(grill.http.get("/openapi.json").await.ok(), printed);
    grill.http.wait_ready().await;
    assert_eq!(grill.http.get("/healthz").await.status, 200);
    let metrics = grill.http.get("/metrics").await.text;
    assert!(metrics.contains("live_streams") && metrics.contains("staff_logins"), "{metrics}");
    for (path, operations) in printed["paths"].as_object().unwrap() {
        let path = path.replace("{order_number}", "ORD_20261122_001").replace("{item}", "0");
        for (method, operation) in operations.as_object().unwrap() {
            assert!(operation["responses"]["400"].is_object(), "{method} {path}");
            let asked =
                answer(grill.http.request(&method.to_uppercase(), &format!("{path}?surprise=1"))).await;
            assert!(asked.problem(400)["detail"].as_str().unwrap().contains("surprise"), "{method} {path}");
        }
    }
}
