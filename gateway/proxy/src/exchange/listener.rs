//! Which listener has a request.
//!
//! Owns that a connection's TLS and the host of a request agree: who was greeted as one listener's
//! client, by its certificate and under its rules for clients' certificates, is not served as
//! another's (RFC 9110 §15.5.20; Gateway API: GEP-3567).

use std::sync::Arc;

use http::HeaderValue;
use tidegate_core::authority::host_of;
use tidegate_core::failure::Failure;
use tidegate_core::snapshot::Listener;
use tidegate_core::snapshot::Protocol;
use tidegate_core::tls::TlsName;

use crate::tls::Inside;
use crate::tls::Secured;
use crate::worker::Scene;

/// The listener that has a request for this authority; `None` if none claims it.
///
/// # Errors
///
/// [`Failure::Misdirected`] if it is another one's than the name that TLS was begun for, or if the
/// connection would be begun in another way by now.
pub(crate) fn find<'a>(
    scene: &'a Scene,
    secured: Option<&Secured>,
    authority: &HeaderValue,
) -> Result<Option<&'a Arc<Listener>>, Failure> {
    let bind = scene.bind();
    let found = bind.listeners.sole().or_else(|| {
        let host = host_of(authority.as_bytes());
        bind.listeners.claims(host).next()
    });
    match (&bind.protocol, secured) {
        (Protocol::Http, None) => Ok(found),
        (Protocol::Tls(names), Some(secured)) => {
            let name = names.claims(&secured.server_name).next();
            let Some(TlsName::Http {
                termination,
                listener,
            }) = name.map(|name| &**name)
            else {
                return Err(Failure::Misdirected);
            };
            let terminator = scene
                .generation
                .plan
                .tls
                .terminator(termination, Inside::Http);
            let same_trust = terminator.is_some_and(|now| secured.fits(&now.trust));
            let same_listener = found.is_none_or(|found| Arc::ptr_eq(found, listener));
            if same_trust && same_listener {
                Ok(found)
            } else {
                Err(Failure::Misdirected)
            }
        }
        // Configured otherwise since the connection began.
        (Protocol::Http | Protocol::Tls(_) | Protocol::Tcp(_), _) => Err(Failure::Misdirected),
    }
}
