//! The picture of docs/OPERATIONS.md: `scripts/pictures` makes it anew.

use super::*;
use crate::support::order_of;
use std::path::Path;

/// Type, how many minutes ago, who, a note, and what.
type Ordered = (&'static str, i32, &'static str, Option<&'static str>, &'static [(&'static str, u8)]);

const EVENING: [Ordered; 9] = [
    ("delivery", 34, "Grace Hopper", None, &[("lasagne", 2), ("insalata-mista", 1)]),
    ("takeout", 19, "Niccolò d’Este", None, &[("margherita", 1), ("tiramisu", 2)]),
    ("takeout", 12, "Zoë Wang", Some("no olives, please"), &[("quattro-stagioni", 1), ("bruschetta", 1)]),
    ("dine_in", 24, "Jürgen Müller", Some("allergic to nuts"), &[("caprese", 1), ("lasagne", 2)]),
    ("delivery", 16, "Ada Lovelace", None, &[("margherita", 3), ("olives", 1)]),
    ("dine_in", 9, "Marie O’Brien", None, &[("margherita", 2)]),
    ("delivery", 6, "Mehmet Öz", None, &[("quattro-stagioni", 1), ("caprese", 1)]),
    ("dine_in", 4, "Inês Sousa", None, &[("bruschetta", 2), ("lasagne", 1)]),
    ("dine_in", 1, "Otto Berg", None, &[("tiramisu", 2)]),
];

#[tokio::test]
#[ignore = "writes into docs/pictures: run scripts/pictures"]
async fn picture_of_the_board() {
    let restaurant = Restaurant::with_menu(include_str!("../../../../contrib/menu.example.yaml")).await;
    let numbers = serve_an_evening(&restaurant).await;
    let page = restaurant.screen(Device { height: 860, ..Device::TABLET }, "max").await;
    page.sees(&format!("{}[data-late] .card-items li", card("cooking", &numbers[3]))).await;
    let promised = "[...document.querySelectorAll('[data-column=received] .card-times')]
        .every(times => times.innerText.includes('promised'))";
    page.until("all are promised", promised).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
    page.picture(&folder.join("staff.png")).await;
}

/// Orders in every status; the cooks stay for as long as the test's servers.
async fn serve_an_evening(restaurant: &Restaurant) -> Vec<String> {
    let tracks = &restaurant.counter.tracks;
    let cook = |name, order_type, seconds| Box::leak(Box::new(restaurant.cook(name, order_type, seconds)));
    cook("chef_luca", "takeout", "0");
    let driver = restaurant.cook("chef_luigi", "delivery", "0");
    let mut numbers = vec![place(restaurant, &EVENING[0], 1).await];
    tracks.wait_status(&numbers[0], "ready").await;
    restaurant.counter.orders.change(&numbers[0], "dispatch").await;
    drop(driver);
    cook("chef_anna", "delivery", "540");
    cook("chef_mario", "dine_in", "420");
    for (order, table) in EVENING[1..].iter().zip(2..) {
        numbers.push(place(restaurant, order, table).await);
    }
    for (number, status) in [(1, "ready"), (2, "ready"), (3, "cooking"), (4, "cooking")] {
        tracks.wait_status(&numbers[number], status).await;
    }
    let late = "update order_status_log l set estimated_completion = now() - interval '3 min'
        from orders o where o.id = l.order_id and o.number = $1 and l.status = 'cooking'";
    assert_eq!(restaurant.db.execute(late, &[&numbers[3]]).await.unwrap(), 1);
    numbers
}

async fn place(restaurant: &Restaurant, order: &Ordered, table: u8) -> String {
    let (order_type, minutes, name, note, items) = order;
    let items = items.iter().map(|(id, quantity)| json!({"menu_item_id": id, "quantity": quantity}));
    let mut order = with(&order_of(order_type), "/items", items.collect());
    order["customer_name"] = json!(name);
    order["notes"] = json!(note);
    if *order_type == "dine_in" {
        order["table_number"] = json!(table);
    }
    let number = restaurant.counter.orders.place(&order).await;
    let sql = "update orders set created_at = created_at - make_interval(mins => $2) where number = $1";
    assert_eq!(restaurant.db.execute(sql, &[&number, minutes]).await.unwrap(), 1);
    number
}
