//! A queue of one type that is not as it should be: its trouble stays its own.

use super::kit::Kit;
use crate::support::{Role, TestEnv};
use amqp::Consume;
use serde_json::{Value, json};

/// An environment in which somebody else has made the queue of one type.
async fn kit_with_queue(arguments: Value) -> Kit {
    let env = TestEnv::new().await;
    env.write_config(super::kit::SHORT_GRACE);
    env.rabbit.declare_queue("kitchen_takeout_queue", arguments).await;
    Kit::on(env).await
}

async fn cooks_everything(kit: &Kit) -> Role {
    let chef = kit.worker("chef_anna", &[]);
    let mut numbers = Vec::new();
    for order_type in ["dine_in", "takeout", "delivery", "takeout"] {
        numbers.push(kit.place(order_type).await);
    }
    kit.wait_ready(&numbers).await;
    for role in [&chef, &kit.orders] {
        let warned = role.wait_for_action("rabbitmq_queue_differs").await;
        let text = warned.to_string();
        assert!(text.contains("kitchen_takeout_queue") && text.contains("queues migrate"), "{text}");
        assert_eq!(role.logs_of("rabbitmq_queue_differs").len(), 1, "{:?}", role.output());
        assert!(role.logs_of("rabbitmq_connection_failed").is_empty(), "{:?}", role.output());
    }
    chef
}

#[tokio::test]
async fn all_orders_are_cooked_where_the_queue_of_a_type_has_other_arguments() {
    let kit = kit_with_queue(json!({})).await;
    let _chef = cooks_everything(&kit).await;
    kit.wait_queues_empty().await;
}

#[tokio::test]
async fn all_orders_are_cooked_where_the_queue_of_a_type_is_a_quorum_queue() {
    let kit = kit_with_queue(json!({"x-queue-type": "quorum"})).await;
    let _chef = cooks_everything(&kit).await;
    kit.wait_queues_empty().await;
}

#[tokio::test]
async fn all_orders_are_cooked_where_the_queue_of_a_type_is_a_stream() {
    let kit = kit_with_queue(json!({"x-queue-type": "stream"})).await;
    cooks_everything(&kit).await;
}

#[tokio::test]
async fn orders_of_a_type_whose_queue_is_in_other_hands_are_cooked_from_the_backlog() {
    let kit = Kit::new().await;
    let taken = amqp::ConsumeOptions::new(["kitchen_takeout_queue"], 10).exclusive();
    let other = amqp::Broker::start(kit.env.broker_options());
    let _taken = other.consume(taken).await.unwrap();
    let chef = kit.worker("chef_anna", &[]);
    let numbers = [kit.place("dine_in").await, kit.place("takeout").await];
    kit.wait_ready(&numbers).await;
    let error = chef.wait_for_action("rabbitmq_queue_unusable").await;
    assert_eq!(error["level"], "ERROR");
    assert_eq!(chef.logs_of("rabbitmq_queue_unusable").len(), 1, "{:?}", chef.output());
}
