//! What can be wrong with a module.
//!
//! Owns the messages. Each says what the bytes are, what was expected, and, where there is one, the
//! way out.

use std::fmt;

use crate::functions::AbiVersion;

/// Why bytes are no module this host can run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// They do not begin as WebAssembly does.
    #[error("not a WebAssembly module: it begins with {}", beginning(.0))]
    NotWasm(Vec<u8>),
    /// They are a component.
    #[error("a WebAssembly component; Proxy-Wasm filters are core modules")]
    Component,
    /// They end in the middle or break the format.
    #[error("invalid or truncated WebAssembly at byte {offset}: {message}")]
    Invalid {
        /// Where, counted from the first byte.
        offset: u64,
        /// What the validator says.
        message: String,
    },
    /// They are valid WebAssembly, and no filter of a version we know.
    #[error("{}", no_abi(found))]
    NoAbi {
        /// Markers of versions that this host does not know.
        found: Vec<String>,
    },
    /// They import what this host does not have.
    #[error("{}", imports(.0))]
    Imports(Vec<ImportProblem>),
    /// They export no way to give them memory.
    #[error("exports neither proxy_on_memory_allocate nor malloc")]
    NoAllocator,
    /// They export no memory.
    #[error("exports no memory named \"memory\"")]
    NoMemory,
    /// A function they export has other types than the ABI says.
    #[error("export {name}: expected {expected}, found {found}")]
    Export {
        /// The function.
        name: &'static str,
        /// The types that the module's ABI version has for it.
        expected: String,
        /// What the module has.
        found: String,
    },
    /// wasmtime refused what the checks above let pass.
    #[error("compile the module: {0}")]
    Compile(String),
}

/// One import that cannot be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportProblem {
    /// `module.name`
    pub import: String,
    /// The signature this host has, if it has the function.
    pub expected: Option<String>,
    /// What the module wants.
    pub found: String,
    /// Whether it is a function, which could trap when it is called.
    pub is_function: bool,
}

impl fmt::Display for ImportProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            import,
            expected,
            found,
            is_function: _,
        } = self;
        match expected {
            Some(expected) => write!(f, "{import}: expected {expected}, found {found}"),
            None => write!(f, "{import}: unknown, wanted as {found}"),
        }
    }
}

fn beginning(bytes: &[u8]) -> String {
    match bytes {
        [] => "nothing, it is empty".to_owned(),
        [0x1f, 0x8b, ..] => "a gzip header; unpack it first".to_owned(),
        _ => format!("{:?}", bytes.escape_ascii().to_string()),
    }
}

fn no_abi(found: &[String]) -> String {
    let known: Vec<&str> = AbiVersion::ALL
        .iter()
        .rev()
        .map(|version| version.marker())
        .collect();
    let known = known.join(", ");
    if found.is_empty() {
        format!("not a Proxy-Wasm filter: it exports none of {known}")
    } else {
        format!("speaks only {}; known are {known}", found.join(", "))
    }
}

fn imports(problems: &[ImportProblem]) -> String {
    let lines: Vec<String> = problems.iter().map(ImportProblem::to_string).collect();
    format!("imports what this host cannot give: {}", lines.join("; "))
}
