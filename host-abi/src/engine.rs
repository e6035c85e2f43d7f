//! The compiler and runtime that all modules of a process share.
//!
//! Owns the wasmtime engine, the linker with every host function, and the ticker that makes
//! deadlines possible. It holds no module and no instance; they hold it.
//!
//! Invariant: whatever can run a guest keeps the engine alive, so the ticker outlives every guest.

mod ticker;

use std::hash::{Hash as _, Hasher};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, Linker, OptLevel, PoolingAllocationConfig,
    Strategy, WasmBacktraceDetails,
};

use crate::host_calls;
use crate::state::State;
pub(crate) use ticker::{Needed, Ticker};

/// How the engine is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// Instances that may exist at once: plugins × workers × 2, for swaps. Each reserves 4 GiB of
    /// address space, not memory.
    pub instances: u32,
    /// The most memory any plugin's limits can grant, in bytes.
    pub max_memory_bytes: usize,
    /// The most table elements any plugin's limits can grant.
    pub max_table_elements: usize,
    /// Compiles on all threads of rayon's current pool: by default on all cores. An embedder that
    /// swaps plugins under traffic compiles in a small pool of its own then.
    pub parallel_compilation: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            instances: 4_000,
            max_memory_bytes: 1 << 30,
            max_table_elements: 100_000,
            parallel_compilation: false,
        }
    }
}

/// The engine could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// wasmtime does not support this machine or configuration.
    #[error("set up the WebAssembly runtime: {0}")]
    Runtime(String),
    /// The ticker thread could not be started.
    #[error("start the deadline thread")]
    Ticker(#[source] std::io::Error),
    /// A host function does not fit the ABI table: a defect of this crate.
    #[error("link host functions: {0}")]
    Link(String),
}

/// The shared engine. Cloning it is cheap.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    engine: wasmtime::Engine,
    linker: Linker<State>,
    ticker: Ticker,
    pooled: bool,
    compatibility: [u8; 32],
}

impl Engine {
    /// Builds an engine, with a pool of instances if the address space for it can be had.
    ///
    /// # Errors
    /// If this machine cannot run WebAssembly or no thread can be started.
    pub fn new(config: EngineConfig) -> Result<Self, EngineError> {
        let (engine, pooled) = build(&config)?;
        let mut linker = Linker::new(&engine);
        host_calls::link(&mut linker).map_err(|error| EngineError::Link(format!("{error:#}")))?;
        let ticker = Ticker::start(engine.clone()).map_err(EngineError::Ticker)?;
        Ok(Self {
            inner: Arc::new(Inner {
                compatibility: compatibility(&engine),
                engine,
                linker,
                ticker,
                pooled,
            }),
        })
    }

    /// Whether instances come from a pool; if not, making one takes longer.
    #[must_use]
    pub fn is_pooled(&self) -> bool {
        self.inner.pooled
    }

    /// Whether no guest ran for a while, so that the deadline thread sleeps. The next entry of a
    /// guest wakes it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.inner.ticker.is_parked()
    }

    /// Names the settings, the version and the machine that compiled code depends on.
    pub(crate) fn compatibility(&self) -> &[u8; 32] {
        &self.inner.compatibility
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.engine
    }

    pub(crate) fn linker(&self) -> &Linker<State> {
        &self.inner.linker
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.inner.ticker
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("pooled", &self.inner.pooled)
            .finish_non_exhaustive()
    }
}

fn compatibility(engine: &wasmtime::Engine) -> [u8; 32] {
    /// What is hashed goes into a digest: std's own hashes may differ from run to run.
    struct Digest(Sha256);

    impl Hasher for Digest {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        fn finish(&self) -> u64 {
            0 // Nobody asks: the digest is the hash.
        }
    }

    let mut digest = Digest(Sha256::new());
    env!("CARGO_PKG_VERSION").hash(&mut digest);
    engine.precompile_compatibility_hash().hash(&mut digest);
    digest.0.finalize().into()
}

fn build(config: &EngineConfig) -> Result<(wasmtime::Engine, bool), EngineError> {
    let pool = wasmtime::Engine::new(base(config).allocation_strategy(pool(config)));
    match pool {
        Ok(engine) => Ok((engine, true)),
        Err(error) => {
            tracing::warn!(
                instances = config.instances,
                error = format!("{error:#}"),
                "no pool of plugin instances, they are made one by one"
            );
            let engine = wasmtime::Engine::new(&base(config))
                .map_err(|error| EngineError::Runtime(format!("{error:#}")))?;
            Ok((engine, false))
        }
    }
}

fn base(config: &EngineConfig) -> Config {
    let mut base = Config::new();
    base.strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .parallel_compilation(config.parallel_compilation)
        .epoch_interruption(true)
        .memory_init_cow(true)
        // Eager tables cost 15 µs (Rust) to 243 µs (Go) an instance, lazy ones 1 µs; but an
        // instance lives for hours and is made off the workers, while lazy tables put a test into
        // every indirect call of every callback.
        .table_lazy_init(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .concurrency_support(false)
        .gc_support(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_simd(true)
        .wasm_bulk_memory(true)
        .wasm_multi_value(true);
    base
}

fn pool(config: &EngineConfig) -> InstanceAllocationStrategy {
    /// Bytes of a used memory or table slot that are zeroed in place instead of unmapped.
    const KEEP_MEMORY: usize = 1 << 20;
    const KEEP_TABLE: usize = 1 << 19;
    /// Modules have one table; a few toolchains emit a second one.
    const TABLES: u32 = 2;

    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(config.instances)
        .total_memories(config.instances)
        .total_tables(config.instances.saturating_mul(TABLES))
        .max_memories_per_module(1)
        .max_tables_per_module(TABLES)
        .max_memory_size(config.max_memory_bytes)
        .table_elements(config.max_table_elements)
        .linear_memory_keep_resident(KEEP_MEMORY)
        .table_keep_resident(KEEP_TABLE)
        .max_unused_warm_slots(8)
        // It has had isolation bugs and wins nothing for instances that live for hours.
        .pagemap_scan(Enabled::No);
    InstanceAllocationStrategy::Pooling(pool)
}
