//! What happens to the machines.

use super::deployment::{
    Deployment, NAMED_QUEUE, NAMED_SUBSCRIBERS, ORDER_SERVICES, TRACKING_SERVICES, UNNAMED_SUBSCRIBERS,
    WORKERS,
};
use super::machines::BROKERS;
use crate::crash::deployment::insist;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// For so long a broker is down: longer than all need to notice.
const BROKER_DOWN: Duration = Duration::from_secs(8);
/// Longer than the other nodes wait (60 s) before they take a node for dead.
const BROKER_FROZEN: Duration = Duration::from_secs(70);
/// The leader of the subscribers' queue stays away: what they do about it must not need its return.
const LEADER_DOWN: Duration = Duration::from_secs(40);
/// How soon somebody, or something, promotes the standby of a dead primary.
const PROMOTED_AFTER: Duration = Duration::from_secs(3);
/// Longer than two heartbeats of the workers.
const PROMOTED_LATE: Duration = Duration::from_secs(15);
/// For so long the old primary is back beside the new one.
const SPLIT: Duration = Duration::from_secs(20);
const STANDBY_AWAY: Duration = Duration::from_secs(30);
/// A service may need so long to find that the database takes no writes: the time of a statement, and some.
const NOTICED: Duration = Duration::from_secs(15);
const SERVICES_DOWN: Duration = Duration::from_secs(2);
/// Between two faults of one scenario.
const BETWEEN: Duration = Duration::from_secs(4);

/// One of the table of docs/SCALE.md.
pub struct Scenario {
    pub name: &'static str,
    /// For the table.
    pub what: &'static str,
    /// Whether a commit waits for the standby.
    pub synchronous: bool,
    act: Act,
}

#[derive(Clone, Copy)]
enum Act {
    BrokersKilled,
    BrokersFrozen,
    BrokersStopped,
    LeaderKilled,
    LeaderFrozen,
    PrimaryKilled(Duration),
    Switchover,
    SplitBrain,
    StandbyAway,
    ServicesKilled,
    Restart,
}

const fn scenario(name: &'static str, what: &'static str, synchronous: bool, act: Act) -> Scenario {
    Scenario { name, what, synchronous, act }
}

pub const SCENARIOS: [Scenario; 15] = [
    scenario("brokers-killed", "each RabbitMQ node killed for 8 s, in turn", true, Act::BrokersKilled),
    scenario("brokers-frozen", "each RabbitMQ node frozen for 70 s, in turn", true, Act::BrokersFrozen),
    scenario("brokers-stopped", "each RabbitMQ node stopped for 8 s, in turn", true, Act::BrokersStopped),
    scenario("leader-killed", "the leader of a subscriber's queue killed for 40 s", true, Act::LeaderKilled),
    scenario("leader-frozen", "the leader of a subscriber's queue frozen for 70 s", true, Act::LeaderFrozen),
    scenario(
        "primary-killed",
        "primary killed, synchronous standby promoted after 3 s",
        true,
        Act::PrimaryKilled(PROMOTED_AFTER),
    ),
    scenario(
        "primary-killed-late",
        "primary killed, synchronous standby promoted after 15 s",
        true,
        Act::PrimaryKilled(PROMOTED_LATE),
    ),
    scenario(
        "primary-killed-async",
        "primary killed, asynchronous standby promoted after 3 s",
        false,
        Act::PrimaryKilled(PROMOTED_AFTER),
    ),
    scenario("switchover", "planned: primary stopped, synchronous standby promoted", true, Act::Switchover),
    scenario(
        "switchover-async",
        "planned: primary stopped, asynchronous standby promoted",
        false,
        Act::Switchover,
    ),
    scenario("split-brain", "the old primary comes back and takes writes, for 20 s", true, Act::SplitBrain),
    scenario("split-brain-async", "the same with an asynchronous standby", false, Act::SplitBrain),
    scenario("standby-away", "synchronous standby away for 30 s", true, Act::StandbyAway),
    scenario(
        "services-killed",
        "all processes of each role killed for 2 s, in turn",
        true,
        Act::ServicesKilled,
    ),
    scenario("restart", "everything stopped and started again", true, Act::Restart),
];

impl Scenario {
    /// Whether orders that were answered with 201 can be lost with the primary that had them: an asynchronous standby
    /// was not told of each in time.
    pub fn may_lose(&self) -> bool {
        !self.synchronous && !matches!(self.act, Act::Switchover)
    }

