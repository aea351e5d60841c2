//! The page of an order (contract, section 13), on telephones that are browsers.

use super::{Device, Page};
use crate::support::{Answer, Counter, Proxy, Role, TestEnv, delivery, dine_in, item, takeout, with};
use serde_json::{Value, json};
use std::path::Path;
use tokio_postgres::Client;

const NASTY: &str = "<img src=x onerror=alert(1)>";
const SMALL: Device = Device { width: 320, ..Device::PHONE };

struct Restaurant {
    env: TestEnv,
    counter: Counter,
    db: Client,
    /// Between the telephones and the gateway.
    network: Proxy,
}

struct Placed {
    number: String,
    path: String,
}

impl Restaurant {
    async fn open() -> Self {
        let env = TestEnv::new().await;
        env.write_config(
            "restaurant: {name: \"Da Ada\", time_zone: Europe/Rome}\nkitchen: {cook_seconds: {takeout: 1}}\n",
        );
        let counter = Counter::start(&env).await;
        let network = Proxy::to(port_of(&counter.http.url).parse().unwrap()).await;
        let db = env.connect().await;
        Self { env, counter, db, network }
    }

    async fn place(&self, order: &Value) -> Placed {
        let answer: Answer = self.counter.orders.post(order).await;
        let url = answer.json()["tracking_url"].as_str().unwrap().to_owned();
        Placed { number: answer.number(), path: format!("/t/{}", url.rsplit_once("/t/").unwrap().1) }
    }

    async fn phone(&self, path: &str) -> Page {
        let page = self.page(Device::PHONE, path).await;
        page.sees("#live[data-live=true]").await;
        page
    }

    async fn page(&self, device: Device, path: &str) -> Page {
        let page = Page::open(device, &format!("{}{path}", self.network.url())).await;
        // What a page says of a connection that is cut, and of a service that is away, is no fault of it.
        page.tolerate("net::ERR_");
        page.tolerate("503");
        page
    }

    /// Moves an order as the kitchen does.
    async fn advance(&self, number: &str, status: &str) {
        let sql = "with o as (update orders set status = $2, processed_by = 'chef', updated_at = now(),
                completed_at = case when $2 = 'ready' then now() end where number = $1 returning id)
            insert into order_status_log (order_id, status, changed_by) select id, $2, 'chef' from o";
        self.db.execute(sql, &[&number, &status]).await.unwrap();
    }

    /// Somebody who cooks what is to be picked up.
    fn chef(&self) -> Role {
        self.env.spawn(&["kitchen-worker", "--worker-name", "chef", "--order-types", "takeout"])
    }

    fn restart(&self, role: &str, url: &str, more: &[&str]) -> Role {
        self.env.spawn(&[&[role, "--port", port_of(url)], more].concat())
    }
}

fn port_of(url: &str) -> &str {
    url.rsplit_once(':').unwrap().1
}

fn shows(status: &str) -> String {
    format!("#order[data-status={status}]")
}

fn stage(status: &str, mark: &str) -> String {
    format!("[data-stage={status}][data-mark={mark}]")
}

#[tokio::test]
async fn an_order_moves_on_its_page_until_it_is_over() {
    let restaurant = Restaurant::open().await;
    let order = with(&takeout(), "/items", json!([item(NASTY, 2, 9.5)]));
    let Placed { number, path } = restaurant.place(&with(&order, "/notes", json!(NASTY))).await;
    let page = restaurant.phone(&path).await;
    page.reads(NASTY).await;
    page.sees(&stage("received", "now")).await;
    page.sees(&stage("ready", "to_come")).await;
    let chef = restaurant.chef();
    page.sees(&stage("ready", "now")).await;
    page.sees(&format!("{} time", stage("cooking", "done"))).await;
    page.until(
        "it says what to do",
        "document.title.includes('Ready') && said.textContent.includes('counter')",
    )
    .await;
    drop(chef);
    restaurant.counter.orders.change(&number, "recall").await;
    page.reads("Back in the kitchen").await;
    page.sees(&format!("{}:not(:has(time))", stage("ready", "to_come"))).await;
    let _chef = restaurant.chef();
    page.sees(&stage("ready", "now")).await;
    restaurant.counter.orders.change(&number, "complete").await;
    page.sees("#order[data-open=false]").await;
    page.until("nothing is live any more", "live.hidden && away.hidden").await;
    page.sees(&stage("completed", "done")).await;
    assert_eq!(page.count("main img").await, 0);
}

