//! Taking orders, beside what PostgreSQL alone can do on the same tables.

use anyhow::Result;

use crate::bare;
use crate::deployment::{Deployment, Role, Section};
use crate::paced;
use crate::report::{Line, Report, number, say};
use crate::tools::{Answers, Load, h2load, pgbench};

/// An order of two items, as all figures here have it.
pub const ORDER: &str = r#"{"customer_name":"Ada Lovelace","order_type":"takeout","items":[{"name":"Margherita","quantity":1,"price":12.5},{"name":"Tiramisu","quantity":2,"price":4.25}]}"#;
pub const CONNECTIONS: usize = 128;
/// How often two that are compared take turns.
pub const ROUNDS: usize = 3;
/// After which the kernel writes a page out that nobody has flushed (`vm.dirty_expire_centisecs`).
const WRITE_BACK_SECONDS: u64 = 30;

/// Numbers for the orders that pgbench makes.
const PREPARE: &str = "create sequence bench_number; create table bench_flush (n bigint)";
/// One order as a program writes it that talks to the database line by line: seven round trips.
const NAIVE: &str = "\
begin;
select to_char(nextval('bench_number'), 'FM000000000') as n \\gset
insert into orders (number, customer_name, type, total_amount, priority, request_id) values ('ORD_20260101_' || :n, 'Ada Lovelace', 'takeout', 21.00, 1, 'x') returning id \\gset
insert into order_items (order_id, name, quantity, price) values (:id, 'Margherita', 1, 12.50);
insert into order_items (order_id, name, quantity, price) values (:id, 'Tiramisu', 2, 4.25);
insert into order_status_log (order_id, status, attempt, changed_by) values (:id, 'received', 0, 'bench');
commit;
";
const FLUSH: &str = "insert into bench_flush values (1);\n";
const BATCH: usize = 64;

/// The same rows for so many orders in one statement.
fn in_one_statement(orders: usize) -> String {
    format!(
        "with n as materialized (select to_char(nextval('bench_number'), 'FM000000000') as n, \
         nextval(pg_get_serial_sequence('orders', 'id')) as id from generate_series(1, {orders})), \
         o as (insert into orders (id, number, customer_name, type, total_amount, priority, request_id) \
         select id, 'ORD_20260101_' || n, 'Ada Lovelace', 'takeout', 21.00, 1, 'x' from n), \
         i as (insert into order_items (order_id, name, quantity, price) select id, name, quantity, price from n, \
         (values ('Margherita', 1, 12.50), ('Tiramisu', 2, 4.25)) as v (name, quantity, price)) \
         insert into order_status_log (order_id, status, attempt, changed_by) \
         select id, 'received', 0, 'bench' from n;\n"
    )
}

/// What PostgreSQL alone can do.
struct Ceilings<'a> {
    section: Section<'a>,
    /// With which the naive transaction is fastest.
    naive_clients: usize,
    batch_per_second: f64,
    flush_ms: f64,
}

async fn ceilings<'a>(deployment: &'a Deployment, report: &mut Report, seconds: u64) -> Result<Ceilings<'a>> {
    let section = deployment.section("ceilings").await?;
    section.connect().await?.batch_execute(PREPARE).await?;
    let flush = pgbench(&section, FLUSH, &[1], seconds.min(4)).await?;
    report.figure("a flush (a transaction of one short row)", flush.latency_ms, "ms");
    let naive_clients = pgbench(&section, NAIVE, &[8, 16, 32], seconds).await?.clients;
    let batch = pgbench(&section, &in_one_statement(BATCH), &[1, 2, 4], seconds).await?;
    let batch_per_second = batch.per_second * BATCH as f64;
    report.figure(
        format!("{BATCH} orders in one statement, {} clients", batch.clients),
        batch_per_second,
        "/s",
    );
    Ok(Ceilings { section, naive_clients, batch_per_second, flush_ms: flush.latency_ms })
}

/// Posts orders as fast as they are answered, or at a rate.
pub async fn post(url: &str, connections: usize, per_second: Option<f64>, seconds: u64) -> Result<Answers> {
    if let Some(per_second) = per_second {
        return paced::post(url, "/orders", ORDER, connections, per_second, seconds).await;
    }
    let paths = vec!["/orders".to_owned()];
    h2load(&Load { url, paths, body: Some(ORDER), headers: Vec::new(), connections, seconds }).await
}

