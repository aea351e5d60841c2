//! Lists of orders and the stream of all of them: whom they are for, and that they are in nobody's way.

use std::time::{Duration, Instant};

use super::{Order, Tracking};
use crate::support::{Events, Http, STAFF_TOKEN, TestEnv, answer, eventually};

const N: &str = "ORD_20261122_001";
const LISTS: [&str; 3] = ["/orders", "/events", "/events?from=start"];

/// A service whose configuration is changed before, and a client without the token.
async fn start(edit: impl FnOnce(&TestEnv)) -> (Tracking, Http) {
    let env = TestEnv::new().await;
    edit(&env);
    let t = Tracking::in_env(env).await;
    Order::new(N).insert(&t.db).await;
    let public = Http::new(&t.http.url);
    (t, public)
}

fn without_token(env: &TestEnv) {
    env.edit_config(|text| text.split("staff:").next().unwrap().to_owned());
}

#[tokio::test]
async fn lists_are_for_staff_and_one_order_is_for_everybody() {
    let (_t, public) = start(|_| ()).await;
    for path in LISTS {
        for token in [None, Some("wrong"), Some(STAFF_TOKEN)] {
            let mut request = public.stream(path);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            if token == Some(STAFF_TOKEN) {
                assert_eq!(request.send().await.unwrap().status(), 200, "{path}");
                continue;
            }
            let refused = answer(request).await;
            refused.problem(401);
            assert!(refused.header("www-authenticate").starts_with("Bearer"));
            assert!(!refused.text.contains(N), "{path} {token:?}");
        }
    }
    for route in ["status", "history", "events"] {
        let answer = public.stream(&format!("/orders/{N}/{route}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{route}");
    }
    assert_eq!(public.get("/workers/status").await.status, 200);
}

#[tokio::test]
async fn without_a_token_lists_are_off_and_say_how_to_turn_them_on() {
    let (t, public) = start(without_token).await;
    for path in LISTS {
        for http in [&public, &t.http] {
            let problem = http.get(path).await.problem(403);
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                ["staff.accounts_file", "staff.token_file", "tracking.public_lists"]
                    .iter()
                    .all(|key| detail.contains(key)),
                "{detail}"
            );
        }
    }
}

#[tokio::test]
async fn lists_are_for_everybody_where_the_configuration_says_so() {
    let (_t, public) = start(|env| {
        without_token(env);
        env.edit_config(|text| format!("{text}tracking: {{public_lists: true}}\n"));
    })
    .await;
    let page = public.get("/orders").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains(N));
    let mut events = Events::open(&public, "/events", None).await;
    assert_eq!(events.next().await.unwrap().order(), N);
}

#[tokio::test]
async fn many_lists_at_once_leave_the_connections_to_others_and_the_last_are_refused() {
    const LISTS_AT_ONCE: i64 = 2;
    let (t, public) = start(|_| ()).await;
    let locker = t.env.connect().await;
    locker.batch_execute("begin; lock table orders in access exclusive mode").await.unwrap();
    let lists = (0..20).map(|_| {
        let http = t.http.clone();
        tokio::spawn(async move { http.get("/orders").await })
    });
    let lists: Vec<_> = lists.collect();
    let waiting = async || {
        let sql = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
                   where d.datname = current_database() and not l.granted";
        t.db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    eventually("lists wait for the table", async || waiting().await == LISTS_AT_ONCE).await;
    let asked = Instant::now();
    assert_eq!(public.get("/workers/status").await.status, 200);
    assert!(asked.elapsed() < Duration::from_secs(2), "it waited {:?}", asked.elapsed());
    assert_eq!(waiting().await, LISTS_AT_ONCE);
    t.role.wait_for_action("requests_refused").await;
    locker.batch_execute("rollback").await.unwrap();
    let mut statuses = Vec::new();
    for list in lists {
        let answer = list.await.unwrap();
        if answer.status == 503 {
            assert!(answer.headers.contains_key("retry-after"));
        }
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    assert_eq!((&statuses[..2], statuses[19]), (&[200; 2][..], 503), "{statuses:?}");
    assert_eq!(t.http.get("/orders").await.status, 200, "there is room again");
}
