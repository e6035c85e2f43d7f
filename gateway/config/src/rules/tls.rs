//! The rules of TLS at listeners (Gateway API: `ListenerTLSConfig`, `FrontendTLSConfig`), of the
//! options that are ours, and of Certificate and BackendTLSPolicy.

use super::Findings;
use super::policy::check_targets;
use super::repeated;
use crate::kinds::OWN_GROUP;
use crate::kinds::certificate::BackendTlsPolicy;
use crate::kinds::certificate::BackendTlsValidation;
use crate::kinds::certificate::Certificate;
use crate::kinds::certificate::SubjectAltName;
use crate::kinds::certificate::SubjectAltNameKind;
use crate::kinds::gateway::Listener;
use crate::kinds::tls::FrontendTls;
use crate::kinds::tls::ListenerTls;
use crate::kinds::tls::TlsMode;
use crate::kinds::tls::TlsOptions;
use crate::place::At;
use crate::place::Span;
use crate::suggest::did_you_mean;

/// The options that are ours.
pub(crate) const MIN_VERSION: &str = "tidegate.dev/min-tls-version";
pub(crate) const ALPN: &str = "tidegate.dev/alpn";
/// What HTTP can be offered as (RFC 7301: IANA's protocol ids).
const HTTP_ALPN: [&str; 2] = ["h2", "http/1.1"];
/// Most names in one offer, and most bytes of one (RFC 7301 §3.1).
const MAX_ALPN: usize = 16;
const MAX_ALPN_BYTES: usize = 255;

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListenerProtocol {
    /// HTTP without TLS.
    Http,
    /// HTTP inside TLS, which ends here.
    Https,
    /// Bytes inside TLS, which ends here or at the backend.
    Tls(TlsMode),
    /// Bytes.
    Tcp,
}

/// What a listener speaks, if it is something we know; case does not count (Gateway API:
/// `ProtocolType`).
pub(crate) fn protocol(listener: &Listener) -> Option<ListenerProtocol> {
    match listener.protocol.to_ascii_uppercase().as_str() {
        "HTTP" => Some(ListenerProtocol::Http),
        "HTTPS" => Some(ListenerProtocol::Https),
        "TLS" => Some(ListenerProtocol::Tls(mode(listener.tls.as_ref()))),
        "TCP" => Some(ListenerProtocol::Tcp),
        _ => None,
    }
}

fn mode(tls: Option<&At<ListenerTls>>) -> TlsMode {
    tls.and_then(|tls| tls.mode.as_ref())
        .map_or(TlsMode::Terminate, |mode| mode.value)
}

/// TLS belongs to some protocols and not to others.
pub(super) fn check_listener(listener: &Listener, findings: &mut Findings) {
    let protocol = protocol(listener);
    let Some(tls) = &listener.tls else {
        if matches!(protocol, Some(ListenerProtocol::Tls(_))) {
            findings.with_hint(
                listener.protocol.span,
                "a listener for TLS needs `tls` with its `mode`",
                "such as `tls: { mode: Passthrough }`",
            );
        }
        return;
    };
    match protocol {
        // That nobody speaks it is said elsewhere; other programs' protocols may have TLS.
        None if !listener.protocol.eq_ignore_ascii_case("UDP") => return,
        Some(ListenerProtocol::Http | ListenerProtocol::Tcp) | None => {
            let hint = match protocol {
                Some(ListenerProtocol::Http) => "use the protocol HTTPS, or remove `tls`",
                _ => "use the protocol TLS, or remove `tls`",
            };
            let message = format!("a listener for {} has no `tls`", *listener.protocol);
            return findings.with_hint(tls.span, message, hint);
        }
        Some(ListenerProtocol::Https) => {
            if let Some(mode) = &tls.mode
                && mode.value == TlsMode::Passthrough
            {
                findings.with_hint(
                    mode.span,
                    "TLS ends at a listener for HTTPS: its mode is Terminate",
                    "use the protocol TLS to pass it through",
                );
            }
        }
        Some(ListenerProtocol::Tls(_)) if tls.mode.is_none() => findings.with_hint(
            tls.span,
            "a listener for TLS says its `mode`",
            "`Terminate` or `Passthrough`",
        ),
        Some(ListenerProtocol::Tls(_)) => {}
    }
    check_termination(tls, protocol == Some(ListenerProtocol::Https), findings);
}

fn check_termination(tls: &At<ListenerTls>, is_http: bool, findings: &mut Findings) {
    let is_terminated = mode(Some(tls)) == TlsMode::Terminate;
    if is_terminated && tls.certificate_refs.is_empty() && tls.options.is_empty() {
        findings.with_hint(
            tls.span,
            "TLS that ends here needs `certificateRefs`",
            "such as `certificateRefs: [{ name: NAME-OF-A-SECRET }]`",
        );
    }
    check_options(&tls.options, &[MIN_VERSION, ALPN], findings);
    if let (false, Some(option)) = (is_terminated, tls.options.values().next()) {
        let message = "options are for TLS that ends here";
        findings.with_hint(option.span, message, "remove them");
    }
    if let Some(given) = tls.options.get(ALPN) {
        check_alpn(given, is_http, findings);
    }
}

/// Options must be ours, and their values known.
fn check_options(options: &TlsOptions, known: &[&str], findings: &mut Findings) {
    for (name, value) in options {
        if !known.contains(&name.as_str()) {
            let message = format!("there is no option `{name}`");
            let hint = did_you_mean(name, known.iter().copied())
                .unwrap_or_else(|| format!("there are: {}", known.join(", ")));
            findings.with_hint(value.span, message, hint);
        }
    }
    if let Some(version) = options.get(MIN_VERSION)
        && !matches!(version.as_str(), "1.2" | "1.3")
    {
        let message = format!("{:?} is no version of TLS that is spoken", version.value);
        findings.with_hint(version.span, message, "write `\"1.2\"` or `\"1.3\"`");
    }
}

