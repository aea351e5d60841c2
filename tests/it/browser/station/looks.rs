//! What the page looks like: for everybody, on every screen.

use super::*;

#[tokio::test]
async fn axe_finds_nothing_in_light_and_dark() {
    let station = Station::open().await;
    let page = station.login_page(Device::TABLET).await;
    page.assert_accessible().await;
    log_in(&page).await;
    page.sees("#live[data-live=yes]").await;
    page.assert_accessible().await;
    let numbers = every_state(&station, &page).await;
    page.assert_accessible().await;
    page.click("[data-action=counts]").await;
    page.assert_accessible().await;
    for dialog in ["ready-list", "settings"] {
        page.click(&format!("[data-action={dialog}]")).await;
        page.assert_accessible().await;
        page.click("dialog[open] [data-action=close]").await;
    }
    page.sees(&ticket(&numbers[0])).await;
}

#[tokio::test]
async fn eight_tickets_fit_a_tablet_and_all_targets_are_large() {
    let station = Station::open().await;
    let page = station.tablet(Device::TABLET).await;
    for _ in 0..8 {
        station.place(&two_items()).await;
    }
    page.until("eight tickets are shown", "document.querySelectorAll('#tickets [data-order]').length === 8")
        .await;
    let outside = "[...document.querySelectorAll('#tickets [data-order]')].filter(each => {
        const box = each.getBoundingClientRect();
        return box.top < 0 || box.left < 0 || box.bottom > innerHeight || box.right > innerWidth;
    }).map(each => JSON.stringify(each.getBoundingClientRect()))";
    assert_eq!(page.eval(outside).await, json!([]));
    let small = "[...document.querySelectorAll('button, input, a')].filter(each => each.checkVisibility())
        .map(each => [each.getBoundingClientRect(), each.outerHTML]).filter(([box]) => box.width < 64 || box.height < 64)
        .map(([box, html]) => `${box.width} × ${box.height}: ${html.slice(0, 120)}`)";
    assert_eq!(page.eval(small).await, json!([]));
    let sizes = "[...new Set([...document.querySelectorAll('#tickets .name')].map(each => getComputedStyle(each).fontSize))]";
    assert_eq!(page.eval(sizes).await, json!(["24px"]));
}

#[tokio::test]
async fn nothing_is_wider_than_a_small_telephone() {
    let station = Station::open().await;
    let page = station.tablet(Device { width: 320, ..Device::PHONE }).await;
    every_state(&station, &page).await;
    assert_eq!(page.eval("document.documentElement.scrollWidth").await, 320);
    page.goto(&format!("{}/login", station.network.url())).await;
    assert_eq!(page.eval("document.documentElement.scrollWidth").await, 320);
}

/// Tickets in every state: held, begun, with notes, late, cancelled, and one that is ready.
pub(super) async fn every_state(station: &Station, page: &Page) -> Vec<String> {
    let noted = with(&two_items(), "/items/0/notes", json!("no basil, allergic to nuts"));
    let orders = [
        with(&noted, "/items/0/price", json!(60.0)),
        two_items(),
        with(&takeout(), "/notes", json!("two forks, please")),
        dine_in(),
        takeout(),
    ];
    let mut numbers = Vec::new();
    for order in &orders {
        numbers.push(station.place(order).await);
    }
    page.sees(&ticket(&numbers[4])).await;
    page.click(&button(&numbers[4], "bump")).await;
    station.wait_ready(&numbers[4]).await;
    page.click(&button(&numbers[1], "start")).await;
    page.click(&item_of(&numbers[1], 0)).await;
    station.cancel(&numbers[3]).await;
    page.sees(&format!("{}[data-state=cancelled]", ticket(&numbers[3]))).await;
    page.misses(&ticket(&numbers[4])).await;
    numbers
}
