//! The staff's page as those at the counter and the manager see it (contract, section 13).

mod pictures;

use super::page::js;
use super::{Device, Page};
use crate::staff::{STAFF, configure};
use crate::support::{
    Counter, Http, Proxy, Role, Signal, TestEnv, delivery, dine_in, eventually, free_port, takeout, with,
};
use serde_json::{Value, json};
use tokio_postgres::Client;

/// Shown as text, wherever it stands.
const NASTY: &str = "<img src=x onerror=alert(1)>";
const MENU: &str = "categories: [{name: All, items: [{id: pizza, name: Pizza, price: 9.5}, {id: soup, name: Soup, price: 5}]}]";

/// A restaurant with a gateway that can be started again.
struct Restaurant {
    env: TestEnv,
    counter: Counter,
    gateway: Role,
    port: u16,
    /// Between the browsers and the gateway.
    network: Proxy,
    db: Client,
}

impl Restaurant {
    async fn open() -> Self {
        Self::with_menu(MENU).await
    }

    async fn with_menu(text: &str) -> Self {
        let env = TestEnv::new().await;
        configure(&env, true);
        let menu = env.dir().join("menu.yaml");
        std::fs::write(&menu, text).unwrap();
        env.edit_config(|text| format!("{text}menu: {{file: {}}}\n", menu.display()));
        let counter = Counter::start(&env).await;
        counter.orders.wait_ready().await;
        counter.tracks.wait_ready().await;
        let port = free_port();
        let gateway = spawn(&env, &counter, port).await;
        let (network, db) = (Proxy::to(port).await, env.connect().await);
        Self { env, counter, gateway, port, network, db }
    }

    /// A screen on which somebody has logged in.
    async fn screen(&self, device: Device, name: &str) -> Page {
        let page = Page::open(device, &format!("{}/staff", self.network.url())).await;
        log_in(&page, name).await;
        page.sees("#live[data-live=yes]").await;
        page
    }

    /// An order by the menu.
    async fn place(&self, order: &Value) -> String {
        let items = json!([{"menu_item_id": "pizza", "quantity": 2, "notes": NASTY}]);
        self.counter.orders.place(&with(order, "/items", items)).await
    }

    /// A cook of one type of order, who takes so long.
    fn cook(&self, name: &str, order_type: &str, seconds: &str) -> Role {
        let args =
            ["kitchen-worker", "--worker-name", name, "--order-types", order_type, "--cook-seconds", seconds];
        self.env.spawn(&args)
    }

