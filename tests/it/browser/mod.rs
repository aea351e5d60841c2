//! The pages, in a real browser, against real servers.
//!
//! ```ignore
//! let page = Page::open(Device::TABLET, &format!("{url}/")).await; // 0.2 s; cookies and storage of its own
//! page.click("[data-action=bump]").await;                          // waits until it can be hit
//! page.until("it is bumped", "document.querySelector('…')").await; // any condition, with a deadline
//! page.assert_accessible().await;                                  // axe-core, light and dark
//! ```
//!
//! An exception, an error on the console or a breach of the content security policy fails the test when its page is dropped.
mod accessibility;
mod chromium;
mod documentation;
mod input;
mod kit;
mod order;
mod page;
mod ready;
mod staff;
mod station;
mod track;

use page::{Device, Page};
