//! A compiled module that is known to be a Proxy-Wasm filter this host can run.
//!
//! Owns compilation and everything that can be said about a module without running it. It is shared
//! by all plugins and workers; configuration is `plugin`'s.
//!
//! Invariant: a `Module` links. Whatever is missing or does not fit was reported by name before it
//! was compiled.

mod check;
mod compiled;
mod error;
mod outline;
mod survey;

use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::InstancePre;

use crate::engine::Engine;
use crate::functions::{AbiVersion, Callbacks};
use crate::manifest::{Manifest, ManifestError};
use crate::state::State;
pub use compiled::CodeCache;
pub use error::{ImportProblem, ModuleError};
pub use survey::{ImportVerdict, MemorySize, Survey, SurveyedImport};

/// A module, ready to be instantiated.
pub struct Module {
    name: Arc<str>,
    engine: Engine,
    ready: InstancePre<State>,
    abi: AbiVersion,
    digest: [u8; 32],
    callbacks: Callbacks,
    edits_bodies: bool,
    injects: bool,
    needs_stop_iteration: bool,
    manifest: Result<Option<Manifest>, ManifestError>,
    unportable: Vec<String>,
    missing: Vec<String>,
}

/// How a module is compiled.
#[derive(Clone, Copy, Default)]
pub struct CompileOptions<'c> {
    /// What becomes of function imports that this host does not have.
    pub unknown_imports: UnknownImports,
    /// Where compiled code is kept, if anywhere.
    pub cache: Option<&'c dyn CodeCache>,
}

impl std::fmt::Debug for CompileOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompileOptions")
            .field("unknown_imports", &self.unknown_imports)
            .field("cache", &self.cache.map(|_| ".."))
            .finish()
    }
}

/// What becomes of function imports that this host does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UnknownImports {
    /// The module is refused, all of them by name.
    #[default]
    Refuse,
    /// The module loads, and a guest that calls one is ended by a fault that names it.
    TrapWhenCalled,
}

impl Module {
    /// Checks and compiles a module. `name` is for messages only.
    ///
    /// This takes as long as compiling does, up to seconds: never call it on a worker.
    ///
    /// # Errors
    /// [`ModuleError`] says what the bytes are instead of a Proxy-Wasm filter, or lists every
    /// import this host cannot give it.
    pub fn compile(engine: &Engine, name: &str, bytes: &[u8]) -> Result<Self, ModuleError> {
        Self::compile_with(engine, name, bytes, CompileOptions::default())
    }

    /// Checks and compiles a module as told; takes it from the cache if it is there.
    ///
    /// # Errors
    /// As [`Module::compile`].
    pub fn compile_with(
        engine: &Engine,
        name: &str,
        bytes: &[u8],
        options: CompileOptions<'_>,
    ) -> Result<Self, ModuleError> {
        let CompileOptions {
            unknown_imports,
            cache,
        } = options;
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        let keep = cache.map(|cache| (cache, compiled::key(engine, &digest)));
        let keep = keep.as_ref().map(|(cache, key)| (*cache, key.as_str()));
        let kept = keep.and_then(|(cache, key)| compiled::load(engine, cache, key));
        let (module, checked) = if let Some(module) = kept {
            let checked = check::check(&outline::of(&module), unknown_imports)?;
            (module, checked)
        } else {
            let checked = check::check(&outline::read(bytes)?, unknown_imports)?;
            (compiled::compile(engine, bytes, keep)?, checked)
        };
        let ready = link(engine, &module, !checked.missing.is_empty())
            .map_err(|error| ModuleError::Compile(format!("{error:#}")))?;
        let manifest = Manifest::read(bytes);
        let declared = matches!(&manifest, Ok(Some(manifest)) if manifest.needs_stop_iteration());
        Ok(Self {
            name: name.into(),
            engine: engine.clone(),
            ready,
            abi: checked.abi,
            digest,
            callbacks: checked.callbacks,
            edits_bodies: checked.edits_bodies,
            injects: checked.injects,
            needs_stop_iteration: checked.needs_stop_iteration || declared,
            manifest,
            unportable: checked.unportable,
            missing: checked.missing,
        })
    }

    /// The name it was compiled under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ABI version it speaks.
    #[must_use]
    pub const fn abi_version(&self) -> AbiVersion {
        self.abi
    }

    /// The SHA-256 of its bytes.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The callbacks it exports.
    #[must_use]
    pub const fn callbacks(&self) -> Callbacks {
        self.callbacks
    }

    /// Whether it imports `proxy_set_buffer_bytes`: if not, it changes no body, and a
    /// `content-length` stays true.
    #[must_use]
    pub const fn may_edit_bodies(&self) -> bool {
        self.edits_bodies
    }

    /// Whether it imports Higress's `proxy_inject_encoded_data_to_filter_chain`: then a response may
    /// become longer without a body callback.
    #[must_use]
    pub const fn may_inject(&self) -> bool {
        self.injects
    }

    /// Whether it says, in its manifest or by exporting a function `tidegate_needs_stop_iteration`,
    /// that it wants bodies while it holds headers back. Other hosts ignore both.
    #[must_use]
    pub const fn needs_stop_iteration(&self) -> bool {
        self.needs_stop_iteration
    }

    /// What it says about itself; `None` if it says nothing.
    ///
    /// # Errors
    /// Why that cannot be used. The module can.
    pub const fn manifest(&self) -> Result<Option<&Manifest>, &ManifestError> {
        match &self.manifest {
            Ok(manifest) => Ok(manifest.as_ref()),
            Err(error) => Err(error),
        }
    }

    /// Imports that this host has and Envoy lacks for modules of this ABI version: the module loads
    /// here and not there.
    #[must_use]
    pub fn unportable_imports(&self) -> &[String] {
        &self.unportable
    }

    /// Imports that this host lacks: a guest that calls one is ended. None unless
    /// [`UnknownImports::TrapWhenCalled`] was asked for.
    #[must_use]
    pub fn missing_imports(&self) -> &[String] {
        &self.missing
    }

    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) const fn ready(&self) -> &InstancePre<State> {
        &self.ready
    }
}

fn link(
    engine: &Engine,
    module: &wasmtime::Module,
    lacks_imports: bool,
) -> wasmtime::Result<InstancePre<State>> {
    if !lacks_imports {
        return engine.linker().instantiate_pre(module);
    }
    let mut linker = engine.linker().clone();
    linker.define_unknown_imports_as_traps(module)?;
    linker.instantiate_pre(module)
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module")
            .field("name", &self.name)
            .field("abi", &self.abi)
            .field("callbacks", &self.callbacks)
            .finish_non_exhaustive()
    }
}
