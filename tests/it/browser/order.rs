//! The page on which customers order, in a browser (contract, section 13).

use super::page::js;
use super::{Device, Page};
use crate::orders::menu::{PIZZA, SOUP, apply, configure, offers, put};
use crate::support::{Counter, Http, Proxy, STAFF_TOKEN, TestEnv, answer, eventually};
use serde_json::{Value, json};
use std::path::Path;

/// Nothing to choose, and a name that would be a tag.
const NASTY: &str = "
      - {id: nasty, name: '<img src=x onerror=alert(1)>', description: '<b>bold</b>', price: 3, diets: [vegan]}
";

/// A restaurant, and a network between it and its customers.
struct Restaurant {
    env: TestEnv,
    counter: Counter,
    network: Proxy,
}

impl Restaurant {
    async fn open() -> Self {
        let env = TestEnv::new().await;
        configure(&env, &[PIZZA, SOUP, NASTY]);
        let restaurant = Self::of(env).await;
        offers(restaurant.orders(), &["pizza", "soup", "nasty"]).await;
        restaurant
    }

    async fn of(env: TestEnv) -> Self {
        let counter = Counter::start(&env).await;
        let network = Proxy::to(counter.http.address().rsplit_once(':').unwrap().1.parse().unwrap()).await;
        Self { env, counter, network }
    }

    async fn visit(&self, device: Device) -> Page {
        let page = Page::open(device, &self.network.url()).await;
        page.sees(".add").await;
        page
    }

    fn orders(&self) -> &Http {
        &self.counter.orders
    }

    /// Each order that was taken: customer, type, total.
    async fn taken(&self) -> Vec<String> {
        let sql = "select customer_name || ' ' || type || ' ' || total_amount from orders order by id";
        self.env.connect().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }
}

/// Puts a large pizza into the basket.
async fn choose_pizza(page: &Page) {
    page.click("#dish-pizza .add").await;
    page.click("dialog [value=large]").await;
    page.click("dialog [type=submit]").await;
    page.sees("#lines .line").await;
}

async fn is_on_its_page(page: &Page) {
    page.tolerate("404");
    page.until("the order's page", "location.pathname.startsWith('/t/')").await;
}

#[tokio::test]
async fn a_customer_chooses_changes_their_mind_and_orders() {
    let restaurant = Restaurant::open().await;
    let page = restaurant.visit(Device::PHONE).await;
    choose_pizza(&page).await;
    page.click("#dish-nasty .add").await;
    page.click("#lines .line:last-child [data-do=more]").await;
    page.reads("€19.50").await;
    page.click("#lines .line:first-child .change").await;
    page.fill("dialog .field input", "no basil").await;
    page.click("dialog [type=submit]").await;
    page.reads("no basil").await;
    assert_eq!(page.count("#menu img, #lines img, dialog img").await, 0);
    page.fill("#customer_name", "Ada").await;
    // A reload loses nothing.
    page.call("Page.reload", json!({})).await;
    page.sees("#lines .line:nth-child(2)").await;
    page.until("the name is kept", "document.querySelector('#customer_name').value === 'Ada'").await;
    page.click("#send").await;
    is_on_its_page(&page).await;
    assert_eq!(restaurant.taken().await, ["Ada takeout 19.50"]);
    assert_eq!(page.eval("localStorage.getItem('order.basket')").await, Value::Null);
}

