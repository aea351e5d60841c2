//! A station: a worker whose orders persons make ready. What they do is mostly written to the database here, as its calls do
//! it.

use super::kit::{Kit, holds_for};
use super::without_rabbitmq::Wire;
use crate::support::{Http, Role, STAFF_TOKEN, Signal, TestEnv, answer, eventually, eventually_ok};
use serde_json::json;
use std::time::Duration;

/// A bump is ready soon.
const SOON: &str = "kitchen:\n  grace_seconds: 0.2\n  bump_undo_seconds: 0.3\n";
/// A bump can be taken back for as long as a test takes.
const LATER: &str = "kitchen:\n  grace_seconds: 0.2\n  bump_undo_seconds: 600\n";
/// For what must not happen.
const A_WHILE: Duration = Duration::from_millis(1500);

impl Kit {
    /// Starts a station that holds so many tickets, and waits until it is at work.
    async fn station(&self, name: &str, tickets: &str, more: &[&str]) -> Role {
        let args = ["--cooking", "manual", "--port", "0", "--prefetch", tickets];
        self.working(name, &[&args, more].concat()).await
    }

    /// A person does something to the order's ticket: `set` this.
    async fn mark(&self, number: &str, set: &str) {
        let sql = format!(
            "update station_tickets set {set} where order_id = (select id from orders where number = '{number}')"
        );
        assert_eq!(self.db.execute(&sql, &[]).await.unwrap(), 1, "{number} has a ticket");
    }

    async fn bump(&self, number: &str) {
        self.mark(number, "bumped_at = now(), bumped_by = 'anna'").await;
    }

    /// As the station's own call: in a new attempt, which the station holds.
    async fn recall_at_station(&self, number: &str) {
        let sql = format!(
            "with recalled as (
                update orders set status = 'cooking', attempt = attempt + 1, claimed_at = now(), completed_at = null
                where number = '{number}' returning id, attempt
            ), ticket as (
                update station_tickets t set attempt = r.attempt, recalled_attempt = t.attempt, bumped_at = null,
                    bumped_by = null
                from recalled r where t.order_id = r.id
            )
            insert into order_status_log (order_id, status, previous_status, attempt, changed_by)
            select id, 'cooking', 'ready', attempt, 'staff:anna' from recalled"
        );
        self.db.batch_execute(&sql).await.unwrap();
    }

    /// Waits until the station has a ticket for the order in this attempt, which holds it.
    async fn wait_ticket(&self, number: &str, station: &str, attempt: i32) {
        let sql = "select t.station, t.attempt, o.status, o.processed_by, o.attempt, o.claimed_at is not null
            from orders o left join station_tickets t on t.order_id = o.id where o.number = $1";
        let held = (Some(station.to_owned()), Some(attempt));
        let expected = (held.clone(), "cooking".to_owned(), held, true);
        eventually_ok(&format!("{station} holds {number} in attempt {attempt}"), || async {
            let row = self.db.query_one(sql, &[&number]).await.unwrap();
            let found = ((row.get(0), row.get(1)), row.get(2), (row.get(3), row.get(4)), row.get(5));
            if found == expected { Ok(()) } else { Err(found) }
        })
        .await;
    }

    /// What the ticket says, a column.
    async fn ticket<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, number: &str, what: &str) -> T {
        let sql = format!(
            "select {what} from station_tickets t join orders o on o.id = t.order_id where number = $1"
        );
        self.db.query_one(&sql, &[&number]).await.unwrap().get(0)
    }

    /// How many orders are in hand.
    async fn cooking(&self) -> i64 {
        let sql = "select count(*) from orders where status = 'cooking' and claimed_at is not null";
        self.db.query_one(sql, &[]).await.unwrap().get(0)
    }
}

