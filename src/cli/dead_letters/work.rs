//! Reads the dead letters, publishes them again, removes them.

use std::collections::BTreeSet;

use super::error::{DeadLettersError, MAX_LOOKED_AT};
use super::name::{LetterName, shortest};
use super::view::{LetterRow, List, Summary};
use crate::broker::{Broker, BrokerError, DeadLetter, DeadLetters, PublishOutcome};

/// The letters that were asked for.
pub(super) struct Picked {
    pub(super) letters: Vec<DeadLetter>,
    /// How many letters there are in all.
    pub(super) total: u32,
}

/// The outcome of a command.
pub(super) struct Done {
    pub(super) summary: Summary,
    /// The failure that ended it early, or makes its end unsure.
    pub(super) interrupted: Option<BrokerError>,
}

impl Done {
    /// Whether letters are removed is sure once they have been closed.
    async fn of(summary: Summary, worked: Result<(), BrokerError>, letters: DeadLetters) -> Self {
        let closed = match worked {
            Ok(()) => letters.close().await,
            Err(error) => Err(error),
        };
        Self { summary, interrupted: closed.err() }
    }
}

/// Why a letter stays a letter.
#[derive(Debug, thiserror::Error)]
enum NotRequeued {
    #[error("it was larger than any message that is read, and only its beginning is kept")]
    Cut,
    #[error("it does not say which exchange it was published to")]
    NoOrigin,
    #[error(
        "no queue takes what is published to exchange '{exchange}' with routing key '{routing_key}': {reply}"
    )]
    Unroutable { exchange: String, routing_key: String, reply: String },
    #[error("RabbitMQ did not take it")]
    Nacked,
    #[error("it is not known whether RabbitMQ took it: {0}")]
    Unconfirmed(BrokerError),
    #[error("{0}")]
    Invalid(crate::broker::InvalidMessage),
}

/// Looks at the first `limit` letters.
pub(super) async fn list(letters: &mut DeadLetters, limit: u32) -> Result<List, BrokerError> {
    let (mut names, mut rows, mut total) = (Vec::new(), Vec::new(), 0);
    while count(&rows) < limit
        && let Some(letter) = letters.next().await?
    {
        names.push(LetterName::of(&letter));
        rows.push(LetterRow::of(&letter));
        total = count(&rows) + letter.behind;
    }
    for (row, name) in rows.iter_mut().zip(shortest(&names)) {
        row.id = name;
    }
    Ok(List::new(total, rows))
}

/// Finds the letters of these names, each once. Only these are kept: the others may be large.
pub(super) async fn pick(letters: &mut DeadLetters, ids: &[String]) -> Result<Picked, DeadLettersError> {
    let mut found: Vec<(Option<DeadLetter>, BTreeSet<String>)> = vec![Default::default(); ids.len()];
    let mut looked_at = 0;
    let mut total = 0;
    while looked_at < MAX_LOOKED_AT
        && let Some(letter) = letters.next().await?
    {
        looked_at += 1;
        total = looked_at + letter.behind;
        let name = LetterName::of(&letter);
        for (_, (first, names)) in ids.iter().zip(&mut found).filter(|(id, _)| name.is(id)) {
            names.insert(name.long());
            first.get_or_insert_with(|| letter.clone());
        }
    }
    let mut picked = Vec::new();
    let mut seen = BTreeSet::new();
    for (id, (letter, names)) in ids.iter().zip(found) {
        if names.len() > 1 {
            return Err(DeadLettersError::Ambiguous { id: id.clone(), names: names.into_iter().collect() });
        }
        let Some(letter) = letter else {
            return Err(DeadLettersError::Unknown { id: id.clone(), looked_at: looked_at as usize });
        };
        if names.into_iter().all(|name| seen.insert(name)) {
            picked.push(letter);
        }
    }
    Ok(Picked { letters: picked, total })
}

/// Publishes these letters again and removes them, one after the other.
pub(super) async fn requeue(
    broker: &Broker,
    mut letters: DeadLetters,
    picked: Vec<DeadLetter>,
    total: u32,
) -> Done {
    let mut summary = Summary::requeued(total);
    let worked = async {
        for letter in picked {
            requeue_one(broker, &mut letters, &letter, &mut summary).await?;
        }
        Ok(())
    };
    let worked = worked.await;
    Done::of(summary, worked, letters).await
}

