//! The board of the room (contract, section 13), on a television that is a browser.

use super::{Device, Page};
use crate::support::{Counter, TestEnv, delivery, takeout};
use serde_json::json;
use tokio_postgres::Client;

const TELEVISION: Device = Device { width: 1280, height: 720, touch: false };
const NASTY: &str = "<img src=x onerror=alert(1)>";

struct Room {
    env: TestEnv,
    counter: Counter,
    db: Client,
}

impl Room {
    async fn open() -> Self {
        let env = TestEnv::new().await;
        env.write_config(&format!("restaurant: {{name: \"{NASTY}\", time_zone: Europe/Rome}}\n"));
        let counter = Counter::start(&env).await;
        counter.orders.wait_ready().await;
        counter.tracks.wait_ready().await;
        let db = env.connect().await;
        Self { env, counter, db }
    }

    fn url(&self, query: &str) -> String {
        format!("{}/board/ready{query}", self.counter.http.url)
    }

    async fn page(&self, device: Device) -> Page {
        let page = Page::open(device, &self.url("")).await;
        // What a page says of a service that is away is no fault of it.
        page.tolerate("net::ERR_");
        page.tolerate("503");
        page.sees("#state[data-live]").await;
        page
    }

    /// Moves an order as the kitchen does.
    async fn advance(&self, number: &str, status: &str) {
        let sql = "with o as (update orders set status = $2, processed_by = 'chef', updated_at = now(),
                completed_at = case when $2 = 'ready' then now() end where number = $1 returning id)
            insert into order_status_log (order_id, status, changed_by) select id, $2, 'chef' from o";
        self.db.execute(sql, &[&number, &status]).await.unwrap();
    }

    /// So many orders that wait, and as many that are ready.
    async fn fill(&self, count: i32) {
        let sql = "with o as (
                insert into orders (number, customer_name, type, total_amount, status, processed_by, completed_at)
                select 'ORD_20261122_' || 1000 + n, 'Ada', 'takeout', 9.5, case when n % 2 = 0 then 'ready' else 'received' end,
                    case when n % 2 = 0 then 'chef' end, case when n % 2 = 0 then now() end
                from generate_series(1, 2 * $1::int) n returning id)
            insert into order_status_log (order_id, status, changed_by) select id, 'received', 'x' from o";
        self.db.execute(sql, &[&count]).await.unwrap();
    }
}

fn reads(part: &str, numbers: &str) -> String {
    format!(
        "[...document.querySelectorAll('#{part} .number')].map(n => n.textContent.trim()).join() === '{numbers}'"
    )
}

#[tokio::test]
async fn numbers_move_to_ready_by_themselves_and_a_board_that_is_not_live_says_so() {
    let mut room = Room::open().await;
    let number = room.counter.orders.place(&takeout()).await;
    room.counter.orders.place(&delivery()).await;
    let page = room.page(TELEVISION).await;
    page.until("it is being made", &reads("making", "001")).await;
    page.sees("#ready-none:not([hidden])").await;
    room.advance(&number, "cooking").await;
    room.advance(&number, "ready").await;
    page.until("it is ready", &reads("ready", "001")).await;
    page.until("it is made no more", &reads("making", "")).await;
    page.sees("#ready .number[data-new]").await;
    page.until("it is said", "told.textContent.includes('001')").await;

    let url = room.counter.tracks.url.clone();
    room.counter.tracking.kill();
    page.reads("Not live since").await;
    page.until("what was known stays", &reads("ready", "001")).await;
    room.counter.orders.change(&number, "complete").await;
    let port = url.rsplit_once(':').unwrap().1;
    room.counter.tracking = room.env.spawn(&["tracking-service", "--port", port]);
    page.sees("#state[data-live]:not([data-away])").await;
    page.until("it was fetched", &reads("ready", "")).await;
    assert_eq!(page.count("img").await, 0);

    room.counter.tracking.kill();
    let away = room.counter.http.get("/board/ready").await;
    assert_eq!(away.status, 503, "{away:?}");
    assert!(
        away.text.contains("The orders are not known") && !away.header("retry-after").is_empty(),
        "{away:?}"
    );
}

#[tokio::test]
async fn twenty_four_numbers_a_column_fit_a_wall_and_more_take_turns() {
    let room = Room::open().await;
    room.fill(24).await;
    let page = room.page(TELEVISION).await;
    let metrics = |width: u32, height: u32| json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
    let outside = "[...document.querySelectorAll('header *, .number bdi, h2')].filter(each => {
        const box = each.getBoundingClientRect();
        const own = each.closest('.number')?.getBoundingClientRect() ?? { left: 0, top: 0, right: innerWidth, bottom: innerHeight };
        return each.checkVisibility() && !each.closest('.visually-hidden')
            && (box.top < own.top || box.left < own.left || box.bottom > own.bottom || box.right > own.right);
    }).map(each => each.textContent)";
    let scrolls = "document.documentElement.scrollHeight > innerHeight || document.documentElement.scrollWidth > innerWidth";
    for (width, height) in [(1280, 720), (1920, 1080)] {
        page.call("Emulation.setDeviceMetricsOverride", metrics(width, height)).await;
        page.until("all are there", "document.querySelectorAll('.number').length === 48").await;
        assert_eq!(page.eval(outside).await, json!([]), "{width}");
        assert_eq!(page.eval(scrolls).await, false, "{width}");
    }
    page.assert_accessible().await;

    // On a telephone all of them are one list, and nothing is too wide.
    page.call("Emulation.setDeviceMetricsOverride", metrics(320, 600)).await;
    assert_eq!(page.eval("document.documentElement.scrollWidth").await, 320);
    page.assert_accessible().await;
    page.goto(&room.url("?lang=ar")).await;
    page.sees("html[dir=rtl] #state[data-live]").await;
    assert_eq!(page.eval("document.documentElement.scrollWidth").await, 320);

    // Turns of ten seconds, in half a second.
    let faster = "const every = setInterval; setInterval = (run, ms) => every(run, ms / 20);";
    page.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": faster})).await;
    page.call("Emulation.setDeviceMetricsOverride", metrics(1280, 720)).await;
    room.counter.orders.place(&takeout()).await;
    page.goto(&room.url("?lang=en")).await;
    for turn in ["1 of 2", "2 of 2", "1 of 2"] {
        page.reads(turn).await;
    }
}

#[tokio::test]
async fn without_a_script_the_board_is_right_when_it_is_loaded_and_loads_itself_anew() {
    let room = Room::open().await;
    room.fill(30).await;
    let page = room.counter.http.get("/board/ready?lang=de").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(page.header("set-cookie").starts_with("lang=de;"), "{page:?}");
    assert!(page.text.contains("<noscript><meta http-equiv=\"refresh\" content=\"15\"></noscript>"));
    assert_eq!(page.text.matches("<li class=\"number\">").count(), 48);
    for part in ["lang=\"de\"", "In Zubereitung", "Abholbereit", "und 6 weitere", "<bdi>1001</bdi>"] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert!(!page.text.contains("<img") && !page.text.contains("Ada"));
}
