//! The menu: put in force, shown, and what of it is sold out (contract, section 12).

use crate::support::{Answer, Http, STAFF_TOKEN, TestEnv, answer, eventually};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub(crate) const PIZZA: &str = "
      - id: pizza
        name: Pizza
        price: 9.5
        allergens: [gluten, milk]
        options:
          - id: size
            name: Size
            min: 1
            max: 1
            choices:
              - {id: small, name: Small, price_delta: -1.5, default: true}
              - {id: large, name: Large, price_delta: 4}
";
pub(crate) const SOUP: &str = "
      - {id: soup, name: Soup, price: 5, diets: [vegan], order_types: [dine_in]}
";

pub(crate) fn menu_of(items: &[&str]) -> String {
    format!("categories:\n  - name: All\n    items:{}", items.concat())
}

pub(crate) fn write(env: &TestEnv, name: &str, menu: &str) -> String {
    let file = env.dir().join(name);
    std::fs::write(&file, menu).unwrap();
    file.display().to_string()
}

/// Has the configuration name a menu of these items.
pub(crate) fn configure(env: &TestEnv, items: &[&str]) {
    let file = write(env, "menu.yaml", &menu_of(items));
    env.write_config(&format!("menu: {{file: {file}}}\n"));
}

pub(crate) async fn apply(env: &TestEnv, items: &[&str]) -> String {
    let file = write(env, "other.yaml", &menu_of(items));
    let output = env.run(&["menu", "apply", &file]).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The ids of what is on the menu, where there is one.
async fn offered(http: &Http) -> Vec<String> {
    let menu = http.get("/menu").await;
    if menu.status != 200 {
        return Vec::new();
    }
    let menu = menu.json();
    let categories = menu["categories"].as_array().unwrap();
    let items = categories.iter().flat_map(|category| category["items"].as_array().unwrap());
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

pub(crate) async fn offers(http: &Http, ids: &[&str]) {
    eventually("the menu", || async { offered(http).await == ids }).await;
}

/// `available`, `remaining` of the first item.
async fn first(http: &Http) -> (Value, Value) {
    let item = http.get("/menu").await.json()["categories"][0]["items"][0].clone();
    (item["available"].clone(), item["remaining"].clone())
}

pub(crate) async fn put(http: &Http, id: &str, body: &Value) -> Answer {
    let request = http.request("PUT", &format!("/menu/items/{id}/availability"));
    answer(request.bearer_auth(STAFF_TOKEN).header("content-type", "application/json").body(body.to_string()))
        .await
}

#[tokio::test]
async fn the_menu_of_the_configuration_is_shown_and_replaced_without_a_restart() {
    let env = TestEnv::new().await;
    configure(&env, &[PIZZA]);
    let services =
        [env.spawn(&["order-service", "--port", "0"]), env.spawn(&["order-service", "--port", "0"])];
    let [first, second] = [Http::of(&services[0]).await, Http::of(&services[1]).await];
    for http in [&first, &second] {
        offers(http, &["pizza"]).await;
    }
    let shown = first.get("/menu").await;
    // As a text: prices are exact, with both decimals.
    let expected: Value = serde_json::from_str(
        r#"{"categories": [{"name": "All", "items": [{
            "id": "pizza", "name": "Pizza", "description": null, "price": 9.50, "allergens": ["gluten", "milk"],
            "diets": [], "order_types": ["dine_in", "takeout", "delivery"], "available_from": null,
            "available_until": null, "available": true, "remaining": null,
            "options": [{"id": "size", "name": "Size", "min": 1, "max": 1, "choices": [
                {"id": "small", "name": "Small", "price_delta": -1.50, "default": true, "allergens": []},
                {"id": "large", "name": "Large", "price_delta": 4.00, "default": false, "allergens": []}
            ]}]
        }]}]}"#,
    )
    .unwrap();
    assert_eq!(shown.json(), expected);
    let unmodified = first.request("GET", "/menu").header("if-none-match", shown.header("etag"));
    assert_eq!(answer(unmodified).await.status, 304);

    assert!(apply(&env, &[PIZZA, SOUP]).await.contains("2 items are in force, as version 2"));
    assert!(apply(&env, &[PIZZA, SOUP]).await.contains("its 2 items are in force already"));
    for http in [&first, &second] {
        offers(http, &["pizza", "soup"]).await;
    }
    assert_eq!(services[0].logs_of("menu_not_read").len(), 0);
}

#[tokio::test]
async fn without_a_menu_there_is_none_until_one_is_applied() {
    let env = TestEnv::new().await;
    let service = env.spawn(&["order-service", "--port", "0"]);
    let http = Http::of(&service).await;
    http.wait_ready().await;
    eventually("it is known", || async { http.get("/menu").await.status == 404 }).await;
    put(&http, "pizza", &json!({"available": false})).await.problem(404);
    apply(&env, &[SOUP]).await;
    offers(&http, &["soup"]).await;
}

