//! Compiled code that is kept from one run to the next.
//!
//! Owns the one unsafe step, turning bytes back into code, and the promise it rests on. Where the
//! bytes are kept is the embedder's. What was kept by another version or for another machine is
//! refused by wasmtime itself and by the key.

#![expect(
    unsafe_code,
    reason = "deserializing runs what the bytes say; see CodeCache"
)]

use super::error::ModuleError;
use crate::engine::Engine;

/// Where compiled code is kept.
///
/// # Safety
///
/// Code that is loaded runs with all rights of the process. [`CodeCache::load`] must return only
/// bytes that [`CodeCache::save`] was given under the same key, whole and unchanged: kept where
/// nobody but the process's own user can write, and verified after they were read into memory that
/// only this process has.
pub unsafe trait CodeCache: Sync {
    /// The code that was saved under a key.
    fn load(&self, key: &str) -> Option<Vec<u8>>;

    /// Keeps code; failing to is not an error of the compilation.
    fn save(&self, key: &str, code: &[u8]);

    /// Forgets code that could be loaded and not used.
    fn discard(&self, key: &str);
}

/// The key of a module's code: what it is made of, and who made it for what machine.
pub(super) fn key(engine: &Engine, digest: &[u8; 32]) -> String {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    format!("{}-{}", hex(digest), hex(engine.compatibility()))
}

/// The kept code of a module, if there is any that this engine can run.
pub(super) fn load(engine: &Engine, cache: &dyn CodeCache, key: &str) -> Option<wasmtime::Module> {
    let code = cache.load(key)?;
    // SAFETY: The implementor of `CodeCache` promises that these bytes are what `save` was given
    // under this key. Only `compile` calls `save`, with what this version of wasmtime serialized for
    // a key that names module, engine settings and machine. wasmtime checks its own version and
    // settings once more.
    let loaded = unsafe { wasmtime::Module::deserialize(engine.wasmtime(), &code) };
    match loaded {
        Ok(module) => Some(module),
        Err(error) => {
            tracing::warn!(key, error = format!("{error:#}"), "kept code is not used");
            cache.discard(key);
            None
        }
    }
}

/// Compiles a module and keeps its code.
pub(super) fn compile(
    engine: &Engine,
    bytes: &[u8],
    keep: Option<(&dyn CodeCache, &str)>,
) -> Result<wasmtime::Module, ModuleError> {
    let module = wasmtime::Module::from_binary(engine.wasmtime(), bytes)
        .map_err(|error| ModuleError::Compile(format!("{error:#}")))?;
    if let Some((cache, key)) = keep {
        match module.serialize() {
            Ok(code) => cache.save(key, &code),
            Err(error) => tracing::warn!(error = format!("{error:#}"), "code cannot be kept"),
        }
    }
    Ok(module)
}
