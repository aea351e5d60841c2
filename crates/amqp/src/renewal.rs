//! Making a queue anew that exists with other arguments, and losing nothing.
//!
//! A queue whose messages can be had again is deleted, and filled again by the program. What other queues hold exists nowhere
//! else. It is moved to a temporary queue and back, in its order; what is published meanwhile goes to the temporary queue. A message is in one of the two at any time, or in both, and a queue is deleted only
//! when it is empty and nothing is published to it any more: whoever dies in between loses nothing, and whoever begins
//! again finishes.

use std::sync::Arc;

use super::channel::BrokerChannel;
use super::declare::Declaration;
use super::error::BrokerError;
use super::handle::{Broker, Shared};
use super::link::Link;
use super::options::BrokerOptions;
use super::renewed::RenewedChannel;
use super::shovel::shovel;

/// A queue can be filled again by messages that were on their way: so often it is emptied before that is given up.
const MAX_EMPTYINGS: u32 = 10;

/// One of the program's queues, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueReport {
    /// Its name.
    pub name: String,
    /// How many messages wait in it and how many consumers it has; `None`: there is no such queue.
    pub found: Option<(u32, u32)>,
    /// What is wrong with it: other arguments, or other hands.
    pub trouble: Option<BrokerError>,
    /// How many of its messages an interrupted move has left in a temporary queue.
    pub left_over: Option<u32>,
}

impl QueueReport {
    /// Whether it is to be made anew, or that is to be finished.
    pub fn is_to_be_renewed(&self) -> bool {
        matches!(self.trouble, Some(BrokerError::Conflict { .. })) || self.left_over.is_some()
    }

    /// Whether its consumers are in the way.
    pub fn is_busy(&self) -> bool {
        let is_used = self.found.is_some_and(|(_, consumers)| consumers > 0);
        is_used && matches!(self.trouble, Some(BrokerError::Conflict { .. }))
    }
}

impl Broker {
    /// Looks at one of the program's queues; it is not made where it is missing.
    ///
    /// # Errors
    /// `NotFound` for a name that is none of the program's, `NotConnected`, the connection's loss, or the server's refusal.
    pub async fn look_at_queue(&self, name: &str) -> Result<QueueReport, BrokerError> {
        let mut renewal = self.renewal(name)?;
        let temporary = renewal.channel.look_at_queue(renewal.temporary.name()).await?;
        let (found, trouble) = match renewal.channel.look_at_queue(name).await {
            Ok(Some(found)) => {
                let declared = renewal.spec.declare_exactly(&mut renewal.channel).await;
                (Some((found.messages, found.consumers)), declared.err())
            }
            Ok(None) => (None, None),
            Err(error) if error.is_of_one_object() => (None, Some(error)),
            Err(error) => return Err(error),
        };
        if let Some(error) = trouble.as_ref().filter(|error| !error.is_of_one_object()) {
            return Err(error.clone());
        }
        renewal.channel.close().await;
        Ok(QueueReport {
            name: name.to_owned(),
            found,
            trouble,
            left_over: temporary.map(|found| found.messages),
        })
    }

    /// Deletes a queue whose messages can be had again, unless it is used, and makes it anew.
    ///
    /// # Errors
    /// `InUse` where it has consumers; else as [`Broker::look_at_queue`].
    pub async fn renew_queue(&self, name: &str) -> Result<(), BrokerError> {
        let mut renewal = self.renewal(name)?;
        renewal.delete(name, false).await?;
        renewal.spec.declare_exactly(&mut renewal.channel).await?;
        renewal.spec.bind(&mut renewal.channel).await?;
        renewal.channel.close().await;
        Ok(())
    }

    /// Makes a queue anew with all that is in it, or finishes that. The answer is how many messages were brought back.
    ///
    /// # Errors
    /// `InUse` where it has consumers; else as [`Broker::look_at_queue`]. Nothing is lost, and it is safe to repeat.
    pub async fn renew_queue_with_content(&self, name: &str) -> Result<u64, BrokerError> {
        let mut renewal = self.renewal(name)?;
        let is_other = match renewal.channel.look_at_queue(name).await? {
            Some(_) => match renewal.spec.declare_exactly(&mut renewal.channel).await {
                Ok(_) => false,
                Err(BrokerError::Conflict { .. }) => true,
                Err(error) => return Err(error),
            },
            None => false,
        };
        if is_other {
            renewal.take_away().await?;
        }
        let moved = renewal.bring_back().await?;
        renewal.channel.close().await;
        Ok(moved)
    }

