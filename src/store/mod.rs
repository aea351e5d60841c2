//! The only SQL: PostgreSQL as the truth. Every function takes and returns domain types.
//!
//! Every effect is one compare-and-set transaction that writes its own announcement into the outbox
//! (`docs/ARCHITECTURE.md`, rules 1 and 2). What a function promises if the process dies inside it is said at it;
//! mostly: nothing happened, or all of it.

mod connect;
mod convert;
mod error;
mod events;
mod fresh;
mod head;
mod hosts;
mod housekeeping;
mod intake;
mod kitchen;
mod lineage;
mod load;
mod migrations;
mod orders;
mod outbox;
mod ping;
mod pool;
mod pooler;
mod readable;
mod reconcile;
mod restored;
mod session;
mod sharing;
mod workers;
mod writes;

pub use error::StoreError;
pub use events::{Event, EventCursor, EventPage, OpenOrders, Place, SeenBy};
pub use intake::{IdempotencyKey, IntakeRequest, Placed, PlacedOrder};
pub use kitchen::{Claim, ClaimedOrder, Finish, Refusal};
pub use load::KitchenPicture;
pub use orders::{
    HistoryEntry, OrderDetails, OrderFilter, OrderList, OrderStatus, OrderSummary, StaffOutcome,
};
pub use outbox::{Announcement, AnnouncementContent, OrderAnnouncement, OutboxBatch, StatusAnnouncement};
pub use pool::{Store, StoreOptions, StoreState, TlsOptions};
pub use reconcile::LateOrders;
pub use session::ServerSetup;
pub use workers::{Crew, Heartbeat, NameRecord, Registered, WorkerRecord, WorkerRegistration};
