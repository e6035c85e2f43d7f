//! Numbers about the process, as Prometheus clients name them. What cannot be read is left out.

use std::time::SystemTime;

use crate::admin::exposition::Exposition;
use crate::admin::exposition::Kind;

/// Adds what `/proc` says about this process.
pub(crate) fn add(out: &mut Exposition) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The command's name, in parentheses, may hold anything; the numbers are behind it.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_ascii_whitespace().collect())
        .unwrap_or_default();
    // Numbered from 1 in proc(5), where the state behind the name is 3.
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let ticks = exact(rustix::param::clock_ticks_per_second());
    if let Some((user, system)) = field(14).zip(field(15)) {
        out.single(
            "process_cpu_seconds_total",
            Kind::Counter,
            "CPU time of the process.",
            (user + system) / ticks,
        );
    }
    if let Some(pages) = field(24) {
        let size = u64::try_from(rustix::param::page_size()).unwrap_or(0);
        out.single(
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Memory in use.",
            pages * exact(size),
        );
    }
    if let Some(threads) = field(20) {
        out.single("process_threads", Kind::Gauge, "Threads.", threads);
    }
    if let Some(started) = field(22).and_then(|since_boot| start(since_boot / ticks)) {
        out.single(
            "process_start_time_seconds",
            Kind::Gauge,
            "When it started, in seconds since 1970.",
            started,
        );
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them lists the others.
        let count = open.count().saturating_sub(1);
        out.single(
            "process_open_fds",
            Kind::Gauge,
            "Open file descriptors.",
            count,
        );
    }
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        out.single(
            "process_max_fds",
            Kind::Gauge,
            "File descriptors that may be open.",
            most,
        );
    }
}

/// Ticks, sizes and the like are far below what a float holds exactly.
fn exact(number: u64) -> f64 {
    u32::try_from(number).map_or(f64::NAN, f64::from)
}

fn start(since_boot: f64) -> Option<f64> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let up: f64 = uptime.split_ascii_whitespace().next()?.parse().ok()?;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()?;
    Some(now.as_secs_f64() - up + since_boot)
}
