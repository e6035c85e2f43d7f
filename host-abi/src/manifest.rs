//! What a module says about itself, in a custom section that other hosts ignore.
//!
//! Owns its form: JSON, written by Tidegate's SDK or anyone else. It is read without compiling. It may
//! ask for things and say what configuration it takes; it decides nothing about safety, and a broken
//! one harms nobody.

use serde::Deserialize;
use serde_json::Value;
use wasmparser::{Parser, Payload};

/// The name of the custom section.
const SECTION: &str = "tidegate.manifest";

/// Most bytes of a manifest.
const MAX_BYTES: usize = 1 << 20;

/// The need of a module that wants bodies while it holds headers back.
const STOP_ITERATION: &str = "stopIteration";

/// What a module says about itself. Fields that nobody knows are left out.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of the SDK that it was made with.
    pub sdk: String,
    /// What it does.
    pub description: String,
    /// What it filters: `http` or `network`; empty if it does not say.
    pub kind: String,
    /// What it wants of its host, such as `stopIteration`.
    pub needs: Vec<String>,
    /// What it uses of what an operator grants.
    pub capabilities: Vec<String>,
    /// What configuration it takes, as JSON Schema.
    pub config_schema: Option<Value>,
}

/// A manifest that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is too long to be read.
    #[error("it has {0} bytes; at most {MAX_BYTES} are read")]
    TooLarge(usize),
    /// There are several, and no telling which one is meant.
    #[error("there is more than one")]
    Several,
    /// Its bytes are something else.
    #[error("it is not what a manifest is: {0}")]
    Form(String),
}

impl Manifest {
    /// The manifest of a module; `None` if it has none, or is no module.
    ///
    /// # Errors
    /// [`ManifestError`] says what is wrong with it. The module may work all the same.
    pub fn read(module: &[u8]) -> Result<Option<Self>, ManifestError> {
        let mut found: Option<&[u8]> = None;
        if Parser::is_component(module) {
            return Ok(None);
        }
        for payload in Parser::new(0).parse_all(module) {
            // What is wrong with the module is said when it is compiled.
            let Ok(payload) = payload else {
                break;
            };
            if let Payload::CustomSection(section) = payload
                && section.name() == SECTION
                && found.replace(section.data()).is_some()
            {
                return Err(ManifestError::Several);
            }
        }
        found.map(Self::parse).transpose()
    }

    fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_BYTES {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        let form = |message: String| ManifestError::Form(message);
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| form(error.to_string()))?;
        match &manifest.config_schema {
            None | Some(Value::Bool(_) | Value::Object(_)) => Ok(manifest),
            Some(_) => Err(form("`configSchema` is no JSON Schema".to_owned())),
        }
    }

    /// Whether it wants bodies while it holds headers back.
    #[must_use]
    pub fn needs_stop_iteration(&self) -> bool {
        self.needs.iter().any(|need| need == STOP_ITERATION)
    }
}
