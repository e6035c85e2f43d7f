//! All certificates and authorities that something refers to, each once.
//!
//! A reference that leads nowhere is refused where it stands; what it would have led to is declared
//! as [`CertificateSource::Refused`], so that nobody is served something else in its place.

use bytes::Bytes;
use foldhash::HashMap;
use foldhash::HashSet;

use tidegate_core::tls::BundleId;
use tidegate_core::tls::CertificateId;
use tidegate_core::tls::TrustName;

use super::plugin_decl::beside;
use super::references::is_permitted;
use super::references::not_found;
use super::references::not_permitted;
use super::report::Refusal;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::draft::BundleDecl;
use crate::draft::BundleSource;
use crate::draft::CertificateDecl;
use crate::draft::CertificateSource;
use crate::kinds::Body;
use crate::kinds::GATEWAY_GROUP;
use crate::kinds::OWN_GROUP;
use crate::kinds::certificate::LocalAuthorityRef;
use crate::kinds::text::NamespaceName;
use crate::kinds::text::ObjectName;
use crate::kinds::tls::AuthorityRef;
use crate::kinds::tls::CertificateRef;
use crate::place::At;
use crate::place::Place;
use crate::place::Span;
use crate::resource::ResourceId;
use crate::rules::secret_bytes;

/// The keys of Secrets and ConfigMaps (Kubernetes; Gateway API).
const CERTIFICATE_KEY: &str = "tls.crt";
const PRIVATE_KEY: &str = "tls.key";
const AUTHORITY_KEY: &str = "ca.crt";

/// A reference to something that is believed or shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrustRef<'r> {
    group: &'r str,
    kind: &'r str,
    /// Where the kind stands, or the name if the kind is left out.
    kind_span: Span,
    namespace: Option<&'r At<NamespaceName>>,
    name: &'r At<ObjectName>,
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

/// What a reference came to.
#[derive(Debug)]
pub(crate) struct Believed<T> {
    /// What it leads to, if that may be said.
    pub(crate) id: Option<T>,
    /// Why it cannot be used: the reason of a condition, and what to say there.
    pub(crate) unusable: Option<(&'static str, String)>,
    /// What is wrong with the reference, if that is its fault.
    pub(crate) refusal: Option<Refusal>,
}

impl<T> Believed<T> {
    fn refused(id: Option<T>, refusal: Refusal) -> Self {
        Self {
            id,
            unusable: Some((refusal.reason, refusal.message.clone())),
            refusal: Some(refusal),
        }
    }
}

/// The certificates and authorities of a snapshot in the making.
#[derive(Debug)]
pub(crate) struct Trust<'a> {
    world: &'a World<'a>,
    certificates: Vec<CertificateDecl>,
    bundles: Vec<BundleDecl>,
    certificate_ids: HashMap<ResourceId, CertificateId>,
    bundle_ids: HashMap<ResourceId, BundleId>,
    /// The names that are taken: resources of several kinds may share one.
    names: HashSet<TrustName>,
}

/// A resource that was found: its source, or why it has none.
type Found<S> = Result<(S, Place), Refusal>;

impl<'a> Trust<'a> {
    pub(crate) fn new(world: &'a World<'a>) -> Self {
        Self {
            world,
            certificates: Vec::new(),
            bundles: Vec::new(),
            certificate_ids: HashMap::default(),
            bundle_ids: HashMap::default(),
            names: HashSet::default(),
        }
    }

    /// The certificate with key that a reference leads to; `reason` is for what is wrong with it.
    pub(crate) fn certificate(
        &mut self,
        from: &Candidate,
        given: TrustRef<'_>,
        reason: &'static str,
    ) -> Believed<CertificateId> {
        let kind = match (given.group, given.kind) {
            ("", "Secret") => "Secret",
            (OWN_GROUP, "Certificate") => "Certificate",
            _ => {
                let hint = "a Secret, or a Certificate of the group `tidegate.dev`";
                return Believed::refused(None, invalid_kind(given, reason, hint));
            }
        };
        let resource = match self.resource(from, given, kind) {
            Ok(resource) => resource,
            Err(refusal) => return Believed::refused(None, refusal),
        };
        let found = self.find(from, given, kind, reason);
        let (source, place, trouble) = match found {
            Ok(Some(found)) => match certificate_source(found, given, reason) {
                Ok((source, place)) => (source, place, None),
                Err(refusal) => (CertificateSource::Refused, None, Some(Ok(refusal))),
            },
            Ok(None) => (CertificateSource::Refused, None, Some(Err(()))),
            Err(refusal) => (CertificateSource::Refused, None, Some(Ok(refusal))),
        };
        let place = place.unwrap_or_else(|| from.place(given.name.span));
        let id = match self.certificate_ids.get(&resource) {
            Some(id) => *id,
            None => {
                let id = CertificateId(place_in(&self.certificates));
                self.certificate_ids.insert(resource.clone(), id);
                let name = self.name(&resource);
                self.certificates.push(CertificateDecl {
                    resource: resource.clone(),
                    name,
                    source,
                    place,
                });
                id
            }
        };
        believed(id, trouble, reason, &resource)
    }