/// Orders a second over many connections, on a section of its own.
pub async fn rate(section: &Section<'_>, seconds: u64) -> Result<f64> {
    let (_role, url) = section.order_service().await?;
    let rate = post(&url, CONNECTIONS, None, seconds).await?.good_per_second;
    section.settle().await?;
    Ok(rate)
}

/// What was found in a few rounds in which the naive transaction and the service took turns: the machine may be half as
/// fast a minute later.
#[derive(Default)]
struct InTurns {
    naive_per_second: f64,
    per_second: f64,
}

/// Orders so far, and the processor time, in seconds, that the role, PostgreSQL and RabbitMQ have used.
pub async fn used(section: &Section<'_>, role: &Role) -> Result<[f64; 4]> {
    let (postgres, rabbitmq) = section.deployment.processor_seconds()?;
    let orders = section.number("select count(*) from orders").await?;
    Ok([orders, role.processor_seconds()?, postgres, rabbitmq])
}

/// As many orders as can be taken, and what they cost the processor until all of them are announced.
async fn at_full_load(
    section: &Section<'_>,
    ceilings: &Ceilings<'_>,
    role: &Role,
    url: &str,
    report: &mut Report,
    seconds: u64,
) -> Result<InTurns> {
    let mut found = InTurns::default();
    let (mut cost, mut refused) = ([0.0; 4], 0.0);
    for _ in 0..ROUNDS {
        let naive = pgbench(&ceilings.section, NAIVE, &[ceilings.naive_clients], seconds).await?;
        found.naive_per_second += naive.per_second / ROUNDS as f64;
        let before = used(section, role).await?;
        let full = post(url, CONNECTIONS, None, seconds).await?;
        section.settle().await?;
        let after = used(section, role).await?;
        found.per_second += full.good_per_second / ROUNDS as f64;
        refused += full.refused_per_second * seconds as f64 + full.failed as f64;
        cost.iter_mut().enumerate().for_each(|(i, sum)| *sum += after[i] - before[i]);
    }
    report.figure(
        format!("naive transaction, {} clients", ceilings.naive_clients),
        found.naive_per_second,
        "/s",
    );
    for (i, name) in [(1, "the service"), (2, "PostgreSQL"), (3, "RabbitMQ")] {
        let for_each = cost[i] / cost[0];
        report.figure(format!("processor time for an order, announced: {name}"), for_each * 1e6, "µs");
    }
    report.figure("orders not taken", refused, "");
    Ok(found)
}

/// Some rounds of half of what can be taken, in turns with as much as can be taken, and with flushes alone; and the median p99
/// of these.
async fn at_half_load(
    section: &Section<'_>,
    url: &str,
    full_per_second: f64,
    seconds: u64,
) -> Result<(Vec<Answers>, f64)> {
    // What the rounds are to find is the load as it goes on for ever, with the disk writing what is 30 s old.
    post(url, CONNECTIONS, Some(full_per_second / 2.0), WRITE_BACK_SECONDS).await?;
    let (mut rounds, mut disk) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // Half of what the machine can do now: that is another load than half of what it could do two minutes ago.
        let full = post(url, CONNECTIONS, None, seconds.min(4)).await?.good_per_second;
        section.announced().await?;
        rounds.push(post(url, CONNECTIONS, Some(full / 2.0), seconds).await?);
        let dir = section.deployment.dir();
        disk.push(tokio::task::block_in_place(|| bare::flush_wait_p99_ms(dir, seconds.min(4)))?);
    }
    disk.sort_by(f64::total_cmp);
    Ok((rounds, disk[ROUNDS / 2]))
}

