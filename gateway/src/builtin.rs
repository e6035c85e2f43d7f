//! The filters that come with the binary (`source: { builtin: NAME }`).
//!
//! Owns how they become code like that of files; to everything else they are plugins like others. What
//! they are is in `tidegate-builtins`.

use std::path::PathBuf;

use bytes::Bytes;
use sha2::Digest as _;
use sha2::Sha256;
use tidegate_config::load::Loader;
use tidegate_plugin_store::PluginCode;

use crate::cli::MeshArgs;

/// The names of all of them, in alphabetical order.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    tidegate_builtins::all().iter().map(|builtin| builtin.name)
}

/// The module of one as plugin code; `None` if there is none of that name.
pub(crate) fn code(name: &str) -> Option<PluginCode> {
    tidegate_builtins::find(name).map(|builtin| PluginCode {
        name: name.to_owned(),
        bytes: Bytes::from_static(builtin.module),
        digest: Sha256::digest(builtin.module).into(),
    })
}

/// A loader of a configuration that may name them.
pub(crate) fn loader(config: impl Into<PathBuf>, mesh: &MeshArgs) -> Loader {
    Loader::new(config)
        .with_builtins(names())
        .with_root_namespace(mesh.root_namespace.as_str())
}
