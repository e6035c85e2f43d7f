//! All certificates and authorities that something refers to, each once.
//!
//! A reference that leads nowhere is refused where it stands; what it would have led to is declared
//! as [`CertificateSource::Refused`], so that nobody is served something else in its place.

use foldhash::HashMap;

use tidegate_core::tls::BundleId;
use tidegate_core::tls::CertificateId;
use tidegate_core::tls::TrustName;

use super::references::blamed;
use super::references::is_permitted;
use super::references::not_found;
use super::references::not_permitted;
use super::report::Refusal;
use super::report::Report;
use super::tls::Trouble;
use super::trust_sources::Source;
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
use crate::place::Place;
use crate::resource::ResourceId;

/// What a reference came to.
#[derive(Debug)]
pub(crate) struct Believed<T> {
    /// What it leads to, if that may be said.
    pub(crate) id: Option<T>,
    /// Why it cannot be used: the reason of a condition, and what to say there.
    pub(crate) unusable: Option<Trouble>,
}

/// What a reference leads to, while it is not known whether that can be used.
#[derive(Debug, Clone, Copy)]
struct Sought<'r> {
    from: &'r Candidate,
    given: TrustRef<'r>,
    kind: &'static str,
    reason: &'static str,
}

/// Reads what a resource holds.
type ReadSource<T> = fn(&Candidate, TrustRef<'_>, &'static str) -> Source<T>;

/// A source with its place, or why there is none, if that is not said elsewhere.
type Sourced<T> = Result<(T, Option<Place>), Option<Refusal>>;

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

    /// The certificate with key that a reference leads to; `reason` is for what is wrong with it, which
    /// is reported.
    pub(crate) fn certificate(
        &mut self,
        from: &Candidate,
        given: TrustRef<'_>,
        reason: &'static str,
        report: &mut Report,
    ) -> Believed<CertificateId> {
        let kind = match (given.group, given.kind) {
            ("", "Secret") => "Secret",
            (OWN_GROUP, "Certificate") => "Certificate",
            _ => {
                let hint = "a Secret, or a Certificate of the group `tidegate.dev`";
                return nothing(from, invalid_kind(given, reason, hint), report);
            }
        };
        let sought = Sought {
            from,
            given,
            kind,
            reason,
        };
        let resource = match self.resource(sought) {
            Ok(resource) => resource,
            Err(refusal) => return nothing(from, refusal, report),
        };
        let sourced = self.source(sought, certificate_source, report);
        let (source, place, unusable) = settled(sourced, sought, &resource);
        let id = match self.certificate_ids.get(&resource) {
            Some(id) => *id,
            None => {
                let id = CertificateId(place_in(&self.certificates));
                self.certificate_ids.insert(resource.clone(), id);
                self.certificates.push(CertificateDecl {
                    name: plain(&resource),
                    resource,
                    source: source.unwrap_or(CertificateSource::Refused),
                    place,
                });
                id
            }
        };
        Believed {
            id: Some(id),
            unusable,
        }
    }

    /// The authorities that a reference leads to; the reasons are for what is wrong with it, and for
    /// a kind that holds none. That is reported.
    pub(crate) fn bundle(
        &mut self,
        from: &Candidate,
        given: TrustRef<'_>,
        (reason, kind_reason): (&'static str, &'static str),
        report: &mut Report,
    ) -> Believed<BundleId> {
        let kind = match (given.group, given.kind) {
            ("", "ConfigMap") => "ConfigMap",
            ("", "Secret") => "Secret",
            (OWN_GROUP, "Certificate") => "Certificate",
            _ => {
                let hint = "a ConfigMap or Secret, or a Certificate of the group `tidegate.dev`";
                return nothing(from, invalid_kind(given, kind_reason, hint), report);
            }
        };
        let sought = Sought {
            from,
            given,
            kind,
            reason,
        };
        let resource = match self.resource(sought) {
            Ok(resource) => resource,
            Err(refusal) => return nothing(from, refusal, report),
        };
        let sourced = self.source(sought, bundle_source, report);
        let (source, place, unusable) = settled(sourced, sought, &resource);
        let id = match self.bundle_ids.get(&resource) {
            Some(id) => *id,
            None => {
                let id = BundleId(place_in(&self.bundles));
                self.bundle_ids.insert(resource.clone(), id);
                self.bundles.push(BundleDecl {
                    name: plain(&resource),
                    resource,
                    source: source.unwrap_or(BundleSource::Refused),
                    place,
                });
                id
            }
        };
        Believed {
            id: Some(id),
            unusable,
        }
    }

    /// What the resource of a reference holds. Who is to blame that it holds nothing is told so.
    fn source<T>(
        &self,
        sought: Sought<'_>,
        read: ReadSource<T>,
        report: &mut Report,
    ) -> Sourced<T> {
        let Sought {
            from,
            given,
            kind,
            reason,
        } = sought;
        let namespace = namespace(from, given);
        let found = self.world.find(from, kind, namespace, given.name.as_str());
        let Some(found) = found else {
            let refusal = not_found(self.world, reason, kind, namespace, given.name);
            report.error(from, refusal.clone());
            return Err(Some(refusal));
        };
        if found.state == State::Salvaged {
            return Err(None);
        }
        read(found, given, reason).map_err(|refusal| {
            let had = |before: &Candidate| read(before, given, reason).is_ok();
            let (blamed, refusal) = blamed(from, found, refusal, had);
            report.error(blamed.unwrap_or(from), refusal.clone());
            Some(refusal)
        })
    }

    /// What a reference names, if it may.
    fn resource(&self, sought: Sought<'_>) -> Result<ResourceId, Refusal> {
        let Sought {
            from, given, kind, ..
        } = sought;
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

/// A reference that names nothing that there could be.
fn nothing<T>(from: &Candidate, refusal: Refusal, report: &mut Report) -> Believed<T> {
    let unusable = Some((refusal.reason, refusal.message.clone()));
    report.error(from, refusal);
    Believed { id: None, unusable }
}

/// The source, where it is declared, and why it cannot be used.
fn settled<T>(
    sourced: Sourced<T>,
    sought: Sought<'_>,
    resource: &ResourceId,
) -> (Option<T>, Place, Option<Trouble>) {
    let reference = || sought.from.place(sought.given.name.span);
    match sourced {
        Ok((source, place)) => (Some(source), place.unwrap_or_else(reference), None),
        Err(refusal) => {
            let trouble = refusal.map_or_else(
                || (sought.reason, format!("{resource} is refused")),
                |refusal| (refusal.reason, refusal.message),
            );
            (None, reference(), Some(trouble))
        }
    }
}
