//! What the other tests rely on: that a page's faults are seen, that hands do what hands do, that the network goes, streams
//! among it, and that axe-core finds what it looks for.

use super::{Device, Page};
use crate::support::{Proxy, eventually_ok};
use futures_util::{StreamExt, stream};
use poem::listener::TcpAcceptor;
use poem::web::Html;
use poem::web::sse::{Event, SSE};
use poem::{IntoResponse, Route, Server, get, handler};
use std::time::Duration;

const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'";

const PAGE: &str = "<!doctype html><title>Kit</title><body><p>Text</p><button id=button>Button</button>
    <input id=field aria-label=Field><script src=/script.js></script>";

/// Notes what happens in `document.body.dataset`.
const SCRIPT: &str = "
    const note = (name, value) => document.body.dataset[name] = value;
    for (const kind of ['click', 'dblclick', 'touchend'])
        button.addEventListener(kind, event => note(kind, event.isTrusted));
    addEventListener('keydown', event => note('key', `${event.code} ${event.key}`));
    const stream = new EventSource('/events');
    stream.onmessage = event => note('stream', event.data);
    stream.onerror = () => note('stream', 'broken');
";

#[handler]
fn document() -> impl IntoResponse {
    Html(PAGE).with_header("content-security-policy", POLICY)
}

#[handler]
fn script() -> impl IntoResponse {
    SCRIPT.with_header("content-type", "text/javascript")
}

#[handler]
fn events() -> SSE {
    let ticks = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Some((Event::message("open"), ()))
    });
    SSE::new(ticks.boxed())
}

/// A server of the page above, for as long as the test's runtime.
async fn serve() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let app = Route::new().at("/", get(document)).at("/script.js", get(script)).at("/events", get(events));
    tokio::spawn(Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap()).run(app));
    url
}

#[tokio::test]
async fn an_exception_an_error_and_a_breach_of_the_policy_are_faults() {
    let page = Page::open(Device::TABLET, &serve().await).await;
    let begun = "setTimeout(() => { throw new Error('thrown') }); console.error('logged');
        document.body.append(Object.assign(document.createElement('script'), {text: '0'})); null";
    page.eval(begun).await;
    for part in ["thrown", "logged", "script-src"] {
        eventually_ok(part, || async {
            page.faults().iter().any(|fault| fault.contains(part)).then_some(()).ok_or(())
        })
        .await;
        page.tolerate(part);
    }
    for part in ["inline script", "kInlineViolation"] {
        page.tolerate(part);
    }
}

#[tokio::test]
async fn hands_are_trusted() {
    let url = serve().await;
    let page = Page::open(Device::TABLET, &url).await;
    page.click("#button").await;
    page.sees("body[data-click=true]:not([data-dblclick])").await;
    page.double_click("#button").await;
    page.sees("body[data-dblclick=true]").await;
    page.fill("#field", "words").await;
    page.until("the words are in the field", "field.value === 'words'").await;
    for (key, noted) in
        [("r", "KeyR r"), ("1", "Digit1 1"), (" ", "Space  "), ("ArrowLeft", "ArrowLeft ArrowLeft")]
    {
        page.press(key).await;
        page.sees(&format!("body[data-key='{noted}']")).await;
    }
    let page = Page::open(Device::PHONE, &url).await;
    page.double_tap("#button").await;
    page.sees("body[data-touchend=true][data-click=true]").await;
}

#[tokio::test]
async fn a_network_that_goes_takes_open_streams_with_it() {
    let url = serve().await;
    let port = url.trim_end_matches('/').rsplit_once(':').unwrap().1.parse().unwrap();
    let network = Proxy::to(port).await;
    let page = Page::open(Device::TABLET, &network.url()).await;
    page.tolerate("ERR_INTERNET_DISCONNECTED");
    page.tolerate("ERR_INCOMPLETE_CHUNKED_ENCODING");
    page.sees("body[data-stream=open]").await;
    page.set_offline(true).await;
    network.cut();
    page.sees("body[data-stream=broken]").await;
    network.restore();
    page.set_offline(false).await;
    page.sees("body[data-stream=open]").await;
}

#[tokio::test]
async fn axe_finds_what_it_looks_for() {
    let page = Page::open(Device::TABLET, &serve().await).await;
    let found = page.accessibility_faults().await;
    let rules = ["html-has-lang", "landmark-one-main"];
    assert!(rules.iter().all(|rule| found.iter().any(|fault| fault.starts_with(rule))), "{found:#?}");
}
