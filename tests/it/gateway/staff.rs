//! How staff logs in and out at the gateway, and what its page has without scripts.

use crate::staff::{STAFF, configure};
use crate::support::{Answer, Counter, Http, TestEnv, answer, takeout};
use reqwest::RequestBuilder;

/// What a page of the gateway itself sends with a form.
const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");

async fn open() -> (TestEnv, Counter) {
    let env = TestEnv::new().await;
    configure(&env, true);
    let counter = Counter::start(&env).await;
    counter.orders.wait_ready().await;
    counter.tracks.wait_ready().await;
    (env, counter)
}

fn form(http: &Http, name: &str, password: &str) -> RequestBuilder {
    let body = format!("name={name}&password={}", password.replace(' ', "+"));
    http.request("POST", "/login").header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// The `Set-Cookie` of somebody who has logged in, and the cookie as a browser sends it back.
async fn log_in(http: &Http, name: &str) -> (String, String) {
    let (_, _, password) = STAFF.iter().find(|(of, ..)| *of == name).unwrap();
    let begun = answer(form(http, name, password).header(OWN.0, OWN.1)).await;
    assert_eq!((begun.status, begun.header("location")), (303, "/staff"), "{begun:?}");
    let set = begun.header("set-cookie").to_owned();
    (set.clone(), set.split(';').next().unwrap().to_owned())
}

async fn get(http: &Http, path: &str, cookie: &str) -> Answer {
    answer(http.request("GET", path).header("cookie", cookie)).await
}

#[tokio::test]
async fn a_person_logs_in_reads_the_orders_without_scripts_and_logs_out_everywhere() {
    let (_env, counter) = open().await;
    let number = counter.orders.place(&takeout()).await;
    let nobody = get(&counter.http, "/staff", "").await;
    assert_eq!((nobody.status, nobody.header("location")), (303, "/login"));
    let (set, cookie) = log_in(&counter.http, "carla").await;
    assert!(cookie.starts_with("session=") && !set.contains("Secure"), "{set}");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && set.contains("Path=/"), "{set}");
    let page = get(&counter.http, "/staff", &cookie).await;
    assert!(page.status == 200 && page.text.contains("carla") && page.text.contains(&number), "{page:?}");
    assert!(!page.text.contains("Ada"), "names are for calls that are logged");
    let token = Http::with_token(&counter.orders.url, cookie.split_once('=').unwrap().1);
    assert_eq!(token.get("/sessions/current").await.ok()["name"], "carla");

    let out = counter.http.request("POST", "/logout").header("cookie", &cookie).header(OWN.0, OWN.1);
    let out = answer(out).await;
    assert_eq!((out.status, out.header("location")), (303, "/login"));
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{out:?}");
    token.get("/sessions/current").await.problem(401);
    assert_eq!(get(&counter.http, "/staff", &cookie).await.status, 303);
}

#[tokio::test]
async fn a_form_of_another_site_logs_nobody_in_or_out() {
    let (env, counter) = open().await;
    let (_, cookie) = log_in(&counter.http, "max").await;
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site"), ("origin", counter.http.url.as_str())],
        &[("origin", "http://evil.test")],
    ] {
        let with = |request: RequestBuilder| {
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
        };
        let refused = answer(with(form(&counter.http, "max", STAFF[2].2))).await;
        assert!(refused.status == 403 && refused.headers.get("set-cookie").is_none(), "{refused:?}");
        answer(with(counter.http.request("POST", "/logout").header("cookie", &cookie))).await.problem(403);
    }
    let count = "select count(*) from staff_sessions where ended_at is null";
    assert_eq!(env.connect().await.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 1);
    assert_eq!(get(&counter.http, "/staff", &cookie).await.status, 200);
}

#[tokio::test]
async fn a_login_that_fails_says_why_in_the_language_of_the_page() {
    let (_env, mut counter) = open().await;
    let german = answer(counter.http.request("GET", "/login?lang=de")).await;
    assert!(
        german.text.contains("Anmelden") && german.header("set-cookie").starts_with("lang=de;"),
        "{german:?}"
    );
    let wrong = answer(form(&counter.http, "%3Cb%3E", "x").header("cookie", "lang=de")).await;
    assert!(wrong.status == 401 && wrong.text.contains("Passwort ist falsch"), "{wrong:?}");
    assert!(!wrong.text.contains("<b>") && wrong.headers.get("set-cookie").is_none());
    let lost = form(&counter.http, "max", STAFF[2].2).header("host", "pizza.example.org");
    let lost = answer(lost.header("origin", "null")).await;
    assert!(lost.status == 403 && lost.text.contains("without TLS"), "{lost:?}");
    let tls = form(&counter.http, "max", STAFF[2].2).header("x-forwarded-proto", "https");
    let set = answer(tls.header(OWN.0, OWN.1)).await.header("set-cookie").to_owned();
    assert!(set.starts_with("__Host-session=") && set.ends_with("; Secure"), "{set}");
    for _ in 0..4 {
        answer(form(&counter.http, "max", "wrong")).await;
    }
    let limited = answer(form(&counter.http, "max", STAFF[2].2)).await;
    assert!(limited.status == 429 && !limited.header("retry-after").is_empty(), "{limited:?}");
    counter.order.kill();
    let away = answer(form(&counter.http, "max", STAFF[2].2)).await;
    assert!(away.status == 503 && away.text.contains("does not answer"), "{away:?}");
}
