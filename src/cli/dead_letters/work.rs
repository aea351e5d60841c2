//! Reads the dead letters, publishes them again, removes them.

use std::collections::{BTreeSet, VecDeque};

use amqp::{Broker, BrokerError, DeadLetter, DeadLetters, PublishOutcome};

use super::error::{DeadLettersError, MAX_LOOKED_AT};
use super::name::{LetterName, shortest};
use super::view::{LetterRow, List, Summary};

/// The letters that a command works on: those that were picked, or all that are there when it starts, [`MAX_LOOKED_AT`] of
/// them at most. Those that come meanwhile, which may be the same that died again, are left.
pub(super) struct Chosen {
    /// How many letters there are in all.
    pub(super) total: u32,
    picked: VecDeque<DeadLetter>,
    /// How many are worked on behind those, as they come.
    behind: u32,
}

impl Chosen {
    /// All that are there now.
    pub(super) async fn all(letters: &mut DeadLetters) -> Result<Self, BrokerError> {
        let first = letters.next().await?;
        let total = first.as_ref().map_or(0, |first| first.behind + 1);
        Ok(Self {
            total,
            picked: first.into_iter().collect(),
            behind: total.min(MAX_LOOKED_AT).saturating_sub(1),
        })
    }

    /// Those of these names, each once. Only these are kept: the others may be large.
    pub(super) async fn pick(letters: &mut DeadLetters, ids: &[String]) -> Result<Self, DeadLettersError> {
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
        let mut picked = VecDeque::new();
        let mut seen = BTreeSet::new();
        for (id, (letter, names)) in ids.iter().zip(found) {
            if names.len() > 1 {
                return Err(DeadLettersError::Ambiguous {
                    id: id.clone(),
                    names: names.into_iter().collect(),
                });
            }
            let Some(letter) = letter else {
                return Err(DeadLettersError::Unknown { id: id.clone(), looked_at: looked_at as usize });
            };
            if names.into_iter().all(|name| seen.insert(name)) {
                picked.push_back(letter);
            }
        }
        Ok(Self { total, picked, behind: 0 })
    }

    pub(super) async fn next(
        &mut self,
        letters: &mut DeadLetters,
    ) -> Result<Option<DeadLetter>, BrokerError> {
        if let Some(letter) = self.picked.pop_front() {
            return Ok(Some(letter));
        }
        if self.behind == 0 {
            return Ok(None);
        }
        self.behind -= 1;
        letters.next().await
    }
}

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
    Invalid(amqp::InvalidMessage),
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

/// Publishes letters again and removes them, one after the other.
pub(super) async fn requeue(broker: &Broker, mut letters: DeadLetters, mut chosen: Chosen) -> Done {
    let mut summary = Summary::requeued(chosen.total);
    let worked = async {
        while let Some(letter) = chosen.next(&mut letters).await? {
            requeue_one(broker, &mut letters, &letter, &mut summary).await?;
        }
        Ok(())
    };
    let worked = worked.await;
    Done::of(summary, worked, letters).await
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

pub(super) async fn discard(mut letters: DeadLetters, mut chosen: Chosen) -> Done {
    let mut summary = Summary::discarded(chosen.total);
    let worked = async {
        while let Some(letter) = chosen.next(&mut letters).await? {
            letters.remove(&letter).await?;
            summary.discard(LetterName::of(&letter).short().to_owned());
        }
        Ok(())
    };
    let worked = worked.await;
    Done::of(summary, worked, letters).await
}

fn count(rows: &[LetterRow]) -> u32 {
    u32::try_from(rows.len()).unwrap_or(u32::MAX)
}