#[tokio::test]
async fn an_order_is_ready_when_a_person_has_bumped_it_and_not_before() {
    for kind in ["classic", "quorum"] {
        let env = TestEnv::new().await;
        env.write_config(SOON);
        env.edit_config(|text| text.replace("rabbitmq:\n", &format!("rabbitmq:\n  queue_type: {kind}\n")));
        let kit = Kit::on(env).await;
        let grill = kit.station("grill", "2", &[]).await;
        let numbers = kit.place_many("takeout", 3).await;
        eventually_ok("two are in hand", || async {
            let count = kit.cooking().await;
            if count == 2 { Ok(()) } else { Err(count) }
        })
        .await;
        holds_for(A_WHILE, "two are in hand, and no more", || async { kit.cooking().await == 2 }).await;
        let mut left = numbers.clone();
        while !left.is_empty() {
            let held = eventually_ok("one of them is in hand", || async {
                for number in &left {
                    if kit.status(number).await == "cooking" {
                        return Ok(number.clone());
                    }
                }
                Err(())
            })
            .await;
            kit.wait_ticket(&held, "grill", 1).await;
            kit.bump(&held).await;
            kit.wait_status(&held, "ready").await;
            left.retain(|number| *number != held);
        }
        for number in &numbers {
            let history = kit.history(number).await;
            let expected = [("received", "order-service"), ("cooking", "grill"), ("ready", "staff:anna")];
            let expected = expected.map(|(status, by)| (status.to_owned(), by.to_owned()));
            assert_eq!(
                (&history[..], kit.processed_by(number).await.as_deref()),
                (&expected[..], Some("grill"))
            );
        }
        kit.wait_worker("grill", "online").await;
        assert_eq!(kit.worker_row("grill").await.1, 3);
        assert_eq!(grill.logs_of("order_completed").len(), 3);
        kit.wait_announced().await;
        kit.wait_queues_empty().await;
    }
}

#[tokio::test]
async fn a_claim_of_a_station_promises_the_target_time_of_the_type() {
    let kit = Kit::with("kitchen:\n  grace_seconds: 0.2\n  target_minutes:\n    delivery: 40\n").await;
    let _grill = kit.station("grill", "2", &[]).await;
    for (order_type, minutes) in [("takeout", 15.0), ("delivery", 40.0)] {
        let number = kit.place(order_type).await;
        kit.wait_ticket(&number, "grill", 1).await;
        let sql = "select extract(epoch from estimated_completion - claimed_at)::float8 / 60 from orders where number = $1";
        assert_eq!(kit.db.query_one(sql, &[&number]).await.unwrap().get::<_, f64>(0), minutes);
    }
}

