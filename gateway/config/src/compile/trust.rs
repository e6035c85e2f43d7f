//! All certificates and authorities that something refers to, each once.
//!
//! A reference that leads nowhere is refused where it stands; what it would have led to is declared
//! as [`CertificateSource::Refused`], so that nobody is served something else in its place.

use foldhash::HashMap;

use tidegate_core::tls::BundleId;
use tidegate_core::tls::CertificateId;
use tidegate_core::tls::TrustName;

use super::references::is_permitted;
use super::references::not_found;
use super::references::not_permitted;
use super::report::Refusal;
use super::trust_sources::TrustRef;
use super::trust_sources::bundle_source;
use super::trust_sources::certificate_source;
use super::trust_sources::invalid_kind;
use super::trust_sources::namespace;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::draft::BundleDecl;
use crate::draft::BundleSource;
use crate::draft::CertificateDecl;
use crate::draft::CertificateSource;
use crate::kinds::GATEWAY_GROUP;
use crate::kinds::OWN_GROUP;
use crate::resource::ResourceId;

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
}

impl<'a> Trust<'a> {
    pub(crate) fn new(world: &'a World<'a>) -> Self {
        Self {
            world,
            certificates: Vec::new(),
            bundles: Vec::new(),
            certificate_ids: HashMap::default(),
            bundle_ids: HashMap::default(),
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
                self.certificates.push(CertificateDecl {
                    resource: resource.clone(),
                    name: plain(&resource),
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
                self.bundles.push(BundleDecl {
                    resource: resource.clone(),
                    name: plain(&resource),
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

    /// Gives all certificates their names, once they are all declared, and returns these.
    pub(crate) fn name_certificates(&mut self) -> Vec<TrustName> {
        let all = self.certificates.iter_mut();
        name(all.map(|one| (&one.resource, &mut one.name)).collect())
    }

    /// The same for bundles.
    pub(crate) fn name_bundles(&mut self) -> Vec<TrustName> {
        let all = self.bundles.iter_mut();
        name(all.map(|one| (&one.resource, &mut one.name)).collect())
    }

    /// The declarations, in the order of the ids.
    pub(crate) fn into_parts(self) -> (Vec<CertificateDecl>, Vec<BundleDecl>) {
        (self.certificates, self.bundles)
    }
}

fn plain(resource: &ResourceId) -> TrustName {
    TrustName(format!("{}/{}", resource.namespace, resource.name).into())
}

/// Of resources of several kinds with one name, the first by kind has it alone; the others are called
/// by their kind too. That depends on nothing else, so that a name means the same in each load.
fn name(mut all: Vec<(&ResourceId, &mut TrustName)>) -> Vec<TrustName> {
    let mut order: Vec<&ResourceId> = all.iter().map(|(resource, _)| *resource).collect();
    order.sort_unstable_by_key(|one| (&one.namespace, &one.name, one.kind));
    let mut first: HashMap<TrustName, &str> = HashMap::default();
    for resource in order {
        first.entry(plain(resource)).or_insert(resource.kind);
    }
    for (resource, name) in &mut all {
        if first.get(*name).is_some_and(|kind| *kind != resource.kind) {
            **name = TrustName(format!("{} ({})", name.0, resource.kind).into());
        }
    }
    all.into_iter().map(|(_, name)| name.clone()).collect()
}

/// The place of the next item.
fn place_in<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
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
