//! What the system takes when nothing happens, and whether its age slows it.

use std::time::Duration;

use anyhow::Result;

use crate::cooking::kitchen_rate;
use crate::deployment::{Deployment, Section};
use crate::reading::status_rate;
use crate::report::{Line, Report, number, say};
use crate::taking::{ROUNDS, rate};

/// So long after its start a role is idle.
const IDLE: Duration = Duration::from_secs(5);

/// Resident memory of each role, after its start.
pub async fn memory(deployment: &Deployment, report: &mut Report) -> Result<()> {
    say("memory");
    let section = deployment.section("memory").await?;
    let roles = [
        ("resident idle: order service", section.order_service().await?.0),
        ("resident idle: tracking service", section.tracking_service().await?.0),
        ("resident idle: kitchen worker", section.worker(1).await?),
        ("resident idle: notification subscriber", section.start(&["notification-subscriber"])?),
    ];
    tokio::time::sleep(IDLE).await;
    for (path, role) in roles {
        let measured = role.resident_mib()?;
        let beside = String::new();
        report.line(Line {
            path,
            measured,
            unit: "MiB",
            beside,
            must: Some(16.0),
            aim: Some(10.0),
            more_is_better: false,
        });
    }
    Ok(())
}

/// Finished orders of the past, as the system would have left them.
async fn fill(section: &Section<'_>, orders: u32) -> Result<()> {
    let sql = format!(
        "insert into orders (number, customer_name, type, total_amount, priority, status, processed_by, completed_at, \
                             request_id, attempt, created_at, updated_at)
         select 'ORD_' || to_char(timestamp '2024-01-01' + n * interval '1 min', 'YYYYMMDD') || '_' ||
                to_char(n, 'FM000000000'), 'Ada Lovelace', 'takeout', 21.00, 1, 'completed', 'chef',
                timestamptz '2024-01-01' + n * interval '1 min', 'x', 1,
                timestamptz '2024-01-01' + n * interval '1 min', timestamptz '2024-01-01' + n * interval '1 min'
         from generate_series(1, {orders}) as n;
         insert into order_items (order_id, name, quantity, price)
         select id, name, quantity, price from orders,
                (values ('Margherita', 1, 12.50), ('Tiramisu', 2, 4.25)) as v (name, quantity, price);
         insert into order_status_log (order_id, status, attempt, changed_by, changed_at)
         select id, s.status, s.attempt, 'chef', updated_at from orders,
                (values ('received', 0), ('cooking', 1), ('ready', 1), ('completed', 1)) as s (status, attempt);
         vacuum analyze orders; vacuum analyze order_items; vacuum analyze order_status_log; checkpoint"
    );
    let db = section.connect().await?;
    // One statement at a time: VACUUM wants a transaction of its own.
    for statement in sql.split(';').filter(|statement| !statement.contains("checkpoint")) {
        db.batch_execute(statement).await?;
    }
    Ok(())
}

/// The same with and without a long history in the tables.
pub async fn history(deployment: &Deployment, report: &mut Report, seconds: u64, orders: u32) -> Result<()> {
    say(&format!("a history of {orders} orders"));
    let (young, old) = (deployment.section("young").await?, deployment.section("old").await?);
    fill(&old, orders).await?;
    // The two take turns: the machine may be half as fast a minute later.
    let mut found = [[0.0; 3]; 2];
    for _ in 0..ROUNDS {
        for (section, sums) in [&young, &old].into_iter().zip(&mut found) {
            sums[0] += rate(section, seconds).await? / ROUNDS as f64;
            sums[1] += kitchen_rate(section, seconds).await?.per_second / ROUNDS as f64;
            sums[2] += status_rate(section, seconds).await? / ROUNDS as f64;
        }
    }
    let paths = ["long history: POST /orders", "long history: kitchen", "long history: GET …/status"];
    for (i, path) in paths.into_iter().enumerate() {
        let (young, old) = (found[0][i], found[1][i]);
        report.line(Line {
            path,
            measured: old,
            unit: "/s",
            beside: format!("without {} /s", number(young)),
            must: Some(0.9 * young),
            aim: Some(0.98 * young),
            more_is_better: true,
        });
    }
    Ok(())
}
