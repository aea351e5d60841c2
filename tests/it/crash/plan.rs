//! The plan of faults: a pure function of the seed, so that a run can be repeated.

use std::fmt;
use std::ops::Range;

/// The processes of a run, in the order of [`super::deployment::ROLES`].
pub const ROLE_COUNT: usize = 7;

/// How often each kind of fault is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Weights {
    pub role_kill: u32,
    pub role_stop: u32,
    pub role_freeze: u32,
    pub postgres_kill: u32,
    pub postgres_freeze: u32,
    pub rabbitmq_kill: u32,
    pub rabbitmq_freeze: u32,
    pub rabbitmq_wipe: u32,
}

/// For a run of any length: every kind, and few on the servers, which all roles need: a run in which nothing can be
/// placed or cooked shows nothing.
pub const EVERY_KIND: Weights = Weights {
    role_kill: 42,
    role_stop: 18,
    role_freeze: 30,
    postgres_kill: 3,
    postgres_freeze: 2,
    rabbitmq_kill: 2,
    rabbitmq_freeze: 2,
    rabbitmq_wipe: 1,
};

/// What can go wrong, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL; the role is started again after the pause.
    RoleKill { role: usize, down_ms: u64 },
    /// SIGTERM; the role is started again when it has ended.
    RoleStop { role: usize },
    /// SIGSTOP, and SIGCONT after the pause.
    RoleFreeze { role: usize, frozen_ms: u64 },
    /// SIGKILL of all of PostgreSQL's processes; a start, which recovers, after the pause.
    PostgresKill { down_ms: u64 },
    /// SIGSTOP of all of PostgreSQL's processes.
    PostgresFreeze { frozen_ms: u64 },
    /// SIGKILL of RabbitMQ; a start with what is on its disk.
    RabbitmqKill { down_ms: u64 },
    /// SIGSTOP of RabbitMQ.
    RabbitmqFreeze { frozen_ms: u64 },
    /// SIGKILL of RabbitMQ; its disk is lost.
    RabbitmqWipe,
}

/// A fault and how long after the one before it strikes. It does not wait for that one to be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub gap_ms: u64,
    pub fault: Fault,
}

/// Faults between two audits.
const ROUND_FAULTS: usize = 100;
/// Pauses between two faults. Shorter than most faults last, so that they overlap.
const GAP_MS: Range<u64> = 200..1_600;
/// A worker beats every second, so it counts as lost after two of them. Now and then it is longer than PostgreSQL lets a
/// transaction lie idle (9 s) and RabbitMQ a connection be silent (some 20 s).
const ROLE_FROZEN_MS: [Range<u64>; 2] = [200..6_000, 11_000..30_000];
const ROLE_DOWN_MS: Range<u64> = 1..1_500;
const POSTGRES_DOWN_MS: Range<u64> = 1..4_000;
const RABBITMQ_DOWN_MS: Range<u64> = 1..5_000;
/// Mostly short; now and then longer than any deadline of the services (a statement's, a confirmation's 10 s).
const SERVER_FROZEN_MS: [Range<u64>; 2] = [500..6_000, 11_000..16_000];
const LONG_FREEZE_ONE_IN: u64 = 6;

impl Fault {
    /// What the table calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RoleKill { .. } => "role killed (SIGKILL)",
            Self::RoleStop { .. } => "role stopped (SIGTERM)",
            Self::RoleFreeze { .. } => "role frozen (SIGSTOP)",
            Self::PostgresKill { .. } => "PostgreSQL killed",
            Self::PostgresFreeze { .. } => "PostgreSQL frozen",
            Self::RabbitmqKill { .. } => "RabbitMQ killed",
            Self::RabbitmqFreeze { .. } => "RabbitMQ frozen",
            Self::RabbitmqWipe => "RabbitMQ wiped",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::RoleKill { role, down_ms } => write!(f, "{kind}: {}, {down_ms} ms", name(*role)),
            Self::RoleStop { role } => write!(f, "{kind}: {}", name(*role)),
            Self::RoleFreeze { role, frozen_ms } => write!(f, "{kind}: {}, {frozen_ms} ms", name(*role)),
            Self::PostgresKill { down_ms: ms }
            | Self::PostgresFreeze { frozen_ms: ms }
            | Self::RabbitmqKill { down_ms: ms }
            | Self::RabbitmqFreeze { frozen_ms: ms } => write!(f, "{kind}: {ms} ms"),
            Self::RabbitmqWipe => f.write_str(kind),
        }
    }
}

fn name(role: usize) -> &'static str {
    super::deployment::ROLES[role].0
}

/// `faults` faults, the same for the same arguments.
pub fn plan(seed: u64, faults: usize, weights: &Weights) -> Vec<Step> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..faults).map(|_| Step { gap_ms: rng.u64(GAP_MS), fault: fault(&mut rng, weights) }).collect()
}

