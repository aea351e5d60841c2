//! Who may work at a station, and how a browser logs in and out.

use super::{Grill, change};
use crate::staff::STAFF;
use crate::support::{Answer, Events, Http, answer};
use reqwest::RequestBuilder;
use serde_json::json;

const A: &str = "ORD_20261130_001";

fn form(http: &Http, name: &str, password: &str) -> RequestBuilder {
    let body = format!("name={name}&password={}", password.replace(' ', "+"));
    http.request("POST", "/login").header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// Without a token.
fn browser(http: &Http) -> Http {
    Http::new(&http.url)
}

/// The cookie of somebody who has logged in, as a browser sends it back, and what set it.
pub async fn logged_in(http: &Http, name: &str) -> (String, String) {
    let (_, _, password) = STAFF.iter().find(|(of, ..)| *of == name).unwrap();
    let begun = answer(form(&browser(http), name, password)).await;
    assert_eq!((begun.status, begun.header("location")), (303, "/"), "{begun:?}");
    let set = begun.header("set-cookie").to_owned();
    (set.split(';').next().unwrap().to_owned(), set)
}

async fn home(http: &Http, cookie: &str) -> Answer {
    answer(browser(http).request("GET", "/").header("cookie", cookie)).await
}

#[tokio::test]
async fn a_person_logs_in_works_and_logs_out() {
    let grill = Grill::start().await;
    grill.ticket(A).await;
    let nobody = home(&grill.http, "").await;
    assert_eq!((nobody.status, nobody.header("location")), (303, "/login"));
    assert_eq!(browser(&grill.http).get("/login").await.status, 200);
    let (cookie, set) = logged_in(&grill.http, "anna").await;
    assert!(cookie.starts_with("session=") && !set.contains("Secure"), "{set}");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && set.contains("Path=/"), "{set}");
    let page = home(&grill.http, &cookie).await;
    assert!(page.status == 200 && page.text.contains("grill") && page.text.contains("anna"), "{page:?}");
    let request = |what: &str| {
        let request = change(&browser(&grill.http), what, A, &json!({"attempt": 1}));
        request.header("cookie", &cookie)
    };
    let started = answer(request("start").header("sec-fetch-site", "same-origin")).await.ok();
    assert_eq!(started["started_by"], "anna");
    let stream =
        browser(&grill.http).stream("/station/events").header("cookie", &cookie).send().await.unwrap();
    assert_eq!(stream.status(), 200);

    let out = browser(&grill.http).request("POST", "/logout").header("cookie", &cookie);
    let out = answer(out.header("sec-fetch-site", "same-origin")).await;
    assert_eq!((out.status, out.header("location")), (303, "/login"));
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(home(&grill.http, &cookie).await.status, 303);
    answer(request("bump").header("sec-fetch-site", "same-origin")).await.problem(401);
    let told = tokio::time::timeout(std::time::Duration::from_secs(10), stream.text()).await;
    assert!(told.expect("the stream ends").unwrap().contains("event: tickets"));
}

#[tokio::test]
async fn a_cookie_from_another_site_changes_nothing() {
    let grill = Grill::start().await;
    grill.ticket(A).await;
    let (cookie, _) = logged_in(&grill.http, "anna").await;
    let with = |headers: &[(&str, &str)]| {
        let request =
            change(&browser(&grill.http), "start", A, &json!({"attempt": 1})).header("cookie", &cookie);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", grill.http.url.as_str())],
        &[("origin", "http://evil.test")],
        &[("origin", "null")],
    ] {
        answer(with(headers)).await.problem(403);
    }
    let out = browser(&grill.http).request("POST", "/logout").header("cookie", &cookie);
    answer(out).await.problem(403);
    assert_eq!(grill.tickets().await["tickets"][0]["started_at"], json!(null));
    answer(with(&[("origin", grill.http.url.as_str())])).await.ok();
    // A token is sent by no browser by itself.
    let token = Http::with_token(&grill.http.url, cookie.split_once('=').unwrap().1);
    let request = change(&token, "bump", A, &json!({"attempt": 1})).header("sec-fetch-site", "cross-site");
    assert_eq!(answer(request).await.ok()["bumped_by"], "anna");
}

