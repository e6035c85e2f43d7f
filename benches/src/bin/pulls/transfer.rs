//! A large module by `tidegate plugin pull` and by curl, in turns.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tidegate_benches::places;
use tidegate_benches::process::{Core, pinned};
use tidegate_benches::program::median;

use crate::images::{Images, module};

const NAME: &str = "large";

/// What was found: medians, and medians of the ratios of each round.
pub(crate) struct Found {
    pub(crate) curl: Duration,
    pub(crate) curl_and_sync: Duration,
    pub(crate) pull: Duration,
    pub(crate) ratio: f64,
    pub(crate) ratio_without_sync: f64,
}

pub(crate) fn measure(images: &Images, bytes: usize, rounds: usize, core: Core) -> Result<Found> {
    let module = module(NAME, bytes);
    images.0.put(NAME, "1", &module);
    let url = images.url(NAME, &module);
    let reference = images.0.reference("large:1");
    let folder = tempfile::tempdir()?;
    let (mut curls, mut synced, mut pulls) = (Vec::new(), Vec::new(), Vec::new());
    let (mut ratios, mut without_sync) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let file = folder.path().join("curl");
        let begin = Instant::now();
        let mut curl = Command::new(places::installed("curl")?);
        run(curl.args(["-sSf", &url, "-m", "60", "-o"]).arg(&file), core)?;
        let curl = begin.elapsed();
        File::open(&file)?.sync_all()?;
        let curl_and_sync = begin.elapsed();
        ensure!(fs::read(&file)? == module, "curl got something else");
        fs::remove_file(&file)?;

        let cache = folder.path().join(format!("cache-{round}"));
        let begin = Instant::now();
        let mut pull = Command::new(places::tidegate()?);
        pull.args(["plugin", "pull", &reference, "--output"]);
        pull.arg(&file).arg("--plugin-cache").arg(&cache);
        run(&mut pull, core)?;
        let pull = begin.elapsed();
        ensure!(fs::read(&file)? == module, "the pull got something else");
        fs::remove_file(&file)?;
        fs::remove_dir_all(&cache)?;
        ratios.push(curl_and_sync.as_secs_f64() / pull.as_secs_f64());
        without_sync.push(curl.as_secs_f64() / pull.as_secs_f64());
        curls.push(curl);
        synced.push(curl_and_sync);
        pulls.push(pull);
    }
    Ok(Found {
        curl: median(curls)?,
        curl_and_sync: median(synced)?,
        pull: median(pulls)?,
        ratio: median(ratios)?,
        ratio_without_sync: median(without_sync)?,
    })
}

/// Runs a program that has a limit of its own, and is back as soon as it ends.
fn run(command: &mut Command, core: Core) -> Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = pinned(core, || command.status())?;
    let status = status.with_context(|| format!("start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed, {status}");
    Ok(())
}
