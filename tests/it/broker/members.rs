//! Quorum queues with fewer members than the cluster has nodes, as the management API describes them.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::logs::Logs;
use super::{options, start};
use crate::support::{TestEnv, eventually};

const NODES: &str = r#"[{"name": "rabbit@a", "running": true}, {"name": "rabbit@b", "running": true},
    {"name": "rabbit@c", "running": true}, {"name": "rabbit@d", "running": false}]"#;
const QUEUES: &str = r#"[
    {"name": "kitchen_takeout_queue", "type": "quorum", "members": ["rabbit@a"]},
    {"name": "kitchen_dine_in_queue", "type": "quorum", "members": ["rabbit@a", "rabbit@b", "rabbit@c"]},
    {"name": "kitchen_delivery_queue", "type": "classic"},
    {"name": "somebody_else", "type": "quorum", "members": ["rabbit@a"]}]"#;

/// A management API of a cluster of four nodes, one of which is away; its address.
async fn management() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let count = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..count]).into_owned();
            let body = if request.starts_with("GET /api/nodes ") { NODES } else { QUEUES };
            assert!(body == NODES || request.starts_with("GET /api/queues/test_"), "{request}");
            assert!(request.to_lowercase().contains("authorization: basic z3vlc3q6z3vlc3q="), "{request}");
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_quorum_queue_with_too_few_members_is_named_once_with_the_command_that_mends_it() {
    let env = TestEnv::unmigrated().await;
    let mut options = options(&env);
    options.management_url = Some(management().await);
    let (logs, _guard) = Logs::collect();
    let broker = start(options);
    let stop = CancellationToken::new();
    let watching = tokio::spawn({
        let (broker, stop) = (broker.clone(), stop.clone());
        async move { broker.watch_members(stop).await }
    });
    eventually("the warning", || async { !logs.of("rabbitmq_queue_members").is_empty() }).await;
    stop.cancel();
    watching.await.unwrap();
    let lines = logs.of("rabbitmq_queue_members");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["WARN", "kitchen_takeout_queue", "1 of 3 members", "rabbitmq-queues grow"] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
}
