//! Calls at random, repeated and in any order, from two tablets, while the worker makes ready what was bumped and managers cancel.

use std::collections::HashMap;

use super::{Grill, change};
use crate::support::{Events, answer, eventually};
use serde_json::json;

const ORDERS: usize = 4;
const CALLS: usize = 240;
const SEED: u64 = 0x5eed;

#[tokio::test]
async fn calls_in_any_order_leave_every_rule_in_place_and_the_screens_equal() {
    let grill = Grill::start().await;
    let numbers: Vec<String> = (1..=ORDERS).map(|n| format!("ORD_20261130_00{n}")).collect();
    for number in &numbers {
        grill.ticket(number).await;
    }
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut marks: HashMap<(String, u8), bool> = HashMap::new();
    for _ in 0..CALLS / 2 {
        let pick = |random: &mut fastrand::Rng| {
            let number = numbers[random.usize(..ORDERS)].clone();
            let (what, attempt) = (random.u8(..12), random.i32(1..4));
            (number, what, attempt, random.bool())
        };
        // Two tablets at once.
        let each = [pick(&mut random), pick(&mut random)].map(|(number, what, attempt, done)| {
            let (path, body) = match what {
                0..=1 => ("start".to_owned(), json!({"attempt": attempt})),
                2..=5 => (format!("items/{}/done", what % 2), json!({"attempt": attempt, "done": done})),
                6..=8 => ("bump".to_owned(), json!({"attempt": attempt})),
                9..=10 => ("recall".to_owned(), json!({"attempt": attempt})),
                _ => ("acknowledge".to_owned(), json!({"attempt": attempt})),
            };
            let request = change(&grill.http, &path, &number, &body);
            async move { (number, path, done, answer(request).await) }
        });
        let [first, second] = each;
        let (first, second) = tokio::join!(first, second);
        let is_race = (&first.0, &first.1) == (&second.0, &second.1);
        for (number, path, done, answer) in [first, second] {
            assert!([200, 404, 409].contains(&answer.status), "{path} {number}: {answer:?}");
            let item = path.strip_prefix("items/").and_then(|item| item[..1].parse().ok());
            if let (200, Some(item)) = (answer.status, item) {
                let key = (number, item);
                if is_race {
                    marks.remove(&key)
                } else {
                    marks.insert(key, done)
                };
            }
        }
        if random.u8(..3) == 0 {
            grill.finish(&numbers[random.usize(..ORDERS)]).await;
        }
    }
    grill.cancel_whatever_cooks(&numbers[0]).await;

    let twice = "select count(*) from (select from order_status_log where status = 'ready' group by order_id, attempt having count(*) > 1) as twice";
    assert_eq!(grill.db.query_one(twice, &[]).await.unwrap().get::<_, i64>(0), 0);
    let stray = "select count(*) from orders o join station_tickets t on t.order_id = o.id
        where o.attempt <> t.attempt or (o.status = 'ready' and t.bumped_at is null)
           or (select count(*) from order_status_log l where l.order_id = o.id and l.status = 'cooking') <> o.attempt";
    assert_eq!(grill.db.query_one(stray, &[]).await.unwrap().get::<_, i64>(0), 0);
    let shown = grill.tickets().await;
    for ticket in shown["tickets"].as_array().unwrap().iter().chain(shown["ready"].as_array().unwrap()) {
        let number = ticket["order_number"].as_str().unwrap().to_owned();
        for item in [0, 1] {
            let expected = marks.get(&(number.clone(), item));
            let found = &ticket["items"][usize::from(item)]["done"];
            assert!(expected.is_none_or(|done| json!(done) == *found), "{number} {item}: {ticket}");
        }
    }
    let mut screens = [
        Events::open(&grill.http, "/station/events", None).await,
        Events::open(&grill.http, "/station/events", None).await,
    ];
    for screen in &mut screens {
        let event = screen.next().await.unwrap();
        assert_eq!((&event.data["tickets"], &event.data["ready"]), (&shown["tickets"], &shown["ready"]));
    }
}

impl Grill {
    async fn cancel_whatever_cooks(&self, number: &str) {
        let sql = "update orders set status = 'cancelled' where number = $1 and status = 'cooking'";
        self.db.execute(sql, &[&number]).await.unwrap();
        eventually("it is shown", async || {
            let shown = self.tickets().await;
            shown["tickets"]
                .as_array()
                .unwrap()
                .iter()
                .all(|t| t["order_number"] != number || t["status"] == "cancelled")
        })
        .await;
    }
}
