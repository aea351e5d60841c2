//! The AsyncAPI document of the messages: made from the names, the topology and the bounds that the program itself uses.

use std::ops::RangeInclusive;

use amqp::QueueSpec;
use serde_json::{Value, json};

use super::messages::{MAX_MESSAGE_BYTES, ORDER_KIND, STATUS_KIND};
use super::names::{
    DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, NOTIFICATIONS_EXCHANGE, NOTIFICATIONS_QUEUE, ORDERS_EXCHANGE,
    kitchen_queue,
};
use super::topology::{EXCHANGES, queue};
use crate::domain::{Allergen, CHANGED_BY_CHARS, OrderType, Priority, Status, bounds};

/// The version of AsyncAPI's bindings for AMQP 0-9-1.
const BINDING_VERSION: &str = "0.3.0";

/// The document: AsyncAPI 3.0.
pub fn asyncapi() -> Value {
    let placeholder = "{order_type}";
    let order_types = json!({"order_type": {"enum": OrderType::ALL.map(OrderType::as_str)}});
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Restaurant messages",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the roles tell each other and everybody else over RabbitMQ. PostgreSQL is the truth: a message is \
                published after its change is committed, and repeated until RabbitMQ has confirmed it. So a message comes at least once; \
                a repetition has the same `message_id`. A member that is not described is to be ignored.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "rabbitmq": {
                "host": "localhost:5672",
                "protocol": "amqp",
                "protocolVersion": "0-9-1",
                "description": "As `rabbitmq.host`, `rabbitmq.port` and `rabbitmq.vhost` of the configuration say.",
            },
        },
        "channels": {
            "orders": {
                "address": format!("kitchen.{placeholder}.{{priority}}"),
                "title": "Orders that were taken",
                "parameters": {
                    "order_type": order_types["order_type"],
                    "priority": {"enum": Priority::ALL.map(|priority| priority.value().to_string())},
                },
                "messages": {"order": reference("messages", "OrderReceived")},
                "bindings": exchange(ORDERS_EXCHANGE),
            },
            "kitchenQueue": {
                "address": kitchen_queue(placeholder),
                "title": "Orders of one type, for the workers that cook it",
                "description": format!(
                    "Bound to `{ORDERS_EXCHANGE}`. A message of priority 10 goes before those of 5 and 1, unless it is a quorum queue."
                ),
                "parameters": order_types,
                "messages": {"order": reference("messages", "OrderReceived")},
                "bindings": queue_binding(&kitchen_queue(OrderType::DineIn.as_str()), &kitchen_queue(placeholder)),
            },
            "statusChanges": {
                "address": Value::Null,
                "title": "Changes of status",
                "description": "A fanout exchange: routing keys mean nothing.",
                "messages": {"change": reference("messages", "StatusChanged")},
                "bindings": exchange(NOTIFICATIONS_EXCHANGE),
            },
            "notifications": {
                "address": NOTIFICATIONS_QUEUE,
                "title": "Changes of status, for one subscriber",
                "description": format!("Bound to `{NOTIFICATIONS_EXCHANGE}`. Further subscribers have `{NOTIFICATIONS_QUEUE}.2` and so on."),
                "messages": {"change": reference("messages", "StatusChanged")},
                "bindings": queue_binding(NOTIFICATIONS_QUEUE, NOTIFICATIONS_QUEUE),
            },
            "deadLetters": {
                "address": Value::Null,
                "title": "Messages that nobody can process",
                "messages": {"letter": reference("messages", "DeadLetter")},
                "bindings": exchange(DEAD_LETTER_EXCHANGE),
            },
            "deadLetterQueue": {
                "address": DEAD_LETTER_QUEUE,
                "title": "The same, while they wait for a person",
                "messages": {"letter": reference("messages", "DeadLetter")},
                "bindings": queue_binding(DEAD_LETTER_QUEUE, DEAD_LETTER_QUEUE),
            },
        },
        "operations": {
            "announceOrder": operation("send", "orders", "order", "The order service announces an order that it has taken."),
            "cookOrder": operation("receive", "kitchenQueue", "order", "A kitchen worker claims the order, and acknowledges when it is cooked."),
            "announceChange": operation("send", "statusChanges", "change", "Whoever has changed an order announces it."),
            "hearOfChange": operation("receive", "notifications", "change", "A notification subscriber tells of it, then acknowledges."),
            "setAside": operation("send", "deadLetters", "letter", "A worker or a subscriber sets aside what it cannot process."),
            "handleLetter": operation("receive", "deadLetterQueue", "letter", "A person looks: `restaurant-system dead-letters`."),
        },
        "components": {"messages": messages(), "schemas": schemas()},
    })
}