#[tokio::test]
async fn what_is_sold_out_is_marked_at_every_service_until_that_ends_by_itself() {
    let env = TestEnv::new().await;
    configure(&env, &[PIZZA]);
    let services =
        [env.spawn(&["order-service", "--port", "0"]), env.spawn(&["order-service", "--port", "0"])];
    let [http, other] = [Http::of(&services[0]).await, Http::of(&services[1]).await];
    offers(&http, &["pizza"]).await;
    offers(&other, &["pizza"]).await;

    let set = put(&http, "pizza", &json!({"available": false})).await.ok();
    assert_eq!((&set["available"], &set["remaining"]), (&json!(false), &json!(0)));
    let until: Timestamp = set["until"].as_str().unwrap().parse().unwrap();
    let ahead = until.duration_since(Timestamp::now());
    assert!(ahead.is_positive() && ahead <= SignedDuration::from_hours(24), "{set}");
    assert_eq!(first(&http).await, (json!(false), json!(0)));
    eventually("the other knows it", || async { first(&other).await == (json!(false), json!(0)) }).await;

    put(&http, "pizza", &json!({"available": true})).await.ok();
    assert_eq!(first(&http).await, (json!(true), Value::Null));

    let soon = Timestamp::now() + SignedDuration::from_millis(1_500);
    put(&http, "pizza", &json!({"remaining": 5, "until": soon.to_string()})).await.ok();
    assert_eq!(first(&http).await, (json!(true), json!(5)));
    eventually("it is over", || async { first(&http).await == (json!(true), Value::Null) }).await;

    let actions = http.staff("GET", "/staff/actions").await.json();
    let details: Vec<&str> = actions["actions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|action| action["detail"].as_str().unwrap())
        .collect();
    assert_eq!(details.len(), 3, "{actions}");
    assert!(details[0].starts_with("pizza: 5 left until ") && details[2].starts_with("pizza: 0 left until "));
    assert_eq!(actions["actions"][0]["action"], "availability");
}

#[tokio::test]
async fn only_staff_says_what_is_sold_out_and_only_of_what_is_on_the_menu() {
    let env = TestEnv::new().await;
    configure(&env, &[PIZZA]);
    let service = env.spawn(&["order-service", "--port", "0"]);
    let http = Http::of(&service).await;
    offers(&http, &["pizza"]).await;
    let request =
        http.request("PUT", "/menu/items/pizza/availability").header("content-type", "application/json");
    answer(request.body(r#"{"available": false}"#)).await.problem(401);
    put(&http, "soup", &json!({"available": false})).await.problem(404);
    let wrong = json!({"available": false, "until": "2020-01-01T00:00:00Z"});
    assert_eq!(put(&http, "pizza", &wrong).await.violations(422), ["/until"]);
    put(&http, "pizza", &json!({"sold_out": true})).await.problem(400);
    assert_eq!(first(&http).await, (json!(true), Value::Null));
}

#[tokio::test]
async fn a_dish_is_shown_in_its_hours_by_the_clock_of_the_restaurant() {
    let env = TestEnv::new().await;
    // Kathmandu's clock differs from UTC by hours and minutes, all year.
    let there = Timestamp::now().in_tz("Asia/Kathmandu").unwrap();
    let clock = |hours: i64| (&there + SignedDuration::from_hours(hours)).strftime("%H:%M").to_string();
    let dish = |id: &str, from, until| {
        let (from, until) = (clock(from), clock(until));
        format!(
            "\n      - {{id: {id}, name: A, price: 5, available_from: '{from}', available_until: '{until}'}}\n"
        )
    };
    let menu = menu_of(&[&dish("now", -3, 3), &dish("later", 3, 6)]);
    let file = write(&env, "menu.yaml", &menu);
    env.write_config(&format!("menu: {{file: {file}}}\nrestaurant: {{time_zone: Asia/Kathmandu}}\n"));
    let service = env.spawn(&["order-service", "--port", "0"]);
    offers(&Http::of(&service).await, &["now"]).await;
}

#[tokio::test]
async fn a_menu_that_cannot_be_used_stops_the_order_service_alone() {
    let env = TestEnv::new().await;
    configure(&env, &[&PIZZA.replace("price: 9.5", "prize: 9.5")]);
    for args in [&["order-service", "--port", "0"][..], &["check-config"]] {
        let output = env.run(args).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{args:?} {said}");
        assert!(
            said.contains("menu.yaml:6: categories.0.items.0.prize: unknown key (did you mean \"price\"?)"),
            "{said}"
        );
    }
    let service = env.spawn(&["tracking-service", "--port", "0"]);
    Http::of(&service).await.wait_ready().await;
    env.write_config("restaurant: {time_zone: Mars/Olympus}\n");
    let output = env.run(&["order-service", "--port", "0"]).await;
    assert_eq!(output.status.code(), Some(78));
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("restaurant.time_zone: must be of the system's time zone")
    );
}