    /// Makes it happen, and lasts until it is over; the roles may need longer.
    pub async fn happen(&self, deployment: &Deployment) {
        match self.act {
            Act::BrokersKilled => brokers_down(deployment, true).await,
            Act::BrokersStopped => brokers_down(deployment, false).await,
            Act::BrokersFrozen => {
                for node in 0..BROKERS {
                    freeze_broker(deployment, node).await;
                    tokio::time::sleep(BETWEEN).await;
                }
            }
            Act::LeaderKilled => {
                let leader = leader(deployment).await;
                broker_down(deployment, leader, true, LEADER_DOWN).await;
            }
            Act::LeaderFrozen => freeze_broker(deployment, leader(deployment).await).await,
            Act::PrimaryKilled(after) => {
                deployment.machines.with(|machines| machines.primary().kill()).await;
                tokio::time::sleep(after).await;
                deployment.machines.with(|machines| machines.promote()).await;
            }
            Act::Switchover => {
                // A clean stop waits until the standby has everything.
                deployment.machines.with(|machines| machines.primary().stop()).await;
                deployment.machines.with(|machines| machines.promote()).await;
            }
            Act::SplitBrain => split_brain(deployment).await,
            Act::StandbyAway => standby_away(deployment).await,
            Act::ServicesKilled => {
                let unnamed = UNNAMED_SUBSCRIBERS.as_slice();
                for roles in [&ORDER_SERVICES[..], &TRACKING_SERVICES, &WORKERS, &NAMED_SUBSCRIBERS, unnamed]
                {
                    kill_all(deployment, roles).await;
                    tokio::time::sleep(BETWEEN).await;
                }
            }
            Act::Restart => restart(deployment).await,
        }
    }
}

/// Each node in turn is down for a while.
async fn brokers_down(deployment: &Deployment, killed: bool) {
    for node in 0..BROKERS {
        broker_down(deployment, node, killed, BROKER_DOWN).await;
        tokio::time::sleep(BETWEEN).await;
    }
}

async fn broker_down(deployment: &Deployment, node: usize, killed: bool, down: Duration) {
    deployment
        .machines
        .with(move |machines| {
            let broker = &machines.brokers.nodes()[node];
            if killed {
                broker.kill()
            } else {
                broker.stop()
            }
            std::thread::sleep(down);
            insist("RabbitMQ", || broker.restart());
        })
        .await;
}

async fn freeze_broker(deployment: &Deployment, node: usize) {
    deployment.machines.brokers.nodes()[node].pause().unwrap();
    tokio::time::sleep(BROKER_FROZEN).await;
    deployment.machines.brokers.nodes()[node].resume().unwrap();
}

async fn leader(deployment: &Deployment) -> usize {
    deployment
        .machines
        .leader_of(&deployment.name, NAMED_QUEUE)
        .await
        .expect("the subscribers' queue has a leader")
}

/// The old primary is started as it was, and some roles are started anew: they look for a database.
async fn split_brain(deployment: &Deployment) {
    deployment.machines.with(|machines| machines.primary().kill()).await;
    tokio::time::sleep(PROMOTED_AFTER).await;
    deployment.machines.with(|machines| machines.promote()).await;
    tokio::time::sleep(BETWEEN).await;
    deployment.machines.with(|machines| insist("the old primary", || machines.standby().restart())).await;
    let back = Instant::now();
    for role in [ORDER_SERVICES[0], TRACKING_SERVICES[0], WORKERS[0]] {
        deployment.staff.restart(role).await;
    }
    tokio::time::sleep(SPLIT.saturating_sub(back.elapsed())).await;
    deployment.machines.with(|machines| machines.standby().kill()).await;
}

/// Commits wait for the standby, so that no order can be taken: the services have to say so.
async fn standby_away(deployment: &Deployment) {
    deployment.machines.with(|machines| machines.standby().kill()).await;
    let gone = Instant::now();
    tokio::time::sleep(NOTICED).await;
    for (role, name) in ORDER_SERVICES.into_iter().zip(["1", "2"]) {
        if deployment.ready(role).await == Some(200) {
            deployment.staff.note(format!("/readyz of order service {name} is 200 while no commit ends"));
        }
    }
    tokio::time::sleep(STANDBY_AWAY.saturating_sub(gone.elapsed())).await;
    deployment.machines.with(|machines| insist("the standby", || machines.standby().restart())).await;
}

async fn kill_all(deployment: &Deployment, roles: &[usize]) {
    futures_util::future::join_all(roles.iter().map(|role| deployment.staff.kill(*role, SERVICES_DOWN)))
        .await;
}

/// Roles, brokers and databases end at the same time and come back at the same time.
async fn restart(deployment: &Deployment) {
    let mut servers = JoinSet::new();
    let machines = std::sync::Arc::clone(&deployment.machines);
    servers.spawn_blocking(move || {
        std::thread::scope(|scope| {
            for broker in machines.brokers.nodes() {
                scope.spawn(|| broker.stop());
            }
            machines.primary().stop();
            machines.standby().stop();
        });
        insist("PostgreSQL", || machines.primary().restart());
        insist("the standby", || machines.standby().restart());
        machines.restart_brokers();
    });
    futures_util::future::join_all(deployment.staff.roles().map(|role| deployment.staff.restart(role))).await;
    while let Some(ended) = servers.join_next().await {
        ended.unwrap();
    }
}
