//! The order service's life.

use std::time::Duration;

use amqp::{Broker, Publish};
use daemon::ration::Budget;
use daemon::runtime::DedicatedRuntime;
use daemon::shutdown::Shutdown;
use daemon::systemd::ServiceManager;
use http_kit::app;
use poem::http::Method;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::api::{OrderApi, OrderState, PLACE_ORDER_PATH, info};
use super::intake::Intake;
use super::intake_api::IntakeApi;
use super::intake_board::IntakeBoard;
use super::menu::MenuBoard;
use super::menu_api::MenuApi;
use super::metrics::OrdersReceived;
use super::staff_api::StaffApi;
use super::{OrderServiceError, OrderServiceOptions};
use crate::http::attempts::Attempts;
use crate::reconciler;
use crate::relay::{self, RelayOwner};
use crate::services::house_metrics;
use crate::services::servers::{ServerStates, listen, readiness, serve_prepared, settle};
use crate::services::staff::StaffAuth;
use crate::services::transitions::Transitions;
use crate::store::{Store, StoreAccess};

/// Idempotency keys live this long: the contract's day, and one more.
const KEEP_KEYS: Duration = Duration::from_secs(48 * 60 * 60);
const HOUSEKEEPING: Duration = Duration::from_secs(15 * 60);

/// Serves until it is asked to stop. It serves at once; while its servers are away it says so.
///
/// # Errors
/// When it cannot listen, or the database's migrations fail.
pub async fn run(
    options: OrderServiceOptions,
    store: Store,
    broker: Broker,
    shutdown: Shutdown,
    manager: &ServiceManager,
) -> Result<(), OrderServiceError> {
    let listening = listen(&options.host, options.port, manager).await?;
    let address = listening.0.local_addr();
    let servers = ServerStates::of(Some(store.state()), broker.state()).with_alarms(&broker);
    let _reports =
        manager.follow(&shutdown, move || servers.condition(format!("taking orders at {address}")));
    tracing::info!(action = "service_started", %address, details = %format_args!("max_concurrent {}", options.max_concurrent), "the order service listens");

    let metrics = options.metrics;
    let (background, stop) = (TaskTracker::new(), CancellationToken::new());
    let relay =
        relay::start(store.clone(), broker.clone(), RelayOwner::OrderService, stop.clone(), &background);
    let outbox_full = reconciler::start(
        store.clone(),
        broker.clone(),
        options.reconciler,
        relay.clone(),
        stop.clone(),
        &background,
    );
    background.spawn(broker.clone().watch_members(stop.clone()));
    background.spawn(forget_old_keys(store.clone(), stop.clone()));
    background.spawn(house_metrics::observe(&store, &broker, &metrics, Duration::ZERO, &stop));
    // PostgreSQL has nothing to do between two batches: the next one does not wait behind requests.
    let writing = DedicatedRuntime::start("intake").map_err(OrderServiceError::Thread)?;
    let intake = {
        let _entered = writing.handle().enter();
        Intake::start(
            store.on_its_own().with_limits(options.intake.limits),
            relay.clone(),
            options.max_concurrent,
            options.queue_timeout,
            OrdersReceived::register(&metrics),
            &background,
        )
    };
    let refusal = intake.refusal();
    let staff = StaffAuth::new(options.staff, store.clone(), &metrics);
    let menu = MenuBoard::new(store.clone(), options.menu, options.time_zone.clone());
    background.spawn(menu.clone().keep(stop.clone()));
    let intake_board = IntakeBoard::new(store.clone(), options.intake, options.time_zone);
    background.spawn(intake_board.clone().keep(stop.clone()));
    let menu_api = MenuApi::new(store.clone(), menu.clone(), staff.clone());
    let intake_api = IntakeApi::new(store.clone(), intake_board.clone(), staff.clone());
    background.spawn(intake_api.clone().measure(metrics.clone(), stop.clone()));
    let staff_api = StaffApi::new(store.clone(), staff.clone());
    let transitions = Transitions::default();
    transitions.register(&metrics);
    let api = OrderApi::new(OrderState {
        store: store.clone(),
        intake,
        menu,
        intake_board,
        outbox_full,
        staff,
        relay,
        transitions,
        recall_within: options.recall_within,
        public_url: options.public_url.unwrap_or_default(),
        guesses: Attempts::uncounted(),
        refusals: Budget::new("validation_failed", &metrics),
    });
    let endpoint = app((api, staff_api, menu_api, intake_api), &info(), &metrics, readiness(&store, &broker))
        .with_admission(Method::POST, PLACE_ORDER_PATH, refusal);

    let served =
        serve_prepared(listening, endpoint, options.limits, &store, &shutdown.stopping(), manager).await;
    stop.cancel();
    settle(&background).await;
    drop(writing);
    Ok(served?)
}

/// Throws away in time what nobody needs any more.
async fn forget_old_keys(store: Store, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(HOUSEKEEPING) => {}
        }
        let forgotten = [
            ("old idempotency keys", store.forget_idempotency_keys(KEEP_KEYS).await),
            ("sessions that are over", store.forget_sessions().await),
            ("counted orders", store.forget_limits().await),
        ];
        for (what, forgotten) in forgotten {
            if let Err(error) = forgotten
                && !error.is_unavailable()
            {
                let error: &dyn std::error::Error = &error;
                tracing::error!(action = "housekeeping_failed", error, "{what} could not be removed");
            }
        }
    }
}
