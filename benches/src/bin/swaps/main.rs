//! `swaps`: a filter is changed a thousand times under load, and nobody may notice.
//!
//! The gateway is a process of its own on a core of its own. Clients ask at fixed times; in turns
//! nothing changes for a while, and a share of the versions follows one another.

mod load;
mod site;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;
use tidegate_benches::process::two_cores;
use tidegate_benches::program::{self, median, p99, verdict};
use tidegate_benches::{places, wait};

use load::{Load, Shared};
use site::{Site, long_stream, module, variant};

/// How many times the steady 99th percentile it may be while versions change.
const SLOWER_LIMIT: f64 = 2.0;
/// How much more memory may be used after all versions than after the first ten.
const GROWTH_LIMIT: f64 = 1.05;
/// From a saved file to an answer, for code that must be compiled.
const NEW_LIMIT: Duration = Duration::from_secs(1);
/// The same for code that was compiled before.
const CACHED_LIMIT: Duration = Duration::from_millis(50);
/// Old versions of a plugin that streams may hold.
const MOST_OLD: u64 = 16;
/// How long anything may take before this program gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Changes a filter under load, and looks for anybody who notices.
#[derive(Debug, Parser)]
#[command(name = "swaps")]
struct Cli {
    /// How often it is changed.
    #[arg(long, default_value_t = 1_000)]
    swaps: u64,
    /// Milliseconds between two changes.
    #[arg(long, default_value_t = 50)]
    pace: u64,
    /// Requests a second.
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// In how many turns; as long as the changes of each take, nothing changes before them.
    #[arg(long, default_value_t = 10)]
    turns: u64,
    /// Streams that last over all changes of the end.
    #[arg(long, default_value_t = 100)]
    streams: usize,
    /// How often it is measured how soon a change serves.
    #[arg(long, default_value_t = 9)]
    times: usize,
}

fn main() -> ExitCode {
    program::run(measure)
}

fn measure(cli: &Cli) -> Result<()> {
    let [gateways, clients] = two_cores()?;
    let site = Site::start(gateways)?;
    let mut versions = Versions {
        site: &site,
        shared: Arc::default(),
        number: 1,
        pace: Duration::from_millis(cli.pace),
    };
    versions.shared.written.store(1, Ordering::SeqCst);
    versions.shared.confirmed.store(1, Ordering::SeqCst);
    let load = Load::start(site.address, cli.rate, &versions.shared, clients)?;
    let mut passes = under_load(cli, &mut versions, load)?;
    passes &= held(cli, &mut versions)?;
    passes &= soon(cli, &site)?;
    ensure!(
        passes,
        "something misses what it has to reach; it logged:\n{}",
        site.printed()
    );
    Ok(())
}

/// The versions of the filter.
struct Versions<'a> {
    site: &'a Site,
    shared: Arc<Shared>,
    number: u64,
    /// Between two of them.
    pace: Duration,
}

impl Versions<'_> {
    /// Makes the next one serve.
    fn next(&mut self) -> Result<()> {
        self.number += 1;
        let code = module(self.number)?;
        self.shared.written.store(self.number, Ordering::SeqCst);
        self.site.write(&code)?;
        self.site.reload()?;
        self.shared.confirmed.store(self.number, Ordering::SeqCst);
        Ok(())
    }

    /// Makes so many serve, one after the other; how long that took.
    fn change(&mut self, count: u64) -> Result<Duration> {
        let begin = Instant::now();
        self.shared.changing.store(true, Ordering::Relaxed);
        for _ in 0..count {
            self.next()?;
            wait_for(self.pace);
        }
        self.shared.changing.store(false, Ordering::Relaxed);
        Ok(begin.elapsed())
    }
}

