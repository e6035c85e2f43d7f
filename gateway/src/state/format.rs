//! How a state is written: a line of JSON that says what follows, and a line that is it.
//!
//! The first line has the version and the hash of the second, so that a file that was cut, edited or
//! written by another version is recognised before any of it is believed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;
use tidegate_config::draft::AcceptedDocument;
use tidegate_config::kinds::named;
use tidegate_config::resource::ResourceId;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Isolation;
use tidegate_host_abi::Limits;
use tidegate_host_abi::PluginKind;
use tidegate_host_abi::PluginSpec;
use tidegate_host_abi::Shadow;
use tidegate_host_abi::UnknownImports;
use tidegate_proxy::Reachable;

use crate::plugins::origin::Origin;
use crate::plugins::rights::Rights;
use crate::state::StateError;
use crate::state::Stored;
use crate::state::StoredPlugin;
use crate::state::StoredPlugins;

/// Another number is another format. One that knows no shadows would have them act: it must not read
/// states that have some.
const VERSION: u32 = 2;
/// The format of what has no shadows: versions before there were any read it, too.
const WITHOUT_SHADOWS: u32 = 1;

/// Why a text is no state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("it has no first line with version and hash")]
    NoHead,
    #[error("it has format {0}, this is {VERSION}")]
    Version(u32),
    #[error("its content is not what was written")]
    Hash,
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("it has a resource of the unknown kind {0:?}")]
    Kind(String),
    #[error("it has a digest that is none")]
    Digest,
    #[error("it lacks a text that it refers to")]
    Text,
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    sha256: String,
}

#[derive(Serialize, Deserialize)]
struct Body {
    generation: u64,
    /// Each text once: resources may share one, such as all those of a list.
    texts: Vec<Arc<str>>,
    documents: Vec<Document>,
    plugins: Vec<PluginBody>,
    /// Absent in states of versions before there were any; the same below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    whole: Vec<PluginBody>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rights: Vec<RightsBody>,
}

