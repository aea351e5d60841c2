//! The only SQL: PostgreSQL as the truth. Every function takes and returns domain types.
//!
//! Every effect is one compare-and-set transaction that writes its own announcement into the outbox
//! (`docs/ARCHITECTURE.md`, rules 1 and 2). What a function promises if the process dies inside it is said at it;
//! mostly: nothing happened, or all of it.
//!
//! What relay, reconciler, worker and intake ask is a trait beside its statements: `StoreAccess`, `OutboxStore`,
//! `ReconcilerStore`, `WorkerStore`, `KitchenStore`, `IntakeStore`. `Store` is the real one, `tests/it/sim` has a model.
//!
//! Today's schema is `migrations/schema.sql`, which a test compares with what the migrations make. What each role may do with a
//! table or a column is said in `rights`; a migration that adds one adds that as well.
//!
//! # How statements are written here
//!
//! - **One statement, one effect.** A change, its log row and its outbox row are parts (`with … as`) of one statement: one
//!   implicit transaction, one round trip, one flush. A part learns from another by `returning`: all of them see the tables as
//!   they were before.
//! - **Many at once.** Parameters are arrays, one for each column, which `unnest($1::text[], $2::int[])` turns into rows: one
//!   text and one plan for a batch of any size (`intake`, `kitchen`). A long answer comes as arrays in one row as well (`load`).
//! - **Every row by an index.** Statistics lag behind tables that grow by thousands of rows a second, and the planner would
//!   read whole tables. Each connection switches that off (`session`, SETTINGS): sequential and bitmap scans, merge joins, jit.
//! - **`offset 0`** ends a subquery that the planner must not merge into a join: it looks each row up by its key instead
//!   (`outbox`, `events`).
//! - **`case when … then true else false end`** keeps a condition from being looked up in an index whose rows the planner
//!   underestimates (`claims`, CLAIM_NAMED).
//! - **`materialized`** has a part read once, before those that use it: rows are picked and locked, then written. Without it
//!   a part that only one other uses is merged into that one.
//! - **Locks in one order.** Rows are locked `order by` their key, so that two statements never wait for each other. `skip
//!   locked` passes over what another has, where any row will do.
//! - **Plans are kept.** A text is prepared once for each connection, and PostgreSQL soon keeps one plan for it. The relay asks
//!   for that plan at once, since planning a batch takes as long as reading it (`outbox`, BEGIN). A list is not prepared: there
//!   are hundreds of texts, and each plan is to know its page (`orders`, `listing`).
//! - **Texts that statements share** are a `const`, or a function where they differ. A statement made of such is put together
//!   once (`LazyLock`). A shared text says which positions `$n` it uses. A long list of columns is written once, and the text
//!   and its parameters are made from it (`columns`).
//! - **Amounts** are integer cents in Rust and `decimal` in the tables. The driver takes no integer for a `decimal`, so
//!   statements convert: `* 0.01`, and `(… * 100)::bigint` back. Durations go as milliseconds, into `make_interval`.

mod announcement;
mod announcement_cache;
mod board;
mod claims;
mod columns;
mod connect;
mod convert;
mod diagnosis;
mod error;
mod events;
mod finish;
mod hosts;
mod house;
mod intake;
mod kitchen;
mod limits;
mod lineage;
mod load;
mod low_water_mark;
mod measured;
mod menu;
mod migrations;
mod options;
mod orders;
mod outbox;
mod pauses;
mod ping;
mod pool;
mod pooler;
mod portions;
mod pressure;
mod promotion;
mod readable;
mod reconcile;
mod restored;
mod rights;
mod session;
mod source;
mod staff;
mod station;
mod station_work;
mod wire;
mod workers;
mod writes;

pub use announcement::{Announcement, AnnouncementContent};
pub use board::{BoardEntry, RoomBoard};
pub use columns::{IdempotencyKey, IntakeRequest};
pub use diagnosis::{Commit, Diagnosis, HouseAsked};
pub use error::StoreError;
pub use events::{Event, EventCursor, EventPage, EventsFound, OpenOrders, Reach, SeenBy, StreamPlace};
pub use house::{House, HouseWatch, OrderCount};
pub use intake::{IntakeStore, LimitedStore, Placed};
pub use kitchen::{Bumped, Claim, ClaimTimes, ClaimedOrder, Finish, KitchenStore, NotHeld, Refusal};
pub use limits::{IntakeLimits, NoRoom};
pub use load::KitchenPicture;
pub use menu::MenuLook;
pub use migrations::Schema;
pub use options::{DatabaseOptions, StoreOptions, StoreState};
pub use orders::{
    HistoryEntry, OrderDetails, OrderFilter, OrderList, OrderStatus, OrderSummary, StaffChange, StaffOutcome,
};
pub use outbox::{LockedRows, OutboxBatch, OutboxStore};
pub use pool::{Store, StoreAccess};
pub use reconcile::{LateOrders, ReconcilerStore};
pub use session::ServerSetup;
pub use source::OrderSource;
pub use staff::{StaffAct, StaffActionRecord, StaffSession};
pub use station::{
    StationItem, StationLook, StationPicture, StationTicket, TicketAct, TicketChange, TicketOutcome,
};
pub use workers::{
    HeartbeatOutcome, NameRecord, PeerCount, Registered, WorkerRecord, WorkerRegistration, WorkerStore,
};
