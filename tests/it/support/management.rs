//! RabbitMQ's HTTP API, for one virtual host: an independent look at what the program does to the broker.

use super::wait::{eventually, eventually_ok};
use private_servers::RabbitMqServer;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A client of the HTTP API.
#[derive(Clone)]
pub struct Management {
    port: u16,
    vhost: String,
    client: reqwest::Client,
}

/// A message taken from a queue.
#[derive(Debug, Clone)]
pub struct Message {
    pub exchange: String,
    pub routing_key: String,
    pub redelivered: bool,
    /// `content_type`, `delivery_mode`, `headers`, `message_id` and so on.
    pub properties: Value,
    /// The body, where it is UTF-8.
    pub payload: String,
}

impl Message {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.payload).unwrap()
    }
}

impl Management {
    /// A client for this virtual host of a server that runs with the management plugin.
    pub fn new(server: &RabbitMqServer, vhost: &str) -> Self {
        let port = server.management_port().expect("the management plugin is on");
        // No connection is kept: a kept one would be dead after a restart of the server.
        let client = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Self { port, vhost: vhost.to_owned(), client }
    }

    /// Creates the virtual host, with every right for `guest`.
    pub async fn create_vhost(&self) {
        let vhost = self.encoded_vhost();
        self.call(Method::PUT, &format!("vhosts/{vhost}"), &json!({})).await;
        let rights = json!({"configure": ".*", "write": ".*", "read": ".*"});
        self.call(Method::PUT, &format!("permissions/{vhost}/guest"), &rights).await;
    }

    /// Creates a user who has these rights in the virtual host and no others: to configure, to write and to read.
    pub async fn create_user(&self, name: &str, password: &str, rights: &[String; 3]) {
        let user = json!({"password": password, "tags": ""});
        self.call(Method::PUT, &format!("users/{name}"), &user).await;
        let [configure, write, read] = rights;
        let rights = json!({"configure": configure, "write": write, "read": read});
        let vhost = self.encoded_vhost();
        self.call(Method::PUT, &format!("permissions/{vhost}/{name}"), &rights).await;
    }

    /// Deletes the virtual host, without waiting; blocks shortly, and is meant for `Drop`.
    pub fn delete_vhost(&self) {
        let vhost = self.encoded_vhost();
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
        // Z3Vlc3Q6Z3Vlc3Q= is guest:guest.
        let request = format!(
            "DELETE /api/vhosts/{vhost} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\
             Connection: close\r\n\r\n"
        );
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read(&mut [0; 256]);
    }

    /// A document of the API, such as `exchanges/{vhost}`, where `{vhost}` stands for this virtual host; `None` if 404.
    pub async fn get(&self, path: &str) -> Option<Value> {
        self.call(Method::GET, &path.replace("{vhost}", &self.encoded_vhost()), &Value::Null).await
    }

    /// A queue's description, or `None` where there is no such queue. RabbitMQ 4 says the type of those that were declared
    /// without one among their arguments; that is left out.
    pub async fn queue(&self, queue: &str) -> Option<Value> {
        let mut queue: Value = self.get(&format!("queues/{{vhost}}/{queue}")).await?;
        if let Some(arguments) = queue["arguments"].as_object_mut()
            && arguments.get("x-queue-type").is_some_and(|kind| kind == "classic")
        {
            arguments.remove("x-queue-type");
        }
        Some(queue)
    }

    /// Messages in a queue, waiting and unacknowledged ones; a queue that is yet to be declared holds none. The figure lags half a
    /// second or so behind, and a queue that is new has none at first.
    pub async fn queue_depth(&self, queue: &str) -> u64 {
        eventually_ok(&format!("the depth of {queue}"), || async {
            match self.queue(queue).await {
                None => Ok(0),
                Some(queue) => queue["messages"].as_u64().ok_or(queue),
            }
        })
        .await
    }

    /// Waits until a queue holds exactly so many messages. Where the figure says otherwise the messages themselves
    /// are looked at: it can lag far behind when a queue falls idle on a loaded machine.
    pub async fn wait_for_depth(&self, queue: &str, depth: u64) {
        eventually_ok(&format!("{depth} messages in {queue}"), || async {
            let figure = self.queue_depth(queue).await;
            if figure == depth {
                return Ok(());
            }
            let looked_for = u32::try_from(depth + 1).unwrap();
            let exists = self.queue(queue).await.is_some();
            let waiting =
                if depth > 0 && exists { self.get_messages(queue, looked_for).await.len() } else { 0 };
            if depth > 0 && waiting as u64 == depth { Ok(()) } else { Err((figure, waiting)) }
        })
        .await;
    }

    /// Waits until a queue exists and has at least so many consumers.
    pub async fn wait_for_consumers(&self, queue: &str, consumers: u64) {
        eventually_ok(&format!("{consumers} consumers of {queue}"), || async {
            let found = self.queue(queue).await.and_then(|queue| queue["consumers"].as_u64());
            if found >= Some(consumers) { Ok(()) } else { Err(found) }
        })
        .await;
    }

    /// Takes up to `count` messages out of a queue.
    pub async fn take_messages(&self, queue: &str, count: u32) -> Vec<Message> {
        self.messages(queue, count, "ack_requeue_false").await
    }

