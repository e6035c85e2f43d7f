//! What a module wants of its operator, and what Envoy and Istio say to it.
//!
//! Of Envoy 1.40 it is known which imports it has (the table of `tidegate-host-abi`, which tests
//! compare with it) and which settings a plugin has there; Istio sets only some of them.

use tidegate_host_abi::AbiVersion;
use tidegate_host_abi::ImportVerdict;
use tidegate_host_abi::Manifest;
use tidegate_host_abi::ManifestError;
use tidegate_host_abi::Survey;

/// Something to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    /// Whom it is about: `tidegate`, `envoy` or `istio`.
    pub(super) host: &'static str,
    /// Whether the module does not work there as it is.
    pub(super) is_obstacle: bool,
    /// One sentence.
    pub(super) text: String,
}

/// A capability with the imports that need it, and the field that grants it.
const CAPABILITIES: [(&str, &[&str], &str); 4] = [
    (
        "backends",
        &[
            "proxy_http_call",
            "proxy_grpc_call",
            "proxy_grpc_stream",
            "proxy_redis_call",
        ],
        "it calls backends: name them in `allow.backends` of the Plugin",
    ),
    (
        "dns",
        &[],
        "it looks names up: set `allow.dns` of the Plugin",
    ),
    (
        "env",
        &["environ_get"],
        "it reads environment variables: write them into `env` of the Plugin",
    ),
    (
        "redis",
        &["proxy_redis_call"],
        "it runs Redis commands: name the backend in `allow.backends` of the Plugin",
    ),
];

/// The capabilities that it needs, by its manifest and its imports, each with what to write.
pub(super) fn capabilities(
    survey: &Survey,
    manifest: &Result<Option<Manifest>, ManifestError>,
) -> Vec<(&'static str, &'static str)> {
    let said = match manifest {
        Ok(Some(manifest)) => manifest.capabilities.as_slice(),
        _ => &[],
    };
    let imports = |name: &&str| survey.imports.iter().any(|import| import.name == **name);
    let needed = CAPABILITIES.into_iter().filter(|(name, functions, _)| {
        said.iter().any(|said| said == name) || functions.iter().any(imports)
    });
    needed.map(|(name, _, how)| (name, how)).collect()
}

/// Whether it wants bodies while it holds headers back.
pub(super) fn needs_stop_iteration(
    survey: &Survey,
    manifest: &Result<Option<Manifest>, ManifestError>,
) -> bool {
    let said = matches!(manifest, Ok(Some(manifest)) if manifest.needs_stop_iteration());
    let exported = |name: &String| name == "tidegate_needs_stop_iteration";
    said || survey.exports.iter().any(exported) || survey.abi == Some(AbiVersion::Higress)
}

/// Everything to know.
pub(super) fn notes(
    survey: &Survey,
    manifest: &Result<Option<Manifest>, ManifestError>,
) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |host, is_obstacle, text: String| {
        notes.push(Note {
            host,
            is_obstacle,
            text,
        });
    };
    if let Err(error) = manifest {
        let text = format!("what it says about itself (tidegate.manifest) is not used: {error}");
        note("tidegate", false, text);
    }
    let absent: Vec<&str> = survey
        .imports
        .iter()
        .filter(|import| !import.in_envoy)
        .map(|import| import.name.as_str())
        .collect();
    if survey.abi.is_none() {
        return notes;
    }
    if !absent.is_empty() {
        let text = format!("it does not load: Envoy 1.40 lacks {}", absent.join(", "));
        note("envoy", true, text.clone());
        note("istio", true, text);
    }
    if survey.abi == Some(AbiVersion::Higress) {
        let text = "it does not load: ABI 0.2.100 is Higress's alone".to_owned();
        note("envoy", true, text.clone());
        note("istio", true, text);
    } else if needs_stop_iteration(survey, manifest) {
        let field = "allow_on_headers_stop_iteration";
        note(
            "envoy",
            true,
            format!(
                "it reads bodies while it holds headers back: set {field}: true in its \
                 PluginConfig, or it waits for ever"
            ),
        );
        note(
            "istio",
            true,
            format!(
                "a WasmPlugin cannot set {field}, without which it waits for ever: \
                 patch it in by an EnvoyFilter, or read bodies after the headers went on"
            ),
        );
    }
    let imports = |name: &str| survey.imports.iter().any(|import| import.name == name);
    if imports("proxy_call_foreign_function") {
        let text = "it may call foreign functions; which ones is known only when it runs, and \
                    tidegate.* are found nowhere else";
        note("envoy", false, text.to_owned());
    }
    if imports("proxy_http_call") || imports("proxy_grpc_call") {
        let text = "the backends that it calls have to be clusters of the same names";
        note("envoy", false, text.to_owned());
        let text = "clusters are named like outbound|80||name.namespace.svc.cluster.local";
        note("istio", false, text.to_owned());
    }
    let outside: Vec<&str> = survey
        .imports
        .iter()
        .filter(|import| import.wasi && is_outside(&import.name))
        .map(|import| import.name.as_str())
        .collect();
    if !outside.is_empty() {
        let text = format!(
            "there are no files and no sockets: {} will find none",
            outside.join(", ")
        );
        note("tidegate", false, text.clone());
        note("envoy", false, text);
    }
    notes
}

/// Whether a function of WASI is for files or sockets, standard streams aside.
fn is_outside(name: &str) -> bool {
    let of_streams = matches!(name, "fd_write" | "fd_fdstat_get" | "fd_close" | "fd_seek");
    ["path_", "fd_", "sock_"]
        .iter()
        .any(|start| name.starts_with(start))
        && !of_streams
}

/// What is to be said of an import that cannot be given, in a few words.
pub(super) fn fault(verdict: &ImportVerdict, elsewhere: Option<&str>) -> Option<String> {
    match (verdict, elsewhere) {
        (ImportVerdict::Given, _) => None,
        (ImportVerdict::Missing, Some(module)) => Some(format!("missing; it is in {module}")),
        (ImportVerdict::Missing, None) => Some("missing".to_owned()),
        (ImportVerdict::Differs { expected, found }, _) => {
            Some(format!("wanted as {found}, and it is {expected}"))
        }
    }
}
