//! What rules, filters and backends are called in an explanation.

use tidegate_config::draft::Draft;
use tidegate_config::draft::FailurePolicy;
use tidegate_config::draft::PluginSource;
use tidegate_core::backend::Backend;
use tidegate_core::backend::BackendId;
use tidegate_core::backend::BackendProtocol;
use tidegate_core::filter::Filter;
use tidegate_core::filter::HeaderEdits;
use tidegate_core::filter::PathEdit;
use tidegate_core::message::RequestHead;
use tidegate_core::route::WeightedBackend;
use tidegate_core::snapshot::PluginId;
use tidegate_core::tls::CertificateId;

/// More endpoints than this are not listed.
const MOST_ENDPOINTS: usize = 8;

/// Whether filters answer requests themselves, so that no backend is needed.
pub(super) fn answers(filters: &[Filter]) -> bool {
    filters
        .iter()
        .any(|filter| matches!(filter, Filter::Redirect(_) | Filter::Plugin(_)))
}

/// Names of what a draft has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'d> {
    pub(super) draft: &'d Draft,
}

impl Words<'_> {
    /// Certificates by name.
    pub(super) fn certificates(self, ids: &[CertificateId]) -> String {
        let names = ids.iter().filter_map(|id| {
            let name = self.draft.snapshot.certificates.get(id.0 as usize)?;
            Some(&*name.0)
        });
        names.collect::<Vec<_>>().join(", ")
    }

    /// Plugins in their order.
    pub(super) fn plugins(self, ids: &[PluginId]) -> impl Iterator<Item = String> {
        ids.iter().map(move |id| self.plugin(*id))
    }

    fn plugin(self, id: PluginId) -> String {
        let Some(plugin) = self.draft.plugins.get(id.0 as usize) else {
            return "unknown".to_owned();
        };
        let policy = match plugin.failure_policy {
            _ if plugin.shadow.is_some() => "Shadow",
            FailurePolicy::FailClosed => "FailClosed",
            FailurePolicy::FailOpen => "FailOpen",
        };
        let state = match plugin.source {
            PluginSource::Refused => ", refused",
            PluginSource::File(_) | PluginSource::Builtin(_) | PluginSource::Remote(_) => "",
        };
        let name = match plugin.made_of.as_slice() {
            [] => plugin.name.0.to_string(),
            policies => {
                let policies = policies.iter().map(|(policy, _)| policy.to_string());
                policies.collect::<Vec<_>>().join(", ")
            }
        };
        format!("{name} ({policy}{state})")
    }

    /// A filter of a rule: what it is, and what it does.
    pub(super) fn filter(
        self,
        filter: &Filter,
        head: &RequestHead,
        prefix: Option<usize>,
        port: u16,
    ) -> (&'static str, String) {
        match filter {
            Filter::Plugin(id) => ("plugin", self.plugin(*id)),
            Filter::RequestHeaders(edits) => {
                ("filter", format!("request fields: {}", fields(edits)))
            }
            Filter::ResponseHeaders(edits) => {
                ("filter", format!("response fields: {}", fields(edits)))
            }
            Filter::Redirect(redirect) => {
                let location = redirect.location(head, prefix, port);
                let location = location.to_str().unwrap_or_default();
                (
                    "answer",
                    format!("{} redirect to {location}", redirect.status.as_u16()),
                )
            }
            Filter::Rewrite(rewrite) => {
                let host = rewrite.host.as_ref().and_then(|host| host.to_str().ok());
                let path = rewrite.path.as_ref().map(|edit| match edit {
                    PathEdit::Full(path) => format!("path {path}"),
                    PathEdit::Prefix(prefix) => format!("prefix {prefix}"),
                });
                let host = host.map(|host| format!("host {host}"));
                let parts: Vec<String> = host.into_iter().chain(path).collect();
                ("filter", format!("rewritten to {}", parts.join(", ")))
            }
            Filter::Mirror(mirror) => {
                let backend = self.backend_name(mirror.backend);
                let share = match (mirror.share, mirror.of) {
                    (share, of) if share == of => String::new(),
                    (share, of) => format!(" for {share} of {of} requests"),
                };
                ("filter", format!("copied to {backend}{share}"))
            }
            Filter::Cors(cors) => {
                let origins = cors.allow_origins.join(", ");
                ("filter", format!("CORS for {origins}"))
            }
        }
    }

    fn backend_name(self, id: Option<BackendId>) -> String {
        let backend = id.and_then(|id| self.draft.snapshot.backends.get(id));
        backend.map_or("nowhere".to_owned(), |one| one.name.as_str().to_owned())
    }

    /// A backend with its share.
    pub(super) fn share(self, share: &WeightedBackend) -> String {
        let weight = share.weight;
        let backend = share
            .backend
            .and_then(|id| self.draft.snapshot.backends.get(id));
        let Some(backend) = backend else {
            return format!("none, weight {weight}: the reference leads nowhere (500)");
        };
        let name = backend.name.as_str();
        format!("{name}, weight {weight}: {}", reached(backend))
    }
}

fn fields(edits: &HeaderEdits) -> String {
    let names = |list: &[(http::HeaderName, http::HeaderValue)]| {
        let names: Vec<&str> = list.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    };
    let removed: Vec<&str> = edits.remove.iter().map(http::HeaderName::as_str).collect();
    let parts = [
        ("set", names(&edits.set)),
        ("add", names(&edits.add)),
        ("remove", removed.join(", ")),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what} {names}"))
        .collect();
    parts.join("; ")
}

fn reached(backend: &Backend) -> String {
    let shown = backend.endpoints.iter().take(MOST_ENDPOINTS);
    let mut places: Vec<String> = shown.map(|one| one.address.to_string()).collect();
    let more = backend.endpoints.len().saturating_sub(MOST_ENDPOINTS);
    if more > 0 {
        places.push(format!("{more} more"));
    }
    if let Some(source) = &backend.dns {
        places.push(format!("what DNS says of {}", source.names.join(", ")));
    }
    if places.is_empty() {
        places.push("no endpoint (503)".to_owned());
    }
    let protocol = match backend.protocol {
        BackendProtocol::Http1 => "",
        BackendProtocol::Http2 => ", HTTP/2",
    };
    let tls = backend.tls.as_ref();
    let tls = tls.map_or(String::new(), |tls| format!(", TLS for {}", tls.hostname));
    format!("{}{protocol}{tls}", places.join(", "))
}
