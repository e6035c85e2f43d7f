//! TLS towards clients, ready for handshakes.
//!
//! Owns the settings made from a [`Termination`], the choice of a certificate, and which sessions
//! may be resumed where: tickets are good on all workers and through reloads, but only among
//! listeners that ask the same of their clients' certificates.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;

use rustls::ServerConfig;
use rustls::SignatureScheme;
use rustls::SupportedProtocolVersion;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::CertificateDer;
use rustls::server::ClientHello;
use rustls::server::NoServerSessionStorage;
use rustls::server::ProducesTickets;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;
use rustls::version::TLS12;
use rustls::version::TLS13;
use tidegate_core::tls::TlsVersion;

use crate::tls::Bundle;
use crate::tls::Certificate;
use crate::tls::provider;
use crate::tls::verify::Authorities;
use crate::tls::verify::ClientVerifier;

/// What may be offered as the protocol inside TLS (RFC 7301), of what a listener lists: what
/// `worker/handshake.rs` can serve.
pub(super) const SERVED: &[&str] = &["h2", "http/1.1"];

/// TLS towards clients, ready for handshakes.
#[derive(Debug)]
pub(crate) struct Terminator {
    config: Arc<ServerConfig>,
    /// The same for clients that show a ticket.
    again: Arc<ServerConfig>,
    shown: Arc<Shown>,
    pub(crate) trust: Arc<Trust>,
}

/// What is asked of clients' certificates, and the key of the tickets of those who passed.
#[derive(Debug)]
pub(crate) struct Trust {
    verifier: Option<Arc<ClientVerifier>>,
    tickets: Option<Arc<dyn ProducesTickets>>,
}

/// What a terminator is made of: the same makes the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TerminatorKey {
    /// By address; a terminator keeps its certificates alive.
    pub(super) certificates: Vec<Option<usize>>,
    pub(super) min_version: TlsVersion,
    pub(super) alpn: Vec<Arc<str>>,
    pub(super) trust: usize,
}

impl Trust {
    /// Nothing is asked: one for the whole process.
    pub(super) fn nobody() -> Arc<Self> {
        static NOBODY: OnceLock<Arc<Trust>> = OnceLock::new();
        let nobody = NOBODY.get_or_init(|| {
            Arc::new(Self {
                verifier: None,
                tickets: tickets(),
            })
        });
        Arc::clone(nobody)
    }

    /// Clients are asked for a certificate that one of these authorities has signed.
    pub(super) fn new(bundles: Vec<Option<Arc<Bundle>>>, optional: bool) -> Arc<Self> {
        let verifier = ClientVerifier::new(Authorities::new(bundles), optional);
        Arc::new(Self {
            verifier: Some(Arc::new(verifier)),
            tickets: tickets(),
        })
    }

    /// Whether a client with this certificate passes, and whether it is believed. A session that
    /// was resumed is `resumed`: its certificate was believed some time ago.
    ///
    /// # Errors
    ///
    /// Why it does not pass.
    pub(crate) fn admits(
        &self,
        chain: &[CertificateDer<'_>],
        resumed: bool,
    ) -> Result<bool, rustls::Error> {
        let (Some(verifier), Some((leaf, others))) = (&self.verifier, chain.split_first()) else {
            return Ok(false);
        };
        if !resumed && !verifier.is_optional() {
            return Ok(true); // The handshake has verified it.
        }
        match verifier.check(leaf, others) {
            Ok(()) => Ok(true),
            Err(err) if verifier.is_optional() => {
                tracing::debug!(%err, "a client's certificate is not believed");
                Ok(false)
            }
            Err(err) => Err(err),
        }
    }
}

impl Trust {
    /// Whether both ask clients for a certificate in the same way, whoever may have signed it.
    pub(crate) fn asks_like(&self, other: &Self) -> bool {
        let way = |trust: &Self| trust.verifier.as_ref().map(|one| one.is_optional());
        way(self) == way(other)
    }

