//! The page `/` and its form, as a browser without scripts uses them.

use crate::orders::menu::{PIZZA, SOUP, apply, configure, offers, put};
use crate::support::{Answer, Counter, Signal, TestEnv, answer, eventually};
use futures_util::future::join_all;
use jiff::{Timestamp, tz::TimeZone};
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{RequestBuilder, Url};

/// A dish whose name would be a tag.
const NASTY: &str = "
      - {id: nasty, name: '<img src=x onerror=alert(1)>', description: '<b>bold</b>', price: 3}
";

/// A restaurant with a pizza of two sizes, a soup for the table, and something nasty.
async fn open(env: &TestEnv) -> Counter {
    configure(env, &[PIZZA, SOUP, NASTY]);
    let counter = Counter::start(env).await;
    offers(&counter.orders, &["pizza", "soup", "nasty"]).await;
    counter
}

/// The value of a hidden field.
pub(super) fn hidden(html: &str, name: &str) -> String {
    let (_, rest) = html.split_once(&format!("name=\"{name}\"")).expect(name);
    let (_, rest) = rest.split_once("value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// The fields of a form in which a pizza is ordered.
fn pizza(html: &str) -> Vec<(&'static str, String)> {
    let fields = [
        ("customer_name", "Ada"),
        ("order_type", "takeout"),
        ("q.pizza", "1"),
        ("o.pizza.size", "large"),
        ("q.soup", "0"),
    ];
    let mut fields: Vec<_> = fields.map(|(name, text)| (name, text.to_owned())).into();
    fields.extend([("key", hidden(html, "key")), ("p.pizza", hidden(html, "p.pizza"))]);
    fields
}

fn set(fields: &mut Vec<(&'static str, String)>, name: &'static str, text: &str) {
    fields.retain(|(known, _)| *known != name);
    fields.push((name, text.to_owned()));
}

fn texts<N: AsRef<str>>(fields: &[(N, String)]) -> impl Iterator<Item = (&str, &str)> {
    fields.iter().map(|(name, text)| (name.as_ref(), text.as_str()))
}

/// A form as browsers send it.
fn post<'a>(counter: &Counter, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> RequestBuilder {
    let mut url = Url::parse("http://form.test/").unwrap();
    url.query_pairs_mut().extend_pairs(fields);
    let request =
        counter.http.request("POST", "/order").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    request.body(url.query().unwrap().to_owned())
}

/// Sends the form; the cookie is that of an earlier answer, where there is one.
pub(super) async fn send(counter: &Counter, fields: &[(&str, String)], cookie: &str) -> Answer {
    let request = post(counter, texts(fields)).header(COOKIE, cookie);
    answer(request).await
}

fn cookie_of(answer: &Answer) -> &str {
    answer.header(SET_COOKIE.as_str()).split(';').next().unwrap()
}

async fn orders(env: &TestEnv) -> i64 {
    env.connect().await.query_one("select count(*) from orders", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn the_page_has_the_menu_as_text_and_a_form_of_its_own() {
    let env = TestEnv::new().await;
    let counter = open(&env).await;
    let (one, other) = (counter.http.get("/").await, counter.http.get("/").await);
    assert_eq!((one.status, one.header("cache-control")), (200, "no-store"));
    assert_ne!(hidden(&one.text, "key"), hidden(&other.text, "key"));
    for part in [
        "Pizza",
        "€8.00",
        "+€4.00",
        "Contains gluten, milk",
        "Only: At a table",
        "&#60;img src=x",
        "&#60;b&#62;",
    ] {
        assert!(one.text.contains(part), "{part}");
    }
    assert!(!one.text.contains("<img"), "{}", one.text);
    let german = counter.http.get("/?lang=de").await;
    assert!(
        german.text.contains("8,00\u{a0}€") && german.text.contains("Enthält Gluten, Milch"),
        "{}",
        german.text
    );
    assert!(cookie_of(&german).contains("lang=de"));
    let arabic = answer(counter.http.request("GET", "/").header(COOKIE, "lang=ar")).await;
    assert!(arabic.text.contains("<html lang=\"ar\" dir=\"rtl\">"));
    let unknown = counter.http.get("/?table=nobodys").await;
    assert!(
        unknown.status == 200 && unknown.text.contains("The code of this table is not known"),
        "{}",
        unknown.text
    );
}

#[tokio::test]
async fn a_form_sent_twice_reloaded_and_come_back_to_is_one_order_until_it_is_changed() {
    let env = TestEnv::new().await;
    let counter = open(&env).await;
    let mut fields = pizza(&counter.http.get("/").await.text);
    let twice = join_all([send(&counter, &fields, ""), send(&counter, &fields, "")]).await;
    let page = twice[0].header(LOCATION.as_str()).to_owned();
    assert!(page.starts_with("/t/"), "{page}");
    for answer in &twice {
        assert_eq!((answer.status, answer.header(LOCATION.as_str())), (303, page.as_str()), "{answer:?}");
    }
    let seen = cookie_of(&twice[0]);
    assert_eq!(send(&counter, &fields, seen).await.header(LOCATION.as_str()), page);
    assert_eq!(orders(&env).await, 1);
    // The price of the order that was taken is of no interest any more.
    apply(&env, &[&PIZZA.replace("9.5", "19.5"), SOUP]).await;
    offers(&counter.orders, &["pizza", "soup"]).await;
    set(&mut fields, "p.pizza", "");
    assert_eq!(send(&counter, &fields, seen).await.header(LOCATION.as_str()), page);

    // Whoever knows of the first order and changes the form orders anew, once.
    set(&mut fields, "q.pizza", "2");
    let second = send(&counter, &fields, seen).await;
    assert_eq!(second.status, 303, "{second:?}");
    let other = second.header(LOCATION.as_str()).to_owned();
    assert_ne!(other, page);
    assert_eq!(send(&counter, &fields, seen).await.header(LOCATION.as_str()), other);
    // Whoever does not is told first.
    set(&mut fields, "q.pizza", "3");
    let told = send(&counter, &fields, "").await;
    assert!(told.status == 422 && told.text.contains("has placed an order before"), "{told:?}");
    assert_eq!(orders(&env).await, 2);
    assert_ne!(hidden(&told.text, "key"), fields.iter().find(|(name, _)| *name == "key").unwrap().1);
}

#[tokio::test]
async fn every_fault_stands_beside_its_field_and_what_was_typed_stays() {
    let env = TestEnv::new().await;
    let counter = open(&env).await;
    let mut fields = pizza(&counter.http.get("/").await.text);
    for (name, text) in
        [("customer_name", "R2-D2 & \"co\""), ("q.soup", "1"), ("q.pizza", "11"), ("n.pizza", "well <done>")]
    {
        set(&mut fields, name, text);
    }
    let page = send(&counter, &fields, "").await;
    assert_eq!(page.status, 422, "{page:?}");
    for part in [
        "href=\"#customer_name\"",
        "href=\"#dish-pizza\"",
        "href=\"#dish-soup\"",
        "aria-invalid=\"true\"",
        "id=\"fault-pizza\">A whole number from 1 to 10",
        "id=\"fault-soup\">This cannot be had now",
        "value=\"R2-D2 &#38; &#34;co&#34;\"",
        "value=\"11\"",
        "value=\"well &#60;done&#62;\"",
        "value=\"large\" data-cents=\"400\" data-name=\"Large\" checked",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert_eq!(hidden(&page.text, "key"), fields.iter().find(|(name, _)| *name == "key").unwrap().1);
    let nothing = send(&counter, &[("customer_name", "Ada".to_owned())], "").await;
    assert!(nothing.text.contains("href=\"#basket\"") && nothing.text.contains("href=\"#order_type\""));
    assert_eq!(orders(&env).await, 0);
}

#[tokio::test]
async fn the_sum_is_shown_before_and_a_price_that_has_changed_is_asked_for_again() {
    let env = TestEnv::new().await;
    let counter = open(&env).await;
    let mut fields = pizza(&counter.http.get("/").await.text);
    set(&mut fields, "q.pizza", "3");
    let mut look = fields.clone();
    set(&mut look, "do", "look");
    let looked = send(&counter, &look, "").await;
    assert!(looked.status == 200 && looked.text.contains("€40.50"), "{looked:?}");
    apply(&env, &[&PIZZA.replace("9.5", "10.25"), SOUP]).await;
    eventually("the new menu", || async { counter.http.get("/").await.text.contains("€8.75") }).await;
    let asked = send(&counter, &fields, "").await;
    assert!(asked.status == 422 && asked.text.contains("The price has changed"), "{asked:?}");
    assert_eq!(orders(&env).await, 0);
    set(&mut fields, "p.pizza", &hidden(&asked.text, "p.pizza"));
    assert_eq!(send(&counter, &fields, "").await.status, 303);
    put(&counter.orders, "pizza", &serde_json::json!({"available": false})).await.ok();
    set(&mut fields, "customer_name", "Bob");
    set(&mut fields, "key", "another-key-of-a-form");
    let gone = send(&counter, &fields, "").await;
    assert!(
        gone.status == 409 && gone.text.contains("Pizza</bdi>: There is not enough of it left"),
        "{gone:?}"
    );
}

#[tokio::test]
async fn a_closed_restaurant_shows_its_menu_says_when_it_opens_and_takes_no_order() {
    let env = TestEnv::new().await;
    let tomorrow = Timestamp::now().to_zoned(TimeZone::UTC).tomorrow().unwrap();
    let hours = format!(
        "restaurant: {{hours: ['{} 10:00-11:30']}}\n",
        tomorrow.strftime("%a").to_string().to_lowercase()
    );
    configure(&env, &[PIZZA, SOUP, NASTY]);
    env.edit_config(|config| config.to_owned() + &hours);
    let counter = Counter::start(&env).await;
    offers(&counter.orders, &["pizza", "soup", "nasty"]).await;
    let opens = format!("You can order again from: {} 10:00.", tomorrow.strftime("%A"));
    let page = counter.http.get("/").await;
    assert!(page.status == 200 && page.text.contains(&opens), "{page:?}");
    let refused = send(&counter, &pizza(&page.text), "").await;
    assert!(refused.status == 409 && refused.text.matches(&opens).count() == 2, "{refused:?}");
    assert!(refused.text.contains("value=\"Ada\""));
}

#[tokio::test]
async fn another_site_places_nothing_and_without_a_service_nothing_typed_is_lost() {
    let env = TestEnv::new().await;
    let mut counter = open(&env).await;
    let fields = pizza(&counter.http.get("/").await.text);
    let foreign = post(&counter, texts(&fields)).header(ORIGIN, "http://evil.test");
    answer(foreign).await.problem(403);
    let large: String = "x".repeat(70_000);
    answer(post(&counter, [("notes", large.as_str())])).await.problem(413);
    counter.order.signal(Signal::SIGTERM);
    counter.order.wait_exit().await;
    let away = send(&counter, &fields, "").await;
    assert_eq!((away.status, away.header("retry-after")), (503, "5"));
    assert!(
        away.text.contains("name=\"o.pizza.size\" value=\"large\"") && away.text.contains("Try again"),
        "{away:?}"
    );
    assert_eq!(hidden(&away.text, "key"), fields.iter().find(|(name, _)| *name == "key").unwrap().1);
    assert_eq!(counter.http.get("/").await.status, 503);
    assert_eq!(orders(&env).await, 0);
}

#[tokio::test]
async fn without_a_menu_the_page_says_so() {
    let env = TestEnv::new().await;
    let counter = Counter::start(&env).await;
    eventually("it is known", || async { counter.http.get("/").await.status == 200 }).await;
    assert!(counter.http.get("/").await.text.contains("menu apply FILE"));
}

#[tokio::test]
async fn a_form_of_three_hundred_dishes_fits() {
    let env = TestEnv::new().await;
    let dishes: Vec<String> = (0..300)
        .map(|n| {
            PIZZA
                .replace("id: pizza", &format!("id: pizza-napoletana-{n}"))
                .replace("name: Pizza", &format!("name: Pizza {n}"))
        })
        .collect();
    configure(&env, &dishes.iter().map(String::as_str).collect::<Vec<_>>());
    let counter = Counter::start(&env).await;
    eventually("the menu", || async { counter.http.get("/").await.text.contains("Pizza 299") }).await;
    let html = counter.http.get("/").await.text;
    let mut fields = vec![("key".to_owned(), hidden(&html, "key"))];
    for n in 0..300 {
        let id = format!("pizza-napoletana-{n}");
        let field = |kind: &str, text: &str| {
            (format!("{kind}.{id}{}", if kind == "o" { ".size" } else { "" }), text.to_owned())
        };
        fields.extend([field("q", if n == 7 { "1" } else { "0" }), field("o", "small"), field("n", "")]);
        fields.push((format!("p.{id}"), hidden(&html, &format!("p.{id}"))));
    }
    fields.extend(
        [("customer_name", "Ada"), ("order_type", "takeout")]
            .map(|(name, text)| (name.to_owned(), text.to_owned())),
    );
    let answer = answer(post(&counter, texts(&fields))).await;
    assert_eq!(answer.status, 303, "{answer:?}");
}
