//! Traces: one of each order, from the request to what the subscriber tells, as a collector gets it by OTLP.

use crate::support::{Answer, Http, Role, TestEnv, answer, eventually_ok, free_port, takeout};
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::web::{Data, Json};
use poem::{EndpointExt, Route, Server, handler, post};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

type Received = Arc<Mutex<Vec<Value>>>;

/// What collects traces.
struct Collector {
    endpoint: String,
    received: Received,
    serving: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[handler]
fn take(Json(export): Json<Value>, Data(received): Data<&Received>) -> Json<Value> {
    received.lock().unwrap().push(export);
    Json(json!({}))
}

/// A span with the name of the service that it is of.
#[derive(Debug, Clone)]
struct Span {
    service: String,
    name: String,
    trace: String,
    id: String,
    parent: String,
    attributes: Value,
}

impl Collector {
    async fn start() -> Self {
        let received = Received::default();
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
        let address = acceptor.local_addr()[0].as_socket_addr().copied().unwrap();
        let app = Route::new().at("/v1/traces", post(take)).data(Arc::clone(&received));
        let serving =
            tokio::spawn(async move { Server::new_with_acceptor(acceptor).run(app).await.unwrap() });
        Self { endpoint: format!("http://{address}"), received, serving }
    }

    /// What a role is told by its environment.
    fn variables(&self) -> [(&str, &str); 2] {
        [("OTEL_EXPORTER_OTLP_ENDPOINT", &self.endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "100")]
    }

    fn spans(&self) -> Vec<Span> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let attributes = |of: &Value| {
            let pairs = of["attributes"].as_array().cloned().unwrap_or_default();
            let value = |value: &Value| value.as_object().unwrap().values().next().unwrap().clone();
            Value::from_iter(pairs.iter().map(|pair| (text(&pair["key"]), value(&pair["value"]))))
        };
        let mut spans = Vec::new();
        for export in &*self.received.lock().unwrap() {
            for resource in export["resourceSpans"].as_array().unwrap() {
                let service = text(&attributes(&resource["resource"])["service.name"]);
                for span in resource["scopeSpans"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .flat_map(|scope| scope["spans"].as_array().unwrap())
                {
                    spans.push(Span {
                        service: service.clone(),
                        name: text(&span["name"]),
                        trace: text(&span["traceId"]),
                        id: text(&span["spanId"]),
                        parent: text(&span["parentSpanId"]),
                        attributes: attributes(span),
                    });
                }
            }
        }
        spans
    }

