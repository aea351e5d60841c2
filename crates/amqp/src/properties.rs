//! A message's properties and headers, written and read back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use amqprs::{BasicProperties, FieldTable, FieldValue};
use bytes::Bytes;

/// The protocol's limit for names, keys and the plain properties, in bytes.
const MAX_SHORT_BYTES: usize = 255;
/// All headers together must fit into one frame, which servers limit to 128 KiB.
const MAX_HEADERS_BYTES: usize = 64 * 1024;
/// The largest body that is published: what RabbitMQ takes by default, so that whatever came from it can go back.
const MAX_BODY_BYTES: usize = 128 * 1024 * 1024;
/// The header of the W3C trace context.
const TRACEPARENT: &str = "traceparent";
/// What all messages are.
const JSON: &str = "application/json";

/// The properties of a message. A message of somebody else may lack any of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// Names the message, so that a repetition can be told. One is made when a message is published without it.
    pub message_id: Option<String>,
    /// The id of the request that all this began with.
    pub correlation_id: Option<String>,
    /// When the message was made, in seconds since 1970.
    pub timestamp_s: Option<u64>,
    /// AMQP's `type`: what kind of message it is.
    pub kind: Option<String>,
    /// The service that made it.
    pub app_id: Option<String>,
    /// Higher comes first.
    pub priority: Option<u8>,
    /// The W3C trace context, a header.
    pub traceparent: Option<String>,
    /// `application/json` when a message is published without it.
    pub content_type: Option<String>,
    /// The other headers that are plain values, as text.
    pub headers: BTreeMap<String, String>,
}

/// Properties as the protocol carries them: all that there are, whatever [`Properties`] leaves out among them.
#[derive(Debug, Default)]
pub(super) struct AmqpProperties(pub(super) BasicProperties);

/// A message to be published: persistent, confirmed, and returned where no queue wants it.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The exchange; empty for the one that delivers to the queue named by the routing key.
    pub exchange: Cow<'static, str>,
    /// Where the exchange is to send it.
    pub routing_key: String,
    /// The content, JSON.
    pub body: Bytes,
    /// What goes with it.
    pub properties: Properties,
}

/// Why a message can't be published at all, now or ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    /// A name or property exceeds what the protocol can carry.
    #[error("the message's {field} has {bytes} bytes; AMQP allows {MAX_SHORT_BYTES}")]
    TooLong {
        /// Which one.
        field: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// The headers do not fit into a frame.
    #[error("the message's headers have {bytes} bytes; at most {MAX_HEADERS_BYTES} are sent")]
    TooManyHeaders {
        /// Their size.
        bytes: usize,
    },
    /// The content is too large.
    #[error("the message's body has {bytes} bytes; at most {MAX_BODY_BYTES} are sent")]
    BodyTooLarge {
        /// Its size.
        bytes: usize,
    },
}

impl Outgoing {
    /// Checks what the client library would panic at, or the server would end the connection for.
    pub(super) fn validate(&self) -> Result<(), InvalidMessage> {
        let p = &self.properties;
        let short = [
            ("exchange", Some(self.exchange.as_ref())),
            ("routing key", Some(self.routing_key.as_str())),
            ("message_id", p.message_id.as_deref()),
            ("correlation_id", p.correlation_id.as_deref()),
            ("type", p.kind.as_deref()),
            ("app_id", p.app_id.as_deref()),
            ("content_type", p.content_type.as_deref()),
        ];
        for (field, value) in short {
            check_short(field, value.unwrap_or_default())?;
        }
        for name in p.headers.keys() {
            check_short("header name", name)?;
        }
        let bytes = p.headers_bytes();
        if bytes > MAX_HEADERS_BYTES {
            return Err(InvalidMessage::TooManyHeaders { bytes });
        }
        if self.body.len() > MAX_BODY_BYTES {
            return Err(InvalidMessage::BodyTooLarge { bytes: self.body.len() });
        }
        Ok(())
    }
}

fn check_short(field: &'static str, value: &str) -> Result<(), InvalidMessage> {
    match value.len() {
        bytes if bytes > MAX_SHORT_BYTES => Err(InvalidMessage::TooLong { field, bytes }),
        _ => Ok(()),
    }
}

