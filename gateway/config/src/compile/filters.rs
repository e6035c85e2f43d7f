//! The filters of rules and backendRefs, as the data plane wants them.

use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use tidegate_core::filter::Cors;
use tidegate_core::filter::Filter;
use tidegate_core::filter::HeaderEdits;
use tidegate_core::filter::Mirror;
use tidegate_core::filter::PathEdit;
use tidegate_core::filter::Redirect;
use tidegate_core::filter::Rewrite;

use super::backends::Reference;
use super::outcome::Outcome;
use super::outcome::Tools;
use super::report::Report;
use super::world::Candidate;
use crate::kinds::http_filter::CorsFilter;
use crate::kinds::http_filter::HeaderField;
use crate::kinds::http_filter::HeaderModifier;
use crate::kinds::http_filter::HttpFilter;
use crate::kinds::http_filter::PathModifier;
use crate::kinds::http_filter::RedirectScheme;
use crate::kinds::http_filter::RequestMirror;
use crate::kinds::http_filter::RequestRedirect;
use crate::kinds::http_filter::UrlRewrite;

/// The default status of a redirect, and how long a preflight may be remembered (Gateway API).
const REDIRECT_STATUS: StatusCode = StatusCode::FOUND;
const CORS_MAX_AGE: u32 = 5;

/// A list of filters, in order.
pub(super) fn filters(
    list: &[HttpFilter],
    from: &Candidate,
    tools: &mut Tools<'_, '_>,
    outcome: &mut Outcome,
    report: &mut Report,
) -> Vec<Filter> {
    let mut filters = Vec::with_capacity(list.len());
    for given in list {
        // A rule has made sure that exactly the field of the type is there.
        if let Some(edits) = &given.request_header_modifier {
            filters.push(Filter::RequestHeaders(header_edits(edits)));
        }
        if let Some(edits) = &given.response_header_modifier {
            filters.push(Filter::ResponseHeaders(header_edits(edits)));
        }
        if let Some(given) = &given.request_redirect {
            filters.push(Filter::Redirect(redirect(given)));
        }
        if let Some(given) = &given.url_rewrite {
            filters.push(Filter::Rewrite(rewrite(given)));
        }
        if let Some(given) = &given.cors {
            filters.push(Filter::Cors(cors(given)));
        }
        if let Some(given) = &given.request_mirror {
            filters.push(Filter::Mirror(mirror(given, from, tools, outcome, report)));
        }
        if let Some(given) = &given.extension_ref {
            let (id, refusal) = tools.plugins.resolve(from, given, tools.backends, report);
            if let Some(refusal) = refusal {
                outcome.refuse(from, refusal, report);
            }
            filters.push(Filter::Plugin(id));
        }
    }
    filters
}

fn header_edits(given: &HeaderModifier) -> HeaderEdits {
    let fields = |list: &[HeaderField]| {
        let parsed = list.iter().filter_map(|field| {
            let name = HeaderName::try_from(field.name.as_str()).ok()?;
            Some((name, HeaderValue::from_str(&field.value).ok()?))
        });
        parsed.collect()
    };
    let removed = given.remove.iter();
    HeaderEdits {
        set: fields(&given.set),
        add: fields(&given.add),
        remove: removed
            .filter_map(|name| HeaderName::try_from(name.as_str()).ok())
            .collect(),
    }
}

fn redirect(given: &RequestRedirect) -> Redirect {
    Redirect {
        scheme: given.scheme.as_ref().map(|scheme| match scheme.value {
            RedirectScheme::Http => "http".into(),
            RedirectScheme::Https => "https".into(),
        }),
        host: given.hostname.as_ref().map(|host| host.as_str().into()),
        port: given.port.as_ref().map(|port| port.value),
        path: given.path.as_ref().and_then(|path| path_edit(path)),
        status: given
            .status_code
            .as_ref()
            .and_then(|status| StatusCode::from_u16(status.value).ok())
            .unwrap_or(REDIRECT_STATUS),
    }
}

fn rewrite(given: &UrlRewrite) -> Rewrite {
    Rewrite {
        host: given
            .hostname
            .as_ref()
            .and_then(|host| HeaderValue::from_str(host).ok()),
        path: given.path.as_ref().and_then(|path| path_edit(path)),
    }
}

fn path_edit(given: &PathModifier) -> Option<PathEdit> {
    let full = given.replace_full_path.as_ref();
    let prefix = given.replace_prefix_match.as_ref();
    full.map(|path| PathEdit::Full(path.as_str().into()))
        .or_else(|| prefix.map(|path| PathEdit::Prefix(path.as_str().into())))
}

fn cors(given: &CorsFilter) -> Cors {
    let texts = |list: Vec<&str>| list.into_iter().map(Box::from).collect();
    Cors {
        allow_origins: texts(given.allow_origins.iter().map(|one| one.as_str()).collect()),
        allow_credentials: given.allow_credentials.unwrap_or(false),
        allow_methods: texts(given.allow_methods.iter().map(|one| one.as_str()).collect()),
        allow_headers: texts(given.allow_headers.iter().map(|one| one.as_str()).collect()),
        expose_headers: texts(
            given
                .expose_headers
                .iter()
                .map(|one| one.as_str())
                .collect(),
        ),
        max_age: given.max_age.unwrap_or(CORS_MAX_AGE),
    }
}

fn mirror(
    given: &RequestMirror,
    from: &Candidate,
    tools: &mut Tools<'_, '_>,
    outcome: &mut Outcome,
    report: &mut Report,
) -> Mirror {
    let backend = &given.backend_ref;
    let reference = Reference {
        group: backend.group.as_ref(),
        kind: backend.kind.as_ref(),
        namespace: backend.namespace.as_ref(),
        name: &backend.name,
        port: backend.port.as_ref(),
    };
    let (share, of) = match (&given.percent, &given.fraction) {
        (Some(percent), _) => (percent.value, 100),
        (None, Some(fraction)) => {
            let of = fraction.denominator.as_ref().map_or(100, |of| of.value);
            (fraction.numerator.value, of.max(1))
        }
        (None, None) => (1, 1),
    };
    let backend = {
        let resolved = tools.backends.resolve(from, reference, outcome.sought());
        outcome.backend(resolved, from, report)
    };
    Mirror { backend, share, of }
}
