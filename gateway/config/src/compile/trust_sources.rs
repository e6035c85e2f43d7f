//! References to certificates and authorities, and what the resources hold that they lead to.

use bytes::Bytes;

use super::plugin_decl::beside;
use super::report::Refusal;
use super::world::Candidate;
use crate::draft::BundleSource;
use crate::draft::CertificateSource;
use crate::kinds::Body;
use crate::kinds::certificate::LocalAuthorityRef;
use crate::kinds::text::NamespaceName;
use crate::kinds::text::ObjectName;
use crate::kinds::tls::AuthorityRef;
use crate::kinds::tls::CertificateRef;
use crate::place::At;
use crate::place::Place;
use crate::place::Span;
use crate::rules::secret_bytes;

/// The keys of Secrets and ConfigMaps (Kubernetes; Gateway API).
const CERTIFICATE_KEY: &str = "tls.crt";
const PRIVATE_KEY: &str = "tls.key";
const AUTHORITY_KEY: &str = "ca.crt";
/// As ingress-nginx has it.
const REVOKED_KEY: &str = "ca.crl";

/// What a resource holds, with where that is written.
pub(super) type Source<T> = Result<(T, Option<Place>), Refusal>;

/// A reference to something that is believed or shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrustRef<'r> {
    pub(super) group: &'r str,
    pub(super) kind: &'r str,
    /// Where the kind stands, or the name if the kind is left out.
    pub(super) kind_span: Span,
    pub(super) namespace: Option<&'r At<NamespaceName>>,
    pub(super) name: &'r At<ObjectName>,
}

impl<'r> From<&'r CertificateRef> for TrustRef<'r> {
    fn from(given: &'r CertificateRef) -> Self {
        let kind = given.kind.as_ref();
        let group = given.group.as_ref();
        Self {
            group: group.map_or("", |group| group.as_str()),
            kind: kind.map_or("Secret", |kind| kind.as_str()),
            kind_span: kind
                .map(|kind| kind.span)
                .or(group.map(|group| group.span))
                .unwrap_or(given.name.span),
            namespace: given.namespace.as_ref(),
            name: &given.name,
        }
    }
}

impl<'r> From<&'r AuthorityRef> for TrustRef<'r> {
    fn from(given: &'r AuthorityRef) -> Self {
        Self {
            group: given.group.as_str(),
            kind: given.kind.as_str(),
            kind_span: given.kind.span,
            namespace: given.namespace.as_ref(),
            name: &given.name,
        }
    }
}

impl<'r> From<&'r LocalAuthorityRef> for TrustRef<'r> {
    fn from(given: &'r LocalAuthorityRef) -> Self {
        Self {
            group: given.group.as_str(),
            kind: given.kind.as_str(),
            kind_span: given.kind.span,
            namespace: None,
            name: &given.name,
        }
    }
}

/// The namespace that a reference leads to.
pub(super) fn namespace<'r>(from: &'r Candidate, given: TrustRef<'r>) -> &'r str {
    given
        .namespace
        .map_or(from.namespace(), |namespace| namespace.as_str())
}

/// A reference to something that holds no certificate.
pub(super) fn invalid_kind(given: TrustRef<'_>, reason: &'static str, hint: &str) -> Refusal {
    let group = match given.group {
        "" => "core",
        group => group,
    };
    let message = format!(
        "a {} of the group `{group}` holds no certificate",
        given.kind
    );
    Refusal {
        span: given.kind_span,
        reason,
        message,
        hint: Some(hint.to_owned()),
    }
}

fn lacks(
    found: &Candidate,
    given: TrustRef<'_>,
    reason: &'static str,
    what: &str,
    hint: &str,
) -> Refusal {
    Refusal {
        span: given.name.span,
        reason,
        message: format!("{} has no {what}", found.id()),
        hint: Some(hint.to_owned()),
    }
}

/// Where a certificate with its key is.
pub(super) fn certificate_source(
    found: &Candidate,
    given: TrustRef<'_>,
    reason: &'static str,
) -> Source<CertificateSource> {
    match found.body() {
        Body::Secret(secret) => {
            let value = |key: &str| {
                let hint = "a Secret of the type `kubernetes.io/tls` has `tls.crt` and `tls.key`";
                let lacks = || lacks(found, given, reason, &format!("key `{key}`"), hint);
                secret_bytes(secret, key).map(Bytes::from).ok_or_else(lacks)
            };
            let source = CertificateSource::Inline {
                certificate: value(CERTIFICATE_KEY)?,
                key: value(PRIVATE_KEY)?,
            };
            let span = found.version.content.name_span;
            Ok((source, Some(found.place(span))))
        }
        Body::Certificate(one) => {
            let (Some(certificate), Some(key)) = (&one.spec.certificate, &one.spec.key) else {
                let hint = "it names authorities only: add `certificate` and `key`";
                return Err(lacks(found, given, reason, "certificate with a key", hint));
            };
            let file = &found.version.origin.file;
            let source = CertificateSource::Files {
                certificate: beside(file, certificate),
                key: beside(file, key),
            };
            Ok((source, Some(found.place(certificate.span))))
        }
        _ => Ok((CertificateSource::Refused, None)),
    }
}

/// Where authorities are.
pub(super) fn bundle_source(
    found: &Candidate,
    given: TrustRef<'_>,
    reason: &'static str,
) -> Source<BundleSource> {
    let no_key = || {
        let hint = "authorities are PEM certificates under `ca.crt`";
        lacks(found, given, reason, "key `ca.crt`", hint)
    };
    let place = found.place(found.version.content.name_span);
    match found.body() {
        Body::ConfigMap(map) => {
            let value = map.data.get(AUTHORITY_KEY).ok_or_else(no_key)?;
            let bytes = |value: &At<String>| Bytes::copy_from_slice(value.as_bytes());
            let source = BundleSource::Inline {
                authorities: bytes(value),
                revoked: map.data.get(REVOKED_KEY).map(bytes),
            };
            Ok((source, Some(found.place(value.span))))
        }
        Body::Secret(secret) => {
            let value = secret_bytes(secret, AUTHORITY_KEY).ok_or_else(no_key)?;
            let source = BundleSource::Inline {
                authorities: value.into(),
                revoked: secret_bytes(secret, REVOKED_KEY).map(Bytes::from),
            };
            Ok((source, Some(place)))
        }
        Body::Certificate(one) => {
            let ca = one.spec.ca.as_ref().ok_or_else(|| {
                let hint = "add `ca` with a file of PEM certificates";
                lacks(found, given, reason, "authorities", hint)
            })?;
            let file = &found.version.origin.file;
            let source = BundleSource::Files {
                authorities: beside(file, ca),
                revoked: one.spec.crl.as_ref().map(|crl| beside(file, crl)),
            };
            Ok((source, Some(found.place(ca.span))))
        }
        _ => Ok((BundleSource::Refused, Some(place))),
    }
}
