//! A start with everything in the cache, and no registry.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tidegate_benches::process::Core;
use tidegate_benches::program::median;
use tidegate_benches::wait;

use crate::images::{Images, module};
use crate::site::Site;

/// The first start compiles all of them.
const FIRST: Duration = Duration::from_secs(120);
/// Bytes of each module: those of a filter of some size.
const BYTES: usize = 300 << 10;
/// Starts that are measured.
const STARTS: usize = 5;

/// The median time from a start to the first response that all plugins have seen.
pub(crate) fn measure(images: &Images, count: usize, core: Core) -> Result<Duration> {
    let mut references = Vec::new();
    for number in 0..count {
        let name = format!("cached-{number}");
        images.0.put(&name, "1", &module(&name, BYTES));
        references.push(images.0.reference(&format!("{name}:1")));
    }
    let site = Site::new(&references, core)?;
    let first = site.start(core)?;
    wait::until("all plugins serve", FIRST, || {
        Ok((site.filters() == count).then_some(()))
    })?;
    drop(first);
    images.0.set_down(true);
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let begin = Instant::now();
        let mut gateway = site.start(core)?;
        gateway.wait_until_listens(site.address)?;
        ensure!(
            site.filters() == count,
            "the first response has not seen all plugins; the gateway printed:\n{}",
            gateway.printed()
        );
        times.push(begin.elapsed());
    }
    images.0.set_down(false);
    median(times)
}
