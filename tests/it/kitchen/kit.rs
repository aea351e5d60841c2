//! What the kitchen's tests share: orders in, a look at the database, workers.

use crate::support::{Http, Role, TestEnv, eventually, eventually_ok, order_of};
use std::time::Duration;
use tokio_postgres::Client;

/// Waits between sweeps are short, so that tests are.
pub const SHORT_GRACE: &str = "kitchen:\n  grace_seconds: 0.2\n";
/// Only a message brings an order to a worker.
pub const MESSAGES_ONLY: &str = "kitchen:\n  grace_seconds: 600\n";

/// An environment with an order service in it and a connection to its database.
pub struct Kit {
    pub env: TestEnv,
    pub db: Client,
    pub orders: Role,
    pub http: Http,
}

impl Kit {
    /// On the shared servers, with [`SHORT_GRACE`].
    pub async fn new() -> Self {
        Self::with(SHORT_GRACE).await
    }

    /// On the shared servers, with this at the end of the configuration.
    pub async fn with(config: &str) -> Self {
        let env = TestEnv::new().await;
        env.write_config(config);
        Self::on(env).await
    }

    /// In an environment that is there already.
    pub async fn on(env: TestEnv) -> Self {
        let orders = env.spawn(&["order-service", "--port", "0"]);
        let http = Http::of(&orders).await;
        orders.wait_for_action("db_connected").await;
        orders.wait_for_action("rabbitmq_connected").await;
        let db = env.connect().await;
        Self { env, db, orders, http }
    }

    /// Starts a worker; it cooks for no time unless `args` say otherwise.
    pub fn worker(&self, name: &str, args: &[&str]) -> Role {
        let mut all = vec!["kitchen-worker", "--worker-name", name];
        all.extend(args);
        if !args.contains(&"--cook-seconds") {
            all.extend(["--cook-seconds", "0"]);
        }
        self.env.spawn(&all)
    }

    /// Starts a worker and waits until it is at work.
    pub async fn working(&self, name: &str, args: &[&str]) -> Role {
        let role = self.worker(name, args);
        role.wait_for_action("worker_registered").await;
        role
    }

    /// Starts a subscriber and waits until it has its queue.
    pub async fn subscriber(&self, args: &[&str]) -> Role {
        let mut all = vec!["notification-subscriber"];
        all.extend(args);
        let role = self.env.spawn(&all);
        role.wait_for_action("subscribed").await;
        role
    }

    /// Places an order of this type; its number.
    pub async fn place(&self, order_type: &str) -> String {
        self.http.place(&order_of(order_type)).await
    }

    /// Places so many orders of this type.
    pub async fn place_many(&self, order_type: &str, count: usize) -> Vec<String> {
        let order = order_of(order_type);
        futures_util::future::join_all((0..count).map(|_| self.http.place(&order))).await
    }

    /// The order's status in the database.
    pub async fn status(&self, number: &str) -> String {
        self.one("select status from orders where number = $1", number).await
    }

    /// Who has or had the order.
    pub async fn processed_by(&self, number: &str) -> Option<String> {
        self.db
            .query_one("select processed_by from orders where number = $1", &[&number])
            .await
            .unwrap()
            .get(0)
    }

    async fn one(&self, sql: &str, parameter: &str) -> String {
        self.db.query_one(sql, &[&parameter]).await.unwrap().get(0)
    }

    /// Waits until the order has this status.
    pub async fn wait_status(&self, number: &str, status: &str) {
        eventually_ok(&format!("{number} is {status}"), || async {
            let found = self.status(number).await;
            if found == status { Ok(()) } else { Err(found) }
        })
        .await;
    }

    /// Waits until each of these orders is ready.
    pub async fn wait_ready(&self, numbers: &[String]) {
        for number in numbers {
            self.wait_status(number, "ready").await;
        }
    }

    /// Waits until this worker has the order in hand.
    pub async fn wait_cooked_by(&self, number: &str, worker: &str) {
        eventually_ok(&format!("{worker} has {number}"), || async {
            let found = (self.status(number).await, self.processed_by(number).await);
            if found.1.as_deref() == Some(worker) { Ok(()) } else { Err(found) }
        })
        .await;
    }

    /// What happened to the order: each status with who did it.
    pub async fn history(&self, number: &str) -> Vec<(String, String)> {
        let sql = "select l.status, l.changed_by from order_status_log l join orders o on o.id = l.order_id
            where o.number = $1 order by l.id";
        let rows = self.db.query(sql, &[&number]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// The statuses of [`Kit::history`].
    pub async fn statuses(&self, number: &str) -> Vec<String> {
        self.history(number).await.into_iter().map(|(status, _)| status).collect()
    }

    /// A worker's status and how many orders it has finished.
    pub async fn worker_row(&self, name: &str) -> (String, i32) {
        let sql = "select status, orders_processed from workers where name = $1";
        let row = self.db.query_one(sql, &[&name]).await.unwrap();
        (row.get(0), row.get(1))
    }

    /// Waits until the worker has this status.
    pub async fn wait_worker(&self, name: &str, status: &str) {
        eventually_ok(&format!("{name} is {status}"), || async {
            let found = self.worker_row(name).await.0;
            if found == status { Ok(()) } else { Err(found) }
        })
        .await;
    }

    /// All orders that any worker has finished.
    pub async fn processed_in_all(&self) -> i64 {
        self.db.query_one("select sum(orders_processed) from workers", &[]).await.unwrap().get(0)
    }

    /// Waits until everything that was committed has been announced.
    pub async fn wait_announced(&self) {
        eventually("the outbox is empty", || async {
            let row = self.db.query_one("select count(*) from outbox", &[]).await.unwrap();
            row.get::<_, i64>(0) == 0
        })
        .await;
    }

    /// Waits until the kitchen's queues are empty: every message is acknowledged.
    pub async fn wait_queues_empty(&self) {
        for queue in QUEUES {
            self.env.rabbit.wait_for_depth(queue, 0).await;
        }
    }

    /// [`Kit::wait_queues_empty`] for all but one.
    pub async fn wait_queues_empty_but(&self, other: &str) {
        for queue in QUEUES.into_iter().filter(|queue| *queue != other) {
            self.env.rabbit.wait_for_depth(queue, 0).await;
        }
    }

    /// Throws away the kitchen's messages, as a broker does that lost its disk.
    pub async fn lose_messages(&self) {
        self.wait_announced().await;
        for queue in QUEUES {
            while !self.env.rabbit.take_messages(queue, 1000).await.is_empty() {}
        }
    }
}

pub const QUEUES: [&str; 3] = ["kitchen_dine_in_queue", "kitchen_takeout_queue", "kitchen_delivery_queue"];

/// For conditions that must stay true: looks again and again for so long.
pub async fn holds_for<F: Future<Output = bool>>(
    time: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) {
    let end = std::time::Instant::now() + time;
    while std::time::Instant::now() < end {
        assert!(condition().await, "{what} does not hold any more");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