#[tokio::test]
async fn a_bump_that_is_taken_back_makes_nothing_ready() {
    let kit = Kit::with("kitchen:\n  grace_seconds: 0.2\n  bump_undo_seconds: 1\n").await;
    let _grill = kit.station("grill", "1", &[]).await;
    let number = kit.place("takeout").await;
    kit.wait_ticket(&number, "grill", 1).await;
    // Not committed before the time is over: the worker finds the bump, and waits for the one who takes it back.
    let sql = "begin; update station_tickets set bumped_at = now(), bumped_by = 'anna'; commit;
        begin; update station_tickets set bumped_at = null, bumped_by = null";
    kit.db.batch_execute(sql).await.unwrap();
    let xid = kit.db.query_one("select pg_current_xact_id()::text", &[]).await.unwrap().get::<_, String>(0);
    let other = kit.env.connect().await;
    eventually("the worker waits", || async {
        let sql = "select count(*) from pg_locks where not granted and transactionid::text = $1";
        other.query_one(sql, &[&xid]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
    kit.db.batch_execute("commit").await.unwrap();
    holds_for(A_WHILE, "it cooks", || async { kit.status(&number).await == "cooking" }).await;
}

#[tokio::test]
async fn a_station_that_is_killed_finds_its_tickets_and_what_was_done_to_them() {
    let kit = Kit::with(LATER).await;
    // At the default heartbeat interval nobody takes anything over meanwhile.
    let mut grill = kit.station("grill", "3", &[]).await;
    let numbers = kit.place_many("takeout", 2).await;
    for number in &numbers {
        kit.wait_ticket(number, "grill", 1).await;
    }
    kit.mark(&numbers[0], "started_at = now(), started_by = 'anna'").await;
    kit.bump(&numbers[1]).await;
    grill.kill();
    kit.env.edit_config(|text| text.replace("bump_undo_seconds: 600", "bump_undo_seconds: 0.3"));
    let grill = kit.station("grill", "3", &[]).await;
    kit.wait_status(&numbers[1], "ready").await;
    let ready = kit.history(&numbers[1]).await.pop().unwrap();
    assert_eq!(ready, ("ready".to_owned(), "staff:anna".to_owned()));
    // The other one is as it was, and its message changes nothing.
    kit.wait_announced().await;
    kit.wait_queues_empty().await;
    kit.wait_ticket(&numbers[0], "grill", 1).await;
    assert_eq!(kit.ticket::<String>(&numbers[0], "started_by").await, "anna");
    kit.bump(&numbers[0]).await;
    kit.wait_status(&numbers[0], "ready").await;
    for number in &numbers {
        assert_eq!(kit.statuses(number).await, ["received", "cooking", "ready"]);
    }
    assert_eq!((kit.worker_row("grill").await.1, grill.logs_of("order_completed").len()), (2, 2));
}

#[tokio::test]
async fn what_a_station_holds_is_not_released_by_its_heartbeats() {
    let kit = Kit::with(LATER).await;
    // A claim counts as known after twice this time.
    kit.env.edit_config(|text| text.replace("database:\n", "database:\n  statement_timeout_seconds: 0.5\n"));
    let mut grill = kit.station("grill", "1", &[]).await;
    let number = kit.place("takeout").await;
    kit.wait_ticket(&number, "grill", 1).await;
    grill.kill();
    let _grill = kit.station("grill", "1", &["--heartbeat-interval", "0.1"]).await;
    let attempt = || async {
        let sql = "select attempt, claimed_at is not null from orders where number = $1";
        let row = kit.db.query_one(sql, &[&number]).await.unwrap();
        (row.get::<_, i32>(0), row.get::<_, bool>(1)) == (1, true)
    };
    holds_for(Duration::from_secs(2), "it is held in its attempt", attempt).await;
}

#[tokio::test]
async fn a_station_that_is_asked_to_stop_commits_what_is_bumped_and_keeps_the_rest() {
    let kit = Kit::with(LATER).await;
    let mut grill = kit.station("grill", "3", &[]).await;
    let numbers = kit.place_many("takeout", 2).await;
    for number in &numbers {
        kit.wait_ticket(number, "grill", 1).await;
    }
    kit.bump(&numbers[0]).await;
    grill.signal(Signal::SIGTERM);
    assert_eq!(grill.wait_exit().await.code(), Some(0));
    assert_eq!(kit.status(&numbers[0]).await, "ready");
    assert_eq!(kit.worker_row("grill").await, ("offline".to_owned(), 1));
    kit.wait_ticket(&numbers[1], "grill", 1).await;
    let (completed, left) = (grill.logs_of("order_completed"), grill.logs_of("order_left"));
    assert_eq!((completed.len(), left.len()), (1, 1));
    assert_eq!(left[0]["order_number"], json!(numbers[1]));
    // It is back before another comes.
    let mut grill = kit.station("grill", "3", &[]).await;
    kit.wait_ticket(&numbers[1], "grill", 1).await;
    kit.wait_announced().await;
    kit.wait_queues_empty().await;
    // And then one comes.
    grill.signal(Signal::SIGTERM);
    assert_eq!(grill.wait_exit().await.code(), Some(0));
    let _chef = kit.working("chef_anna", &[]).await;
    kit.wait_status(&numbers[1], "ready").await;
    assert_eq!(kit.history(&numbers[1]).await.pop().unwrap().1, "chef_anna");
    assert_eq!(kit.statuses(&numbers[1]).await, ["received", "cooking", "ready"]);
}

#[tokio::test]
async fn a_bump_survives_the_takeover_by_another_station() {
    let kit = Kit::with(LATER).await;
    let mut grill = kit.station("grill", "2", &["--heartbeat-interval", "0.5"]).await;
    let numbers = kit.place_many("takeout", 2).await;
    for number in &numbers {
        kit.wait_ticket(number, "grill", 1).await;
    }
    kit.bump(&numbers[0]).await;
    kit.mark(&numbers[1], "started_at = now(), started_by = 'anna'").await;
    grill.kill();
    kit.env.edit_config(|text| text.replace("bump_undo_seconds: 600", "bump_undo_seconds: 0.3"));
    let _fryer = kit.station("fryer", "2", &[]).await;
    kit.wait_status(&numbers[0], "ready").await;
    let ready = kit.history(&numbers[0]).await.pop().unwrap();
    assert_eq!(ready, ("ready".to_owned(), "staff:anna".to_owned()));
    assert_eq!(kit.processed_by(&numbers[0]).await.as_deref(), Some("fryer"));
    kit.wait_ticket(&numbers[1], "fryer", 2).await;
    assert_eq!(kit.ticket::<String>(&numbers[1], "started_by").await, "anna");
    // The first one is back, and has nothing.
    let _grill = kit.station("grill", "2", &[]).await;
    holds_for(A_WHILE, "the other has it", || async {
        kit.processed_by(&numbers[1]).await.as_deref() == Some("fryer")
    })
    .await;
    assert_eq!((kit.worker_row("grill").await.1, kit.worker_row("fryer").await.1), (0, 1));
}

#[tokio::test]
async fn a_cancelled_order_leaves_the_hand_and_the_next_comes() {
    let kit = Kit::with(LATER).await;
    let grill = kit.station("grill", "1", &[]).await;
    let cancelled = kit.place("takeout").await;
    kit.wait_ticket(&cancelled, "grill", 1).await;
    kit.bump(&cancelled).await;
    let next = kit.place("takeout").await;
    let request = kit.http.request("POST", &format!("/orders/{cancelled}/cancel")).bearer_auth(STAFF_TOKEN);
    assert_eq!(answer(request.json(&json!({"reason": "out of salmon"}))).await.status, 200);
    kit.wait_ticket(&next, "grill", 1).await;
    assert_eq!(grill.wait_for_action("order_let_go").await["order_number"], json!(cancelled));
    assert_eq!(kit.statuses(&cancelled).await, ["received", "cooking", "cancelled"]);
    assert_eq!(kit.worker_row("grill").await.1, 0);
}

#[tokio::test]
async fn an_order_that_is_recalled_at_the_station_is_in_hand_at_once_beyond_what_it_holds() {
    let kit = Kit::with(SOON).await;
    let grill = kit.station("grill", "1", &[]).await;
    let recalled = kit.place("takeout").await;
    kit.wait_ticket(&recalled, "grill", 1).await;
    kit.bump(&recalled).await;
    kit.wait_status(&recalled, "ready").await;
    kit.place_many("takeout", 2).await;
    eventually_ok("the next is in hand", || async {
        let count = kit.cooking().await;
        if count == 1 { Ok(()) } else { Err(count) }
    })
    .await;
    kit.recall_at_station(&recalled).await;
    let is_taken = |log: &serde_json::Value| {
        log["action"] == "order_processing_started"
            && log["order_number"] == *recalled
            && log["details"] == "takeout, by hand, attempt 2"
    };
    grill.wait_for_log("the recalled order is in hand", is_taken).await;
    holds_for(A_WHILE, "two are in hand", || async { kit.cooking().await == 2 }).await;
    kit.bump(&recalled).await;
    kit.wait_status(&recalled, "ready").await;
    assert_eq!(kit.statuses(&recalled).await, ["received", "cooking", "ready", "cooking", "ready"]);
    assert_eq!(kit.worker_row("grill").await.1, 2);
}

#[tokio::test]
async fn an_order_that_was_recalled_elsewhere_waits_for_a_new_bump() {
    let kit = Kit::with(SOON).await;
    let _grill = kit.station("grill", "1", &[]).await;
    let number = kit.place("takeout").await;
    kit.wait_ticket(&number, "grill", 1).await;
    kit.bump(&number).await;
    kit.wait_status(&number, "ready").await;
    kit.http.change(&number, "recall").await;
    kit.wait_ticket(&number, "grill", 3).await;
    assert_eq!(kit.ticket::<Option<String>>(&number, "bumped_by").await, None);
    assert_eq!(kit.ticket::<Option<i32>>(&number, "recalled_attempt").await, Some(1));
    holds_for(A_WHILE, "it cooks", || async { kit.status(&number).await == "cooking" }).await;
    kit.bump(&number).await;
    kit.wait_status(&number, "ready").await;
    assert_eq!(kit.statuses(&number).await, ["received", "cooking", "ready", "cooking", "ready"]);
}

#[tokio::test]
async fn messages_that_come_again_find_their_orders_in_hand() {
    let kit = Kit::with(SOON).await;
    let wire = Wire::of(&kit).await;
    let grill = kit.station("grill", "2", &[]).await;
    let numbers = kit.place_many("takeout", 2).await;
    for number in &numbers {
        kit.wait_ticket(number, "grill", 1).await;
    }
    // As RabbitMQ does with a consumer that has not acknowledged for half an hour: it takes its messages back.
    wire.proxy.cut();
    grill.wait_for_action("rabbitmq_connection_failed").await;
    wire.proxy.restore();
    kit.wait_announced().await;
    eventually("both messages have come again", || async {
        let queue = kit.env.rabbit.queue("kitchen_takeout_queue").await.unwrap();
        queue["message_stats"]["redeliver"].as_u64() >= Some(2)
    })
    .await;
    for number in &numbers {
        kit.wait_ticket(number, "grill", 1).await;
        kit.bump(number).await;
        kit.wait_status(number, "ready").await;
        assert_eq!(kit.statuses(number).await, ["received", "cooking", "ready"]);
    }
    kit.wait_queues_empty().await;
    assert_eq!(grill.logs_of("order_processing_started").len(), 2);
    assert_eq!(kit.worker_row("grill").await.1, 2);
}

#[tokio::test]
async fn a_worker_that_becomes_a_station_makes_tickets_of_what_it_holds_and_back_again() {
    let kit = Kit::with(SOON).await;
    let mut chef = kit.working("chef_anna", &["--cook-seconds", "600"]).await;
    let number = kit.place("takeout").await;
    kit.wait_cooked_by(&number, "chef_anna").await;
    chef.kill();
    let mut station = kit.station("chef_anna", "1", &[]).await;
    kit.wait_ticket(&number, "chef_anna", 1).await;
    station.kill();
    let _chef = kit.working("chef_anna", &[]).await;
    kit.wait_status(&number, "ready").await;
    assert_eq!(kit.history(&number).await.pop().unwrap().1, "chef_anna");
    let sql = "select cooking from workers where name = 'chef_anna'";
    assert_eq!(kit.db.query_one(sql, &[]).await.unwrap().get::<_, &str>(0), "auto");
}

#[tokio::test]
async fn a_person_makes_an_order_ready_and_recalls_it_over_http() {
    let kit = Kit::with(SOON).await;
    let mut grill = kit.station("grill", "1", &[]).await;
    let station = Http::as_staff(grill.url().await);
    let number = kit.place("takeout").await;
    kit.wait_ticket(&number, "grill", 1).await;
    let does = async |what: &str, attempt: i32| {
        let path = format!("/station/tickets/{number}/{what}");
        let done = answer(station.request("POST", &path).json(&json!({"attempt": attempt}))).await;
        assert_eq!(done.status, 200, "{done:?}");
    };
    does("bump", 1).await;
    kit.wait_status(&number, "ready").await;
    does("recall", 1).await;
    let is_in_hand = |log: &serde_json::Value| log["details"] == "takeout, by hand, attempt 2";
    grill.wait_for_log("it is in hand again", is_in_hand).await;
    let shown = station.get("/station/tickets").await.ok();
    assert_eq!(shown["tickets"][0]["order_number"], json!(number));
    does("bump", 2).await;
    kit.wait_status(&number, "ready").await;
    let by: Vec<String> = kit.history(&number).await.into_iter().map(|(_, by)| by).collect();
    assert_eq!(by, ["order-service", "grill", "staff:api", "staff:api", "staff:api"]);
    assert_eq!(kit.worker_row("grill").await.1, 2);
    grill.signal(Signal::SIGTERM);
    assert_eq!(grill.wait_exit().await.code(), Some(0));
}
