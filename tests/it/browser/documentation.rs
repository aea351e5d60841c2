//! The page that shows a service's operations.

use super::{Device, Page};
use crate::support::{Http, TestEnv};

#[tokio::test]
async fn the_documentation_page_shows_every_operation_and_breaks_no_rule_of_its_policy() {
    let env = TestEnv::new().await;
    let service = env.spawn(&["order-service", "--port", "0"]);
    let http = Http::of(&service).await;
    let document = http.get("/openapi.json").await.ok();
    let page = Page::open(Device::TABLET, &format!("{}/docs", http.url)).await;
    for path in document["paths"].as_object().unwrap().keys() {
        page.sees(&format!("[data-path='{path}']")).await;
    }
    page.click(".opblock-post [data-path='/orders']").await;
    page.reads("customer_name").await;
}