/// `POST /orders`: many at once, at half that load, and one at a time. Yields the first.
pub async fn measure(deployment: &Deployment, report: &mut Report, seconds: u64) -> Result<f64> {
    say("taking orders");
    let ceilings = ceilings(deployment, report, seconds).await?;
    let section = deployment.section("taking").await?;
    let (role, url) = section.order_service().await?;
    let (mut single_ms, mut lone_ms) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        let single = pgbench(&ceilings.section, &in_one_statement(1), &[1], seconds.min(3)).await?;
        single_ms += single.latency_ms / ROUNDS as f64;
        lone_ms += post(&url, 1, None, seconds.min(3)).await?.mean_ms / ROUNDS as f64;
        section.settle().await?;
    }
    report.figure("one order in one statement, one client", single_ms, "ms");
    let full = at_full_load(&section, &ceilings, &role, &url, report, seconds).await?;
    let (mut rounds, disk_p99_ms) = at_half_load(&section, &url, full.per_second, seconds).await?;
    let undisturbed_share = rounds.iter().map(|round| round.undisturbed).sum::<f64>() / ROUNDS as f64;
    rounds.sort_by(|a, b| a.undisturbed_p99_ms.total_cmp(&b.undisturbed_p99_ms));
    let undisturbed_p99_ms = rounds[ROUNDS / 2].undisturbed_p99_ms;
    rounds.sort_by(|a, b| a.p99_ms.total_cmp(&b.p99_ms));
    let half = &rounds[ROUNDS / 2];
    report.figure("at half load: orders", half.good_per_second, "/s");
    report.figure("at half load: p50", half.p50_ms, "ms");
    report.figure("at half load: orders for which the machine ran as usual", undisturbed_share * 100.0, "%");
    report.figure(
        "in turns with it: p99 of a wait for a flush, with nothing else going on",
        disk_p99_ms,
        "ms",
    );
    section.settle().await?;
    let Ceilings { batch_per_second, flush_ms, .. } = ceilings;
    report.line(Line {
        path: "POST /orders, 128 connections",
        measured: full.per_second,
        unit: "/s",
        beside: format!(
            "naive {} /s in turns, {BATCH} in one statement {} /s",
            number(full.naive_per_second),
            number(batch_per_second)
        ),
        must: Some(3.0 * full.naive_per_second),
        aim: Some(0.5 * batch_per_second),
        more_is_better: true,
    });
    for (path, measured) in [
        ("POST /orders at half that load, p99, median round", half.p99_ms),
        ("… of orders for which the machine ran as usual", undisturbed_p99_ms),
    ] {
        report.line(Line {
            path,
            measured,
            unit: "ms",
            beside: format!(
                "a flush {} ms, p99 of flushes alone {} ms",
                number(flush_ms),
                number(disk_p99_ms)
            ),
            must: Some(2.0 * flush_ms + 10.0),
            aim: Some(2.0 * flush_ms + 5.0),
            more_is_better: false,
        });
    }
    report.line(Line {
        path: "a lone order, mean",
        measured: lone_ms,
        unit: "ms",
        beside: format!("one statement {} ms in turns", number(single_ms)),
        must: Some(single_ms + 1.0),
        aim: None,
        more_is_better: false,
    });
    Ok(full.per_second)
}

/// Twice as many orders as can be taken, over connections enough that none waits for another. How many can be taken is
/// found in the same way: clients that come whatever happens cost this machine more than those of [`CONNECTIONS`].
pub async fn overload(deployment: &Deployment, report: &mut Report, seconds: u64, intake: f64) -> Result<()> {
    const MANY: usize = 1_000;
    say("overload");
    let section = deployment.section("overload").await?;
    let intake = if intake > 0.0 { intake } else { rate(&section, seconds).await? };
    let (role, url) = section.order_service().await?;
    post(&url, CONNECTIONS, None, 2).await?;
    let before_mib = role.resident_mib()?;
    // With and without take turns, for the machine changes.
    let without_first = post(&url, MANY, Some(intake), seconds).await?.good_per_second;
    let first = post(&url, MANY, Some(2.0 * without_first), seconds).await?;
    let between_mib = role.resident_mib()?;
    let sustained = (without_first + post(&url, MANY, Some(intake), seconds).await?.good_per_second) / 2.0;
    let found = post(&url, MANY, Some(2.0 * sustained), seconds).await?;
    let after_mib = role.resident_mib()?;
    let taken = (first.good_per_second + found.good_per_second) / 2.0;
    report.figure("overload: orders refused with 503", found.refused_per_second, "/s");
    report.figure("overload: p99 of the taken", found.p99_ms, "ms");
    report.figure("overload: p99 of the refused", found.refused_p99_ms, "ms");
    report.figure("overload: other answers or none", (first.failed + found.failed) as f64, "");
    report.figure("overload: resident before", before_mib, "MiB");
    report.figure("overload: resident after the first round", between_mib, "MiB");
    report.figure("overload: resident after the second", after_mib, "MiB");
    report.line(Line {
        path: "overload ×2: orders still taken",
        measured: taken,
        unit: "/s",
        beside: format!("{} /s without, in turns", number(sustained)),
        must: Some(0.9 * sustained),
        aim: None,
        more_is_better: true,
    });
    report.line(Line {
        path: "overload ×2: memory after more of it",
        measured: after_mib,
        unit: "MiB",
        beside: format!("{} MiB after the first round", number(between_mib)),
        must: Some(between_mib * 1.1 + 1.0),
        aim: None,
        more_is_better: false,
    });
    section.settle().await
}
