//! What a module's manifest says about a plugin, before anything of it runs.

use tidegate_config::draft::PluginDecl;
use tidegate_config::draft::PluginType;
use tidegate_config::plugin_schema;
use tidegate_config::problem::Problem;
use tidegate_host_abi::Manifest;
use tidegate_host_abi::Plugin;

/// All that a module refuses of its plugin's resource. A manifest that cannot be read refuses
/// nothing; see [`warnings`].
pub(super) fn refused(code: &[u8], decl: &PluginDecl) -> Vec<Problem> {
    let Ok(Some(manifest)) = Manifest::read(code) else {
        return Vec::new();
    };
    if let Some(problem) = of_another_kind(&manifest, decl) {
        return vec![problem];
    }
    let schema = manifest.config_schema.as_ref();
    schema.map_or_else(Vec::new, |schema| plugin_schema::check(schema, decl))
}

/// A filter of connections in the path of requests would never be called, and the other way round.
fn of_another_kind(manifest: &Manifest, decl: &PluginDecl) -> Option<Problem> {
    let (message, hint) = match (manifest.kind.as_str(), decl.kind) {
        ("network", PluginType::Http) => (
            "the module filters connections, not requests",
            "set `type: Network`",
        ),
        ("http", PluginType::Network) => (
            "the module filters requests, not connections",
            "remove `type: Network`",
        ),
        _ => return None,
    };
    let problem = Problem::error(decl.source_place.clone(), message).hint(hint);
    Some(problem.reason("InvalidModule").about(decl.resource.clone()))
}

/// What modules can need of us; see [`Manifest::needs`].
const KNOWN_NEEDS: [&str; 1] = ["stopIteration"];

/// What is remarked about a plugin that serves: a manifest that cannot be used, and what its module
/// says that it needs and does not get.
pub(super) fn warnings(decl: &PluginDecl, plugin: &Plugin) -> Vec<Problem> {
    let warning = |message: String, hint: &str| {
        Problem::warning(decl.source_place.clone(), message)
            .hint(hint)
            .reason("InvalidManifest")
            .about(decl.resource.clone())
    };
    let manifest = match plugin.module().manifest() {
        Ok(Some(manifest)) => manifest,
        Ok(None) => return Vec::new(),
        Err(error) => {
            let message =
                format!("the module's manifest (`tidegate.manifest`) is not used: {error}");
            let hint = "its configuration is not checked before it starts";
            return vec![warning(message, hint)];
        }
    };
    let needs = manifest.needs.iter();
    let unknown = needs.filter(|need| !KNOWN_NEEDS.contains(&need.as_str()));
    unknown
        .map(|need| {
            let message = format!("the module needs {need:?}, which this gateway does not know");
            warning(message, "it may want a newer version of Tidegate")
        })
        .collect()
}