/// [`requeue`] for all that are there now.
pub(super) async fn requeue_all(broker: &Broker, mut letters: DeadLetters) -> Result<Done, BrokerError> {
    let mut all = Present::look(&mut letters).await?;
    let mut summary = Summary::requeued(all.total);
    let worked = async {
        while let Some(letter) = all.next(&mut letters).await? {
            requeue_one(broker, &mut letters, &letter, &mut summary).await?;
        }
        Ok(())
    };
    let worked = worked.await;
    Ok(Done::of(summary, worked, letters).await)
}

/// In this order: published and confirmed, then removed. If the process dies in between, the message is in its queue
/// and among the dead letters; it is never in neither.
async fn requeue_one(
    broker: &Broker,
    letters: &mut DeadLetters,
    letter: &DeadLetter,
    summary: &mut Summary,
) -> Result<(), BrokerError> {
    let name = LetterName::of(letter).short().to_owned();
    match publish_again(broker, letter).await {
        Ok(()) => {
            summary.requeue(name, letter);
            letters.remove(letter).await
        }
        Err(error) => {
            summary.fail(name, &error);
            Ok(())
        }
    }
}

async fn publish_again(broker: &Broker, letter: &DeadLetter) -> Result<(), NotRequeued> {
    if letter.is_cut() {
        return Err(NotRequeued::Cut);
    }
    let original = letter.original().ok_or(NotRequeued::NoOrigin)?;
    let (exchange, routing_key) = (original.exchange.to_string(), original.routing_key.clone());
    match broker.publish_one(original).await {
        PublishOutcome::Routed => Ok(()),
        PublishOutcome::Unroutable { reply } => Err(NotRequeued::Unroutable { exchange, routing_key, reply }),
        PublishOutcome::Nacked => Err(NotRequeued::Nacked),
        PublishOutcome::Unconfirmed(error) => Err(NotRequeued::Unconfirmed(error)),
        PublishOutcome::Invalid(invalid) => Err(NotRequeued::Invalid(invalid)),
    }
}

/// Removes these letters.
pub(super) async fn discard(mut letters: DeadLetters, picked: Vec<DeadLetter>, total: u32) -> Done {
    let mut summary = Summary::discarded(total);
    let worked = async {
        for letter in picked {
            discard_one(&mut letters, &letter, &mut summary).await?;
        }
        Ok(())
    };
    let worked = worked.await;
    Done::of(summary, worked, letters).await
}

/// Removes all letters that are there now, if `is_confirmed` says so to their number.
pub(super) async fn discard_all(
    mut letters: DeadLetters,
    is_confirmed: impl FnOnce(u32) -> bool,
) -> Result<Done, DeadLettersError> {
    let mut all = Present::look(&mut letters).await?;
    if all.total > 0 && !is_confirmed(all.total) {
        return Err(DeadLettersError::Declined);
    }
    let mut summary = Summary::discarded(all.total);
    let worked = async {
        while let Some(letter) = all.next(&mut letters).await? {
            discard_one(&mut letters, &letter, &mut summary).await?;
        }
        Ok(())
    };
    let worked = worked.await;
    Ok(Done::of(summary, worked, letters).await)
}

async fn discard_one(
    letters: &mut DeadLetters,
    letter: &DeadLetter,
    summary: &mut Summary,
) -> Result<(), BrokerError> {
    letters.remove(letter).await?;
    summary.discard(LetterName::of(letter).short().to_owned());
    Ok(())
}

/// The letters that are there when a command starts, [`MAX_LOOKED_AT`] of them at most. Those that come meanwhile,
/// which may be the same that died again, are left.
struct Present {
    total: u32,
    left: u32,
    first: Option<DeadLetter>,
}

impl Present {
    async fn look(letters: &mut DeadLetters) -> Result<Self, BrokerError> {
        let first = letters.next().await?;
        let total = first.as_ref().map_or(0, |first| first.behind + 1);
        Ok(Self { total, left: total.min(MAX_LOOKED_AT), first })
    }

    async fn next(&mut self, letters: &mut DeadLetters) -> Result<Option<DeadLetter>, BrokerError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => letters.next().await,
        }
    }
}

fn count(rows: &[LetterRow]) -> u32 {
    u32::try_from(rows.len()).unwrap_or(u32::MAX)
}
