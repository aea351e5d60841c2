//! Tablets without a network, and a station that dies.

use super::*;

/// What a page says of a connection that is cut, which is no fault of it.
fn tolerate_outages(page: &Page) {
    page.tolerate("net::ERR_");
}

#[tokio::test]
async fn what_is_done_without_a_network_is_kept_and_sent_in_order() {
    let station = Station::open().await;
    let tablet = station.tablet(Device::TABLET).await;
    tolerate_outages(&tablet);
    let number = station.place(&two_items()).await;
    tablet.sees(&ticket(&number)).await;
    tablet.set_offline(true).await;
    station.network.cut();
    tablet.sees("#banner:not([hidden])").await;
    tablet.click(&item_of(&number, 0)).await;
    tablet.click(&item_of(&number, 1)).await;
    tablet.click(&button(&number, "bump")).await;
    tablet.sees(&format!("{}[data-state=bumped]", ticket(&number))).await;
    let later = station.place(&takeout()).await;
    // Longer than the bump could be taken back with a network.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(station.history(&number).await.len(), 2, "nothing has reached the station");
    station.network.restore();
    tablet.set_offline(false).await;
    tablet.sees(&ticket(&later)).await;
    tablet.sees("#banner[hidden]").await;
    station.wait_ready(&number).await;
    let sql = "select array_agg(action order by id) from staff_actions";
    let actions: Vec<String> = station.db.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(actions.len(), 3, "{actions:?}");
    assert!(actions[2].contains("bump"), "{actions:?}");
}

#[tokio::test]
async fn what_is_not_sent_outlives_its_page_and_a_conflict_is_shown() {
    let station = Station::open().await;
    let tablet = station.tablet(Device::TABLET).await;
    tolerate_outages(&tablet);
    tablet.tolerate("409");
    let (cooked, cancelled) = (station.place(&dine_in()).await, station.place(&takeout()).await);
    tablet.sees(&ticket(&cancelled)).await;
    station.network.cut();
    tablet.sees("#live[data-live=no]").await;
    tablet.click(&button(&cancelled, "start")).await;
    tablet.click(&button(&cooked, "start")).await;
    tablet.goto("about:blank").await;
    station.cancel(&cancelled).await;
    station.network.restore();
    tablet.goto(&station.network.url()).await;
    tablet.sees(&format!("{}[data-state=started]", ticket(&cooked))).await;
    tablet.sees(&format!("{}[data-state=cancelled]", ticket(&cancelled))).await;
    tablet.sees("#messages [data-action=dismiss]").await;
    tablet.reads("cancelled").await;
}

#[tokio::test]
async fn a_station_that_is_killed_comes_back_with_its_tickets_and_their_marks() {
    let mut station = Station::open().await;
    let tablet = station.tablet(Device::TABLET).await;
    tolerate_outages(&tablet);
    // A station that starts answers so until it has reached PostgreSQL.
    tablet.tolerate("503");
    let number = station.place(&two_items()).await;
    tablet.click(&item_of(&number, 1)).await;
    tablet.click(&button(&number, "start")).await;
    tablet.sees(&format!("{}[data-state=started]:not([data-unsent])", ticket(&number))).await;
    station.worker.kill();
    tablet.sees("#live:not([data-live=yes])").await;
    station.worker = spawn(&station.env, station.port);
    tablet.sees("#live[data-live=yes]").await;
    for page in [&tablet, &station.tablet(Device::TABLET).await] {
        page.sees(&format!("{}[data-state=started][data-attempt='1']", ticket(&number))).await;
        page.sees(&format!("{}[aria-pressed=true]", item_of(&number, 1))).await;
    }
    tablet.click(&button(&number, "bump")).await;
    station.wait_ready(&number).await;
    assert_eq!(station.history(&number).await[1..], ["cooking by grill", "ready by staff:anna"]);
}
