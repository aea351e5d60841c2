//! A ticket's life on the page.

use super::*;

#[tokio::test]
async fn an_order_appears_within_a_second() {
    let station = Station::open().await;
    let tablet = station.tablet(Device::TABLET).await;
    within_a_second(async || {
        let number = station.place(&dine_in()).await;
        tablet.sees(&ticket(&number)).await
    })
    .await;
    tablet.reads("Table 7").await;
}

#[tokio::test]
async fn an_item_done_on_one_tablet_shows_on_the_other() {
    let station = Station::open().await;
    let (one, other) = (station.tablet(Device::TABLET).await, station.tablet(Device::PHONE).await);
    let number = station.place(&two_items()).await;
    within_a_second(async || {
        one.click(&item_of(&number, 1)).await;
        let took = other.sees(&format!("{}[aria-pressed=true]", item_of(&number, 1))).await;
        other.sees(&format!("{}[aria-pressed=false]", item_of(&number, 0))).await;
        other.click(&item_of(&number, 1)).await;
        one.sees(&format!("{}[aria-pressed=false]", item_of(&number, 1))).await;
        took
    })
    .await;
}

#[tokio::test]
async fn a_bumped_ticket_is_ready_in_the_cooks_name_and_one_that_is_taken_back_is_not() {
    let station = Station::open().await;
    let tablet = station.tablet(Device::TABLET).await;
    let undone = station.place(&dine_in()).await;
    let bumped = station.place(&takeout()).await;
    tablet.click(&button(&undone, "bump")).await;
    tablet.sees(&format!("{}[data-state=bumped]", ticket(&undone))).await;
    tablet.click(&button(&undone, "recall")).await;
    tablet.sees(&format!("{}[data-state=held]", ticket(&undone))).await;
    tablet.click(&button(&bumped, "bump")).await;
    tablet.misses(&ticket(&bumped)).await;
    station.wait_ready(&bumped).await;
    assert_eq!(station.history(&bumped).await[1..], ["cooking by grill", "ready by staff:anna"]);
    assert_eq!(station.history(&undone).await[1..], ["cooking by grill"]);
}

#[tokio::test]
async fn a_double_tap_bumps() {
    let station = Station::open().await;
    let (tablet, phone) = (station.tablet(Device::TABLET).await, station.tablet(Device::PHONE).await);
    let (one, two) = (station.place(&dine_in()).await, station.place(&takeout()).await);
    let head = |number: &str| format!("{} .head", ticket(number));
    until_bumped(&tablet, &one, async || tablet.double_click(&head(&one)).await).await;
    until_bumped(&phone, &two, async || phone.double_tap(&head(&two)).await).await;
}

/// A loaded machine makes of two taps two single ones, or hits a ticket that has only just come: then a person taps again.
async fn until_bumped(page: &Page, number: &str, tap: impl AsyncFn()) {
    let is_bumped = format!("!!document.querySelector(\"{}[data-state=bumped]\")", ticket(number));
    eventually_ok("the taps bump", || async {
        tap().await;
        let found = page.eval(&is_bumped).await;
        if found == true { Ok(()) } else { Err(found) }
    })
    .await;
}

#[tokio::test]
async fn a_recalled_ticket_returns_to_its_place_with_its_clock() {
    let station = Station::open().await;
    let tablet = station.tablet(Device::TABLET).await;
    let first = station.place(&dine_in()).await;
    let second = station.place(&takeout()).await;
    tablet.sees(&ticket(&second)).await;
    tablet.click(&button(&first, "bump")).await;
    station.wait_ready(&first).await;
    tablet.misses(&ticket(&first)).await;
    tablet.click("[data-action=ready-list]").await;
    tablet.click(&format!("#ready [data-order='{first}'] [data-action=recall]")).await;
    tablet.sees(&format!("{}[data-attempt='2']", ticket(&first))).await;
    let order =
        "[...document.querySelectorAll('#tickets [data-order]')].map(each => each.dataset.order).join()";
    assert_eq!(tablet.eval(order).await, format!("{first},{second}"));
    let timer = |number| format!("document.querySelector(\"{} .timer\").textContent", ticket(number));
    let older = format!("{} >= {}", timer(&first), timer(&second));
    tablet.until("its clock has run on", &older).await;
    assert_eq!(station.history(&first).await.last().unwrap(), "cooking by staff:anna");
}