#[tokio::test]
async fn the_page_is_right_again_after_a_tunnel_a_sleep_and_the_end_of_each_service() {
    let mut restaurant = Restaurant::open().await;
    let Placed { number, path } = restaurant.place(&delivery()).await;
    let page = restaurant.phone(&path).await;
    page.set_offline(true).await;
    restaurant.network.cut();
    page.sees("#away:not([hidden])").await;
    page.reads("Not live. Last known at").await;
    restaurant.advance(&number, "cooking").await;
    restaurant.network.restore();
    page.set_offline(false).await;
    page.sees(&shows("cooking")).await;
    page.sees("#away[hidden]").await;

    let state = async |state: &str| page.call("Page.setWebLifecycleState", json!({"state": state})).await;
    state("frozen").await;
    restaurant.advance(&number, "ready").await;
    state("active").await;
    page.sees(&shows("ready")).await;

    let Counter { orders, tracks, http, .. } = &restaurant.counter;
    let (order_url, tracking_url, url) = (orders.url.clone(), tracks.url.clone(), http.url.clone());
    restaurant.counter.tracking.kill();
    page.sees("#away:not([hidden])").await;
    restaurant.counter.orders.change(&number, "dispatch").await;
    restaurant.counter.tracking = restaurant.restart("tracking-service", &tracking_url, &[]);
    page.sees(&shows("out_for_delivery")).await;
    page.sees("#live[data-live=true]").await;
    page.sees("#away[hidden]").await;

    restaurant.counter.gateway.kill();
    page.sees("#away:not([hidden])").await;
    restaurant.counter.orders.change(&number, "complete").await;
    let services = ["--order-url", &order_url, "--tracking-url", &tracking_url];
    restaurant.counter.gateway = restaurant.restart("web-gateway", &url, &services);
    page.sees("#order[data-status=completed][data-open=false]").await;
    page.sees("#away[hidden]").await;
}

#[tokio::test]
async fn an_order_is_cancelled_in_two_steps_with_a_script_and_without() {
    let restaurant = Restaurant::open().await;
    let (kept, late) = (restaurant.place(&dine_in()).await, restaurant.place(&dine_in()).await);
    let page = restaurant.phone(&kept.path).await;
    page.eval("document.querySelector('#cancel button').focus()").await;
    page.press("Enter").await;
    page.sees("#cancel-dialog[open]").await;
    page.press("Escape").await;
    page.sees("#cancel-dialog:not([open])").await;
    page.until("the focus is back", "document.activeElement.matches('#cancel button')").await;
    page.press("Enter").await;
    page.click("#cancel-dialog .danger").await;
    page.sees(&format!("{} .state", shows("cancelled"))).await;
    page.sees(&stage("cancelled", "done")).await;
    page.misses("#cancel").await;

    let page = restaurant.phone(&late.path).await;
    page.click("#cancel button").await;
    page.sees("#cancel-dialog[open]").await;
    restaurant.advance(&late.number, "cooking").await;
    page.sees("#cancel-dialog:not([open])").await;
    page.until("it is said", "said.textContent.includes('cannot be cancelled any more')").await;

    let plain = restaurant.place(&dine_in()).await;
    let page = Page::new(Device::PHONE).await;
    page.call("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    page.goto(&format!("{}{}", restaurant.network.url(), plain.path)).await;
    page.sees("noscript meta[http-equiv=refresh][content='30']").await;
    page.click("#cancel button").await;
    page.reads("Cancel order").await;
    page.click(".danger").await;
    page.sees(&shows("cancelled")).await;
}

#[tokio::test]
async fn every_stage_is_for_everybody_on_every_telephone() {
    let restaurant = Restaurant::open().await;
    let order = with(&delivery(), "/items/0/notes", json!("no basil, allergic to nuts and everything else"));
    let Placed { number, path } = restaurant.place(&order).await;
    let page = restaurant.page(SMALL, &path).await;
    let narrow = async |what: &str| {
        assert_eq!(page.eval("document.documentElement.scrollWidth").await, 320, "{what}");
    };
    page.sees("#live[data-live=true]").await;
    page.assert_accessible().await;
    page.click("#cancel button").await;
    page.assert_accessible().await;
    page.press("Escape").await;
    for status in ["cooking", "ready"] {
        restaurant.advance(&number, status).await;
        page.sees(&shows(status)).await;
        narrow(status).await;
        page.assert_accessible().await;
    }
    let small =
        "[...document.querySelectorAll('main button, footer a')].filter(each => each.checkVisibility())
        .map(each => each.getBoundingClientRect()).filter(box => box.height < 44).length";
    assert_eq!(page.eval(small).await, 0);
    for language in ["ar", "de", "fr", "es", "it"] {
        page.goto(&format!("{}{path}?lang={language}", restaurant.network.url())).await;
        narrow(language).await;
        page.sees(&format!("html[lang={language}]")).await;
    }
    page.tolerate("404");
    page.goto(&format!("{}/track/{number}?lang=ar", restaurant.network.url())).await;
    page.sees("html[dir=rtl] #live[data-live=true]").await;
    page.assert_accessible().await;
    page.goto(&format!("{}/track?number=4711", restaurant.network.url())).await;
    narrow("no order").await;
    page.assert_accessible().await;
}

/// `scripts/pictures` makes it anew.
#[tokio::test]
#[ignore = "writes into docs/pictures: run scripts/pictures"]
async fn pictures_of_an_order() {
    let restaurant = Restaurant::open().await;
    let ordered = json!([
        with(&item("Pizza Margherita", 2, 9.8), "/notes", json!("well done")),
        item("Tiramisù", 1, 6.9)
    ]);
    let Placed { path, .. } = restaurant.place(&with(&takeout(), "/items", ordered)).await;
    let args = ["kitchen-worker", "--worker-name", "chef", "--cook-seconds", "840"];
    let _chef = restaurant.env.spawn(&args);
    let page = restaurant.phone(&path).await;
    page.sees(&stage("cooking", "now")).await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    page.picture(&root.join("docs/pictures/track-phone.png")).await;
}