    /// What staff has done to an order.
    async fn done(&self, number: &str) -> Vec<String> {
        let sql = "select name || ' ' || action from staff_actions where order_number = $1 order by id";
        self.db.query(sql, &[&number]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }
}

async fn spawn(env: &TestEnv, counter: &Counter, port: u16) -> Role {
    let (port, orders, tracks) = (port.to_string(), &counter.orders.url, &counter.tracks.url);
    let gateway =
        env.spawn(&["web-gateway", "--port", &port, "--order-url", orders, "--tracking-url", tracks]);
    Http::of(&gateway).await.wait_ready().await;
    gateway
}

async fn log_in(page: &Page, name: &str) {
    let (_, _, password) = STAFF.iter().find(|(of, ..)| *of == name).unwrap();
    page.until("the way in", "location.pathname === '/login'").await;
    page.fill("#name", name).await;
    page.fill("#password", password).await;
    page.press("Enter").await;
    page.until("the board", "location.pathname === '/staff' && document.readyState === 'complete'").await;
}

/// The selector of an order in a column.
fn card(status: &str, number: &str) -> String {
    format!("[data-column={status}] [data-order='{number}']")
}

fn button(status: &str, number: &str, action: &str) -> String {
    format!("{} [data-action={action}]:not([hidden])", card(status, number))
}

#[tokio::test]
async fn the_counter_sees_an_order_move_and_hands_it_over_once() {
    let restaurant = Restaurant::open().await;
    let page = restaurant.screen(Device::TABLET, "carla").await;
    page.eval("document.body.dataset.same = 'page'; null").await;
    let away = restaurant.place(&with(&delivery(), "/delivery_address", json!(NASTY))).await;
    page.sees(&card("received", &away)).await;
    page.reads("Ada Lovelace").await;
    page.reads(&format!("Note: {NASTY}")).await;
    let here = restaurant.place(&dine_in()).await;
    let _slow = restaurant.cook("slow", "delivery", "600");
    page.sees(&card("cooking", &away)).await;
    page.reads("slow cooks").await;
    assert_eq!(page.count(&button("cooking", &away, "cancel")).await, 0, "that is for a manager");
    let _quick = restaurant.cook("quick", "dine_in", "0");
    page.reads("Table 7").await;
    let complete = button("ready", &here, "complete");
    page.click(&complete).await;
    let undo = button("ready", &here, "undo");
    page.sees(&format!("{undo}:not([aria-disabled])")).await;
    page.click(&undo).await;
    page.misses(&undo).await;
    page.double_click(&complete).await;
    page.misses(&card("ready", &here)).await;
    assert_eq!(restaurant.done(&here).await, ["carla complete"]);
    let waiting = restaurant.place(&takeout()).await;
    page.click(&button("received", &waiting, "cancel")).await;
    page.fill("#reason", "the guest has left").await;
    page.press("Enter").await;
    page.misses(&card("received", &waiting)).await;
    assert_eq!(restaurant.done(&waiting).await, ["carla cancel"]);
    for tool in ["intake", "log"] {
        assert_eq!(page.count(&format!("#{tool}")).await, 0, "{tool} is for a manager");
    }
    assert_eq!(page.eval("document.body.dataset.same").await, "page", "nothing was loaded anew");
    assert_eq!(page.count("img").await, 0);
}

#[tokio::test]
async fn a_manager_cancels_what_cooks_recalls_and_says_what_is_sold_out() {
    let restaurant = Restaurant::open().await;
    let page = restaurant.screen(Device::TABLET, "max").await;
    let (_slow, _quick) =
        (restaurant.cook("slow", "delivery", "600"), restaurant.cook("quick", "takeout", "0"));
    let away = restaurant.place(&delivery()).await;
    page.click(&button("cooking", &away, "cancel")).await;
    page.fill("#reason", "no driver").await;
    page.click("#cancel-form [type=submit]").await;
    page.misses(&card("cooking", &away)).await;
    let again = restaurant.place(&takeout()).await;
    page.click(&button("ready", &again, "recall")).await;
    page.until("it was recalled", "document.querySelector('#polite').innerText.length > 0").await;
    eventually("the recall is kept", || async { restaurant.done(&again).await == ["max recall"] }).await;
    page.click("[data-opens=sold-out]").await;
    page.fill("#search", "piz").await;
    page.misses("[data-dish=soup]").await;
    page.click("[data-dish=pizza] [data-action=none]").await;
    page.sees("[data-dish=pizza][data-available=false]").await;
    let offered =
        || async { restaurant.counter.orders.get("/menu").await.ok()["categories"][0]["items"][0].clone() };
    assert_eq!(offered().await["available"], false);
    page.click("[data-dish=pizza] [data-action=enough]").await;
    page.sees("[data-dish=pizza][data-available=true]").await;
    page.fill("[data-dish=pizza] input", "5").await;
    page.click("[data-dish=pizza] [data-action=set]").await;
    page.reads("5 left").await;
    assert_eq!(offered().await["remaining"], 5);
    page.click("#sold-out [data-closes]").await;
    page.click("[data-opens=intake]").await;
    page.click("#pause [value=dine_in]").await;
    page.click("#pause [type=submit]").await;
    page.reads("paused: Takeout, Delivery").await;
    let intake = restaurant.counter.orders.get("/intake").await.ok();
    assert_eq!(intake["order_types_paused"], json!(["takeout", "delivery"]));
    page.click("#resume").await;
    page.reads("New orders are taken again.").await;
    assert_eq!(restaurant.counter.orders.get("/intake").await.ok()["order_types_paused"], json!([]));
    page.click("#intake [data-closes]").await;
    page.click("[data-opens=log]").await;
    page.reads("no driver").await;
    page.reads("had cooked again").await;
}

#[tokio::test]
async fn the_page_is_right_again_after_the_gateway_was_away_and_leads_to_the_login_when_the_session_is_over()
{
    let mut restaurant = Restaurant::open().await;
    let page = restaurant.screen(Device::TABLET, "carla").await;
    for part in ["ERR_", "503", "502", "401"] {
        page.tolerate(part);
    }
    let before = restaurant.place(&takeout()).await;
    page.sees(&card("received", &before)).await;
    restaurant.gateway.signal(Signal::SIGTERM);
    restaurant.gateway.wait_exit().await;
    page.sees("#banner:not([hidden])").await;
    let meanwhile = restaurant.place(&takeout()).await;
    restaurant.counter.orders.change(&before, "cancel").await;
    restaurant.gateway = spawn(&restaurant.env, &restaurant.counter, restaurant.port).await;
    page.sees(&card("received", &meanwhile)).await;
    page.misses(&card("received", &before)).await;
    page.sees("#live[data-live=yes]").await;
    page.misses("#banner:not([hidden])").await;
    restaurant.db.batch_execute("update staff_sessions set ended_at = now()").await.unwrap();
    log_in(&page, "carla").await;
    page.sees(&card("received", &meanwhile)).await;
    page.click("[data-action=logout]").await;
    page.sees("#password").await;
    assert!(page.cookies().await.iter().all(|cookie| cookie["name"] != "session"));
}

#[tokio::test]
async fn the_page_is_for_every_eye_screen_hand_and_role() {
    let restaurant = Restaurant::open().await;
    let (_slow, _quick) =
        (restaurant.cook("slow", "delivery", "600"), restaurant.cook("quick", "takeout", "0"));
    let [received, cooking, ready] = [&dine_in(), &delivery(), &takeout()];
    let page =
        Page::open(Device { width: 320, ..Device::PHONE }, &format!("{}/staff", restaurant.network.url()))
            .await;
    page.assert_accessible().await;
    log_in(&page, "max").await;
    let numbers =
        [restaurant.place(received).await, restaurant.place(cooking).await, restaurant.place(ready).await];
    page.sees(&card("ready", &numbers[2])).await;
    page.sees(&card("cooking", &numbers[1])).await;
    assert_eq!(page.eval("document.documentElement.scrollWidth").await, 320);
    for tab in ["cooking", "ready", "received"] {
        page.click(&format!("[data-tab={tab}]")).await;
        page.until(
            "the column is shown",
            &format!("document.querySelector('[data-column={tab}]').checkVisibility()"),
        )
        .await;
    }
    page.assert_accessible().await;
    let small = "[...document.querySelectorAll('button, input, summary')].filter(each => each.checkVisibility())
        .map(each => [each.getBoundingClientRect(), each.outerHTML]).filter(([box]) => box.height < 24 || box.width < 24)";
    assert_eq!(page.eval(small).await, json!([]));
    for tool in ["sold-out", "intake", "log"] {
        page.click(&format!("[data-opens={tool}]")).await;
        page.assert_accessible().await;
        assert_eq!(page.eval("document.documentElement.scrollWidth").await, 320);
        page.press("Escape").await;
        page.misses("dialog[open]").await;
    }
    // By keyboard alone: to the button of the card, the dialog, and back with nothing done.
    page.eval(&format!(
        "document.querySelector({}).focus(); null",
        js(&button("received", &numbers[0], "cancel"))
    ))
    .await;
    page.press("Enter").await;
    page.until("the reason has the focus", "document.activeElement.id === 'reason'").await;
    page.press("Escape").await;
    page.until("the button has it again", "document.activeElement.dataset.action === 'cancel'").await;
    let arabic = format!("{}/staff?lang=ar", restaurant.network.url());
    page.goto(&arabic).await;
    page.sees("html[dir=rtl] #live[data-live=yes]").await;
    assert_eq!(page.eval("document.documentElement.scrollWidth").await, 320);
    page.assert_accessible().await;
    let kitchen = Page::open(Device::TABLET, &format!("{}/staff", restaurant.network.url())).await;
    log_in(&kitchen, "anna").await;
    kitchen.reads("quick free").await;
    kitchen.fill("#number", &numbers[2]).await;
    kitchen.press("Enter").await;
    kitchen.sees("#by-number-outcome.good").await;
    kitchen.assert_accessible().await;
    assert_eq!(kitchen.count("#columns").await, 0);
}