fn reference(of: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{of}/{name}")})
}

fn operation(action: &str, channel: &str, message: &str, summary: &str) -> Value {
    json!({
        "action": action,
        "channel": {"$ref": format!("#/channels/{channel}")},
        "messages": [{"$ref": format!("#/channels/{channel}/messages/{message}")}],
        "summary": summary,
        "bindings": {"amqp": {"deliveryMode": 2, "mandatory": action == "send", "ack": action == "receive", "bindingVersion": BINDING_VERSION}},
    })
}

fn exchange(name: &str) -> Value {
    let kind = EXCHANGES.iter().find(|(of, _)| *of == name).map(|(_, kind)| *kind);
    json!({"amqp": {
        "is": "routingKey",
        "exchange": {"name": name, "type": kind, "durable": true, "autoDelete": false, "vhost": "/"},
        "bindingVersion": BINDING_VERSION,
    }})
}

/// The binding of a queue that is called so, or like all of its kind.
fn queue_binding(name: &str, shown: &str) -> Value {
    let spec: Option<QueueSpec> = queue(name);
    let mut binding = json!({"amqp": {
        "is": "queue",
        "queue": {"name": shown, "durable": true, "exclusive": false, "autoDelete": false, "vhost": "/"},
        "bindingVersion": BINDING_VERSION,
    }});
    if let Some(max_priority) = spec.and_then(|spec| spec.max_priority) {
        binding["amqp"]["queue"]["x-max-priority"] = json!(max_priority);
    }
    binding
}

fn messages() -> Value {
    let message = |kind: &str, title: &str, payload: &str, example: Value| {
        json!({
            "name": kind,
            "title": title,
            "contentType": "application/json",
            "correlationId": {
                "description": "AMQP's `correlation_id`: the id of the request by which the order came.",
                "location": "$message.header#/correlation_id",
            },
            "headers": reference("schemas", "Headers"),
            "payload": reference("schemas", payload),
            "bindings": {"amqp": {"contentEncoding": "utf-8", "messageType": kind, "bindingVersion": BINDING_VERSION}},
            "x-amqp-properties": reference("schemas", "Properties"),
            "examples": [{"payload": example}],
        })
    };
    json!({
        "OrderReceived": message(ORDER_KIND, "An order was taken", "Order", order_example()),
        "StatusChanged": message(STATUS_KIND, "An order has another status", "StatusUpdate", status_example()),
        "DeadLetter": {
            "name": "dead-letter",
            "title": "A message that nobody can process",
            "description": format!(
                "The body and the properties of the message as it came, {MAX_MESSAGE_BYTES} bytes of it at most, with headers that say why \
                 and whence: docs/DEAD_LETTERS.md."
            ),
            "payload": {},
        },
    })
}

fn text(chars: &RangeInclusive<usize>, description: &str) -> Value {
    json!({"type": "string", "minLength": chars.start(), "maxLength": chars.end(), "description": description})
}