    /// The authorities that a reference leads to; the reasons are for what is wrong with it, and for
    /// a kind that holds none.
    pub(crate) fn bundle(
        &mut self,
        from: &Candidate,
        given: TrustRef<'_>,
        (reason, kind_reason): (&'static str, &'static str),
    ) -> Believed<BundleId> {
        let kind = match (given.group, given.kind) {
            ("", "ConfigMap") => "ConfigMap",
            ("", "Secret") => "Secret",
            (OWN_GROUP, "Certificate") => "Certificate",
            _ => {
                let hint = "a ConfigMap or Secret, or a Certificate of the group `tidegate.dev`";
                return Believed::refused(None, invalid_kind(given, kind_reason, hint));
            }
        };
        let resource = match self.resource(from, given, kind) {
            Ok(resource) => resource,
            Err(refusal) => return Believed::refused(None, refusal),
        };
        let found = self.find(from, given, kind, reason);
        let (source, place, trouble) = match found {
            Ok(Some(found)) => match bundle_source(found, given, reason) {
                Ok((source, place)) => (source, Some(place), None),
                Err(refusal) => (BundleSource::Refused, None, Some(Ok(refusal))),
            },
            Ok(None) => (BundleSource::Refused, None, Some(Err(()))),
            Err(refusal) => (BundleSource::Refused, None, Some(Ok(refusal))),
        };
        let place = place.unwrap_or_else(|| from.place(given.name.span));
        let id = match self.bundle_ids.get(&resource) {
            Some(id) => *id,
            None => {
                let id = BundleId(place_in(&self.bundles));
                self.bundle_ids.insert(resource.clone(), id);
                let name = self.name(&resource);
                self.bundles.push(BundleDecl {
                    resource: resource.clone(),
                    name,
                    source,
                    place,
                });
                id
            }
        };
        believed(id, trouble, reason, &resource)
    }

    /// What a reference names, if it may.
    fn resource(
        &self,
        from: &Candidate,
        given: TrustRef<'_>,
        kind: &'static str,
    ) -> Result<ResourceId, Refusal> {
        let namespace = namespace(from, given);
        let name = given.name.as_str();
        let to = (given.group, kind, namespace, name);
        if !is_permitted(self.world, (GATEWAY_GROUP, from), to) {
            let span = given.namespace.map_or(given.name.span, |one| one.span);
            return Err(not_permitted(span, from, kind, namespace, name));
        }
        Ok(ResourceId {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        })
    }

    /// The resource; `None` if it is refused itself.
    fn find(
        &self,
        from: &Candidate,
        given: TrustRef<'_>,
        kind: &'static str,
        reason: &'static str,
    ) -> Result<Option<&'a Candidate>, Refusal> {
        let namespace = namespace(from, given);
        let found = self.world.find(from, kind, namespace, given.name.as_str());
        let found =
            found.ok_or_else(|| not_found(self.world, reason, kind, namespace, given.name))?;
        Ok((found.state != State::Salvaged).then_some(found))
    }

    /// The name in the snapshot; with the kind, if a resource of another kind has it.
    fn name(&mut self, resource: &ResourceId) -> TrustName {
        let full_name = format!("{}/{}", resource.namespace, resource.name);
        let plain = TrustName(full_name.as_str().into());
        if self.names.insert(plain.clone()) {
            return plain;
        }
        let name = TrustName(format!("{full_name} ({})", resource.kind).into());
        self.names.insert(name.clone());
        name
    }

    /// The names of the certificates, in the order of the ids.
    pub(crate) fn certificate_names(&self) -> Vec<TrustName> {
        self.certificates
            .iter()
            .map(|one| one.name.clone())
            .collect()
    }

    /// The declarations, in the order of the ids.
    pub(crate) fn into_parts(self) -> (Vec<CertificateDecl>, Vec<BundleDecl>) {
        (self.certificates, self.bundles)
    }
}

/// The place of the next item.
fn place_in<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

fn namespace<'r>(from: &'r Candidate, given: TrustRef<'r>) -> &'r str {
    given
        .namespace
        .map_or(from.namespace(), |namespace| namespace.as_str())
}

/// `trouble` is the reference's own fault, or that of what it leads to, which is reported there.
fn believed<T>(
    id: T,
    trouble: Option<Result<Refusal, ()>>,
    reason: &'static str,
    resource: &ResourceId,
) -> Believed<T> {
    match trouble {
        None => Believed {
            id: Some(id),
            unusable: None,
            refusal: None,
        },
        Some(Ok(refusal)) => Believed::refused(Some(id), refusal),
        Some(Err(())) => Believed {
            id: Some(id),
            unusable: Some((reason, format!("{resource} is refused"))),
            refusal: None,
        },
    }
}

fn invalid_kind(given: TrustRef<'_>, reason: &'static str, hint: &str) -> Refusal {
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

fn certificate_source(
    found: &Candidate,
    given: TrustRef<'_>,
    reason: &'static str,
) -> Result<(CertificateSource, Option<Place>), Refusal> {
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

fn bundle_source(
    found: &Candidate,
    given: TrustRef<'_>,
    reason: &'static str,
) -> Found<BundleSource> {
    let no_key = || {
        let hint = "authorities are PEM certificates under `ca.crt`";
        lacks(found, given, reason, "key `ca.crt`", hint)
    };
    let place = found.place(found.version.content.name_span);
    match found.body() {
        Body::ConfigMap(map) => {
            let value = map.data.get(AUTHORITY_KEY).ok_or_else(no_key)?;
            let text = Bytes::copy_from_slice(value.as_bytes());
            Ok((BundleSource::Inline(text), found.place(value.span)))
        }
        Body::Secret(secret) => {
            let value = secret_bytes(secret, AUTHORITY_KEY).ok_or_else(no_key)?;
            Ok((BundleSource::Inline(value.into()), place))
        }
        Body::Certificate(one) => {
            let ca = one.spec.ca.as_ref().ok_or_else(|| {
                let hint = "add `ca` with a file of PEM certificates";
                lacks(found, given, reason, "authorities", hint)
            })?;
            let path = beside(&found.version.origin.file, ca);
            Ok((BundleSource::File(path), found.place(ca.span)))
        }
        _ => Ok((BundleSource::Refused, place)),
    }
}
