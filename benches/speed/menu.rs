//! Taking orders by a menu, beside taking them without one.

use anyhow::Result;

use crate::deployment::Deployment;
use crate::report::{Line, Report, number, say};
use crate::taking::{CONNECTIONS, ROUNDS, post};
use crate::tools::{Load, h2load};

/// Two items, as in `taking::ORDER`, of the menu that comes with the program.
const ORDER: &str = r#"{"customer_name":"Ada Lovelace","order_type":"takeout","items":[{"menu_item_id":"margherita","quantity":1,"options":["family","olives"]},{"menu_item_id":"tiramisu","quantity":2}]}"#;
const MENU_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/menu.example.yaml");
/// An order by a menu may cost a fifth more.
const MOST: f64 = 1.2;

/// Both take turns: the machine may be half as fast a minute later.
pub async fn measure(deployment: &Deployment, report: &mut Report, seconds: u64) -> Result<()> {
    say("orders by a menu");
    let (plain, by_menu) = (deployment.section("no_menu").await?, deployment.section("menu").await?);
    by_menu.command(&["menu", "apply", MENU_FILE])?;
    let (_plain_role, plain_url) = plain.order_service().await?;
    let (_role, url) = by_menu.order_service().await?;
    let (mut without, mut with) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        without += post(&plain_url, CONNECTIONS, None, seconds).await?.good_per_second / ROUNDS as f64;
        plain.settle().await?;
        let paths = vec!["/orders".to_owned()];
        let load = Load {
            url: &url,
            paths,
            body: Some(ORDER),
            headers: Vec::new(),
            connections: CONNECTIONS,
            seconds,
        };
        with += h2load(&load).await?.good_per_second / ROUNDS as f64;
        by_menu.settle().await?;
    }
    report.line(Line {
        path: "POST /orders by a menu, 128 connections",
        measured: with,
        unit: "/s",
        beside: format!("without {} /s in turns", number(without)),
        must: Some(without / MOST),
        aim: None,
        more_is_better: true,
    });
    Ok(())
}
