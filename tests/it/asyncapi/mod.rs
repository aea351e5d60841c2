//! The AsyncAPI document: valid, as agreed, and what real messages are.

use boon::{Compiler, Schemas};
use serde_json::{Value, json};

use crate::support::{Http, TestEnv, delivery, dine_in, takeout, with, without};

/// The official schema of AsyncAPI 3.0.
const OFFICIAL: &str = include_str!("3.0.0.schema.json");

fn document() -> Value {
    let program = crate::support::program();
    let output = std::process::Command::new(program).arg("asyncapi").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What is wrong with `instance` by the schema at this place of the document.
fn faults(document: &Value, pointer: &str, instance: &Value) -> Result<(), String> {
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    compiler.enable_format_assertions();
    compiler.add_resource("document.json", document.clone()).unwrap();
    let index = compiler.compile(&format!("document.json#{pointer}"), &mut schemas).unwrap();
    schemas.validate(instance, index).map_err(|error| format!("{error:#}"))
}

#[test]
fn the_document_is_valid_by_the_official_schema() {
    let official: Value = serde_json::from_str(OFFICIAL).unwrap();
    let document = document();
    faults(&official, "", &document).unwrap();
    let broken = with(&document, "/operations/cookOrder/action", json!("cook"));
    assert!(faults(&official, "", &broken).is_err());
}

#[test]
fn each_reference_and_each_example_of_the_document_is_right() {
    let document = document();
    let mut references = Vec::new();
    crate::alerts::all(&document, "$ref", &mut references);
    assert!(references.len() > 20);
    for reference in references {
        let pointer = reference.as_str().unwrap().trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        for example in message["examples"].as_array().into_iter().flatten() {
            let pointer = message["payload"]["$ref"].as_str().unwrap().trim_start_matches('#');
            faults(&document, pointer, &example["payload"]).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        }
    }
}

#[test]
fn the_document_is_as_agreed() {
    let mut document = document();
    document["info"]["version"] = "[version]".into();
    insta::assert_json_snapshot!("asyncapi", document);
}

#[tokio::test]
async fn messages_that_another_client_takes_are_as_the_document_says() {
    let env = TestEnv::new().await;
    let order = env.spawn(&["order-service", "--port", "0"]);
    let orders = Http::as_staff(&Http::of(&order).await.url);
    orders.wait_ready().await;
    for exchange in ["orders_topic", "notifications_fanout"] {
        env.rabbit.declare_bound_queue(&format!("heard_{exchange}"), exchange, "#").await;
    }
    let worker = env.spawn(&["kitchen-worker", "--worker-name", "chef", "--cook-seconds", "0"]);
    worker.wait_for_action("rabbitmq_connected").await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let noted = with(&dine_in(), "/notes", json!("no cutlery"));
    for order in [noted, takeout(), delivery()] {
        orders.place_with(&order, &[("traceparent", trace)]).await;
    }
    let document = document();
    // Each order is told of once, and of its changes to cooking and to ready.
    for (exchange, count, kind, schema) in [
        ("orders_topic", 3, "order.received", "Order"),
        ("notifications_fanout", 6, "order.status_changed", "StatusUpdate"),
    ] {
        let queue = format!("heard_{exchange}");
        env.rabbit.wait_for_depth(&queue, count).await;
        for message in env.rabbit.take_messages(&queue, u32::try_from(count).unwrap()).await {
            let body = message.json();
            let schema = format!("/components/schemas/{schema}");
            faults(&document, &schema, &body).unwrap();
            faults(&document, "/components/schemas/Properties", &message.properties).unwrap();
            faults(&document, "/components/schemas/Headers", &message.properties["headers"]).unwrap();
            assert_eq!(message.properties["type"], kind);
            assert_eq!(message.properties["headers"]["traceparent"], trace);
            for member in body.as_object().unwrap().keys() {
                let changed = without(&body, &format!("/{member}"));
                assert!(faults(&document, &schema, &changed).is_err(), "{member} may not be missing");
            }
        }
    }
}