/// The names of an offer, in order.
pub(crate) fn alpn(given: &str) -> impl Iterator<Item = &str> {
    given
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty())
}

fn check_alpn(given: &At<String>, is_http: bool, findings: &mut Findings) {
    if alpn(given).count() > MAX_ALPN {
        findings.error(
            given.span,
            format!("at most {MAX_ALPN} protocols are offered"),
        );
    }
    for name in alpn(given) {
        if is_http && !HTTP_ALPN.contains(&name) {
            let message = format!("HTTP is not spoken as {name:?}");
            findings.with_hint(given.span, message, "such as `\"h2,http/1.1\"`");
        } else if name.len() > MAX_ALPN_BYTES {
            let message = format!("the name of a protocol has at most {MAX_ALPN_BYTES} bytes");
            findings.error(given.span, message);
        }
    }
    repeated(alpn(given).map(|name| (name, name)), |name| {
        findings.error(given.span, format!("{name:?} is offered twice"));
    });
}

/// Ports must differ.
pub(super) fn check_frontend(frontend: &FrontendTls, findings: &mut Findings) {
    let ports = frontend.per_port.iter().map(|one| &one.port);
    repeated(ports.map(|port| (port.value, port)), |port| {
        findings.error(port.span, format!("the port {} is named twice", **port));
    });
}

/// A certificate has a key; a resource has something.
pub(super) fn check_certificate(certificate: &Certificate, findings: &mut Findings) {
    let spec = &certificate.spec;
    match (&spec.certificate, &spec.key) {
        (Some(certificate), None) => findings.with_hint(
            certificate.span,
            "a certificate needs its `key`",
            "authorities without key are named in `ca`",
        ),
        (None, Some(key)) => findings.error(key.span, "a key needs its `certificate`"),
        (None, None) if spec.ca.is_none() => findings.with_hint(
            Span::NONE,
            "a Certificate needs `certificate` and `key`, or `ca`",
            "such as `certificate: ./tls.crt` and `key: ./tls.key`",
        ),
        (Some(_), Some(_)) | (None, None) => {}
    }
    if let (Some(crl), None) = (&spec.crl, &spec.ca) {
        let message = "a list of revoked certificates needs the authorities that it is of";
        findings.with_hint(crl.span, message, "name their file in `ca`");
    }
}

pub(super) fn check_backend_policy(policy: &BackendTlsPolicy, findings: &mut Findings) {
    let spec = &policy.spec;
    let kinds = [("", "Service"), (OWN_GROUP, "Backend")];
    check_targets(&spec.target_refs, &kinds, findings);
    for target in &spec.target_refs {
        if let Some(section) = &target.section_name
            && target.kind.as_str() == "Backend"
        {
            let message = "a part of a Backend cannot be a target";
            findings.with_hint(section.span, message, "remove `sectionName`");
        }
    }
    for target in &spec.target_refs {
        let of_same = |one: &&crate::kinds::policy::PolicyTarget| {
            one.kind.value == target.kind.value && one.name.value == target.name.value
        };
        let is_mixed = target.section_name.is_none()
            && spec
                .target_refs
                .iter()
                .filter(of_same)
                .any(|one| one.section_name.is_some());
        if is_mixed {
            let message = format!(
                "several references to `{}`: each needs a `sectionName`",
                *target.name
            );
            findings.error(target.name.span, message);
        }
    }
    check_validation(&spec.validation, findings);
    check_options(&spec.options, &[MIN_VERSION], findings);
}

fn check_validation(validation: &At<BackendTlsValidation>, findings: &mut Findings) {
    match (
        validation.ca_certificate_refs.first(),
        &validation.well_known,
    ) {
        (Some(_), Some(well_known)) => findings.error(
            well_known.span,
            "either `caCertificateRefs` or `wellKnownCACertificates`, not both",
        ),
        (None, None) => findings.with_hint(
            validation.span,
            "who may have signed the backend's certificate is missing",
            "add `caCertificateRefs`, or `wellKnownCACertificates: System`",
        ),
        (Some(_), None) | (None, Some(_)) => {}
    }
    super::gateway::check_host(&validation.hostname, validation.hostname.span, findings);
    for name in &validation.subject_alt_names {
        check_name(name, findings);
    }
}

fn check_name(name: &SubjectAltName, findings: &mut Findings) {
    let uri = name.uri.as_ref();
    let hostname = name.hostname.as_ref();
    let (wanted, other) = match name.kind.value {
        SubjectAltNameKind::Hostname => (
            ("hostname", hostname.map(|one| one.span)),
            ("uri", uri.map(|one| one.span)),
        ),
        SubjectAltNameKind::Uri => (
            ("uri", uri.map(|one| one.span)),
            ("hostname", hostname.map(|one| one.span)),
        ),
    };
    if wanted.1.is_none() {
        findings.error(name.kind.span, format!("this type needs `{}`", wanted.0));
    }
    if let Some(span) = other.1 {
        let message = format!("`{}` does not belong to this type of name", other.0);
        findings.error(span, message);
    }
    if let Some(uri) = uri
        && !is_absolute(uri)
    {
        let message = format!("{:?} is not a URI with a scheme", uri.value);
        let hint = "such as `spiffe://cluster.local/ns/shop/sa/api`";
        findings.with_hint(uri.span, message, hint);
    }
}

/// Whether a text is a scheme, `:` and something (RFC 3986 §3).
fn is_absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let is_plain = |byte: u8| byte.is_ascii_graphic();
    is_scheme && !rest.is_empty() && rest.bytes().all(is_plain)
}
