//! An order service in an environment of its own.

use crate::support::{Http, Role, TestEnv, eventually};

/// Has every statement that reads or writes orders wait until this transaction ends.
pub async fn lock_orders(client: &mut tokio_postgres::Client) -> tokio_postgres::Transaction<'_> {
    let lock = client.transaction().await.unwrap();
    lock.batch_execute("lock table orders in access exclusive mode").await.unwrap();
    lock
}

/// A running order service in an environment of its own.
pub struct OrderService {
    pub env: TestEnv,
    pub role: Role,
    pub http: Http,
}

impl OrderService {
    /// With the flags' defaults, on a free port.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With further flags.
    pub async fn start_with(flags: &[&str]) -> Self {
        let env = TestEnv::new().await;
        let (role, http) = spawn(&env, flags).await;
        Self { env, role, http }
    }

    /// Until a statement waits for [`lock_orders`].
    pub async fn wait_for_a_waiting_lock(&self) {
        let db = self.env.connect().await;
        eventually("a statement waits for the lock", || async {
            let sql = "select exists (select from pg_locks where not granted)";
            db.query_one(sql, &[]).await.unwrap().get(0)
        })
        .await;
    }
}

/// Starts an order service in an environment and waits until it is ready.
pub async fn spawn(env: &TestEnv, flags: &[&str]) -> (Role, Http) {
    let (role, http) = spawn_unready(env, flags).await;
    http.wait_ready().await;
    (role, http)
}

/// Starts an order service in an environment and waits until it listens.
pub async fn spawn_unready(env: &TestEnv, flags: &[&str]) -> (Role, Http) {
    let role = env.spawn(&[&["order-service", "--port", "0"], flags].concat());
    let http = Http::new(role.url().await);
    (role, http)
}