/// A plan in rounds: a long run stops soon after its first failure, and healing is measured more than once.
pub fn rounds(seed: u64, faults: usize, weights: &Weights) -> Vec<Vec<Step>> {
    plan(seed, faults, weights).chunks(ROUND_FAULTS).map(<[Step]>::to_vec).collect()
}

/// The broker loses its disk, and while it is told everything again, this many more faults of the seed strike.
pub fn wiped_round(seed: u64, more: usize, weights: &Weights) -> Vec<Step> {
    let wipe = Step { gap_ms: GAP_MS.start, fault: Fault::RabbitmqWipe };
    std::iter::once(wipe).chain(plan(seed, more, weights)).collect()
}

fn fault(rng: &mut fastrand::Rng, weights: &Weights) -> Fault {
    let role = rng.usize(..ROLE_COUNT);
    let long = rng.u64(..LONG_FREEZE_ONE_IN) == 0;
    let server_frozen_ms = rng.u64(SERVER_FROZEN_MS[usize::from(long)].clone());
    let candidates = [
        (weights.role_kill, Fault::RoleKill { role, down_ms: rng.u64(ROLE_DOWN_MS) }),
        (weights.role_stop, Fault::RoleStop { role }),
        (
            weights.role_freeze,
            Fault::RoleFreeze { role, frozen_ms: rng.u64(ROLE_FROZEN_MS[usize::from(long)].clone()) },
        ),
        (weights.postgres_kill, Fault::PostgresKill { down_ms: rng.u64(POSTGRES_DOWN_MS) }),
        (weights.postgres_freeze, Fault::PostgresFreeze { frozen_ms: server_frozen_ms }),
        (weights.rabbitmq_kill, Fault::RabbitmqKill { down_ms: rng.u64(RABBITMQ_DOWN_MS) }),
        (weights.rabbitmq_freeze, Fault::RabbitmqFreeze { frozen_ms: server_frozen_ms }),
        (weights.rabbitmq_wipe, Fault::RabbitmqWipe),
    ];
    let all: u32 = candidates.iter().map(|(weight, _)| weight).sum();
    let mut drawn = rng.u32(..all);
    for (weight, fault) in candidates {
        if drawn < weight {
            return fault;
        }
        drawn -= weight;
    }
    unreachable!("the draw is below the sum of the weights")
}

#[test]
fn a_seed_always_gives_the_same_faults() {
    assert_eq!(plan(7, 300, &EVERY_KIND), plan(7, 300, &EVERY_KIND));
    assert_ne!(plan(7, 300, &EVERY_KIND), plan(8, 300, &EVERY_KIND));
    // A longer plan begins like a shorter one.
    assert_eq!(plan(7, 300, &EVERY_KIND)[..100], plan(7, 100, &EVERY_KIND));
}

#[test]
fn every_kind_of_fault_on_every_role_is_drawn() {
    let steps = plan(1, 1_000, &EVERY_KIND);
    let kinds: std::collections::BTreeSet<_> = steps.iter().map(|step| step.fault.kind()).collect();
    assert_eq!(kinds.len(), 8, "{kinds:?}");
    for role in 0..ROLE_COUNT {
        let killed = |step: &Step| matches!(step.fault, Fault::RoleKill { role: r, .. } if r == role);
        assert!(steps.iter().any(killed), "{}", name(role));
    }
}

#[test]
fn the_short_run_strikes_both_servers_freezes_workers_for_longer_than_they_may_be_silent_and_wipes_last() {
    let rounds = super::short_run();
    let steps = &rounds[0];
    let strikes = |matches: fn(&Fault) -> bool| steps.iter().any(|step| matches(&step.fault));
    assert!(strikes(|fault| matches!(fault, Fault::PostgresKill { .. })));
    assert!(strikes(|fault| matches!(fault, Fault::PostgresFreeze { .. })));
    assert!(strikes(|fault| matches!(fault, Fault::RabbitmqKill { .. })));
    assert!(strikes(|fault| matches!(fault, Fault::RoleFreeze { role: 2..=4, frozen_ms: 2_500.. })));
    assert!(
        !strikes(|fault| matches!(fault, Fault::RoleFreeze { frozen_ms: 10_000.., .. })),
        "it would not be short"
    );
    // A broker without memory is told everything again: a relay that had forgotten something would not be found out.
    let wipes = |steps: &[Step]| steps.iter().any(|step| step.fault == Fault::RabbitmqWipe);
    assert!(!wipes(steps) && wipes(&rounds[1]));
    assert_eq!(rounds.iter().map(Vec::len).sum::<usize>(), 50);
}
