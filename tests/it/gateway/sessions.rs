//! Staff at the gateway: a session is a cookie, and only the gateway's own pages change anything with it.

use crate::staff::{STAFF, configure};
use crate::support::{Answer, Counter, Http, TestEnv, answer, takeout};
use reqwest::RequestBuilder;
use serde_json::json;

async fn start() -> (TestEnv, Counter) {
    let env = TestEnv::new().await;
    configure(&env, true);
    let counter = Counter::start(&env).await;
    (env, counter)
}

fn login(http: &Http) -> RequestBuilder {
    let (name, _, password) = STAFF[2];
    http.request("POST", "/api/sessions").json(&json!({"name": name, "password": password}))
}

/// The cookie of somebody who has logged in, as a browser sends it back.
fn cookie(begun: &Answer) -> String {
    begun.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_token_of_a_session_is_for_the_cookie_alone() {
    let (_env, Counter { http, .. }) = &start().await;
    let begun = answer(login(http)).await;
    assert_eq!((begun.status, &begun.json()["role"]), (201, &json!("manager")), "{begun:?}");
    let set = begun.header("set-cookie");
    assert!(
        set.starts_with("session=") && set.contains("HttpOnly") && set.contains("SameSite=Strict"),
        "{set}"
    );
    let token = cookie(&begun).split_once('=').unwrap().1.to_owned();
    assert!(token.len() >= 32 && !begun.text.contains(&token), "{begun:?}");

    let actions = || http.request("GET", "/api/staff/actions").header("cookie", cookie(&begun));
    assert_eq!(answer(actions()).await.status, 200);
    assert_eq!(http.get("/api/staff/actions").await.status, 401);
    let out = || http.request("DELETE", "/api/sessions/current").header("cookie", cookie(&begun));
    answer(out()).await.problem(403);
    let ended = answer(out().header("sec-fetch-site", "same-origin")).await;
    assert!(ended.status == 204 && ended.header("set-cookie").starts_with("session=; "), "{ended:?}");
    assert_eq!(answer(actions()).await.status, 401);

    let wrong = http.request("POST", "/api/sessions").json(&json!({"name": "max", "password": "no"}));
    let wrong = answer(wrong).await;
    wrong.problem(401);
    assert_eq!(wrong.header("set-cookie"), "");
}

#[tokio::test]
async fn behind_tls_the_cookie_is_for_this_host_alone() {
    let (_env, Counter { http, .. }) = &start().await;
    let begun =
        answer(login(http).header("x-forwarded-proto", "https").header("host", "pizza.example.org")).await;
    let set = begun.header("set-cookie");
    assert!(set.starts_with("__Host-session=") && set.ends_with("; Secure"), "{set}");
}

#[tokio::test]
async fn a_change_that_another_site_causes_is_refused() {
    let (_env, Counter { http, orders, .. }) = &start().await;
    let number = orders.place(&takeout()).await;
    let session = cookie(&answer(login(http)).await);
    let cancel = || http.request("POST", &format!("/api/orders/{number}/cancel")).header("cookie", &session);
    let own = http.url.clone();
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
        ("origin", "http://evil.test"),
        ("origin", "null"),
    ] {
        answer(cancel().header(name, value)).await.problem(403);
        answer(login(http).header(name, value)).await.problem(403);
        let order = http.request("POST", "/api/orders").header(name, value).json(&takeout());
        answer(order).await.problem(403);
    }
    answer(cancel()).await.problem(403);
    assert_eq!(answer(cancel().header("origin", own)).await.ok()["status"], "cancelled");
    let read = http.request("GET", "/api/staff/actions").header("cookie", &session);
    assert_eq!(
        answer(read.header("sec-fetch-site", "none")).await.status,
        200,
        "what changes nothing may be linked"
    );
}
