//! The versions of a plugin in a load: which there are, and what tells one from another.

use std::sync::Arc;

use sha2::Digest as _;
use sha2::Sha256;
use tidegate_core::rollout::machine::VersionId;
use tidegate_core::snapshot::PluginId;
use tidegate_host_abi::Plugin;

use crate::control::Loaded;
use crate::plugins::Slot;
use crate::state::hex;

/// The plugin that is to serve, if there is one.
pub(super) fn plugin(loaded: &Loaded, id: PluginId) -> Option<&Arc<Plugin>> {
    match loaded.slots.get(usize::try_from(id.0).ok()?)? {
        Slot::Ready { plugin, .. } => Some(plugin),
        Slot::Refused(_) => None,
    }
}

/// Why a canary cannot be had.
pub(super) fn missing(loaded: &Loaded, id: PluginId) -> String {
    let decl = usize::try_from(id.0).ok();
    let decl = decl.and_then(|at| loaded.draft.plugins.get(at));
    let resource = decl.map(|decl| &decl.resource);
    let mut problems = loaded.draft.problems.iter();
    let problem =
        problems.find(|problem| resource.is_some() && problem.resource.as_ref() == resource);
    problem.map_or_else(
        || "the canary is refused".to_owned(),
        |problem| problem.message.clone(),
    )
}

/// SHA-256 of a version's module.
pub(super) fn digest(plugin: &Plugin) -> String {
    hex(plugin.module().digest())
}

/// A version that is not known yet.
pub(super) fn unknown() -> VersionId {
    VersionId("unknown".into())
}

/// What tells one version from another: the code and all that it is told, whatever it is called.
pub(super) fn version(plugin: &Plugin) -> VersionId {
    let digest = hex(plugin.module().digest());
    let spec = plugin.spec();
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(spec.root_id.as_bytes());
    part(spec.vm_id.as_bytes());
    part(&spec.vm_config);
    part(&spec.config);
    for (name, value) in &spec.env {
        part(name.as_bytes());
        part(value.as_bytes());
    }
    let settings = hex(&hash.finalize());
    let (digest, settings) = (digest.get(..16), settings.get(..16));
    let text = format!(
        "{}-{}",
        digest.unwrap_or_default(),
        settings.unwrap_or_default()
    );
    VersionId(text.into())
}
