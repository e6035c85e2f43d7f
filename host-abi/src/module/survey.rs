//! What can be said about a module without compiling it, also if it is refused.
//!
//! Owns the author's view of the checks: each import with what becomes of it here and in Envoy, and
//! the verdict. The checks themselves are `check`'s.

use wasmparser::{Parser, Payload};

use super::UnknownImports;
use super::check::{self, import_problem, is_in_envoy};
use super::error::ModuleError;
use super::outline::{self, Item, Outline};
use crate::functions::{AbiVersion, IMPORTS, Namespace};

/// What a module is, for those who write one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// The newest ABI version it says it speaks, if it is one that this host knows.
    pub abi: Option<AbiVersion>,
    /// All it imports, in its order.
    pub imports: Vec<SurveyedImport>,
    /// The names of the functions it exports, in its order.
    pub exports: Vec<String>,
    /// Its memory, if it has one of its own.
    pub memory: Option<MemorySize>,
    /// Why this host refuses it, if it does.
    pub refusal: Option<ModuleError>,
}

/// One import of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SurveyedImport {
    /// The module it is looked for in.
    pub module: String,
    /// Its name.
    pub name: String,
    /// What becomes of it here.
    pub here: ImportVerdict,
    /// Whether Envoy 1.40 gives it to modules of this ABI version.
    pub in_envoy: bool,
    /// Whether it is one of WASI.
    pub wasi: bool,
}

/// What becomes of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportVerdict {
    /// It is there.
    Given,
    /// There is no such thing.
    Missing,
    /// It is there with other types.
    Differs {
        /// The types it has, as in `(i32)->i32`.
        expected: String,
        /// Those that the module wants.
        found: String,
    },
}

/// The memory of a module, in pages of 64 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemorySize {
    /// What it begins with.
    pub initial_pages: u64,
    /// What it says it needs at most.
    pub maximum_pages: Option<u64>,
}

impl Survey {
    /// Looks at the bytes of a module.
    ///
    /// # Errors
    /// [`ModuleError`] if they are no WebAssembly module at all; a module that is no filter, or none
    /// that this host can run, has a survey with a [`Survey::refusal`].
    pub fn of(bytes: &[u8]) -> Result<Self, ModuleError> {
        let outline = outline::read(bytes)?;
        let abi = check::abi_version(&outline).ok();
        let is_function = |item: &Item| matches!(item, Item::Function { .. });
        let exports = outline.exports.iter();
        let exports = exports.filter(|(_, item)| is_function(item));
        Ok(Self {
            abi,
            imports: imports(&outline, abi),
            exports: exports.map(|(name, _)| name.clone()).collect(),
            memory: memory(bytes),
            refusal: check::check(&outline, UnknownImports::Refuse).err(),
        })
    }
}

fn imports(outline: &Outline, abi: Option<AbiVersion>) -> Vec<SurveyedImport> {
    let imports = outline.imports.iter().map(|(module, name, item)| {
        let here = match import_problem(module, name, item) {
            None => ImportVerdict::Given,
            Some(problem) => match problem.expected {
                None => ImportVerdict::Missing,
                Some(expected) => ImportVerdict::Differs {
                    expected,
                    found: problem.found,
                },
            },
        };
        let wasi = Namespace::Wasi.modules().contains(&module.as_str());
        SurveyedImport {
            in_envoy: here == ImportVerdict::Given
                && abi.is_some_and(|abi| is_in_envoy(module, name, abi)),
            module: module.clone(),
            name: name.clone(),
            here,
            wasi,
        }
    });
    imports.collect()
}

/// The first memory that the module defines.
fn memory(bytes: &[u8]) -> Option<MemorySize> {
    let memories = Parser::new(0)
        .parse_all(bytes)
        .find_map(|payload| match payload {
            Ok(Payload::MemorySection(memories)) => Some(memories),
            _ => None,
        })?;
    let memory = memories.into_iter().next()?.ok()?;
    Some(MemorySize {
        initial_pages: memory.initial,
        maximum_pages: memory.maximum,
    })
}

impl SurveyedImport {
    /// Another module that this host has the same name in, if the import is missing for that alone.
    #[must_use]
    pub fn is_found_in(&self) -> Option<&'static str> {
        if self.here != ImportVerdict::Missing {
            return None;
        }
        let row = IMPORTS.iter().find(|row| row.name == self.name)?;
        row.namespace.modules().first().copied()
    }
}