#[tokio::test]
async fn a_cancelled_ticket_is_struck_until_somebody_has_seen_it() {
    let station = Station::open().await;
    let (one, other) = (station.tablet(Device::TABLET).await, station.tablet(Device::TABLET).await);
    let mut number = String::new();
    within_a_second(async || {
        number = station.place(&dine_in()).await;
        other.sees(&ticket(&number)).await;
        station.cancel(&number).await;
        one.sees(&format!("{}[data-state=cancelled]", ticket(&number))).await
    })
    .await;
    let items = format!("document.querySelector(\"{} .body\")", ticket(&number));
    assert_eq!(one.eval(&format!("getComputedStyle({items}).textDecorationLine")).await, "line-through");
    one.click(&button(&number, "acknowledge")).await;
    one.misses(&ticket(&number)).await;
    other.misses(&ticket(&number)).await;
}

#[tokio::test]
async fn a_ticket_says_in_words_how_late_it_is() {
    let station = Station::open().await;
    let tablet = station.tablet(Device::TABLET).await;
    // The target of an order for a table is 15 minutes.
    for (minutes, lateness, word) in
        [(5, "on_time", "On time"), (10, "warn", "Hurry"), (16, "late", "Late 1:")]
    {
        let number = station.place(&dine_in()).await;
        station.place_earlier(&number, minutes).await;
        tablet.sees(&format!("{}[data-late={lateness}]", ticket(&number))).await;
        tablet.reads(word).await;
    }
}

#[tokio::test]
async fn keys_alone_do_everything() {
    let station = Station::open().await;
    let tablet = station.tablet(Device::TABLET).await;
    let (first, second) = (station.place(&two_items()).await, station.place(&two_items()).await);
    tablet.sees(&ticket(&second)).await;
    tablet.press("2").await;
    tablet.press("ArrowDown").await;
    tablet.press(" ").await;
    tablet
        .until(
            "an item of the second is done",
            &format!(
                "document.querySelectorAll(\"{} [data-item][aria-pressed=true]\").length === 1",
                ticket(&second)
            ),
        )
        .await;
    tablet.press("Enter").await;
    tablet.sees(&format!("{}[data-state=bumped]", ticket(&second))).await;
    tablet.press("r").await;
    tablet.sees(&format!("{}:not([data-state=bumped])", ticket(&second))).await;
    tablet.press("a").await;
    tablet.sees("#counts:not([hidden])").await;
    tablet.press("1").await;
    tablet.press("Enter").await;
    station.wait_ready(&first).await;
    assert_eq!(station.history(&second).await.len(), 2);
}

#[tokio::test]
async fn keys_can_be_others_and_can_be_switched_off() {
    let station = Station::open().await;
    let tablet = station.tablet(Device::TABLET).await;
    let (first, second) = (station.place(&dine_in()).await, station.place(&dine_in()).await);
    tablet.sees(&ticket(&second)).await;
    tablet.click("[data-action=settings]").await;
    tablet.click("[data-key=bump]").await;
    tablet.press("b").await;
    tablet.press("Escape").await;
    tablet.press("1").await;
    tablet.press("b").await;
    tablet.sees(&format!("{}[data-state=bumped]", ticket(&first))).await;
    tablet.click("[data-action=settings]").await;
    tablet.click("#keys-on").await;
    tablet.press("Escape").await;
    tablet.press("2").await;
    tablet.press("b").await;
    station.wait_ready(&first).await;
    tablet.sees(&format!("{}[data-state=held]", ticket(&second))).await;
}

#[tokio::test]
async fn what_a_customer_writes_is_text() {
    let station = Station::open().await;
    let tablet = station.tablet(Device::TABLET).await;
    let hostile = "<img src=x onerror=alert(1)>";
    let order = with(&with(&dine_in(), "/notes", json!(hostile)), "/items/0/notes", json!(hostile));
    let number = station.place(&order).await;
    tablet.sees(&ticket(&number)).await;
    tablet
        .until("both notes are shown", &format!("document.body.innerText.split('{hostile}').length === 3"))
        .await;
    assert_eq!(tablet.count("img").await, 0);
}

#[tokio::test]
async fn counts_add_up_what_is_pending() {
    let station = Station::open().await;
    let tablet = station.tablet(Device::TABLET).await;
    let (first, second) = (station.place(&two_items()).await, station.place(&two_items()).await);
    tablet.sees(&ticket(&second)).await;
    tablet.click("[data-action=counts]").await;
    tablet.until("four of one kind", "/4\\s*×?\\s*Margherita/.test(counts.innerText)").await;
    tablet.click(&item_of(&first, 0)).await;
    tablet.until("two of them are left", "/2\\s*×?\\s*Margherita/.test(counts.innerText)").await;
    eventually("it is kept", || async {
        let sql = "select count(*) from station_items";
        station.db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
}
