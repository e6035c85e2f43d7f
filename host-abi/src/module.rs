//! A compiled module that is known to be a Proxy-Wasm filter this host can run.
//!
//! Owns compilation and everything that can be said about a module without running it. It is shared
//! by all plugins and workers; configuration is `plugin`'s.
//!
//! Invariant: a `Module` links. Whatever is missing or does not fit was reported by name before it
//! was compiled.

mod check;
mod error;
mod outline;

use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::InstancePre;

use crate::engine::Engine;
use crate::functions::{AbiVersion, Callbacks};
use crate::state::State;
pub use error::{ImportProblem, ModuleError};

/// A module, ready to be instantiated.
pub struct Module {
    name: Arc<str>,
    engine: Engine,
    ready: InstancePre<State>,
    abi: AbiVersion,
    digest: [u8; 32],
    callbacks: Callbacks,
    edits_bodies: bool,
    needs_stop_iteration: bool,
    unportable: Vec<String>,
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
        let outline = outline::read(bytes)?;
        let checked = check::check(&outline)?;
        let module = wasmtime::Module::from_binary(engine.wasmtime(), bytes)
            .map_err(|error| ModuleError::Compile(format!("{error:#}")))?;
        let ready = engine
            .linker()
            .instantiate_pre(&module)
            .map_err(|error| ModuleError::Compile(format!("{error:#}")))?;
        Ok(Self {
            name: name.into(),
            engine: engine.clone(),
            ready,
            abi: checked.abi,
            digest: Sha256::digest(bytes).into(),
            callbacks: checked.callbacks,
            edits_bodies: checked.edits_bodies,
            needs_stop_iteration: checked.needs_stop_iteration,
            unportable: checked.unportable,
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

    /// Whether it says, by exporting a function `tidegate_needs_stop_iteration`, that it wants bodies
    /// while it holds headers back. Other hosts ignore the export.
    #[must_use]
    pub const fn needs_stop_iteration(&self) -> bool {
        self.needs_stop_iteration
    }

    /// Imports that this host has and Envoy lacks for modules of this ABI version: the module loads
    /// here and not there.
    #[must_use]
    pub fn unportable_imports(&self) -> &[String] {
        &self.unportable
    }

    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) const fn ready(&self) -> &InstancePre<State> {
        &self.ready
    }
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
