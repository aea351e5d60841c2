//! What Linux knows of this process, under the names that Prometheus's own clients use.

use std::fmt;

use procfs::process::{LimitValue, Process, Stat};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// Reads `/proc/self` whenever somebody asks. What cannot be read is left out.
#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Ok(process) = Process::myself() else { return Ok(()) };
        if let Ok(stat) = process.stat() {
            encode_stat(&mut encoder, &stat)?;
        }
        if let Ok(open) = process.fd_count() {
            let help = "File descriptors that are open";
            gauge(&mut encoder, "process_open_fds", help, None, whole(open as u64))?;
        }
        let limit = process.limits().map(|limits| limits.max_open_files.soft_limit);
        if let Ok(LimitValue::Value(most)) = limit {
            let help = "File descriptors that may be open";
            gauge(&mut encoder, "process_max_fds", help, None, whole(most))?;
        }
        Ok(())
    }
}

fn encode_stat(encoder: &mut DescriptorEncoder<'_>, stat: &Stat) -> Result<(), fmt::Error> {
    let ticks = procfs::ticks_per_second() as f64;
    let cpu = ConstCounter::new((stat.utime + stat.stime) as f64 / ticks);
    let help = "User and system time of the processors";
    cpu.encode(encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), cpu.metric_type())?)?;
    let resident = stat.rss * procfs::page_size();
    let help = "Memory that is in RAM";
    gauge(encoder, "process_resident_memory", help, Some(&Unit::Bytes), whole(resident))?;
    let help = "Memory that is addressed";
    gauge(encoder, "process_virtual_memory", help, Some(&Unit::Bytes), whole(stat.vsize))?;
    gauge(encoder, "process_threads", "Threads", None, stat.num_threads)?;
    if let Ok(booted_s) = procfs::boot_time_secs() {
        let started_s = booted_s as f64 + stat.starttime as f64 / ticks;
        let started = ConstGauge::new(started_s);
        let help = "When the process began, in Unix time";
        let unit = Some(&Unit::Seconds);
        let descriptor =
            encoder.encode_descriptor("process_start_time", help, unit, started.metric_type())?;
        started.encode(descriptor)?;
    }
    Ok(())
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: i64,
) -> Result<(), fmt::Error> {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