    /// Waits for the span of a service by its name.
    async fn span(&self, service: &str, name: &str) -> Span {
        eventually_ok(&format!("{name} of {service}"), || async {
            let spans = self.spans();
            let found = spans.iter().find(|span| span.service == service && span.name == name).cloned();
            found.ok_or_else(|| spans.into_iter().map(|span| (span.service, span.name)).collect::<Vec<_>>())
        })
        .await
    }
}

async fn order_service(env: &TestEnv, variables: &[(&str, &str)]) -> (Role, Http) {
    let role = env.spawn_with(&["order-service", "--port", "0"], variables);
    let http = Http::of(&role).await;
    http.wait_ready().await;
    (role, http)
}

async fn place_in_trace(http: &Http, path: &str, traceparent: &str) -> Answer {
    let request = http.request("POST", path).header("content-type", "application/json");
    answer(request.header("traceparent", traceparent).body(takeout().to_string())).await
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

#[tokio::test]
async fn one_trace_runs_from_the_request_to_the_line_that_the_subscriber_tells() {
    let env = TestEnv::new().await;
    let collector = Collector::start().await;
    let variables = collector.variables();
    let (_order, orders) = order_service(&env, &variables).await;
    let gateway = env.spawn_with(
        &["web-gateway", "--port", "0", "--order-url", &orders.url, "--tracking-url", &orders.url],
        &variables,
    );
    let gate = Http::of(&gateway).await;
    let subscriber = env.spawn_with(&["notification-subscriber"], &variables);
    subscriber.wait_for_action("subscribed").await;
    let worker = ["kitchen-worker", "--worker-name", "chef", "--cook-seconds", "0"];
    let mut worker = env.spawn_with(&worker, &variables);
    worker.wait_for_action("rabbitmq_connected").await;
    let taken = place_in_trace(&gate, "/api/orders", &format!("00-{TRACE}-{CALLER}-01")).await;
    assert_eq!(taken.status, 201, "{}", taken.text);

    let at_gateway = collector.span("web-gateway", "POST /api/orders").await;
    let at_service = collector.span("order-service", "POST /orders").await;
    let published = collector.span("order-service", "publish orders_topic").await;
    let cooked = collector.span("kitchen-worker", "process kitchen_takeout_queue").await;
    let told = collector.span("notification-subscriber", "process notifications_fanout").await;
    assert_eq!((&*at_gateway.parent, &at_service.parent), (CALLER, &at_gateway.id));
    assert_eq!(published.parent, at_service.id);
    // A sweep that was faster than the message has it from the order.
    assert!([&published.id, &at_service.id].contains(&&cooked.parent), "{cooked:?}");
    for span in collector.spans() {
        assert_eq!(span.trace, TRACE, "{span:?}");
    }
    assert_eq!(at_service.attributes["http.request.method"], "POST");
    assert_eq!(at_service.attributes["http.route"], "/orders");
    assert_eq!(at_service.attributes["http.response.status_code"], "201");
    let request_id = taken.header("x-request-id");
    for (name, value) in [
        ("messaging.system", "rabbitmq"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", "orders_topic"),
        ("messaging.rabbitmq.destination.routing_key", "kitchen.takeout.1"),
        ("messaging.message.conversation_id", request_id),
    ] {
        assert_eq!(published.attributes[name], value, "{name}");
    }
    for span in [&cooked, &told] {
        assert_eq!(span.attributes["messaging.operation.type"], "process", "{span:?}");
        assert_eq!(span.attributes["messaging.message.conversation_id"], request_id, "{span:?}");
    }
    let line = subscriber.wait_for_action("notification_received").await;
    assert_eq!(line["trace_id"], TRACE, "{line}");
    worker.signal(crate::support::Signal::SIGTERM);
    assert_eq!(worker.wait_exit().await.code(), Some(0));
    let everything = Value::from(collector.received.lock().unwrap().clone()).to_string();
    let order = taken.json();
    let token = order["tracking_url"].as_str().unwrap().rsplit('/').next().unwrap();
    for secret in [token, takeout()["customer_name"].as_str().unwrap()] {
        assert!(!everything.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn only_the_share_that_is_asked_for_is_sampled_and_what_a_caller_samples() {
    let env = TestEnv::new().await;
    let collector = Collector::start().await;
    let mut variables = collector.variables().to_vec();
    variables.extend([("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")]);
    let (mut role, http) = order_service(&env, &variables).await;
    for _ in 0..5 {
        http.place(&takeout()).await;
    }
    assert_eq!(place_in_trace(&http, "/orders", &format!("00-{TRACE}-{CALLER}-00")).await.status, 201);
    let sampled = TRACE.replace('0', "1");
    assert_eq!(place_in_trace(&http, "/orders", &format!("00-{sampled}-{CALLER}-01")).await.status, 201);
    // With its end a role sends what is left.
    role.signal(crate::support::Signal::SIGTERM);
    assert_eq!(role.wait_exit().await.code(), Some(0));
    let spans = collector.spans();
    assert!(!spans.is_empty() && spans.iter().all(|span| span.trace == sampled), "{spans:?}");
}

#[tokio::test]
async fn a_collector_that_is_away_is_told_of_once_and_delays_nobody() {
    let env = TestEnv::new().await;
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let (mut role, http) = order_service(&env, &variables).await;
    http.place(&takeout()).await;
    role.wait_for_action("traces_lost").await;
    for _ in 0..3 {
        http.place(&takeout()).await;
    }
    role.signal(crate::support::Signal::SIGTERM);
    assert_eq!(role.wait_exit().await.code(), Some(0));
    assert_eq!(role.logs_of("traces_lost").len(), 1);
}
