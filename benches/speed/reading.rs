//! `GET /orders/{number}/status`, beside PostgreSQL's select by key and a handler that does nothing.

use anyhow::{Context, Result};

use crate::bare;
use crate::house::{House, Section};
use crate::report::{Line, Report, number, say};
use crate::taking::post;
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

pub async fn measure(house: &House, report: &mut Report, seconds: u64) -> Result<()> {
    say("reading");
    let section = house.section("reading").await?;
    {
        let (_service, url) = section.order_service().await?;
        while section.number("select count(*) from orders").await? < NUMBERS as f64 {
            post(&url, 16, None, 1).await?;
        }
        section.settle().await?;
    }
    let select = pgbench(&section, SELECT, &[4, 8, 16, 32], seconds.min(5)).await?;
    report.figure(format!("select by key, {} clients", select.clients), select.per_second, "/s");
    let empty = bare::empty_handler().await?;
    let get = |url: &str, path: &str, headers: Vec<String>| {
        let (url, paths) = (url.to_owned(), vec![path.to_owned()]);
        async move {
            let load = Load { url: &url, paths, body: None, headers, connections: CONNECTIONS, seconds };
            h2load(&load).await
        }
    };
    let empty = get(&empty, "/", Vec::new()).await?.good_per_second;
    report.figure("empty poem handler", empty, "/s");
    let measured = status_rate(&section, seconds).await?;
    report.line(Line {
        path: "GET …/status",
        measured,
        unit: "/s",
        beside: format!("select by key {} /s", number(select.per_second)),
        must: 0.6 * select.per_second,
        aim: Some(0.9 * select.per_second),
        more_is_better: true,
    });
    let (_service, url) = section.tracking_service().await?;
    let number_of_one = section.connect().await?.query_one("select max(number) from orders", &[]).await?;
    let path = format!("/orders/{}/status", number_of_one.get::<_, String>(0));
    let answer = reqwest::get(format!("{url}{path}")).await?;
    let etag = answer.headers().get("etag").context("no ETag")?.to_str()?.to_owned();
    let unchanged = get(&url, &path, vec![format!("if-none-match: {etag}")]).await?.good_per_second;
    report.line(Line {
        path: "GET …/status, unchanged (304)",
        measured: unchanged,
        unit: "/s",
        beside: format!("empty handler {} /s", number(empty)),
        must: 0.8 * empty,
        aim: None,
        more_is_better: true,
    });
    Ok(())
}
