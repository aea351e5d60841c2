//! The menu that is in force, as this service knows it: looked at each second, so that no request asks PostgreSQL for it.

use std::collections::HashMap;
use std::sync::Arc;

use http_kit::Problem;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::looking::keep_looking;
use crate::domain::{Menu, Offer, Shortage};
use crate::store::{Store, StoreError};

/// The menu and what of it is short.
#[derive(Debug, Clone)]
pub(super) struct MenuInForce {
    version: i64,
    pub(super) menu: Arc<Menu>,
    shortages: HashMap<String, Shortage>,
}

impl MenuInForce {
    /// What can be ordered by it at this moment, by the clock of the restaurant.
    pub(super) fn offer(&self, now: &Zoned) -> Offer<'_> {
        Offer { menu: &self.menu, at: now.time() }
    }

    /// How many portions of an item there are at most, where that is limited.
    pub(super) fn shortage(&self, item: &str, now: Timestamp) -> Option<Shortage> {
        self.shortages.get(item).copied().filter(|shortage| shortage.until > now)
    }
}

/// What is known of the menu.
#[derive(Debug, Clone)]
enum Known {
    /// PostgreSQL has not been asked yet.
    Nothing,
    NoMenu,
    Menu(Arc<MenuInForce>),
}

#[derive(Clone)]
pub(super) struct MenuBoard(Arc<Inner>);

struct Inner {
    store: Store,
    known: watch::Sender<Known>,
    /// Of the restaurant.
    time_zone: TimeZone,
    /// Looks follow each other, so that none puts back what a later one has found. The first of them puts the menu of the
    /// configuration in force.
    looking: Mutex<Option<Menu>>,
}

impl MenuBoard {
    pub(super) fn new(store: Store, configured: Option<Menu>, time_zone: TimeZone) -> Self {
        let (known, looking) = (watch::Sender::new(Known::Nothing), Mutex::new(configured));
        Self(Arc::new(Inner { store, known, time_zone, looking }))
    }

    /// By the clock of the restaurant.
    pub(super) fn now(&self) -> Zoned {
        Timestamp::now().to_zoned(self.0.time_zone.clone())
    }

    /// The menu in force, if there is one.
    ///
    /// # Errors
    /// 503 where that is not known and cannot be asked for.
    pub(super) async fn in_force(&self) -> Result<Option<Arc<MenuInForce>>, Problem> {
        if matches!(&*self.0.known.borrow(), Known::Nothing) {
            self.look().await?;
        }
        match &*self.0.known.borrow() {
            Known::Menu(menu) => Ok(Some(Arc::clone(menu))),
            Known::Nothing | Known::NoMenu => Ok(None),
        }
    }

    /// The menu in force.
    ///
    /// # Errors
    /// As for [`Self::in_force`], and 404 where there is none.
    pub(super) async fn current(&self) -> Result<Arc<MenuInForce>, Problem> {
        let none = || Problem::not_found("there is no menu; names and prices are those of the orders");
        self.in_force().await?.ok_or_else(none)
    }

    /// Sees what is in force now.
    pub(super) async fn look(&self) -> Result<(), StoreError> {
        let mut configured = self.0.looking.lock().await;
        if let Some(menu) = &*configured {
            if let Some(version) = self.0.store.apply_menu(menu).await? {
                tracing::info!(action = "menu_applied", version, "the menu of the configuration is in force");
            }
            *configured = None;
        }
        let before = match &*self.0.known.borrow() {
            Known::Menu(menu) => Some(Arc::clone(menu)),
            Known::Nothing | Known::NoMenu => None,
        };
        let found = self.0.store.look_at_menu(before.as_ref().map(|before| before.version)).await?;
        let menu = match (found.menu, before) {
            (Some(menu), _) => {
                let details =
                    format!("version {}, {} items", found.version.unwrap_or_default(), menu.items().count());
                tracing::info!(action = "menu_read", details, "another menu is in force");
                Some(Arc::new(menu))
            }
            (None, before) => before.map(|before| Arc::clone(&before.menu)),
        };
        let known = match (found.version, menu) {
            (Some(version), Some(menu)) => {
                Known::Menu(Arc::new(MenuInForce { version, menu, shortages: found.shortages }))
            }
            _ => Known::NoMenu,
        };
        self.0.known.send_replace(known);
        Ok(())
    }

    /// Looks at what is in force, from now on.
    pub(super) async fn keep(self, stop: CancellationToken) {
        keep_looking(self.0.store.clone(), stop, "menu_not_read", || self.look()).await;
    }
}
