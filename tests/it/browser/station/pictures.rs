//! The pictures of docs/KITCHEN.md: `scripts/pictures` makes them anew.

use super::*;
use std::path::Path;

#[tokio::test]
#[ignore = "writes into docs/pictures: run scripts/pictures"]
async fn pictures_of_the_station() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
    std::fs::create_dir_all(&folder).unwrap();
    let station = Station::open().await;
    station.login_page(Device::PHONE).await.picture(&folder.join("login.png")).await;
    let tablet = station.tablet(Device::TABLET).await;
    serve_an_evening(&station, &tablet).await;
    tablet.picture(&folder.join("station.png")).await;
    tablet.set_dark(true).await;
    tablet.picture(&folder.join("station-dark.png")).await;
    let phone = station.tablet(Device::PHONE).await;
    phone.sees(".ticket").await;
    phone.picture(&folder.join("station-phone.png")).await;
}

/// Tickets in every state, as a busy hour has them.
async fn serve_an_evening(station: &Station, tablet: &Page) {
    let items = |list: &[(&str, u8)]| -> Value {
        list.iter().map(|(name, quantity)| item(name, *quantity, 9.5)).collect()
    };
    let table = |number: u8, list: &[(&str, u8)]| {
        with(&with(&dine_in(), "/table_number", json!(number)), "/items", items(list))
    };
    let away = |order: Value, list: &[(&str, u8)]| with(&order, "/items", items(list));
    let birthday =
        with(&table(4, &[("Margherita", 2), ("Tiramisu", 2)]), "/notes", json!("birthday: all at once"));
    let allergic =
        with(&table(12, &[("Caesar salad", 1), ("Lasagne", 1)]), "/items/0/notes", json!("no nuts: allergy"));
    // Each with how many minutes ago it was placed; what costs much goes first.
    let orders = [
        (with(&birthday, "/items/0/price", json!(60.0)), 16),
        (allergic, 11),
        (away(takeout(), &[("Quattro formaggi", 1), ("Lasagne", 2)]), 9),
        (away(delivery(), &[("Margherita", 3), ("Espresso", 2)]), 7),
        (table(7, &[("Bruschetta", 2), ("Quattro formaggi", 1)]), 5),
        (away(takeout(), &[("Calzone", 2), ("Tiramisu", 1)]), 3),
        (table(1, &[("Margherita", 1), ("Calzone", 1)]), 2),
        (away(delivery(), &[("Lasagne", 1)]), 0),
    ];
    let mut numbers = Vec::new();
    for (order, minutes) in &orders {
        let number = station.place(order).await;
        station.place_earlier(&number, *minutes).await;
        numbers.push(number);
    }
    tablet.until("all are there", "document.querySelectorAll('.ticket').length === 8").await;
    tablet.click(&button(&numbers[2], "start")).await;
    tablet.click(&item_of(&numbers[2], 0)).await;
    station.cancel(&numbers[5]).await;
    tablet.sees(&format!("{}[data-state=cancelled]", ticket(&numbers[5]))).await;
    tablet.sees(&format!("{}[data-late=late]", ticket(&numbers[0]))).await;
    tablet.misses("[data-unsent]").await;
}
