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

use crate::background;
use crate::code_cache::CodeFolder;
use crate::plugins::trial::TrialServices;

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
    gives_way: bool,
    modules: HashMap<ModuleKey, Weak<Module>>,
}

impl Compiler {
    /// Keeps compiled code there from now on.
    pub(crate) fn set_cache(&mut self, cache: CodeFolder) {
        self.cache = Some(cache);
    }

    /// From now on there is traffic to give way to.
    pub(crate) fn give_way(&mut self) {
        self.gives_way = true;
    }

    /// Whether there is.
    pub(crate) fn gives_way(&self) -> bool {
        self.gives_way
    }

    /// The engine, made here if there is none: the threads that it starts are as urgent as this one.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if WebAssembly cannot be run at all.
    pub(crate) fn engine(&mut self) -> Result<Engine, EngineError> {
        if let Some(engine) = &self.engine {
            return Ok(engine.clone());
        }
        let engine = Engine::new(EngineConfig {
            parallel_compilation: true,
            ..EngineConfig::default()
        })?;
        Ok(self.engine.insert(engine).clone())
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
        let engine = self.engine()?;
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
        let plugin = if self.gives_way {
            background::run("plugin-load", work)?
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