impl Properties {
    /// What all headers together take.
    pub(super) fn headers_bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + 6);
        headers.sum::<usize>() + self.traceparent.as_ref().map_or(0, String::len)
    }

    /// As the protocol carries them. Only for what has been validated: the client library panics at longer texts.
    pub(super) fn to_amqp(&self, message_id: &str) -> AmqpProperties {
        let mut amqp = BasicProperties::default();
        amqp.with_content_type(self.content_type.as_deref().unwrap_or(JSON)).with_persistence(true);
        amqp.with_message_id(message_id);
        if let Some(id) = &self.correlation_id {
            amqp.with_correlation_id(id);
        }
        if let Some(timestamp_s) = self.timestamp_s {
            amqp.with_timestamp(timestamp_s);
        }
        if let Some(kind) = &self.kind {
            amqp.with_message_type(kind);
        }
        if let Some(app_id) = &self.app_id {
            amqp.with_app_id(app_id);
        }
        if let Some(priority) = self.priority {
            amqp.with_priority(priority);
        }
        let mut table = FieldTable::new();
        let traceparent = self.traceparent.iter().map(|value| (TRACEPARENT, value.as_str()));
        let others = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in others.filter(|(name, _)| *name != TRACEPARENT).chain(traceparent) {
            if let (Ok(name), Ok(value)) = (name.try_into(), value.try_into()) {
                table.insert(name, FieldValue::S(value));
            }
        }
        if !table.as_ref().is_empty() {
            amqp.with_headers(table);
        }
        AmqpProperties(amqp)
    }

    /// Reads back what arrived. Headers that are no plain value (tables, lists, bytes) are left out.
    pub(super) fn from_amqp(AmqpProperties(amqp): &AmqpProperties) -> Self {
        let mut headers: BTreeMap<String, String> = amqp
            .headers()
            .map(|table| table.as_ref().iter())
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.as_ref().clone(), plain_text(value)?)))
            .collect();
        Self {
            message_id: amqp.message_id().cloned(),
            correlation_id: amqp.correlation_id().cloned(),
            timestamp_s: amqp.timestamp(),
            kind: amqp.message_type().cloned(),
            app_id: amqp.app_id().cloned(),
            priority: amqp.priority(),
            traceparent: headers.remove(TRACEPARENT),
            content_type: amqp.content_type().cloned(),
            headers,
        }
    }
}

impl AmqpProperties {
    pub(super) fn message_id(&self) -> Option<&str> {
        self.0.message_id().map(String::as_str)
    }

    /// The same without these headers.
    pub(super) fn without_headers(mut self, names: &[&str]) -> Self {
        let Some(mut kept) = self.0.headers().cloned() else { return self };
        for name in names {
            if let Ok(name) = (*name).try_into() {
                kept.remove(&name);
            }
        }
        self.0.with_headers(kept);
        self
    }
}

fn plain_text(value: &FieldValue) -> Option<String> {
    match value {
        FieldValue::A(_) | FieldValue::F(_) | FieldValue::x(_) | FieldValue::V => None,
        FieldValue::S(text) => Some(text.as_ref().clone()),
        plain => Some(plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Properties {
        Properties {
            message_id: Some("m-1".into()),
            correlation_id: Some("r-1".into()),
            timestamp_s: Some(1_700_000_000),
            kind: Some("job".into()),
            app_id: Some("shop".into()),
            priority: Some(10),
            traceparent: Some("00-1-2-01".into()),
            content_type: Some("application/json".into()),
            headers: BTreeMap::from([("x-why".to_owned(), "because".to_owned())]),
        }
    }

    fn outgoing(properties: Properties) -> Outgoing {
        Outgoing { exchange: "e".into(), routing_key: "k".into(), body: Bytes::new(), properties }
    }

    #[test]
    fn what_is_sent_reads_back_the_same() {
        assert_eq!(Properties::from_amqp(&full().to_amqp("m-1")), full());
    }

    #[test]
    fn messages_are_persistent_json() {
        let AmqpProperties(amqp) = Properties::default().to_amqp("m");
        assert_eq!(amqp.delivery_mode(), Some(2));
        assert_eq!(amqp.content_type().unwrap(), "application/json");
        assert_eq!(amqp.headers(), None);
    }

    #[test]
    fn a_message_without_any_property_is_read() {
        assert_eq!(Properties::from_amqp(&AmqpProperties::default()), Properties::default());
    }

    #[test]
    fn headers_that_are_no_plain_value_are_left_out() {
        let mut table = FieldTable::new();
        table.insert("count".try_into().unwrap(), FieldValue::I(7));
        table.insert("x-death".try_into().unwrap(), FieldValue::A(amqprs::FieldArray::new()));
        let mut amqp = BasicProperties::default();
        amqp.with_headers(table);
        let headers = Properties::from_amqp(&AmqpProperties(amqp)).headers;
        assert_eq!(headers, BTreeMap::from([("count".to_owned(), "7".to_owned())]));
    }

    #[test]
    fn what_would_make_the_library_panic_is_an_error() {
        let long = "x".repeat(256);
        let mut message = outgoing(full());
        message.routing_key = long.clone();
        assert_eq!(message.validate(), Err(InvalidMessage::TooLong { field: "routing key", bytes: 256 }));
        let message = outgoing(Properties { message_id: Some(long), ..full() });
        assert!(matches!(message.validate(), Err(InvalidMessage::TooLong { field: "message_id", .. })));
        let headers = BTreeMap::from([("h".to_owned(), "x".repeat(70_000))]);
        assert!(matches!(
            outgoing(Properties { headers, ..full() }).validate(),
            Err(InvalidMessage::TooManyHeaders { .. })
        ));
        assert_eq!(outgoing(full()).validate(), Ok(()));
    }
}
