//! How listeners end their clients' TLS, and what is asked of clients (Gateway API:
//! `ListenerTLSConfig`, `FrontendTLSConfig`).

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_core::tls::CertificateId;
use tidegate_core::tls::ClientCertificates;
use tidegate_core::tls::Termination;
use tidegate_core::tls::TlsVersion;

use super::report::Refusal;
use super::report::Report;
use super::trust::Trust;
use super::trust_sources::TrustRef;
use super::world::Candidate;
use crate::draft::Condition;
use crate::kinds::gateway::Gateway;
use crate::kinds::gateway::Listener;
use crate::kinds::tls::FrontendTlsConfig;
use crate::kinds::tls::FrontendValidationMode;
use crate::kinds::tls::TlsOptions;
use crate::rules;
use crate::rules::ListenerProtocol;

/// What HTTP inside TLS is offered as, unless a listener says otherwise.
const HTTP_ALPN: [&str; 2] = ["h2", "http/1.1"];

/// Why something cannot be used: the reason of a condition, and what to say there.
pub(super) type Trouble = (&'static str, String);

/// What is asked of the clients of a port.
#[derive(Debug, Clone, Default)]
pub(super) struct Clients {
    asked: Option<ClientCertificates>,
    /// The first reference that leads nowhere.
    unresolved: Option<Trouble>,
    /// Why nobody could be let in.
    barred: Option<Trouble>,
}

/// What a Gateway says about TLS as a whole.
#[derive(Debug, Default)]
pub(super) struct GatewayTrust {
    default: Clients,
    per_port: BTreeMap<u16, Clients>,
    /// What is shown to backends.
    pub(super) client_certificate: Option<CertificateId>,
}

/// How a listener ends TLS.
#[derive(Debug)]
pub(super) struct ListenerTrust {
    pub(super) termination: Arc<Termination>,
    /// The first reference that leads nowhere.
    pub(super) unresolved: Option<Trouble>,
    /// Why nobody could be served: the condition it makes false, and why.
    pub(super) barred: Option<(&'static str, Trouble)>,
}

impl GatewayTrust {
    pub(super) fn new(
        trust: &mut Trust<'_>,
        candidate: &Candidate,
        gateway: &Gateway,
        report: &mut Report,
    ) -> Self {
        let mut all = Self::default();
        let Some(given) = &gateway.spec.tls else {
            return all;
        };
        if let Some(frontend) = &given.frontend {
            all.default = clients(trust, candidate, &frontend.default, report);
            for one in &frontend.per_port {
                let asked = clients(trust, candidate, &one.tls, report);
                all.per_port.insert(one.port.value, asked);
                if !gateway.spec.listeners.iter().any(|listener| {
                    listener.port.value == one.port.value && is_terminated(listener)
                }) {
                    let refusal = Refusal {
                        span: one.port.span,
                        reason: "Invalid",
                        message: format!("TLS ends at no listener on port {}", one.port.value),
                        hint: None,
                    };
                    report.warning(candidate, refusal);
                }
            }
            all.report_fallback(candidate, report);
        }
        let shown = given
            .backend
            .as_ref()
            .and_then(|backend| backend.client_certificate_ref.as_ref());
        if let Some(shown) = shown {
            let reason = "InvalidClientCertificateRef";
            let found = trust.certificate(candidate, TrustRef::from(shown), reason, report);
            let condition = resolved(found.unusable.as_ref());
            report.condition(candidate, condition);
            all.client_certificate = found.id.filter(|_| found.unusable.is_none());
        }
        all
    }

    /// That clients without a certificate are let in must be seen (Gateway API:
    /// `GatewayConditionInsecureFrontendValidationMode`).
    fn report_fallback(&self, candidate: &Candidate, report: &mut Report) {
        let is_optional =
            |clients: &Clients| clients.asked.as_ref().is_some_and(|one| one.optional);
        if is_optional(&self.default) || self.per_port.values().any(is_optional) {
            report.condition(
                candidate,
                Condition {
                    kind: "InsecureFrontendValidationMode",
                    status: true,
                    reason: "ConfigurationChanged",
                    message: "clients without a valid certificate are served".to_owned(),
                    about: None,
                },
            );
        }
    }

    fn clients(&self, port: u16) -> &Clients {
        self.per_port.get(&port).unwrap_or(&self.default)
    }

    /// How a listener ends TLS; `None` if it does not.
    pub(super) fn listener(
        &self,
        trust: &mut Trust<'_>,
        candidate: &Candidate,
        listener: &Listener,
        report: &mut Report,
    ) -> Option<ListenerTrust> {
        if !is_terminated(listener) {
            return None;
        }
        let clients = self.clients(listener.port.value);
        let mut unresolved = None;
        let (mut certificates, mut others) = (Vec::new(), Vec::new());
        let references = listener.tls.iter().flat_map(|tls| &tls.certificate_refs);
        for reference in references {
            let found = trust.certificate(
                candidate,
                TrustRef::from(reference),
                "InvalidCertificateRef",
                report,
            );
            let list = match &found.unusable {
                None => &mut certificates,
                Some(_) => &mut others,
            };
            // One certificate twice is one.
            list.extend(found.id.filter(|id| !list.contains(id)));
            unresolved = unresolved.or(found.unusable);
        }
        let mut barred = None;
        if certificates.is_empty() {
            certificates = others;
            let trouble = unresolved.get_or_insert_with(|| {
                let refusal = no_certificate(listener);
                let trouble = (refusal.reason, refusal.message.clone());
                report.error(candidate, refusal);
                trouble
            });
            barred = Some(("Programmed", ("Invalid", trouble.1.clone())));
        }
        if let Some(trouble) = &clients.barred {
            barred = Some(("Accepted", trouble.clone()));
        }
        let options = listener.tls.as_ref().map(|tls| &tls.options);
        let is_http = rules::protocol(listener) == Some(ListenerProtocol::Https);
        Some(ListenerTrust {
            termination: Arc::new(Termination {
                certificates,
                min_version: min_version(options),
                alpn: alpn(options, is_http),
                clients: clients.asked.clone(),
            }),
            unresolved: unresolved.or_else(|| clients.unresolved.clone()),
            barred,
        })
    }
}

fn is_terminated(listener: &Listener) -> bool {
    use crate::kinds::tls::TlsMode;
    matches!(
        rules::protocol(listener),
        Some(ListenerProtocol::Https | ListenerProtocol::Tls(TlsMode::Terminate))
    )
}

fn no_certificate(listener: &Listener) -> Refusal {
    let tls = listener.tls.as_ref().map(|tls| tls.span);
    Refusal {
        span: tls.unwrap_or(listener.protocol.span),
        reason: "InvalidCertificateRef",
        message: format!("the listener `{}` has no certificate", *listener.name),
        hint: Some("such as `tls: { certificateRefs: [{ name: NAME-OF-A-SECRET }] }`".to_owned()),
    }
}

fn clients(
    trust: &mut Trust<'_>,
    candidate: &Candidate,
    given: &FrontendTlsConfig,
    report: &mut Report,
) -> Clients {
    let Some(validation) = &given.validation else {
        return Clients::default();
    };
    let mut bundles = Vec::new();
    let mut unresolved = None;
    let mut is_usable = false;
    for reference in &validation.ca_certificate_refs {
        let found = trust.bundle(
            candidate,
            TrustRef::from(reference),
            ("InvalidCACertificateRef", "InvalidCACertificateKind"),
            report,
        );
        is_usable |= found.unusable.is_none();
        unresolved = unresolved.or(found.unusable);
        bundles.extend(found.id.filter(|id| !bundles.contains(id)));
    }
    let message = || "no authority for the certificates of clients can be used".to_owned();
    let mode = validation.mode.as_ref().map(|mode| mode.value);
    Clients {
        asked: Some(ClientCertificates {
            bundles,
            optional: mode == Some(FrontendValidationMode::AllowInsecureFallback),
        }),
        barred: (!is_usable).then(|| ("NoValidCACertificate", message())),
        unresolved,
    }
}

/// `ResolvedRefs` of a resource as a whole.
pub(super) fn resolved(trouble: Option<&Trouble>) -> Condition {
    let (reason, message) = match trouble {
        None => ("ResolvedRefs", String::new()),
        Some((reason, message)) => (*reason, message.clone()),
    };
    Condition {
        kind: "ResolvedRefs",
        status: trouble.is_none(),
        reason,
        message,
        about: None,
    }
}

/// A rule has refused other versions.
pub(super) fn min_version(options: Option<&TlsOptions>) -> TlsVersion {
    let given = options.and_then(|options| options.get(rules::MIN_VERSION));
    match given.map(|given| given.as_str()) {
        Some("1.3") => TlsVersion::Tls13,
        _ => TlsVersion::Tls12,
    }
}

fn alpn(options: Option<&TlsOptions>, is_http: bool) -> Vec<Arc<str>> {
    match options.and_then(|options| options.get(rules::ALPN)) {
        Some(given) => rules::alpn(given).map(Arc::from).collect(),
        None if is_http => HTTP_ALPN.map(Arc::from).to_vec(),
        None => Vec::new(),
    }
}
