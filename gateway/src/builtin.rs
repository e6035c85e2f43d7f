//! The filters that come with the binary (`source: { builtin: NAME }`).
//!
//! Owns the table of their names and modules. What they do is theirs: to everything else they are
//! plugins like those from files.

use std::path::PathBuf;

use bytes::Bytes;
use sha2::Digest as _;
use sha2::Sha256;
use tidegate_config::load::Loader;
use tidegate_plugin_store::PluginCode;

/// Names with modules, by name.
const TABLE: &[(&str, &[u8])] = &[];

/// The names of all of them, in alphabetical order.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// The module of one; `None` if there is none of that name.
pub(crate) fn module(name: &str) -> Option<&'static [u8]> {
    let found = TABLE.iter().find(|(known, _)| *known == name);
    found.map(|(_, module)| *module)
}

/// The module of one as plugin code; `None` if there is none of that name.
pub(crate) fn code(name: &str) -> Option<PluginCode> {
    module(name).map(|module| PluginCode {
        name: name.to_owned(),
        bytes: Bytes::from_static(module),
        digest: Sha256::digest(module).into(),
    })
}

/// A loader of a configuration that may name them.
pub(crate) fn loader(config: impl Into<PathBuf>) -> Loader {
    Loader::new(config).with_builtins(names())
}