/// What a plugin may have.
#[derive(Serialize, Deserialize)]
struct RightsBody {
    resource: Resource,
    backends: Vec<Arc<str>>,
    dns: bool,
    env: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shadow_backends: Option<Vec<Arc<str>>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Resource {
    kind: String,
    namespace: Arc<str>,
    name: Arc<str>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    resource: Resource,
    file: PathBuf,
    line: u32,
    /// A place in [`Body::texts`].
    text: usize,
    /// Files that it names, by their texts.
    files: Vec<(String, usize)>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PluginBody {
    resource: Resource,
    digest: String,
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    data_of: String,
    namespace: String,
    root_id: String,
    vm_id: String,
    /// Bytes as hexadecimal digits, for they need not be text.
    vm_config: String,
    #[serde(default)]
    traps_unknown_imports: bool,
    config: String,
    env: Vec<(String, String)>,
    fail_open: bool,
    /// Absent in states of versions before there was a choice; the same below.
    #[serde(default)]
    service: bool,
    #[serde(default)]
    network: bool,
    #[serde(default)]
    isolated: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shadow: Option<ShadowBody>,
    #[serde(default)]
    stop_iteration: Option<bool>,
    #[serde(default)]
    strict: bool,
    #[serde(default = "instances")]
    instances: usize,
    memory_bytes: usize,
    call_timeout: Duration,
    start_timeout: Duration,
    backends: Vec<Arc<str>>,
    #[serde(default)]
    dns: bool,
    /// Absent where nobody noted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<OriginBody>,
}

#[derive(Serialize, Deserialize)]
enum OriginBody {
    File(String),
    Builtin(String),
    Image {
        reference: String,
        manifest: Option<String>,
    },
    Web {
        url: String,
    },
}

/// What a plugin that only looks on may use.
#[derive(Serialize, Deserialize)]
struct ShadowBody {
    of: String,
    percent: u8,
    cpu_percent: u8,
    concurrent: usize,
    memory_bytes: usize,
    backends: Vec<String>,
}

/// Texts, each once.
#[derive(Default)]
struct Texts {
    list: Vec<Arc<str>>,
    places: HashMap<Arc<str>, usize>,
}

impl Texts {
    fn place(&mut self, text: &Arc<str>) -> usize {
        // Most that are alike are one: compared by address before they are compared by content.
        if let Some(last) = self.list.last()
            && Arc::ptr_eq(last, text)
        {
            return self.list.len() - 1;
        }
        *self.places.entry(Arc::clone(text)).or_insert_with(|| {
            self.list.push(Arc::clone(text));
            self.list.len() - 1
        })
    }
}

/// The text of a state.
pub(crate) fn print(stored: &Stored) -> Result<Vec<u8>, StateError> {
    let mut texts = Texts::default();
    let mut document = |document: &AcceptedDocument| Document {
        resource: print_resource(&document.resource),
        file: document.file.clone(),
        line: document.line,
        text: texts.place(&document.text),
        files: document
            .files
            .iter()
            .map(|(name, text)| (name.clone(), texts.place(text)))
            .collect(),
    };
    let documents = stored.documents.iter().map(&mut document).collect();
    let body = Body {
        generation: stored.generation,
        documents,
        texts: texts.list,
        plugins: stored.plugins.served.iter().map(print_plugin).collect(),
        whole: stored.plugins.whole.iter().map(print_plugin).collect(),
        rights: stored.plugins.rights.iter().map(print_rights).collect(),
    };
    // The one thing here that JSON cannot say is a path that is not text.
    let body = serde_json::to_vec(&body).map_err(|_| StateError::OddName)?;
    let mut plugins = stored.plugins.with_code();
    framed(&body, plugins.any(|plugin| plugin.spec.shadow.is_some()))
}

/// A body with the line before it, which says whether it has plugins that only look on.
pub(super) fn framed(body: &[u8], has_shadows: bool) -> Result<Vec<u8>, StateError> {
    let head = Head {
        format: if has_shadows {
            VERSION
        } else {
            WITHOUT_SHADOWS
        },
        sha256: hex(&Sha256::digest(body)),
    };
    let mut text = serde_json::to_vec(&head).map_err(|_| StateError::OddName)?;
    text.push(b'\n');
    text.extend_from_slice(body);
    text.push(b'\n');
    Ok(text)
}

/// The body of a text, if it is what was written.
pub(super) fn unframed(text: &[u8]) -> Result<&[u8], FormatError> {
    let end = text.iter().position(|byte| *byte == b'\n');
    let (head, body) = end
        .and_then(|end| text.split_at_checked(end))
        .ok_or(FormatError::NoHead)?;
    let head: Head = serde_json::from_slice(head).map_err(|_| FormatError::NoHead)?;
    if !(WITHOUT_SHADOWS..=VERSION).contains(&head.format) {
        return Err(FormatError::Version(head.format));
    }
    let body = body.strip_prefix(b"\n").and_then(|b| b.strip_suffix(b"\n"));
    let body = body.ok_or(FormatError::Hash)?;
    if hex(&Sha256::digest(body)) != head.sha256 {
        return Err(FormatError::Hash);
    }
    Ok(body)
}

/// All settings of a plugin as one text.
pub(crate) fn settings_of(spec: &PluginSpec) -> Vec<u8> {
    let body = print_plugin(&StoredPlugin {
        resource: ResourceId {
            kind: "Plugin",
            namespace: Arc::from(""),
            name: Arc::from(""),
        },
        digest: [0; 32],
        spec: spec.clone(),
        origin: Arc::default(),
        reachable: Arc::default(),
    });
    // Its texts are texts.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The state that a text is.
pub(crate) fn parse(text: &[u8]) -> Result<Stored, FormatError> {
    let body: Body = serde_json::from_slice(unframed(text)?)?;
    let texts = body.texts;
    let text = |at: usize| texts.get(at).cloned().ok_or(FormatError::Text);
    let document = |document: Document| {
        let files = document.files.into_iter();
        let files: Result<Vec<_>, FormatError> =
            files.map(|(name, at)| Ok((name, text(at)?))).collect();
        Ok(AcceptedDocument {
            resource: parse_resource(document.resource)?,
            file: document.file,
            line: document.line,
            text: text(document.text)?,
            files: files?,
        })
    };
    let documents: Result<Vec<_>, FormatError> = body.documents.into_iter().map(document).collect();
    let plugins = |all: Vec<PluginBody>| -> Result<Vec<_>, FormatError> {
        all.into_iter().map(parse_plugin).collect()
    };
    let rights: Result<Vec<_>, FormatError> = body.rights.into_iter().map(parse_rights).collect();
    Ok(Stored {
        generation: body.generation,
        documents: documents?,
        plugins: StoredPlugins {
            served: plugins(body.plugins)?,
            whole: plugins(body.whole)?,
            rights: rights?,
        },
    })
}

pub(super) fn print_resource(resource: &ResourceId) -> Resource {
    Resource {
        kind: resource.kind.to_owned(),
        namespace: Arc::clone(&resource.namespace),
        name: Arc::clone(&resource.name),
    }
}

pub(super) fn parse_resource(resource: Resource) -> Result<ResourceId, FormatError> {
    let Resource {
        kind,
        namespace,
        name,
    } = resource;
    match named(&kind) {
        Some(kind) => Ok(ResourceId {
            kind,
            namespace,
            name,
        }),
        None => Err(FormatError::Kind(kind)),
    }
}

pub(super) fn print_plugin(plugin: &StoredPlugin) -> PluginBody {
    // No `..`: whoever adds a field must decide whether a restart needs it.
    let PluginSpec {
        name,
        data_of,
        namespace,
        root_id,
        vm_id,
        vm_config,
        unknown_imports,
        config,
        env,
        failure_policy,
        limits,
        // The configuration cannot set it.
        allowed: _,
        stop_iteration,
        isolation,
        kind,
        strict,
        shadow,
    } = &plugin.spec;
    PluginBody {
        resource: print_resource(&plugin.resource),
        digest: hex(&plugin.digest),
        name: name.clone(),
        data_of: data_of.clone(),
        namespace: namespace.clone(),
        root_id: root_id.clone(),
        vm_id: vm_id.clone(),
        vm_config: hex(vm_config),
        traps_unknown_imports: *unknown_imports == UnknownImports::TrapWhenCalled,
        config: hex(config),
        env: env.clone(),
        fail_open: *failure_policy == FailurePolicy::FailOpen,
        service: *kind == PluginKind::Service,
        network: *kind == PluginKind::Network,
        isolated: *isolation == Isolation::Stream,
        stop_iteration: *stop_iteration,
        strict: *strict,
        shadow: shadow.as_ref().map(print_shadow),
        instances: limits.instances,
        memory_bytes: limits.memory_bytes,
        call_timeout: limits.call_timeout,
        start_timeout: limits.start_timeout,
        backends: plugin.reachable.backends.clone(),
        dns: plugin.reachable.dns,
        origin: print_origin(&plugin.origin),
    }
}

fn print_rights((resource, rights): &(ResourceId, Rights)) -> RightsBody {
    let Rights {
        backends,
        dns,
        env,
        shadow_backends,
    } = rights;
    RightsBody {
        resource: print_resource(resource),
        backends: backends.clone(),
        dns: *dns,
        env: env.clone(),
        shadow_backends: shadow_backends.clone(),
    }
}

fn parse_rights(body: RightsBody) -> Result<(ResourceId, Rights), FormatError> {
    let RightsBody {
        resource,
        backends,
        dns,
        env,
        shadow_backends,
    } = body;
    let rights = Rights {
        backends,
        dns,
        env,
        shadow_backends,
    };
    Ok((parse_resource(resource)?, rights))
}

fn print_origin(origin: &Origin) -> Option<OriginBody> {
    Some(match origin.clone() {
        Origin::Unknown => return None,
        Origin::File(path) => OriginBody::File(path),
        Origin::Builtin(name) => OriginBody::Builtin(name),
        Origin::Image {
            reference,
            manifest,
        } => OriginBody::Image {
            reference,
            manifest,
        },
        Origin::Web { url } => OriginBody::Web { url },
    })
}

fn parse_origin(body: Option<OriginBody>) -> Origin {
    match body {
        None => Origin::Unknown,
        Some(OriginBody::File(path)) => Origin::File(path),
        Some(OriginBody::Builtin(name)) => Origin::Builtin(name),
        Some(OriginBody::Image {
            reference,
            manifest,
        }) => Origin::Image {
            reference,
            manifest,
        },
        Some(OriginBody::Web { url }) => Origin::Web { url },
    }
}

pub(super) fn parse_plugin(body: PluginBody) -> Result<StoredPlugin, FormatError> {
    let digest = unhex(&body.digest).and_then(|bytes| bytes.try_into().ok());
    let bytes = |text: &str| unhex(text).map(Bytes::from).ok_or(FormatError::Digest);
    Ok(StoredPlugin {
        resource: parse_resource(body.resource)?,
        digest: digest.ok_or(FormatError::Digest)?,
        spec: PluginSpec {
            name: body.name,
            data_of: body.data_of,
            namespace: body.namespace,
            root_id: body.root_id,
            vm_id: body.vm_id,
            vm_config: bytes(&body.vm_config)?,
            unknown_imports: if body.traps_unknown_imports {
                UnknownImports::TrapWhenCalled
            } else {
                UnknownImports::Refuse
            },
            config: bytes(&body.config)?,
            env: body.env,
            failure_policy: if body.fail_open {
                FailurePolicy::FailOpen
            } else {
                FailurePolicy::FailClosed
            },
            kind: match (body.service, body.network) {
                (true, _) => PluginKind::Service,
                (false, true) => PluginKind::Network,
                (false, false) => PluginKind::Http,
            },
            isolation: if body.isolated {
                Isolation::Stream
            } else {
                Isolation::Worker
            },
            stop_iteration: body.stop_iteration,
            strict: body.strict,
            shadow: body.shadow.map(parse_shadow),
            limits: Limits {
                memory_bytes: body.memory_bytes,
                instances: body.instances,
                call_timeout: body.call_timeout,
                start_timeout: body.start_timeout,
                ..Limits::default()
            },
            ..PluginSpec::default()
        },
        origin: Arc::new(parse_origin(body.origin)),
        reachable: Arc::new(Reachable {
            backends: body.backends,
            dns: body.dns,
        }),
    })
}

fn print_shadow(shadow: &Shadow) -> ShadowBody {
    let Shadow {
        of,
        percent,
        cpu_percent,
        concurrent,
        memory_bytes,
        backends,
    } = shadow;
    ShadowBody {
        of: of.clone(),
        percent: *percent,
        cpu_percent: *cpu_percent,
        concurrent: *concurrent,
        memory_bytes: *memory_bytes,
        backends: backends.clone(),
    }
}

fn parse_shadow(body: ShadowBody) -> Shadow {
    Shadow {
        of: body.of,
        percent: body.percent,
        cpu_percent: body.cpu_percent,
        concurrent: body.concurrent,
        memory_bytes: body.memory_bytes,
        backends: body.backends,
    }
}

fn instances() -> usize {
    Limits::default().instances
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}
