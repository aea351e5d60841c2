//! Nothing of the customer is served by the tracking service, and nothing of it is logged.

use super::{Order, Tracking, advance};

#[tokio::test]
async fn no_name_and_no_address_of_a_customer_is_served_or_logged() {
    let mut t = Tracking::start().await;
    let number = "ORD_20261122_001";
    Order { order_type: "delivery", ..Order::new(number) }.insert(&t.db).await;
    for status in ["cooking", "ready", "completed"] {
        advance(&t.db, number, status, "chef_anna").await;
    }
    let mut served = String::new();
    for route in ["status", "history", "events"] {
        served += &t.http.get(&format!("/orders/{number}/{route}")).await.text;
    }
    for path in ["/orders", "/workers/status", "/metrics", "/openapi.json", "/readyz"] {
        served += &t.http.get(path).await.text;
    }
    let mut all = t.events("/events?from=start", None).await;
    served += &all.take(4).await.iter().map(|event| event.data.to_string()).collect::<String>();
    served += &t.role.output().join("\n");
    assert!(served.contains(number));
    for private in ["Zaphod", "Beeblebrox", "Heart of Gold", "customer_name\":\"", "delivery_address\":\""] {
        assert!(!served.contains(private), "{private}");
    }
    assert!(t.role.is_running());
}