fn under_load(cli: &Cli, versions: &mut Versions<'_>, load: Load) -> Result<bool> {
    let first = versions.change(10.min(cli.swaps))?;
    let after_ten = versions.site.resident()?;
    let turns = cli.turns.max(1);
    let each = cli.swaps.saturating_sub(10) / turns;
    let mut pause = first * u32::try_from(each / 10).unwrap_or(1).max(1);
    for _ in 0..turns {
        wait_for(pause);
        pause = versions.change(each)?;
    }
    let after_all = versions.site.resident()?;
    let seen = load.end()?;
    let all = seen.steady.len() + seen.changing.len();
    let (steady, changing) = (p99(seen.steady)?, p99(seen.changing)?);
    let mut passes = verdict(
        seen.failed == 0,
        &format!(
            "{} of {all} requests failed over {} changes of a filter",
            seen.failed, versions.number
        ),
    );
    passes &= verdict(
        seen.wrong == 0,
        &format!(
            "{} were answered by a version that was not in force",
            seen.wrong
        ),
    );
    for words in &seen.words {
        println!("      {words}");
    }
    let slower = changing.as_secs_f64() / steady.as_secs_f64();
    passes &= verdict(
        slower <= SLOWER_LIMIT,
        &format!(
            "of 100 requests one takes longer than {changing:.2?} while versions change, and than {steady:.2?} \
             while none does: {slower:.2} times, at most {SLOWER_LIMIT}"
        ),
    );
    let growth = after_all as f64 / after_ten as f64;
    passes &= verdict(
        growth <= GROWTH_LIMIT,
        &format!(
            "after {} versions {} KiB are resident, after ten {} KiB: {growth:.3} times, at most {GROWTH_LIMIT}",
            versions.number,
            after_all >> 10,
            after_ten >> 10
        ),
    );
    Ok(passes)
}

/// Long streams, each begun with another version.
fn held(cli: &Cli, versions: &mut Versions<'_>) -> Result<bool> {
    let site = versions.site;
    let mut streams = Vec::new();
    let waiting = "tidegate_plugin_swap_waiting{plugin=\"default/number\"}";
    for _ in 0..cli.streams {
        streams.push(long_stream(site.address)?);
        versions.next()?;
    }
    // Each version has an instance on each of the two workers.
    let old = site.metric("tidegate_plugin_retired_instances")?;
    let waits = site.metric(waiting).unwrap_or(0) == 1;
    let expected = u64::try_from(cli.streams)? > MOST_OLD;
    let mut passes = verdict(
        old <= MOST_OLD * 2 && waits == expected,
        &format!(
            "{} long streams over as many versions hold {old} old instances, at most {}; the newest waits: {waits}",
            cli.streams,
            MOST_OLD * 2
        ),
    );
    drop(streams);
    let caught_up = wait::until("the newest version serves", PATIENCE, || {
        let waits = site.metric(waiting).unwrap_or(0);
        let old = site.metric("tidegate_plugin_retired_instances")?;
        Ok((waits == 0 && old == 0).then_some(()))
    });
    passes &= verdict(
        caught_up.is_ok(),
        "once they end the newest version serves, and no old instance is left",
    );
    Ok(passes)
}

/// How soon a saved file serves.
fn soon(cli: &Cli, site: &Site) -> Result<bool> {
    let code = places::filter("probe")?;
    let (mut new, mut cached) = (Vec::new(), Vec::new());
    let first = variant(&code, 0)?;
    serve(site, &first)?;
    for number in 1..=cli.times {
        new.push(serve(site, &variant(&code, number as u64)?)?);
        cached.push(serve(site, &first)?);
    }
    let (new, cached) = (median(new)?, median(cached)?);
    let mut passes = verdict(
        new <= NEW_LIMIT,
        &format!(
            "a filter of {} KiB serves {new:.0?} after it was saved, at most {NEW_LIMIT:?}",
            first.len() >> 10
        ),
    );
    passes &= verdict(
        cached <= CACHED_LIMIT,
        &format!("one that was compiled before, {cached:.0?}, at most {CACHED_LIMIT:?}"),
    );
    Ok(passes)
}

/// Saves code and waits until it serves, as the file was noticed.
fn serve(site: &Site, code: &[u8]) -> Result<Duration> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, code);
    let hex: String = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    site.write(code)?;
    let saved = Instant::now();
    while !site.serves(&hex)? {
        ensure!(saved.elapsed() < PATIENCE, "a saved filter does not serve");
        wait_for(Duration::from_millis(1));
    }
    Ok(saved.elapsed())
}

/// Lets some time pass, to the millisecond.
pub(crate) fn wait_for(time: Duration) {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}