#[tokio::test]
async fn over_tls_the_cookie_is_that_of_the_host_alone() {
    let grill = Grill::start().await;
    let (_, _, password) = STAFF[0];
    let begun =
        answer(form(&browser(&grill.http), "anna", password).header("x-forwarded-proto", "https")).await;
    let set = begun.header("set-cookie").to_owned();
    assert!(set.starts_with("__Host-session=") && set.ends_with("; Secure"), "{set}");
    let cookie = set.split(';').next().unwrap();
    assert_eq!(home(&grill.http, cookie).await.status, 303, "it is none without TLS");
    let page = browser(&grill.http).request("GET", "/").header("cookie", cookie);
    assert_eq!(answer(page.header("host", "station.example.org")).await.status, 200);
}

#[tokio::test]
async fn a_login_that_fails_shows_the_form_again_and_says_why() {
    let grill = Grill::start().await;
    let http = browser(&grill.http);
    for (name, password) in [("anna", "wrong"), ("%3Cb%3E", "x"), ("", "")] {
        let again = answer(form(&http, name, password)).await;
        assert_eq!(again.status, 401, "{again:?}");
        assert!(again.text.contains("<form") && again.text.contains("the name or the password is wrong"));
        assert!(!again.text.contains("<b>") && again.headers.get("set-cookie").is_none());
    }
    let counter = answer(form(&http, "carla", STAFF[1].2)).await;
    assert!(counter.status == 403 && counter.text.contains("the role counter may not work at a station"));
    let foreign = form(&http, "anna", STAFF[0].2).header("origin", "http://evil.test");
    assert_eq!(answer(foreign).await.status, 403);
    answer(http.request("POST", "/login").json(&json!({"name": "anna"}))).await.problem(415);
    for _ in 0..2 {
        answer(form(&http, "anna", "wrong")).await;
    }
    let limited = answer(form(&http, "anna", STAFF[0].2)).await;
    assert_eq!(limited.status, 429);
    assert!(limited.header("retry-after").parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn the_kitchen_and_managers_work_at_a_station_and_nobody_else() {
    let grill = Grill::start().await;
    grill.ticket(A).await;
    let (name, role, password) = STAFF[1];
    assert_eq!(role, "counter");
    // Somebody of the counter has logged in elsewhere.
    let sql = "insert into staff_sessions (token_sha256, name, password_sha256) values (sha256('t0ken'), $1, sha256($2::text::bytea))";
    let hash = restaurant_system::domain::PasswordHash::new(password, [7; 16]).unwrap();
    grill.db.execute(sql, &[&name, &hash.as_str()]).await.unwrap();
    let counter = Http::with_token(&grill.http.url, "t0ken");
    let bodies = ["start", "items/0/done", "bump", "recall", "acknowledge"];
    let all = |http: &Http| {
        let changes = bodies.iter().map(|what| change(http, what, A, &json!({"attempt": 7})));
        changes
            .chain([http.request("GET", "/station/tickets"), http.stream("/station/events")])
            .collect::<Vec<_>>()
    };
    for request in all(&counter) {
        let refused = answer(request).await.problem(403);
        assert!(refused["detail"].as_str().unwrap().contains("the role counter may not"), "{refused}");
    }
    for request in all(&browser(&grill.http)) {
        answer(request).await.problem(401);
    }
    for name in ["anna", "max"] {
        let member = Http::with_token(&grill.http.url, &grill.token(name).await);
        for what in bodies {
            assert_eq!(
                answer(change(&member, what, A, &json!({"attempt": 7}))).await.status,
                409,
                "{name} {what}"
            );
        }
        assert_eq!(member.get("/station/tickets").await.status, 200);
        assert!(Events::open(&member, "/station/events", None).await.next().await.is_some());
    }
    assert_eq!(home(&grill.http, "session=t0ken").await.status, 403);
}