#[tokio::test]
async fn faults_stand_beside_their_fields_and_the_keyboard_is_led_there() {
    let restaurant = Restaurant::open().await;
    let page = restaurant.visit(Device::TABLET).await;
    page.tolerate("422");
    page.click(".type [value=delivery]").await;
    page.click("#send").await;
    page.sees("#faults a[href='#basket']").await;
    page.until("the summary has the focus", "document.activeElement.id === 'faults'").await;
    for field in ["customer_name", "delivery_address"] {
        page.sees(&format!("#{field}[aria-invalid=true]")).await;
        let said = page.eval(&format!("document.querySelector('#{field}-fault').innerText")).await;
        assert!(said.as_str().unwrap().starts_with("Please give"), "{said}");
    }
    page.assert_accessible().await;
    assert_eq!(restaurant.taken().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_price_that_changes_meanwhile_is_shown_and_a_dish_that_is_sold_out_is_named() {
    let restaurant = Restaurant::open().await;
    let page = restaurant.visit(Device::PHONE).await;
    page.tolerate("422");
    page.tolerate("409");
    choose_pizza(&page).await;
    page.fill("#customer_name", "Ada").await;
    // Whoever changes the price in the page pays no less.
    page.eval("document.querySelector('#dish-pizza').dataset.cents = 1").await;
    page.click("#send").await;
    page.reads("The price has changed").await;
    page.reads("€13.50").await;
    apply(&restaurant.env, &[&PIZZA.replace("9.5", "10.25"), SOUP]).await;
    eventually("the new menu", || async { restaurant.orders().get("/menu").await.text.contains("10.25") })
        .await;
    page.click("#send").await;
    page.reads("€14.25").await;
    put(restaurant.orders(), "pizza", &json!({"available": false})).await.ok();
    page.click("#send").await;
    page.sees("#dish-pizza.gone").await;
    page.reads("There is not enough of it left").await;
    assert_eq!(restaurant.taken().await, Vec::<String>::new());
    put(restaurant.orders(), "pizza", &json!({"available": true})).await.ok();
    page.click("#send").await;
    page.until(
        "the pizza is back",
        "location.pathname.startsWith('/t/') || !document.querySelector('#dish-pizza.gone')",
    )
    .await;
    page.tolerate("404");
}

#[tokio::test]
async fn a_pause_that_begins_while_the_page_is_open_is_said_and_nothing_chosen_is_lost() {
    let restaurant = Restaurant::open().await;
    let page = restaurant.visit(Device::PHONE).await;
    page.tolerate("503");
    choose_pizza(&page).await;
    page.fill("#customer_name", "Ada").await;
    let pause = restaurant.orders().request("POST", "/intake/pause").bearer_auth(STAFF_TOKEN);
    answer(pause.json(&json!({"minutes": 30}))).await.ok();
    page.click("#send").await;
    page.sees("#standing [data-state=paused]").await;
    page.reads("We take no new orders until").await;
    page.until("the summary has the focus", "document.activeElement.id === 'faults'").await;
    assert_eq!(page.count("#lines .line").await, 1);
    let resume = restaurant.orders().request("POST", "/intake/resume").bearer_auth(STAFF_TOKEN);
    answer(resume).await.ok();
    page.click("#send").await;
    is_on_its_page(&page).await;
    assert_eq!(restaurant.taken().await, ["Ada takeout 13.50"]);
}

#[tokio::test]
async fn a_double_click_a_lost_answer_and_the_way_back_are_one_order() {
    let restaurant = Restaurant::open().await;
    let page = restaurant.visit(Device::PHONE).await;
    page.tolerate("net::ERR_");
    page.tolerate("422");
    choose_pizza(&page).await;
    page.fill("#customer_name", "Ada").await;
    // The order arrives, and its answer does not.
    page.eval(
        "const real = window.fetch; window.fetch = async (...call) => { await real(...call); throw new TypeError('lost'); }; \
         window.heal = () => { window.fetch = real; }",
    )
    .await;
    page.double_click("#send").await;
    page.reads("We do not know whether your order arrived").await;
    assert_eq!(restaurant.taken().await, ["Ada takeout 13.50"]);
    page.eval("heal()").await;
    // Something else is in it now: the first is named, and this one is another.
    page.click("#dish-nasty .add").await;
    page.click("#send").await;
    page.sees("#faults a[href^='/t/']").await;
    assert_eq!(restaurant.taken().await.len(), 1);
    page.click("#send").await;
    is_on_its_page(&page).await;
    assert_eq!(restaurant.taken().await, ["Ada takeout 13.50", "Ada takeout 16.50"]);
    page.eval("history.back()").await;
    page.sees(".add").await;
    page.until("the basket is empty", "document.querySelectorAll('#lines .line').length === 0").await;
    choose_pizza(&page).await;
    page.fill("#customer_name", "Bob").await;
    page.click("#send").await;
    is_on_its_page(&page).await;
    assert_eq!(restaurant.taken().await.len(), 3);
}

#[tokio::test]
async fn without_scripts_a_form_orders_and_says_its_faults() {
    let restaurant = Restaurant::open().await;
    let page = Page::new(Device::PHONE).await;
    page.tolerate("422");
    page.tolerate("404");
    let disable =
        async |value| page.call("Emulation.setScriptExecutionDisabled", json!({"value": value})).await;
    disable(true).await;
    page.goto(&restaurant.network.url()).await;
    page.click("#dish-pizza summary").await;
    page.click("#dish-pizza [value=large]").await;
    page.fill("#dish-pizza [type=number]", "2").await;
    page.click("#send").await;
    page.sees("#customer_name[aria-invalid=true]").await;
    // axe-core is a script; the page's own have not been run.
    disable(false).await;
    page.misses(".scripted").await;
    page.assert_accessible().await;
    disable(true).await;
    page.fill("#customer_name", "Ada").await;
    page.click("#send").await;
    is_on_its_page(&page).await;
    assert_eq!(restaurant.taken().await, ["Ada takeout 27.00"]);
}

#[tokio::test]
async fn a_keyboard_alone_orders() {
    let restaurant = Restaurant::open().await;
    let page = restaurant.visit(Device::TABLET).await;
    let focus =
        async |selector: &str| page.eval(&format!("document.querySelector({}).focus()", js(selector))).await;
    focus("#dish-pizza .add").await;
    page.press("Enter").await;
    page.sees("dialog[open]").await;
    // From the title over the button to close to the sizes, of which one is chosen by the arrows.
    page.press("Tab").await;
    page.press("Tab").await;
    page.press("ArrowDown").await;
    page.press("Enter").await;
    page.sees("#lines .line").await;
    page.until("the focus is back", "document.activeElement.matches('#dish-pizza .add')").await;
    focus("#customer_name").await;
    page.fill("#customer_name", "Ada").await;
    focus("#send").await;
    page.press("Enter").await;
    is_on_its_page(&page).await;
    assert_eq!(restaurant.taken().await, ["Ada takeout 13.50"]);
}

#[tokio::test]
async fn it_is_for_everybody_in_light_and_dark_from_right_to_left_and_on_a_small_telephone() {
    let restaurant = Restaurant::open().await;
    let page = restaurant.visit(Device { width: 320, ..Device::PHONE }).await;
    page.assert_accessible().await;
    choose_pizza(&page).await;
    page.click("#dish-pizza .add").await;
    page.assert_accessible().await;
    page.press("Escape").await;
    page.misses("dialog").await;
    page.assert_accessible().await;
    let is_wide = "document.documentElement.scrollWidth";
    assert_eq!(page.eval(is_wide).await, 320);
    let small = "[...document.querySelectorAll('main button, main a, main input, main textarea, .bar a')]
        .filter(each => each.checkVisibility() && !each.closest('#faults') && !each.matches('.visually-hidden'))
        .map(each => [(each.closest('label') ?? each).getBoundingClientRect(), each.outerHTML])
        .filter(([box]) => box.height < 44).map(([box, html]) => `${box.height}: ${html.slice(0, 100)}`)";
    assert_eq!(page.eval(small).await, json!([]));
    page.click(".languages [lang=ar]").await;
    page.sees("html[dir=rtl] .add").await;
    page.until("the bar is Arabic", "document.querySelector('.bar').innerText.includes('طلبك')").await;
    page.until("the money is too", "document.querySelector('#total').innerText.endsWith('€')").await;
    page.assert_accessible().await;
    assert_eq!(page.eval(is_wide).await, 320);
    assert!(page.faults().is_empty());
}

/// `scripts/pictures` makes them anew.
#[tokio::test]
#[ignore = "writes into docs/pictures: run scripts/pictures"]
async fn pictures_of_the_order_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let env = TestEnv::new().await;
    let menu = root.join("contrib/menu.example.yaml");
    let times = "{dine_in: 720, takeout: 900, delivery: 1560}";
    env.write_config(&format!(
        "menu: {{file: {}}}\nkitchen: {{cook_seconds: {times}}}\nrestaurant: {{name: Trattoria Ada}}\n",
        menu.display()
    ));
    let restaurant = Restaurant::of(env).await;
    let _worker = restaurant.env.spawn(&["kitchen-worker", "--worker-name", "chef"]);
    eventually("a cook", || async { restaurant.orders().get("/intake").await.text.contains("26") }).await;
    eventually("a menu", || async { restaurant.orders().get("/menu").await.status == 200 }).await;
    for (name, device) in [("order", Device::TABLET), ("order-phone", Device::PHONE)] {
        let page = restaurant.visit(device).await;
        page.click("#dish-margherita .add").await;
        page.click("dialog [value=mushrooms]").await;
        page.click("dialog [type=submit]").await;
        page.misses("dialog").await;
        page.click("#dish-olives .add").await;
        page.sees("#lines .line:nth-child(2)").await;
        page.eval("document.activeElement.blur(); scrollTo({top: 0, behavior: 'instant'})").await;
        page.picture(&root.join(format!("docs/pictures/{name}.png"))).await;
    }
}
