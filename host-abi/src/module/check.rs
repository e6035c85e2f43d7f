//! Decides whether a module is a filter this host can run.
//!
//! Owns the order in which problems are reported: what it is, then what it lacks, then what it
//! wants, then what does not fit.

use super::UnknownImports;
use super::error::{ImportProblem, ModuleError};
use super::outline::{Item, Outline};
use crate::functions::{AbiVersion, Callbacks, EXPORTS, IMPORTS, Role, spell};

/// The export by which a module declares that it wants bodies while it holds headers back. An
/// export, as ABI versions are: tools that strip custom sections leave it alone.
const NEEDS_STOP_ITERATION: &str = "tidegate_needs_stop_iteration";

/// What the check found out.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) abi: AbiVersion,
    pub(super) callbacks: Callbacks,
    pub(super) edits_bodies: bool,
    pub(super) injects: bool,
    pub(super) needs_stop_iteration: bool,
    /// Imports that Envoy would refuse this module for.
    pub(super) unportable: Vec<String>,
    /// Functions it imports and this host lacks.
    pub(super) missing: Vec<String>,
}

pub(super) fn check(outline: &Outline, unknown: UnknownImports) -> Result<Checked, ModuleError> {
    let abi = abi_version(outline)?;
    if outline.export("memory") != Some(&Item::Memory) {
        return Err(ModuleError::NoMemory);
    }
    if !["proxy_on_memory_allocate", "malloc"]
        .iter()
        .any(|name| outline.export(name).is_some())
    {
        return Err(ModuleError::NoAllocator);
    }
    let problems: Vec<ImportProblem> = outline
        .imports
        .iter()
        .filter_map(|(module, name, found)| import_problem(module, name, found))
        .collect();
    // A function that is there with other types is no missing one.
    let may_trap = |problem: &ImportProblem| problem.expected.is_none() && problem.is_function;
    let tolerated = unknown == UnknownImports::TrapWhenCalled && problems.iter().all(may_trap);
    if !problems.is_empty() && !tolerated {
        return Err(ModuleError::Imports(problems));
    }
    let callbacks = callbacks(outline, abi)?;
    let has = |wanted: &str| outline.imports.iter().any(|(_, name, _)| name == wanted);
    Ok(Checked {
        abi,
        callbacks,
        edits_bodies: has("proxy_set_buffer_bytes"),
        injects: has("proxy_inject_encoded_data_to_filter_chain"),
        needs_stop_iteration: outline.export(NEEDS_STOP_ITERATION).is_some(),
        unportable: unportable(outline, abi),
        missing: problems.into_iter().map(|problem| problem.import).collect(),
    })
}

impl Outline {
    fn export(&self, name: &str) -> Option<&Item> {
        self.exports
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, item)| item)
    }
}

/// The newest version the module says it speaks.
pub(super) fn abi_version(outline: &Outline) -> Result<AbiVersion, ModuleError> {
    let known = AbiVersion::ALL
        .into_iter()
        .find(|version| outline.export(version.marker()).is_some());
    known.ok_or_else(|| ModuleError::NoAbi {
        found: outline
            .exports
            .iter()
            .map(|(name, _)| name.clone())
            .filter(|name| name.starts_with("proxy_abi_version_"))
            .collect(),
    })
}

pub(super) fn import_problem(module: &str, name: &str, found: &Item) -> Option<ImportProblem> {
    let row = IMPORTS
        .iter()
        .find(|row| row.name == name && row.namespace.modules().contains(&module));
    let expected = row.map(|row| row.signature);
    if let (Some(expected), Item::Function { params, result }) = (expected, found)
        && expected.is(params, result)
    {
        return None;
    }
    Some(ImportProblem {
        import: format!("{module}.{name}"),
        expected: expected.map(|expected| expected.to_string()),
        found: describe(found),
        is_function: matches!(found, Item::Function { .. }),
    })
}

/// The imports that this host gives to every module, and Envoy not to one of this version.
fn unportable(outline: &Outline, abi: AbiVersion) -> Vec<String> {
    outline
        .imports
        .iter()
        .filter(|(module, name, _)| !is_in_envoy(module, name, abi))
        .map(|(module, name, _)| format!("{module}.{name}"))
        .collect()
}

/// Whether Envoy gives a module of this version the function.
pub(super) fn is_in_envoy(module: &str, name: &str, abi: AbiVersion) -> bool {
    IMPORTS.iter().any(|row| {
        row.name == name && row.namespace.modules().contains(&module) && row.versions.contains(&abi)
    })
}

fn callbacks(outline: &Outline, abi: AbiVersion) -> Result<Callbacks, ModuleError> {
    let mut callbacks = Callbacks::default();
    for row in EXPORTS {
        let Some(found) = outline.export(row.name) else {
            continue;
        };
        let expected = row.signature(abi);
        let fits =
            matches!(found, Item::Function { params, result } if expected.is(params, result));
        match row.role {
            Role::Callback(callback) if fits => callbacks.insert(callback),
            Role::Life if fits => {}
            // Entry points of C have several forms; one that is not ours is not called.
            Role::Life if matches!(row.name, "main" | "__main_void") => {}
            Role::Uncalled => {}
            Role::Callback(_) | Role::Life => {
                return Err(ModuleError::Export {
                    name: row.name,
                    expected: expected.to_string(),
                    found: describe(found),
                });
            }
        }
    }
    Ok(callbacks)
}

fn describe(item: &Item) -> String {
    match item {
        Item::Function { params, result } => spell(params, result),
        Item::Memory => "a memory".to_owned(),
        Item::Other(kind) => (*kind).to_owned(),
    }
}
