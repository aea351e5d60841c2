//! The only SQL: PostgreSQL as the truth. Every function takes and returns domain types.
//!
//! Every effect is one compare-and-set transaction that writes its own announcement into the outbox
//! (`docs/ARCHITECTURE.md`, rules 1 and 2). What a function promises if the process dies inside it is said at it;
//! mostly: nothing happened, or all of it.
//!
//! What relay, reconciler, worker and intake ask is a trait beside its statements: `StoreAccess`, `OutboxStore`,
//! `ReconcilerStore`, `WorkerStore`, `KitchenStore`, `IntakeStore`. `Store` is the real one, `tests/sim` has a model.

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
mod options;
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
pub use intake::{IdempotencyKey, IntakeRequest, IntakeStore, Placed, PlacedOrder};
pub use kitchen::{Claim, ClaimedOrder, Finish, KitchenStore, Refusal};
pub use load::KitchenPicture;
pub use options::{StoreOptions, StoreState, TlsOptions};
pub use orders::{
    HistoryEntry, OrderDetails, OrderFilter, OrderList, OrderStatus, OrderSummary, StaffOutcome,
};
pub use outbox::{
    Announcement, AnnouncementContent, LockedRows, OrderAnnouncement, OutboxBatch, OutboxStore,
    StatusAnnouncement,
};
pub use pool::{Store, StoreAccess};
pub use reconcile::{LateOrders, ReconcilerStore};
pub use session::ServerSetup;
pub use workers::{Crew, Heartbeat, NameRecord, Registered, WorkerRecord, WorkerRegistration, WorkerStore};
