//! The kitchen: its contract with RabbitMQ, the worker's life, takeovers, the end of a worker, outages of the servers.

mod contract;
mod cooking;
mod dead_letters;
mod kit;
mod outages;
mod poison;
mod rail;
mod stopping;
mod subscriber;
mod takeover;
