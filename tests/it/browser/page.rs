//! A page in a browser context of its own: cookies and storage are shared with no other, as on a tablet of its own.

use super::chromium::{Chromium, Faults, chromium};
use crate::support::eventually_ok;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How a device shows pages.
#[derive(Clone, Copy)]
pub(super) struct Device {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) touch: bool,
}

impl Device {
    /// A tablet on the wall.
    pub(super) const TABLET: Self = Self { width: 1280, height: 800, touch: false };
    /// A telephone.
    pub(super) const PHONE: Self = Self { width: 390, height: 844, touch: true };
}

/// One page. Dropping it closes it, and fails the test if the page reported what it should not.
pub(super) struct Page {
    chromium: &'static Chromium,
    context: String,
    session: String,
    faults: Faults,
    tolerated: Mutex<Vec<&'static str>>,
}

impl Page {
    /// A page that shows nothing yet.
    pub(super) async fn new(device: Device) -> Self {
        let chromium = chromium();
        let call = async |method, params| chromium.call(None, method, params).await.unwrap();
        let text = |value: Value| value.as_str().unwrap().to_owned();
        let context = text(call("Target.createBrowserContext", json!({})).await["browserContextId"].take());
        let target = json!({"url": "about:blank", "browserContextId": context});
        let target = call("Target.createTarget", target).await["targetId"].take();
        let attach = json!({"targetId": target, "flatten": true});
        let session = text(call("Target.attachToTarget", attach).await["sessionId"].take());
        let faults = chromium.faults_of(&session);
        let page = Self { chromium, context, session, faults, tolerated: Mutex::default() };
        for domain in ["Runtime", "Log", "Audits", "Page", "Network"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        let (width, height) = (device.width, device.height);
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": device.touch});
        page.call("Emulation.setDeviceMetricsOverride", metrics).await;
        page.call("Emulation.setTouchEmulationEnabled", json!({"enabled": device.touch})).await;
        page.call("Emulation.setFocusEmulationEnabled", json!({"enabled": true})).await;
        page.set_dark(false).await;
        page
    }

    /// A page that shows this URL.
    pub(super) async fn open(device: Device, url: &str) -> Self {
        let page = Self::new(device).await;
        page.goto(url).await;
        page
    }

    pub(super) async fn goto(&self, url: &str) {
        let navigated = self.call("Page.navigate", json!({"url": url})).await;
        assert!(navigated["errorText"].is_null(), "{url}: {navigated}");
        self.until("the page is loaded", "document.readyState === 'complete'").await;
    }

    /// Gives the page a command that must succeed.
    pub(super) async fn call(&self, method: &str, params: Value) -> Value {
        self.chromium.call(Some(&self.session), method, params).await.unwrap()
    }

    /// What an expression gives; a promise is waited for.
    pub(super) async fn try_eval(&self, expression: &str) -> Result<Value, String> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut result = self.chromium.call(Some(&self.session), "Runtime.evaluate", params).await?;
        match &result["exceptionDetails"] {
            Value::Null => Ok(result["result"]["value"].take()),
            details => Err(format!("{expression}: {}", details["exception"]["description"])),
        }
    }

    pub(super) async fn eval(&self, expression: &str) -> Value {
        self.try_eval(expression).await.unwrap()
    }

    /// Waits until an expression is true, and says how long that took; the page may be between two documents.
    pub(super) async fn until(&self, what: &str, expression: &str) -> Duration {
        let begin = Instant::now();
        eventually_ok(what, || async {
            match self.try_eval(&format!("Boolean({expression})")).await {
                Ok(Value::Bool(true)) => Ok(()),
                other => Err(format!("{other:?}; the page: {}", self.state().await)),
            }
        })
        .await;
        begin.elapsed()
    }

    /// What the page shows, for messages of failed tests.
    async fn state(&self) -> String {
        let shown = self.try_eval("`${location.href}\n${document.body?.innerText ?? ''}`").await;
        format!("{}\n{:?}", shown.unwrap_or_default(), self.faults.lock().unwrap())
    }

    /// Waits until there is such an element.
    pub(super) async fn sees(&self, selector: &str) -> Duration {
        self.until(&format!("{selector} is there"), &format!("document.querySelector({})", js(selector)))
            .await
    }

    /// Waits until there is no such element.
    pub(super) async fn misses(&self, selector: &str) -> Duration {
        let gone = format!("!document.querySelector({})", js(selector));
        self.until(&format!("{selector} is gone"), &gone).await
    }

    /// Waits until this text is shown.
    pub(super) async fn reads(&self, text: &str) -> Duration {
        self.until(&format!("{text:?} is shown"), &format!("document.body.innerText.includes({})", js(text)))
            .await
    }

    /// How many such elements there are.
    pub(super) async fn count(&self, selector: &str) -> u64 {
        self.eval(&format!("document.querySelectorAll({}).length", js(selector))).await.as_u64().unwrap()
    }

    /// What the page has reported so far that it should not have.
    pub(super) fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap().clone()
    }

    /// What the page may report, by a part of the text; anything else fails the test.
    pub(super) fn tolerate(&self, part: &'static str) {
        self.tolerated.lock().unwrap().push(part);
    }

    /// Has the page prefer dark or light colours.
    pub(super) async fn set_dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// Tells the page that the network has gone, or is back. Streams that are open stay so: a [`crate::support::Proxy`] cuts them.
    pub(super) async fn set_offline(&self, offline: bool) {
        let conditions =
            json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        self.call("Network.emulateNetworkConditions", conditions).await;
    }

    /// The cookies that the page's host has set.
    pub(super) async fn cookies(&self) -> Vec<Value> {
        self.call("Network.getCookies", json!({})).await["cookies"].as_array().unwrap().clone()
    }

    /// Writes what is shown into a PNG file.
    pub(super) async fn picture(&self, file: &Path) {
        let params = json!({"format": "png", "optimizeForSpeed": false});
        let data = self.call("Page.captureScreenshot", params).await["data"].take();
        std::fs::write(file, BASE64_STANDARD.decode(data.as_str().unwrap()).unwrap()).unwrap();
    }
}

/// A text as JavaScript has it.
pub(super) fn js(text: &str) -> String {
    Value::from(text).to_string()
}

impl Drop for Page {
    fn drop(&mut self) {
        let close = json!({"browserContextId": self.context});
        drop(self.chromium.send(None, "Target.disposeBrowserContext", &close));
        let tolerated = self.tolerated.lock().unwrap();
        let mut faults = std::mem::take(&mut *self.faults.lock().unwrap());
        faults.retain(|fault| !tolerated.iter().any(|part| fault.contains(part)));
        assert!(faults.is_empty() || std::thread::panicking(), "the page reported: {faults:#?}");
    }
}
