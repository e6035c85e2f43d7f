//! Compiling modules and starting them once: on all cores while nothing serves, and later on one
//! thread that yields to the traffic.
//!
//! Owns the engine, made when the first plugin needs it, and the compiled modules by digest, kept
//! for as long as a plugin uses them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Weak;

use tidegate_host_abi::CodeCache;
use tidegate_host_abi::CompileOptions;
use tidegate_host_abi::Engine;
use tidegate_host_abi::EngineConfig;
use tidegate_host_abi::EngineError;
use tidegate_host_abi::Instance;
use tidegate_host_abi::Module;
use tidegate_host_abi::ModuleError;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::PluginSpec;
use tidegate_host_abi::StartError;
use tidegate_host_abi::UnknownImports;

use crate::code_cache::CodeFolder;
use crate::plugins::trial::TrialServices;

/// How much lower than everything else compilation is scheduled (`nice`).
const NICE: i32 = 10;

/// Why a version of a plugin does not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TryError {
    /// WebAssembly cannot be run at all.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The code is no module for us.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// It does not start.
    #[error(transparent)]
    Start(Box<StartError>),
}

/// The digest of a module's code, and how it was compiled.
type ModuleKey = ([u8; 32], UnknownImports);

/// Compiles; remembers what is in use.
#[derive(Debug, Default)]
pub(crate) struct Compiler {
    engine: Option<Engine>,
    cache: Option<CodeFolder>,
    /// Something serves: it comes first.
    yields: bool,
    modules: HashMap<ModuleKey, Weak<Module>>,
}

impl Compiler {
    /// Keeps compiled code there from now on.
    pub(crate) fn set_cache(&mut self, cache: CodeFolder) {
        self.cache = Some(cache);
    }

    /// From now on there is traffic to yield to.
    pub(crate) fn yield_to_traffic(&mut self) {
        self.yields = true;
    }

    /// A plugin of that code which has been instantiated, started and configured once, with every
    /// call to the outside refused.
    ///
    /// # Errors
    ///
    /// [`TryError`] says which step failed.
    pub(crate) fn plugin(
        &mut self,
        digest: &[u8; 32],
        name: &str,
        code: &[u8],
        spec: &PluginSpec,
    ) -> Result<Arc<Plugin>, TryError> {
        let engine = match &self.engine {
            Some(engine) => engine.clone(),
            None => self
                .engine
                .insert(Engine::new(EngineConfig {
                    parallel_compilation: true,
                    ..EngineConfig::default()
                })?)
                .clone(),
        };
        let known = self
            .modules
            .get(&(*digest, spec.unknown_imports))
            .and_then(Weak::upgrade);
        let cache = self.cache.as_ref().map(|cache| cache as &dyn CodeCache);
        let work = || {
            let module = match known {
                Some(module) => module,
                None => {
                    let options = CompileOptions {
                        cache,
                        unknown_imports: spec.unknown_imports,
                    };
                    let module = Module::compile_with(&engine, name, code, options)?;
                    warn_of_missing(&spec.name, &module);
                    Arc::new(module)
                }
            };
            let plugin = Arc::new(Plugin::new(module, spec.clone()));
            let services = Arc::new(TrialServices::default());
            Instance::start(&[Arc::clone(&plugin)], services)
                .map_err(|err| TryError::Start(Box::new(err)))?;
            Ok::<_, TryError>(plugin)
        };
        let plugin = if self.yields {
            behind_the_traffic(work)?
        } else {
            work()?
        };
        self.modules.insert(
            (*digest, spec.unknown_imports),
            Arc::downgrade(plugin.module()),
        );
        Ok(plugin)
    }

    /// Forgets modules that nobody uses.
    pub(crate) fn tidy(&mut self) {
        self.modules.retain(|_, module| module.strong_count() > 0);
    }
}

fn warn_of_missing(plugin: &str, module: &Module) {
    let missing = module.missing_imports();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let missing = missing.escape_debug();
        tracing::warn!("plugin {plugin} ends if it calls what there is not: {missing}");
    }
}

/// Runs work on a thread of its own with low priority, and waits for it. What it compiles is
/// compiled on that thread alone.
fn behind_the_traffic<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    // Linux schedules threads, so this concerns this one alone. It is a courtesy: if it is not
    // allowed, the work is done all the same.
    let lower = |_| {
        rustix::process::setpriority_process(None, NICE).ok();
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .thread_name(|_| "plugin-compile".to_owned())
        .start_handler(lower)
        .build();
    match pool {
        Ok(pool) => pool.install(work),
        Err(err) => {
            tracing::warn!(%err, "no thread of low priority: a plugin is compiled as it comes");
            work()
        }
    }
}
