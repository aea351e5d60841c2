//! What happens to the processes and servers. Each seed has its own mixture: some things often, some never.

use super::scenario::Scenario;
use super::world::{Odds, ProcessId, sleep_ms};
use fastrand::Rng;

/// Something that happens at one moment.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Kill,
    Stop,
    Freeze,
    CutFromStore,
    StoreOutage,
    Disconnect,
    BrokerRestart,
    BrokerWipe,
    DeleteQueue,
    Double,
    Repeat,
    Poison,
}

const FAULTS: [Fault; 12] = [
    Fault::Kill,
    Fault::Stop,
    Fault::Freeze,
    Fault::CutFromStore,
    Fault::StoreOutage,
    Fault::Disconnect,
    Fault::BrokerRestart,
    Fault::BrokerWipe,
    Fault::DeleteQueue,
    Fault::Double,
    Fault::Repeat,
    Fault::Poison,
];

/// Lets things happen for so long; afterwards nothing is broken any more.
pub async fn rage(scenario: &Scenario, until_ms: i64, rng: &mut Rng) {
    let possible: Vec<Fault> = FAULTS.into_iter().filter(|_| rng.bool()).collect();
    let longest_pause_ms = rng.i64(500..6_000);
    scenario.world.lock().odds = odds(rng);
    loop {
        let pause = rng.i64(0..longest_pause_ms);
        if scenario.world.lock().now() + pause >= until_ms {
            break;
        }
        sleep_ms(pause).await;
        match rng.choice(&possible) {
            Some(fault) => strike(scenario, *fault, rng).await,
            None => break,
        }
    }
    let left = until_ms - scenario.world.lock().now();
    sleep_ms(left).await;
    heal(scenario);
}

fn odds(rng: &mut Rng) -> Odds {
    let mut some = |most: u32| if rng.bool() { rng.u32(0..=most) } else { 0 };
    Odds {
        crash: some(10),
        refused: some(100),
        answer_lost: some(100),
        late: some(60),
        spoilt: some(500),
        passed_over: some(400),
        wiped_midway: some(300),
        message_lost: some(150),
        confirm_lost: some(150),
        nacked: some(100),
        repeated: some(200),
        overtakes: some(500),
    }
}

fn heal(scenario: &Scenario) {
    let mut state = scenario.world.lock();
    state.note(None, "nothing more happens", ());
    state.odds = Odds::default();
    let now = state.now();
    state.store_down_until = now;
    state.broker_down_until = now;
    for process in &mut state.processes {
        process.frozen_until = now;
        process.store_cut_until = now;
        process.broker_cut_until = now;
    }
    state.declare();
}

async fn strike(scenario: &Scenario, fault: Fault, rng: &mut Rng) {
    let world = &scenario.world;
    let (victim, now) = {
        let mut state = world.lock();
        let alive: Vec<ProcessId> =
            (0..state.processes.len()).filter(|process| state.processes[*process].alive).collect();
        let victim = rng.choice(alive);
        state.note(victim, "is struck", fault);
        (victim, state.now())
    };
    match (fault, victim) {
        (Fault::Kill, Some(victim)) => world.kill(victim),
        (Fault::Freeze, Some(victim)) => {
            world.lock().processes[victim].frozen_until = now + rng.i64(500..12_000);
        }
        (Fault::CutFromStore, Some(victim)) => {
            world.lock().processes[victim].store_cut_until = now + rng.i64(500..15_000);
        }
        (Fault::Disconnect, Some(victim)) => disconnect(scenario, victim, now, rng),
        (Fault::Stop, _) => {
            let shutdowns = scenario.shutdowns.lock().unwrap();
            if let Some(shutdown) = rng.choice(shutdowns.iter()) {
                shutdown.trigger("simulated");
            }
        }
        (Fault::StoreOutage, _) => {
            let mut state = world.lock();
            state.store_down_until = now + rng.i64(200..8_000);
            if rng.bool() {
                state.tables.server_started_at = state.store_down_until;
            }
        }
        (Fault::BrokerRestart, _) => world.lock().restart_broker(false, now + rng.i64(100..6_000)),
        (Fault::BrokerWipe, _) => world.lock().restart_broker(true, now + rng.i64(100..6_000)),
        (Fault::DeleteQueue, _) => {
            world.lock().delete_queue(rng.usize(..3));
            let (world, back) = (world.clone(), rng.i64(100..3_000));
            tokio::spawn(async move {
                sleep_ms(back).await;
                world.lock().declare();
            });
        }
        (Fault::Double, _) => drop(tokio::spawn(scenario.clone().worker(rng.usize(..scenario.workers)))),
        (Fault::Repeat, _) => world.lock().inject(false),
        (Fault::Poison, _) => world.lock().inject(true),
        (Fault::Kill | Fault::Freeze | Fault::CutFromStore | Fault::Disconnect, None) => {}
    }
}

/// A connection to RabbitMQ is gone; each side notices in its own time.
fn disconnect(scenario: &Scenario, victim: ProcessId, now: i64, rng: &mut Rng) {
    let generation = {
        let mut state = scenario.world.lock();
        state.processes[victim].broker_cut_until = now + rng.i64(0..10_000);
        state.processes[victim].generation
    };
    let (server_ms, client_ms) = (rng.i64(0..4_000), rng.i64(0..4_000));
    let world = scenario.world.clone();
    tokio::spawn(async move {
        sleep_ms(server_ms).await;
        world.lock().close_server_side(victim, generation);
    });
    let world = scenario.world.clone();
    tokio::spawn(async move {
        sleep_ms(client_ms).await;
        world.lock().close_client_side(victim, generation);
    });
}
