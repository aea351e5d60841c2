//! The board of the room: which orders are being made, and which can be fetched. For a television that nobody touches.

use std::sync::Arc;

use http_kit::web::WebPage;
use http_kit::{Fail, Problem, may};
use jiff::Timestamp;
use poem::Request;
use poem_openapi::param::Query;
use poem_openapi::{ApiResponse, OpenApi};
use serde::Deserialize;

use super::caller::Caller;
use super::upstream::{Service, Upstream, UpstreamError};
use crate::http::restaurant::Restaurant;
use crate::http::web::ready::{ReadyPage, RoomPart};
use crate::http::web::{Frame, PageTag, page};
use crate::http::words::Language;

/// Numbers of a column without a script: what fits on a wall, as `web/ready.js` has it.
const PAGE_NUMBERS: usize = 24;
/// What a browser is told to wait while the orders are not known.
const RETRY_AFTER_S: u64 = 2;

/// Its handlers.
#[derive(Clone)]
pub struct ReadyPages(Arc<State>);

struct State {
    upstream: Upstream,
    restaurant: Restaurant,
}

/// What `GET /board` of the tracking service answers.
#[derive(Default, Deserialize)]
struct Board {
    making: Vec<Entry>,
    ready: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    order_number: String,
}

#[derive(ApiResponse)]
enum BoardReply {
    /// The board.
    #[oai(status = 200)]
    Page(
        WebPage,
        /// The choice of a language.
        #[oai(header = "Set-Cookie")]
        Option<String>,
    ),
    /// The tracking service is away: the page goes on by itself.
    #[oai(status = 503)]
    Away(WebPage, #[oai(header = "Retry-After")] u64),
}

#[OpenApi(tag = "PageTag::Pages")]
impl ReadyPages {
    /// The board of the room
    #[oai(path = "/board/ready", method = "get", operation_id = "readyPage")]
    async fn board(
        &self,
        request: &Request,
        /// The language.
        lang: Query<Option<String>>,
    ) -> Result<BoardReply, Fail<{ may::FORBIDDEN }>> {
        let caller = Caller::of(request)?;
        let (language, cookie) = self.0.restaurant.language(lang.0.as_deref(), request.headers());
        Ok(match self.read(&caller).await {
            Ok(board) => BoardReply::Page(self.page(language, Some(board))?, cookie),
            Err(error) => {
                BoardReply::Away(self.page(language, None)?, error.retry_after_s.unwrap_or(RETRY_AFTER_S))
            }
        })
    }
}

impl ReadyPages {
    pub(super) fn new(upstream: Upstream, restaurant: Restaurant) -> Self {
        Self(Arc::new(State { upstream, restaurant }))
    }

    async fn read(&self, caller: &Caller) -> Result<Board, UpstreamError> {
        let board = self.0.upstream.get(Service::Tracking, "/board", caller).await?;
        serde_json::from_slice(&board).map_err(|_| UpstreamError::unexpected())
    }

    /// `None` where the orders are not known.
    fn page(&self, lang: Language, board: Option<Board>) -> Result<WebPage, Problem> {
        let restaurant = &self.0.restaurant;
        let (now, is_known) = (Timestamp::now(), board.is_some());
        let time = lang.time(now, &restaurant.time_zone);
        let state = match is_known {
            true => lang.fill("ready.as_of", &[("time", &time)]),
            false => lang.say("ready.unknown").to_owned(),
        };
        let Board { making, ready } = board.unwrap_or_default();
        let frame = Frame::of(restaurant, lang, "ready");
        let parts = [part(lang, "making", making), part(lang, "ready", ready)];
        page(&ReadyPage { frame, now: now.to_string(), time, state, is_known, parts })
    }
}

fn part(lang: Language, name: &'static str, entries: Vec<Entry>) -> RoomPart {
    let more = match entries.len().saturating_sub(PAGE_NUMBERS) {
        0 => String::new(),
        more => lang.fill("ready.more", &[("count", &more.to_string())]),
    };
    let short = |Entry { order_number }: Entry| match order_number.rsplit_once('_') {
        Some((_, short)) => short.to_owned(),
        None => order_number,
    };
    RoomPart { name, numbers: entries.into_iter().take(PAGE_NUMBERS).map(short).collect(), more }
}
