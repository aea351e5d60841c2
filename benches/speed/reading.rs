//! `GET /orders/{number}/status`, beside PostgreSQL's select by key and a handler that does nothing.

use anyhow::{Context, Result};

use crate::bare;
use crate::deployment::{Deployment, Section};
use crate::report::{Line, Report, number, say};
use crate::taking::{ROUNDS, post};
use crate::tools::{Load, h2load, pgbench};

const CONNECTIONS: usize = 64;
/// Orders that are asked for in turn.
const NUMBERS: usize = 1_000;

/// As the tracking service reads it, with nothing around.
const SELECT: &str = "\\set n random(1, 1000)
select number, status, updated_at, estimated_completion, processed_by from orders \
where number = 'ORD_' || to_char(now() at time zone 'UTC', 'YYYYMMDD') || '_' || to_char(:n::int, 'FM9000');
";

/// Requests for orders in turn, a second.
pub async fn status_rate(section: &Section<'_>, seconds: u64) -> Result<f64> {
    let (_service, url) = section.tracking_service().await?;
    let numbers = section.connect().await?;
    let sql = format!("select number from orders order by id desc limit {NUMBERS}");
    let rows = numbers.query(&sql, &[]).await?;
    let paths = rows.iter().map(|row| format!("/orders/{}/status", row.get::<_, String>(0))).collect();
    let load = Load { url: &url, paths, body: None, headers: Vec::new(), connections: CONNECTIONS, seconds };
    Ok(h2load(&load).await?.good_per_second)
}

pub async fn measure(deployment: &Deployment, report: &mut Report, seconds: u64) -> Result<()> {
    say("reading");
    let section = deployment.section("reading").await?;
    {
        let (_service, url) = section.order_service().await?;
        while section.number("select count(*) from orders").await? < NUMBERS as f64 {
            post(&url, 16, None, 1).await?;
        }
        section.settle().await?;
    }
    let get = |url: &str, path: &str, headers: Vec<String>| {
        let (url, paths) = (url.to_owned(), vec![path.to_owned()]);
        async move {
            let load = Load { url: &url, paths, body: None, headers, connections: CONNECTIONS, seconds };
            anyhow::Ok(h2load(&load).await?.good_per_second / ROUNDS as f64)
        }
    };
    let clients = pgbench(&section, SELECT, &[4, 8, 16, 32], seconds.min(5)).await?.clients;
    let empty_url = bare::empty_handler().await?;
    let (mut select, mut status, mut empty, mut unchanged) = (0.0, 0.0, 0.0, 0.0);
    // All take turns: the machine may be half as fast a minute later.
    for _ in 0..ROUNDS {
        select += pgbench(&section, SELECT, &[clients], seconds).await?.per_second / ROUNDS as f64;
        status += status_rate(&section, seconds).await? / ROUNDS as f64;
        empty += get(&empty_url, "/", Vec::new()).await?;
        let (_service, url) = section.tracking_service().await?;
        let last = section.connect().await?.query_one("select max(number) from orders", &[]).await?;
        let path = format!("/orders/{}/status", last.get::<_, String>(0));
        let answer = reqwest::get(format!("{url}{path}")).await?;
        let etag = answer.headers().get("etag").context("no ETag")?.to_str()?.to_owned();
        unchanged += get(&url, &path, vec![format!("if-none-match: {etag}")]).await?;
    }
    report.figure(format!("select by key, {clients} clients"), select, "/s");
    report.figure("empty poem handler", empty, "/s");
    report.line(Line {
        path: "GET …/status",
        measured: status,
        unit: "/s",
        beside: format!("select by key {} /s in turns", number(select)),
        must: Some(0.6 * select),
        aim: Some(0.9 * select),
        more_is_better: true,
    });
    report.line(Line {
        path: "GET …/status, unchanged (304)",
        measured: unchanged,
        unit: "/s",
        beside: format!("empty handler {} /s in turns", number(empty)),
        must: None,
        aim: Some(0.8 * empty),
        more_is_better: true,
    });
    Ok(())
}