/// The same of a member that may be null.
fn optional(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

fn object(properties: &Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    let required = json!(required);
    json!({"type": "object", "required": required, "properties": properties})
}

fn number() -> Value {
    json!({
        "type": "string",
        "pattern": "^ORD_[0-9]{8}_[0-9]{3,9}$",
        "description": "Day in UTC, and place in that day.",
    })
}

fn amount(description: &str) -> Value {
    json!({"type": "number", "minimum": 0.01, "description": format!("{description}, with two decimals.")})
}

fn schemas() -> Value {
    let time =
        |description: &str| json!({"type": "string", "format": "date-time", "description": description});
    let status = |description: &str| {
        json!({
            "type": "string",
            "pattern": "^[a-z_]{1,20}$",
            "description": format!("{description} One of {}, or one that a later version adds.", Status::ALL.map(Status::as_str).join(", ")),
        })
    };
    let tables =
        json!({"type": "integer", "minimum": bounds::TABLES.start(), "maximum": bounds::TABLES.end()});
    let quantity =
        json!({"type": "integer", "minimum": bounds::QUANTITY.start(), "maximum": bounds::QUANTITY.end()});
    let item = object(&json!({
        "name": text(&bounds::ITEM_NAME_CHARS, "What it is called."),
        "quantity": quantity,
        "price": amount("What one costs"),
        "options": {"type": "array", "items": {"type": "string"}, "description": "The names of its choices; none without a menu."},
        "notes": optional(text(&bounds::NOTES_CHARS, "What the kitchen is asked to heed.")),
        "allergens": {
            "type": "array",
            "items": {"type": "string", "enum": Allergen::ALL.map(Allergen::as_str)},
            "description": "What the menu says is in it; none without a menu.",
        },
    }));
    json!({
        "Order": object(&json!({
            "order_number": number(),
            "customer_name": text(&bounds::CUSTOMER_NAME_CHARS, "Who ordered."),
            "order_type": {"type": "string", "enum": OrderType::ALL.map(OrderType::as_str)},
            "table_number": optional(tables),
            "delivery_address": optional(text(&bounds::ADDRESS_CHARS, "Of a delivery.")),
            "items": {
                "type": "array",
                "items": item,
                "minItems": bounds::ITEMS.start(),
                "maxItems": bounds::ITEMS.end(),
            },
            "notes": optional(text(&bounds::NOTES_CHARS, "What the kitchen is asked to heed.")),
            "total_amount": amount("The sum of quantity × price"),
            "priority": {"type": "integer", "enum": Priority::ALL.map(Priority::value)},
        })),
        "StatusUpdate": object(&json!({
            "order_number": number(),
            "old_status": optional(status("What it was.")),
            "new_status": status("What it is now."),
            "changed_by": text(&CHANGED_BY_CHARS, "A worker, `staff:NAME`, `staff-api`, `customer`, or a service."),
            "timestamp": time("When it changed."),
            "estimated_completion": optional(time("When it will be ready, where that is known.")),
        })),
        "Headers": {
            "type": "object",
            "properties": {"traceparent": {
                "type": "string",
                "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
                "description": "W3C trace context of the request by which the order came, where there is one.",
            }},
        },
        "Properties": {
            "type": "object",
            "description": "AMQP's own properties of a message.",
            "required": ["content_type", "delivery_mode", "message_id", "correlation_id", "timestamp", "type", "app_id", "priority"],
            "properties": {
                "content_type": {"const": "application/json"},
                "delivery_mode": {"const": 2, "description": "Persistent."},
                "message_id": {"type": "string", "description": "The same for every repetition of a message."},
                "correlation_id": {"type": "string", "description": "The request's id."},
                "timestamp": {"type": "integer", "description": "When it changed, in Unix seconds."},
                "type": {"enum": [ORDER_KIND, STATUS_KIND]},
                "app_id": {"enum": ["order-service", "kitchen-worker"], "description": "Whose relay published it."},
                "priority": {"enum": Priority::ALL.map(Priority::value)},
            },
        },
    })
}

fn order_example() -> Value {
    json!({
        "order_number": "ORD_20261122_001",
        "customer_name": "Ada Lovelace",
        "order_type": "dine_in",
        "table_number": 7,
        "delivery_address": null,
        "items": [{
            "name": "Margherita", "quantity": 2, "price": 9.5, "options": ["Large"], "notes": "well done", "allergens": ["gluten", "milk"],
        }],
        "notes": null,
        "total_amount": 19.0,
        "priority": 1,
    })
}

fn status_example() -> Value {
    json!({
        "order_number": "ORD_20261122_001",
        "old_status": "received",
        "new_status": "cooking",
        "changed_by": "chef_mario",
        "timestamp": "2026-11-22T12:00:00Z",
        "estimated_completion": "2026-11-22T12:10:00Z",
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::de::DeserializeOwned;

    use super::*;
    use crate::broker::order_routing_key;
    use crate::domain::{OrderMessage, StatusUpdate};

    /// The members of a message, and those of its schema.
    fn compare<T: DeserializeOwned + serde::Serialize>(example: &Value, schema: &Value) {
        let message: T = serde_json::from_value(example.clone()).unwrap();
        let members =
            |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
        assert_eq!(members(&serde_json::to_value(&message).unwrap()), members(&schema["properties"]));
    }

    #[test]
    fn each_member_of_a_message_is_described_and_no_other() {
        let schemas = schemas();
        compare::<OrderMessage>(&order_example(), &schemas["Order"]);
        compare::<StatusUpdate>(&status_example(), &schemas["StatusUpdate"]);
        let item = &schemas["Order"]["properties"]["items"]["items"];
        compare::<crate::domain::OrderItem>(&order_example()["items"][0], item);
    }

    #[test]
    fn the_routing_key_of_the_document_is_the_one_that_is_published_to() {
        let address = asyncapi()["channels"]["orders"]["address"].as_str().unwrap().to_owned();
        let address = address.replace("{order_type}", "takeout").replace("{priority}", "5");
        assert_eq!(address, order_routing_key("takeout", 5));
    }
}