    /// Takes the next message out of a queue, as soon as there is one.
    pub async fn take_next(&self, queue: &str) -> Message {
        eventually_ok(&format!("a message in {queue}"), || async {
            self.take_messages(queue, 1).await.pop().ok_or("none yet")
        })
        .await
    }

    /// Looks at up to `count` messages of a queue, which stay there (marked as redelivered).
    pub async fn get_messages(&self, queue: &str, count: u32) -> Vec<Message> {
        self.messages(queue, count, "ack_requeue_true").await
    }

    async fn messages(&self, queue: &str, count: u32, ackmode: &str) -> Vec<Message> {
        let body = json!({"count": count, "ackmode": ackmode, "encoding": "auto"});
        let path = format!("queues/{}/{queue}/get", self.encoded_vhost());
        let answer =
            self.call(Method::POST, &path, &body).await.unwrap_or_else(|| panic!("no queue {queue}"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let message = |value: &Value| Message {
            exchange: text(&value["exchange"]),
            routing_key: text(&value["routing_key"]),
            redelivered: value["redelivered"].as_bool().unwrap_or_default(),
            properties: value["properties"].clone(),
            payload: text(&value["payload"]),
        };
        answer.as_array().unwrap().iter().map(message).collect()
    }

    /// Publishes a message; `properties` as in [`Message`]. Returns whether it reached a queue.
    pub async fn publish(
        &self,
        exchange: &str,
        routing_key: &str,
        properties: &Value,
        payload: &str,
    ) -> bool {
        self.publish_encoded(exchange, routing_key, properties, (payload, "string")).await
    }

    /// [`Self::publish`] for a payload that is no text, written in Base64; [`Message`] has it the same.
    pub async fn publish_base64(
        &self,
        exchange: &str,
        routing_key: &str,
        properties: &Value,
        payload: &str,
    ) -> bool {
        self.publish_encoded(exchange, routing_key, properties, (payload, "base64")).await
    }

    async fn publish_encoded(
        &self,
        exchange: &str,
        routing_key: &str,
        properties: &Value,
        (payload, encoding): (&str, &str),
    ) -> bool {
        let body = json!({"properties": properties, "routing_key": routing_key, "payload": payload,
            "payload_encoding": encoding});
        let path = format!("exchanges/{}/{exchange}/publish", self.encoded_vhost());
        let answer =
            self.call(Method::POST, &path, &body).await.unwrap_or_else(|| panic!("no exchange {exchange}"));
        answer["routed"] == true
    }

    /// Declares a durable queue bound to an exchange: an independent subscriber.
    pub async fn declare_bound_queue(&self, queue: &str, exchange: &str, routing_key: &str) {
        let vhost = self.encoded_vhost();
        self.call(Method::PUT, &format!("queues/{vhost}/{queue}"), &json!({"durable": true})).await;
        let path = format!("bindings/{vhost}/e/{exchange}/q/{queue}");
        self.call(Method::POST, &path, &json!({"routing_key": routing_key})).await;
    }

    /// Declares a durable queue with these arguments.
    pub async fn declare_queue(&self, queue: &str, arguments: Value) {
        let path = format!("queues/{}/{queue}", self.encoded_vhost());
        self.call(Method::PUT, &path, &json!({"durable": true, "arguments": arguments})).await;
    }

    /// Declares a durable fanout exchange.
    pub async fn declare_exchange(&self, exchange: &str) {
        self.declare_exchange_of(exchange, "fanout").await;
    }

    /// Declares a durable exchange of this type.
    pub async fn declare_exchange_of(&self, exchange: &str, kind: &str) {
        let path = format!("exchanges/{}/{exchange}", self.encoded_vhost());
        self.call(Method::PUT, &path, &json!({"type": kind, "durable": true})).await;
    }

    /// Deletes a queue, whoever uses it.
    pub async fn delete_queue(&self, queue: &str) {
        self.call(Method::DELETE, &format!("queues/{}/{queue}", self.encoded_vhost()), &Value::Null).await;
    }

    /// Cuts every connection to this virtual host from the broker's side; returns how many there were.
    pub async fn close_connections(&self) -> usize {
        let connections = self.get("vhosts/{vhost}/connections").await.unwrap_or_default();
        let names: Vec<&str> =
            connections.as_array().into_iter().flatten().filter_map(|each| each["name"].as_str()).collect();
        for name in &names {
            let name = name.replace(' ', "%20").replace('>', "%3E");
            let url = format!("http://127.0.0.1:{}/api/connections/{name}", self.port);
            // Whoever loses one connection closes the other: the API answers with all sorts of failures then.
            let _ = self.client.delete(url).basic_auth("guest", Some("guest")).send().await;
        }
        names.len()
    }

    fn encoded_vhost(&self) -> String {
        self.vhost.replace('/', "%2F")
    }

    /// One call; waits where the broker is not there, fails the test for any answer but 2xx and 404.
    async fn call(&self, method: Method, path: &str, body: &Value) -> Option<Value> {
        let url = format!("http://127.0.0.1:{}/api/{path}", self.port);
        let send = || {
            let request = self.client.request(method.clone(), &url).basic_auth("guest", Some("guest"));
            let request = if body.is_null() { request } else { request.json(body) };
            request.send()
        };
        let response = eventually_ok(&format!("{method} {path}"), send).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        if status == reqwest::StatusCode::NOT_FOUND {
            return None;
        }
        assert!(status.is_success(), "{method} {path}: {status}: {text}");
        Some(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}