    fn renewal(&self, name: &str) -> Result<Renewal, BrokerError> {
        let Shared { options, declarer, .. } = &*self.shared;
        let spec = declarer.queue(name).ok_or_else(|| BrokerError::NotFound {
            object: format!("queue '{name}'"),
            reason: "it is none of this system's".to_owned(),
        })?;
        let link = self.link()?;
        let temporary = declarer.temporary(&spec);
        Ok(Renewal { options: options.clone(), channel: RenewedChannel::on(&link), link, spec, temporary })
    }
}

/// A queue that is made anew.
struct Renewal {
    options: BrokerOptions,
    link: Arc<Link>,
    channel: RenewedChannel,
    spec: Declaration,
    temporary: Declaration,
}

impl Renewal {
    /// Moves everything to the temporary queue and deletes the queue.
    async fn take_away(&mut self) -> Result<(), BrokerError> {
        let name = self.spec.name().to_owned();
        self.refuse_company(&name).await?;
        self.temporary.declare_exactly(&mut self.channel).await?;
        // What waits goes first, then what is published from here on.
        self.shovel(&name, self.temporary.name()).await?;
        self.temporary.bind(&mut self.channel).await?;
        self.unbind(self.spec.clone()).await?;
        for _ in 0..MAX_EMPTYINGS {
            self.shovel(&name, self.temporary.name()).await?;
            if self.refuse_company(&name).await? == 0 {
                return self.delete(&name, true).await;
            }
        }
        Err(BrokerError::InUse { object: format!("queue '{name}'") })
    }

    /// Makes the queue, moves everything back and deletes the temporary queue, where there is one.
    async fn bring_back(&mut self) -> Result<u64, BrokerError> {
        self.spec.declare_exactly(&mut self.channel).await?;
        let mut moved = 0;
        if self.channel.look_at_queue(self.temporary.name()).await?.is_some() {
            let (name, temporary) = (self.spec.name().to_owned(), self.temporary.name().to_owned());
            moved += self.shovel(&temporary, &name).await?;
            self.spec.bind(&mut self.channel).await?;
            self.unbind(self.temporary.clone()).await?;
            moved += self.shovel(&temporary, &name).await?;
            self.refuse_company(&temporary).await?;
            self.delete(&temporary, true).await?;
        }
        self.spec.bind(&mut self.channel).await?;
        Ok(moved)
    }

    async fn shovel(&self, from: &str, to: &str) -> Result<u64, BrokerError> {
        shovel(&self.link, from, to, self.options.confirm_timeout).await
    }

    /// How many messages wait in a queue that nobody consumes.
    async fn refuse_company(&mut self, name: &str) -> Result<u32, BrokerError> {
        match self.channel.look_at_queue(name).await? {
            Some(found) if found.consumers > 0 => {
                Err(BrokerError::InUse { object: format!("queue '{name}'") })
            }
            found => Ok(found.map_or(0, |found| found.messages)),
        }
    }

    async fn unbind(&mut self, spec: Declaration) -> Result<(), BrokerError> {
        let channel = self.channel.get().await?;
        let unbound = channel.unbind(spec.name(), spec.exchange(), spec.binding_key()).await;
        self.channel.renew_after(unbound)
    }

    /// Deletes a queue unless somebody consumes it and, where that matters, unless messages are in it. A quorum queue
    /// knows no such conditions, and the server ends the connection that names them: they were looked at before.
    async fn delete(&mut self, name: &str, only_empty: bool) -> Result<(), BrokerError> {
        self.refuse_company(name).await?;
        let risky = Link::open(&self.options, &self.link.address, self.link.generation).await?;
        let channel = BrokerChannel::open(&risky).await?;
        match channel.delete_queue(name, true, only_empty).await {
            Ok(()) => return Ok(()),
            Err(BrokerError::Conflict { .. }) => {
                return Err(BrokerError::InUse { object: format!("queue '{name}'") });
            }
            Err(error) => {
                tracing::debug!(action = "rabbitmq_delete_unconditional", details = %error, "the queue knows no conditions");
            }
        }
        if self.refuse_company(name).await? > 0 && only_empty {
            return Err(BrokerError::InUse { object: format!("queue '{name}'") });
        }
        let deleted = self.channel.get().await?.delete_queue(name, false, false).await;
        self.channel.renew_after(deleted)
    }
}
