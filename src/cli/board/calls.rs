//! What the board asks of the services.

use std::time::Duration;

use tokio::sync::mpsc;

use super::model::Told;
use super::orders::COLUMNS;
use crate::client::events::StreamItem;
use crate::client::orders::ListedOrder;
use crate::client::{ClientError, OrderClient, StaffStep, TrackingClient};

/// Pages that are asked for at most: 5,000 orders, more than a board can show.
const MAX_PAGES: usize = 25;
/// Until a stream that was given up is opened anew.
const REOPEN_PAUSE: Duration = Duration::from_secs(2);

/// All open orders, and whether these are all.
pub(super) async fn list(tracking: &TrackingClient) -> Result<(Vec<ListedOrder>, bool), ClientError> {
    let statuses = COLUMNS.map(|status| status.as_str());
    let (mut orders, mut cursor) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let page = tracking.orders(&statuses, cursor.as_deref()).await?;
        orders.extend(page.orders);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok((orders, true));
        }
    }
    Ok((orders, false))
}

pub(super) async fn list_told(tracking: TrackingClient) -> Told {
    match list(&tracking).await {
        Ok((orders, is_whole)) => Told::Listed { orders, is_whole },
        Err(error) => Told::NotListed(in_words(&error)),
    }
}

pub(super) async fn workers(tracking: TrackingClient) -> Told {
    Told::Workers(tracking.workers().await.map_err(|error| in_words(&error)))
}

pub(super) async fn sheet(orders: OrderClient, number: String) -> Told {
    let sheet = orders.order(&number).await.map_err(|error| in_words(&error));
    Told::Sheet { number, sheet }
}

pub(super) async fn step(
    orders: OrderClient,
    number: String,
    step: StaffStep,
    reason: Option<String>,
) -> Told {
    let result = orders.step(&number, step, reason.as_deref()).await.map_err(|error| in_words(&error));
    Told::Stepped { number, step, result }
}

/// Tells all changes, for as long as somebody listens or until the service refuses to.
pub(super) async fn follow(tracking: TrackingClient, told: mpsc::Sender<Result<Told, ClientError>>) {
    let mut is_anew = false;
    loop {
        let Some(()) = follow_once(&tracking, &told, is_anew).await else { return };
        is_anew = true;
        tokio::time::sleep(REOPEN_PAUSE).await;
    }
}

/// Tells the changes until the stream is given up. `None`: nothing more is to be told.
async fn follow_once(
    tracking: &TrackingClient,
    told: &mpsc::Sender<Result<Told, ClientError>>,
    is_anew: bool,
) -> Option<()> {
    let mut stream = tracking.all_events();
    let mut is_void = is_anew;
    loop {
        let item = match stream.next().await {
            Ok(Some(StreamItem::Event(event))) => Told::Changed(event.update),
            Ok(Some(StreamItem::Connected)) => {
                if std::mem::take(&mut is_void) {
                    told.send(Ok(Told::Reset)).await.ok()?;
                }
                Told::Connected
            }
            Ok(Some(StreamItem::Interrupted(reason))) => Told::Interrupted(first_line(&reason)),
            Ok(Some(StreamItem::Reset)) => Told::Reset,
            Ok(None) => {
                let ended = Told::Interrupted("the service has ended the stream".to_owned());
                return told.send(Ok(ended)).await.ok();
            }
            Err(ClientError::StreamLost { reason, .. }) => {
                return told.send(Ok(Told::Interrupted(first_line(&reason)))).await.ok();
            }
            Err(error) => {
                let _ = told.send(Err(error)).await;
                return None;
            }
        };
        told.send(Ok(item)).await.ok()?;
    }
}

/// A failure on one line. Of a refusal it is what the service says to people.
fn in_words(error: &ClientError) -> String {
    let ClientError::Problem(problem) = error else { return error.to_string() };
    let mut text = problem.detail.as_ref().unwrap_or(&problem.title).clone();
    for fault in &problem.errors {
        text.push_str(&format!("; {} {}", fault.pointer, fault.detail));
    }
    text
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
