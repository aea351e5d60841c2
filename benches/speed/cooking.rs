//! The way through the kitchen: relay, claim, finish.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bare;
use crate::deployment::{Deployment, Section, until};
use crate::report::{Line, Report, number, say};
use crate::taking::{ROUNDS, post, rate};

/// Orders a second at which nobody waits for anybody.
const LIGHT_PER_SECOND: f64 = 20.0;

/// From an order's commit to that of its claim by an idle worker.
pub async fn claim_latency(deployment: &Deployment, report: &mut Report, seconds: u64) -> Result<()> {
    say("from the order to the cook");
    let section = deployment.section("light").await?;
    let (_service, url) = section.order_service().await?;
    let _worker = section.worker(1).await?;
    post(&url, 1, Some(LIGHT_PER_SECOND), seconds).await?;
    let quantile = |q: f64| {
        format!(
            "select percentile_cont({q}) within group (order by extract(epoch from c.changed_at - r.changed_at) * 1000) \
             from order_status_log r join order_status_log c using (order_id) \
             where r.status = 'received' and c.status = 'cooking'"
        )
    };
    report.figure("order to claim, p99", section.number(&quantile(0.99)).await?, "ms");
    report.line(Line {
        path: "order to claim by an idle worker, p50",
        measured: section.number(&quantile(0.5)).await?,
        unit: "ms",
        beside: "20 orders a second".to_owned(),
        must: Some(15.0),
        aim: Some(5.0),
        more_is_better: false,
    });
    Ok(())
}

/// What one worker has done.
pub struct Cooked {
    pub per_second: f64,
    /// Processor time that it took for all of it.
    pub worker_seconds: f64,
}

/// One worker that cooks in no time, with a long backlog before it: orders to `ready` a second, by their own times. Nobody
/// looks at the tables meanwhile: each look at them all would cost what dozens of orders do.
pub async fn kitchen_rate(section: &Section<'_>, seconds: u64) -> Result<Cooked> {
    let worker = section.worker(256).await?;
    // Not the first second, in which the messages begin to flow.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = section.number("extract(epoch from clock_timestamp())").await?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let worker_seconds = worker.processor_seconds()?;
    // Where the backlog was empty before the time was over, the last order was the end.
    let rate = format!(
        "select count(*) / extract(epoch from max(completed_at) - to_timestamp({began})) from orders \
         where completed_at > to_timestamp({began})"
    );
    Ok(Cooked { per_second: section.number(&rate).await?, worker_seconds })
}

/// Intake and kitchen in turns.
pub async fn kitchen(deployment: &Deployment, report: &mut Report, seconds: u64) -> Result<()> {
    say("the kitchen");
    let section = deployment.section("kitchen").await?;
    let (mut intake, mut cooked) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        // Twice as long: the kitchen is to have enough to do.
        intake += rate(&section, seconds * 2).await? / ROUNDS as f64;
        cooked += kitchen_rate(&section, seconds).await?.per_second / ROUNDS as f64;
    }
    report.line(Line {
        path: "kitchen, one worker, no cooking time",
        measured: cooked,
        unit: "/s",
        beside: format!("intake {} /s in turns", number(intake)),
        must: Some(0.5 * intake),
        aim: Some(intake),
        more_is_better: true,
    });
    Ok(())
}

/// What gathered while RabbitMQ was away, announced when it is back.
pub async fn relay(deployment: &Deployment, report: &mut Report, seconds: u64, intake: f64) -> Result<()> {
    say("the relay");
    let section = deployment.section("relay").await?;
    let bare = bare::broker(&section, 50_000).await?;
    report.figure("bare confirmed publisher", bare.published_per_second, "/s");
    report.figure("bare consumer", bare.consumed_per_second, "/s");
    let (_service, url) = section.order_service().await?;
    tokio::task::block_in_place(|| deployment.servers.rabbitmq.stop());
    let alone = post(&url, 128, None, seconds).await?.good_per_second;
    report.figure("POST /orders while RabbitMQ is away", alone, "/s");
    let intake = if intake > 0.0 { intake } else { alone };
    tokio::task::block_in_place(|| deployment.servers.rabbitmq.restart())?;
    let rows = async || section.number("select sum(coalesce(cardinality(log_ids), 1)) from outbox").await;
    let waiting = rows().await?;
    until("the relay to begin", async || Ok(rows().await? < waiting)).await?;
    let (before, began) = (rows().await?, Instant::now());
    section.settle().await?;
    report.line(Line {
        path: "relay, announced orders",
        measured: before / began.elapsed().as_secs_f64(),
        unit: "/s",
        beside: format!(
            "intake {} /s, bare publisher {} /s",
            number(intake),
            number(bare.published_per_second)
        ),
        must: Some(intake),
        aim: Some(0.6 * bare.published_per_second),
        more_is_better: true,
    });
    Ok(())
}
