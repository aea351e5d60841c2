//! The kitchen: its contract with RabbitMQ, the worker's life, takeovers, the end of a worker, outages of the servers.

mod accounts;
mod changes;
mod contract;
mod cooking;
mod dead_letters;
mod disk_full;
mod hostile;
pub(crate) mod kit;
mod many;
mod measured;
mod outages;
mod poison;
mod promotion;
mod queues;
mod slots;
mod starvation;
mod station;
mod stopping;
mod stopping_cut_off;
mod subscriber;
mod sweep;
mod takeover;
mod without_rabbitmq;