    /// Whether a client that sent this on a connection of before is believed; `None` if it would not
    /// be let in now.
    pub(crate) fn admits_again(&self, chain: &[CertificateDer<'_>]) -> Option<bool> {
        let is_optional = self.verifier.as_ref().is_none_or(|one| one.is_optional());
        if chain.is_empty() && !is_optional {
            return None;
        }
        // As with a session that is resumed, what was believed then does not count.
        self.admits(chain, true).ok()
    }
}

/// A key for tickets, which changes every six hours; `None` if the system has no randomness.
fn tickets() -> Option<Arc<dyn ProducesTickets>> {
    let tickets = Ticketer::new();
    let told = tickets.inspect_err(|err| tracing::warn!("sessions cannot be resumed: {err}"));
    told.ok()
}

impl Terminator {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// The library's, if it does not like the settings.
    pub(super) fn new(
        certificates: Vec<Arc<Certificate>>,
        key: &TerminatorKey,
        trust: Arc<Trust>,
    ) -> Result<Self, rustls::Error> {
        let shown = Arc::new(Shown::new(certificates));
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider()));
        let builder = builder.with_protocol_versions(versions(key.min_version))?;
        let builder = match &trust.verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier) as _),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&shown) as _);
        // Sessions travel in tickets, so that any worker can resume them.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if let Some(tickets) = &trust.tickets {
            config.ticketer = Arc::clone(tickets);
        }
        config.alpn_protocols = key
            .alpn
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        // A client with several connections needs tickets for each of them; one that has used a
        // ticket needs another one in its place.
        let mut again = config.clone();
        again.send_tls13_tickets = 1;
        Ok(Self {
            config: Arc::new(config),
            again: Arc::new(again),
            shown,
            trust,
        })
    }

    /// The settings for a handshake with a client that shows a ticket, or none.
    pub(crate) fn config(&self, shows_ticket: bool) -> &Arc<ServerConfig> {
        if shows_ticket {
            &self.again
        } else {
            &self.config
        }
    }

    /// The certificate that a client with this greeting is shown.
    pub(crate) fn certificate(&self, hello: &ClientHello<'_>) -> Option<&Arc<Certificate>> {
        self.shown.choose(hello)
    }
}

/// The versions from this one on.
pub(super) fn versions(lowest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static FROM_12: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    static FROM_13: [&SupportedProtocolVersion; 1] = [&TLS13];
    match lowest {
        TlsVersion::Tls12 => &FROM_12,
        TlsVersion::Tls13 => &FROM_13,
    }
}

/// The certificates of a listener, by the names they are for.
#[derive(Debug)]
struct Shown {
    certificates: Vec<Arc<Certificate>>,
    /// Places by name.
    exact: HashMap<Box<str>, Vec<usize>>,
    /// Places by what follows `*.`.
    wildcard: HashMap<Box<str>, Vec<usize>>,
}

impl Shown {
    fn new(certificates: Vec<Arc<Certificate>>) -> Self {
        let mut exact: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut wildcard: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        for (place, certificate) in certificates.iter().enumerate() {
            for name in certificate.dns_names() {
                let places = match name.strip_prefix("*.") {
                    Some(parent) => wildcard.entry(parent.into()),
                    None => exact.entry(name.into()),
                };
                places.or_default().push(place);
            }
        }
        Self {
            certificates,
            exact,
            wildcard,
        }
    }

    /// The first that covers the name and can sign what the client understands; else the first that
    /// covers it; else the same among all of them.
    fn choose(&self, hello: &ClientHello<'_>) -> Option<&Arc<Certificate>> {
        let covering = hello.server_name().map_or_else(Vec::new, |name| {
            // Names are compared without regard to case; rustls keeps what the client wrote.
            let name = name.to_ascii_lowercase();
            let name = name.strip_suffix('.').unwrap_or(&name);
            let parent = name.split_once('.').map_or("", |(_, parent)| parent);
            let places = self.exact.get(name).into_iter();
            let places = places.chain(self.wildcard.get(parent));
            let mut places: Vec<usize> = places.flatten().copied().collect();
            places.sort_unstable();
            places
        });
        let at = |place: &usize| self.certificates.get(*place);
        let can_sign = |certificate: &&Arc<Certificate>| {
            let schemes: &[SignatureScheme] = hello.signature_schemes();
            certificate.key().key.choose_scheme(schemes).is_some()
        };
        let first = covering.iter().filter_map(at).find(can_sign);
        let first = first.or_else(|| covering.first().and_then(at));
        let first = first.or_else(|| self.certificates.iter().find(can_sign));
        first.or_else(|| self.certificates.first())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = self.choose(&hello)?;
        Some(Arc::clone(chosen.key()))
    }
}
