//! Logging in: who gets a session, what a wrong password costs, and how many are looked at.

use super::{Restaurant, STAFF, configure, login, login_request};
use crate::support::{Http, TestEnv, answer, eventually};
use serde_json::json;

/// More than a minute has attempts for.
const GUESSES: usize = 1_000;
const GUESSES_AT_ONCE: usize = 50;

#[tokio::test]
async fn an_account_gets_a_session_by_its_name_and_password() {
    let restaurant = Restaurant::start().await;
    for (name, role, password) in STAFF {
        let answer = login(&restaurant.http, name, password, "198.51.100.1").await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let session = answer.json();
        assert_eq!((&session["name"], &session["role"]), (&json!(name), &json!(role)));
        let token = session["token"].as_str().unwrap();
        assert!(token.len() == 43 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        let expires_at: jiff::Timestamp = session["expires_at"].as_str().unwrap().parse().unwrap();
        let hours = expires_at.duration_since(jiff::Timestamp::now()).as_secs_f64() / 3600.0;
        assert!((23.9..=24.1).contains(&hours), "{hours}");
        let line = restaurant.orders.wait_for_log("of the login", |log| log["actor"] == name).await;
        assert_eq!(line["action"], "staff_login");
        for secret in [token, password] {
            assert!(!restaurant.orders.lines().concat().contains(secret));
        }
        let sql = "select count(*) from staff_sessions s where s::text like '%' || $1 || '%'";
        assert_eq!(restaurant.db.query_one(sql, &[&token]).await.unwrap().get::<_, i64>(0), 0);
    }
    let metrics = restaurant.http.get("/metrics").await.text;
    assert!(metrics.contains("staff_logins_total{result=\"ok\"} 3\n"), "{metrics}");
}

/// The processor time that a process has taken, in hundredths of a second: other than by the clock, a busy machine adds nothing.
fn processor_time(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap()
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_get_the_same_answer_in_the_same_time() {
    const ROUNDS: u32 = 20;
    let restaurant = Restaurant::start().await;
    let (mut took, mut answers) = (Vec::new(), Vec::new());
    for name in ["anna", "nobody"] {
        let before = processor_time(restaurant.orders.pid());
        for round in 0..ROUNDS {
            let refused = login(&restaurant.http, name, "a guess", &format!("198.51.100.{round}")).await;
            let mut problem = refused.problem(401);
            problem["request_id"].take();
            answers.push(problem);
        }
        took.push(processor_time(restaurant.orders.pid()) - before);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let ratio = f64::from(took[1]) / f64::from(took[0]);
    assert!(took[0] >= ROUNDS && (0.6..1.7).contains(&ratio), "{took:?} hundredths of a second");
}

#[tokio::test]
async fn a_thousand_guesses_are_throttled_and_others_get_in_meanwhile() {
    let restaurant = Restaurant::start().await;
    let token = restaurant.token("max").await;
    let guesses = (0..GUESSES_AT_ONCE).map(|lane| {
        let http = restaurant.http.clone();
        tokio::spawn(async move {
            let mut statuses = Vec::new();
            for n in 0..GUESSES / GUESSES_AT_ONCE {
                let name = if n % 2 == 0 { "anna".to_owned() } else { format!("cook{lane}") };
                let answer = login(&http, &name, &format!("guess {n}"), "203.0.113.66").await;
                if answer.status != 401 {
                    assert!((1..=60).contains(&answer.header("retry-after").parse::<u64>().unwrap()));
                }
                statuses.push(answer.status);
            }
            statuses
        })
    });
    let guesses: Vec<_> = guesses.collect();
    let good = login(&restaurant.http, "anna", STAFF[0].2, "198.51.100.1").await;
    assert_eq!(good.status, 201, "{good:?}");
    let mut statuses = Vec::new();
    for guess in guesses {
        statuses.extend(guess.await.unwrap());
    }
    let count = |status: u16| statuses.iter().filter(|each| **each == status).count();
    assert_eq!((count(401), count(429) + count(503)), (5, GUESSES - 5));
    // The right password is no better there, and an account is never locked for others.
    let body = json!({"name": "carla", "password": STAFF[1].2});
    answer(login_request(&restaurant.http, &body, "203.0.113.66")).await.problem(429);
    assert_eq!(login(&restaurant.http, "anna", STAFF[0].2, "198.51.100.2").await.status, 201);
    // A session goes on, whoever guesses behind its address.
    let used = restaurant.http.request("GET", "/staff/actions").bearer_auth(token);
    assert_eq!(answer(used.header("x-forwarded-for", "203.0.113.66")).await.status, 200);
    eventually("five lines", async || restaurant.orders.logs_of("staff_login_failed").len() == 5).await;
    for line in restaurant.orders.logs_of("staff_login_failed") {
        assert!(!line.to_string().contains("guess "), "{line}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_login_is_refused_with_its_faults() {
    let restaurant = Restaurant::start().await;
    for (body, status, pointers) in [
        (json!({}), 422, vec!["/name", "/password"]),
        (json!({"name": "anna", "password": 1}), 422, vec!["/password"]),
        (json!({"name": "anna", "password": "x", "role": "manager"}), 400, vec!["/role"]),
        (json!([]), 400, vec![]),
    ] {
        let refused = answer(login_request(&restaurant.http, &body, "198.51.100.1")).await;
        assert_eq!(refused.violations(status), pointers, "{body}");
    }
}

#[tokio::test]
async fn without_accounts_logins_are_off_and_say_how_to_turn_them_on() {
    let env = TestEnv::new().await;
    let orders = env.spawn(&["order-service", "--port", "0"]);
    let http = Http::of(&orders).await;
    let refused = login(&http, "anna", STAFF[0].2, "198.51.100.1").await.problem(403);
    assert!(refused["detail"].as_str().unwrap().contains("staff.accounts_file"), "{refused}");
}

#[tokio::test]
async fn with_accounts_alone_the_old_token_is_a_wrong_one() {
    let env = TestEnv::new().await;
    configure(&env, false);
    let orders = env.spawn(&["order-service", "--port", "0"]);
    let http = Http::of(&orders).await;
    http.wait_ready().await;
    http.staff("GET", "/staff/actions").await.problem(401);
}
