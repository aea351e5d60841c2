//! A person's hands on a page: the events come from the browser, as from a real mouse, finger or keyboard.

use super::page::{Page, js};
use crate::support::eventually_ok;
use serde_json::{Value, json};

impl Page {
    /// Clicks in the middle of an element, once it is there and nothing covers it.
    pub(super) async fn click(&self, selector: &str) {
        let (x, y) = self.middle_of(selector).await;
        self.mouse(x, y, 1).await;
    }

    /// Clicks twice, quickly.
    pub(super) async fn double_click(&self, selector: &str) {
        let (x, y) = self.middle_of(selector).await;
        self.mouse(x, y, 1).await;
        self.mouse(x, y, 2).await;
    }

    /// Taps with a finger, twice quickly.
    pub(super) async fn double_tap(&self, selector: &str) {
        let (x, y) = self.middle_of(selector).await;
        for (kind, points) in ["touchStart", "touchEnd"].map(|kind| (kind, kind == "touchStart")).repeat(2) {
            let points = if points { json!([{"x": x, "y": y}]) } else { json!([]) };
            self.call("Input.dispatchTouchEvent", json!({"type": kind, "touchPoints": points})).await;
        }
    }

    async fn mouse(&self, x: f64, y: f64, count: u8) {
        for (kind, buttons) in [("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)] {
            let button = if kind == "mouseMoved" { "none" } else { "left" };
            let event = json!({
                "type": kind, "x": x, "y": y, "button": button, "buttons": buttons, "clickCount": count
            });
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Waits until an element can be hit, and says where.
    async fn middle_of(&self, selector: &str) -> (f64, f64) {
        let expression = format!(
            "(() => {{
                const element = document.querySelector({});
                if (!element) return 'it is not there';
                element.scrollIntoView({{block: 'nearest', behavior: 'instant'}});
                const box = element.getBoundingClientRect();
                const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                const hit = document.elementFromPoint(x, y);
                if (element.disabled) return 'it is disabled';
                return element.contains(hit) ? [x, y] : `covered by ${{hit?.outerHTML.slice(0, 200)}}`;
            }})()",
            js(selector)
        );
        eventually_ok(&format!("{selector} can be hit"), || async {
            let found = self.try_eval(&expression).await?;
            let [Some(x), Some(y)] = [0, 1].map(|at| found.get(at).and_then(Value::as_f64)) else {
                return Err(found.to_string());
            };
            Ok((x, y))
        })
        .await
    }

    /// Types a text into a field.
    pub(super) async fn fill(&self, selector: &str, text: &str) {
        self.click(selector).await;
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Presses a key as `KeyboardEvent.key` names it: `Enter`, `ArrowLeft`, `Tab`, `r`, `1`, ` `.
    pub(super) async fn press(&self, key: &str) {
        let (code, number, text) = match key {
            "Enter" => ("Enter".to_owned(), 13, "\r"),
            "Escape" => ("Escape".to_owned(), 27, ""),
            "Tab" => ("Tab".to_owned(), 9, ""),
            "ArrowLeft" => (key.to_owned(), 37, ""),
            "ArrowUp" => (key.to_owned(), 38, ""),
            "ArrowRight" => (key.to_owned(), 39, ""),
            "ArrowDown" => (key.to_owned(), 40, ""),
            " " => ("Space".to_owned(), 32, " "),
            digit if digit.parse::<u8>().is_ok() => {
                (format!("Digit{digit}"), u32::from(digit.as_bytes()[0]), digit)
            }
            letter => {
                let upper = letter.to_ascii_uppercase();
                (format!("Key{upper}"), u32::from(upper.as_bytes()[0]), letter)
            }
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({"type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number, "text": text});
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }
}
