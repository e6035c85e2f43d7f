//! Figures of modules: how long until their code is there, compiled or kept.

#![expect(
    unsafe_code,
    reason = "whoever keeps compiled code promises that it is its own"
)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tidegate_benches::wat_filters::large;
use tidegate_host_abi::{CodeCache, CompileOptions, Engine, EngineConfig, Module};

use crate::guests::built;
use crate::report::{Figure, Report};

/// What a SHA-256 takes.
const DIGEST: usize = 32;

/// How long compiling and loading take.
pub(crate) fn load(report: &mut Report) {
    let made = large(1 << 20).expect("assembles");
    let (_, cached) = times(report, 1, &made);
    report.millis("a module of 1 MB from the cache, verified", cached, 5.0);

    let (cold, warm) = (
        "a module of 7 MB in Go (6 asked), compiled on all cores",
        "a module of 7 MB in Go (6 asked) from the cache, verified",
    );
    match built("bench-go") {
        Some(module) => {
            println!("the module in Go has {:.1} MB", module.len() as f64 / 1e6);
            let (compiled, cached) = times(report, 3, &module);
            report.millis(cold, compiled, 5_000.0);
            report.millis(warm, cached, 50.0);
        }
        None => {
            println!("the module in Go is not there; `cargo xtask bench` builds it");
            report.note(cold, None, Figure::Millis(5_000.0));
            report.note(warm, None, Figure::Millis(50.0));
        }
    }
}

/// The least times to compile a module, and to load it from the cache.
fn times(report: &Report, rounds: usize, module: &[u8]) -> (Duration, Duration) {
    let kept = Kept(TempDir::new().expect("a folder"));
    let cold = (0..report.times(rounds)).map(|_| {
        kept.discard("");
        timed(&kept, module)
    });
    let cold = cold.min().unwrap_or_default();
    let warm = (0..report.times(30)).map(|_| timed(&kept, module));
    (cold, warm.min().unwrap_or_default())
}

/// The time until a module can be instantiated, in an engine of its own: without code in memory.
fn timed(kept: &Kept, module: &[u8]) -> Duration {
    let engine = Engine::new(EngineConfig {
        parallel_compilation: true,
        ..EngineConfig::default()
    });
    let engine = engine.expect("WebAssembly runs here");
    let options = CompileOptions {
        cache: Some(kept),
        ..CompileOptions::default()
    };
    let started = Instant::now();
    let module = Module::compile_with(&engine, "large", module, options);
    let time = started.elapsed();
    module.expect("it is a filter");
    time
}

/// One piece of code on disk with its SHA-256, read and verified as the gateway does it.
struct Kept(TempDir);

impl Kept {
    fn file(&self) -> PathBuf {
        self.0.path().join("code")
    }
}

// SAFETY: The folder is this process's alone, and what is read is compared with the digest that was
// written behind it.
unsafe impl CodeCache for Kept {
    fn load(&self, _: &str) -> Option<Vec<u8>> {
        let mut code = std::fs::read(self.file()).ok()?;
        let digest = code.split_off(code.len().checked_sub(DIGEST)?);
        let is_whole = *Sha256::digest(&code) == *digest;
        is_whole.then_some(code)
    }

    fn save(&self, _: &str, code: &[u8]) {
        let digest = Sha256::digest(code);
        std::fs::write(self.file(), [code, &digest].concat()).expect("kept");
    }

    fn discard(&self, _: &str) {
        // Nothing may be there yet.
        std::fs::remove_file(self.file()).ok();
    }
}
