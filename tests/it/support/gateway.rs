//! A web gateway with the two services behind it.

use super::env::TestEnv;
use super::http::Http;
use super::role::Role;

/// Both services and the gateway as processes, and a client of each.
pub struct Counter {
    pub order: Role,
    pub tracking: Role,
    pub gateway: Role,
    /// Of the order service itself.
    pub orders: Http,
    /// Of the tracking service itself.
    pub tracks: Http,
    /// Of the gateway.
    pub http: Http,
}

impl Counter {
    /// The services take the gateway's word on its clients' addresses; it takes nobody's.
    pub async fn start(env: &TestEnv) -> Self {
        let trusting = [("RESTAURANT_HTTP_TRUSTED_PROXIES", "127.0.0.1")];
        let order = env.spawn_with(&["order-service", "--port", "0"], &trusting);
        let tracking = env.spawn_with(&["tracking-service", "--port", "0"], &trusting);
        let (orders, tracks) = (Http::of(&order).await, Http::of(&tracking).await);
        let gateway = gateway(env, &orders, &tracks);
        let http = Http::of(&gateway).await;
        for each in [&orders, &tracks, &http] {
            each.wait_ready().await;
        }
        Self { order, tracking, gateway, orders, tracks, http }
    }
}

/// A gateway in front of these, which logs everything.
pub fn gateway(env: &TestEnv, orders: &Http, tracks: &Http) -> Role {
    let args = ["web-gateway", "--port", "0", "--order-url", &orders.url, "--tracking-url", &tracks.url];
    env.spawn_with(&args, &[("RESTAURANT_LOG_LEVEL", "trace")])
}
