//! Which pairs and bundles serve, and why others do not.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_config::draft::BundleDecl;
use tidegate_config::draft::BundleSource;
use tidegate_config::draft::CertificateDecl;
use tidegate_config::draft::CertificateSource;
use tidegate_config::draft::Draft;
use tidegate_config::load::Loader;
use tidegate_config::place::Place;
use tidegate_config::problem::Severity;
use tidegate_config::resource::ResourceId;
use tidegate_core::client_certificate::ForwardClientCert;
use tidegate_core::snapshot::Protocol;
use tidegate_core::tls::CertificateId;
use tidegate_core::tls::Termination;
use tidegate_core::tls::TlsName;
use tidegate_core::tls::TlsVersion;
use tidegate_core::tls::TrustName;
use tidegate_testkit::Authority;
use tidegate_testkit::Leaf;
use tidegate_testkit::Pair;

use super::Certificates;
use super::Read;

/// A draft with one certificate and one bundle in files.
struct World {
    folder: tempfile::TempDir,
    draft: Draft,
    certificates: Certificates,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let yaml = folder.path().join("gateway.yaml");
        std::fs::write(&yaml, "").expect("written");
        let mut draft = Loader::new(&yaml).load();
        let resource = ResourceId {
            kind: "Certificate",
            namespace: Arc::from("default"),
            name: Arc::from("shop"),
        };
        let place = Place {
            file: Arc::from(yaml.as_path()),
            line: 1,
            column: 1,
            length: 1,
        };
        draft.certificates = vec![CertificateDecl {
            resource: resource.clone(),
            name: TrustName("default/shop".into()),
            source: CertificateSource::Files {
                certificate: folder.path().join("tls.crt"),
                key: folder.path().join("tls.key"),
            },
            place: place.clone(),
        }];
        draft.bundles = vec![BundleDecl {
            resource,
            name: TrustName("default/shop".into()),
            source: BundleSource::Files {
                authorities: folder.path().join("ca.crt"),
                revoked: None,
            },
            place,
        }];
        Self {
            folder,
            draft,
            certificates: Certificates::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).expect("written");
    }

    fn write_pair(&self, pair: &Pair) {
        self.write("tls.crt", &pair.chain);
        self.write("tls.key", &pair.key);
    }

    /// Loads, and takes it as serving.
    fn load(&mut self) -> Read {
        let read = self.certificates.resolve(&self.draft);
        self.certificates.commit();
        read
    }

    /// Loads what must be refused for this reason, and keep what there was.
    #[track_caller]
    fn check_refused(&mut self, reason: &str) {
        let before = self.certificates.resolve(&self.draft);
        let before: Vec<_> = before.problems.into_iter().map(|one| one.message).collect();
        assert!(
            before.iter().any(|one| one.contains(reason)),
            "{before:?} without {reason:?}"
        );
    }
}

fn authority() -> Authority {
    Authority::root("root")
}

#[test]
fn a_good_pair_serves_and_stays_the_same_until_it_changes() {
    let mut world = World::new();
    let authority = authority();
    world.write("ca.crt", &authority.pem);
    world.write_pair(&authority.server("shop.test"));
    let first = world.load();
    assert!(first.problems.is_empty(), "{:?}", first.problems);
    assert!(first.trusted.certificates[0].is_some() && first.trusted.bundles[0].is_some());
    let second = world.load();
    assert!(first.trusted.is(&second.trusted));
    world.write_pair(&authority.server("shop.test"));
    let third = world.load();
    assert!(!second.trusted.is(&third.trusted));
}

#[test]
fn a_bad_pair_is_refused_with_the_reason_and_the_one_before_serves_on() {
    let authority = authority();
    let good = authority.server("shop.test");
    let other = authority.server("shop.test");
    let mixed = |chain: &str, key: &str| Pair {
        chain: chain.to_owned(),
        key: key.to_owned(),
    };
    let below = authority.intermediate("below");
    let swapped = {
        let pair = below.server("shop.test");
        mixed(&format!("{}{}", below.pem, pair.bare().chain), &pair.key)
    };
    for (bad, reason) in [
        (mixed(&good.chain, &other.key), "does not belong"),
        (mixed("", &good.key), "no `-----BEGIN CERTIFICATE-----`"),
        (mixed(&good.chain, ""), "no private key"),
        (mixed(&good.chain, &good.chain), "no private key"),
        (
            mixed(
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                &good.key,
            ),
            "certificate 1 of the chain cannot be read",
        ),
        (swapped, "belongs to certificate 2"),
        (
            authority.sign(&Leaf::named("shop.test").years(2001, 2002)),
            "it expired on 2002-01-01",
        ),
        (
            authority.sign(&Leaf::named("shop.test").years(4000, 4001)),
            "it is not valid before 4000-01-01",
        ),
    ] {
        let mut world = World::new();
        world.write("ca.crt", &authority.pem);
        world.write_pair(&good);
        let before = world.load();
        world.write_pair(&bad);
        let after = world.load();
        assert_eq!(after.problems.len(), 1, "{reason}: {:?}", after.problems);
        assert!(
            after.problems[0].message.contains(reason),
            "{:?}",
            after.problems
        );
        assert_eq!(after.problems[0].reason, super::REASON);
        assert!(
            after.problems[0].hint.is_some(),
            "{reason}: the one before serves on"
        );
        assert!(before.trusted.is(&after.trusted), "{reason}");
        // Without one before, nothing does, unless it is only out of date: a restart must not take away
        // what served.
        let mut world = World::new();
        world.write("ca.crt", &authority.pem);
        world.write_pair(&bad);
        let first = world.load();
        let is_out_of_date = reason.starts_with("it ");
        assert_eq!(
            first.trusted.certificates[0].is_some(),
            is_out_of_date,
            "{reason}"
        );
        if is_out_of_date {
            let remark = &first.problems[0];
            assert_eq!(remark.severity, Severity::Warning);
            let said = format!("{reason}T00:00:00Z: it is served, for there is no other");
            assert_eq!(remark.message.replace(".000Z", "Z"), said);
            assert_eq!(
                world.load().problems,
                first.problems,
                "it is said on and on"
            );
            // A good one takes its place, and then it is refused.
            world.write_pair(&good);
            assert_eq!(world.load().problems, []);
            world.write_pair(&bad);
            assert_eq!(world.load().problems[0].severity, Severity::Error);
        }
    }
}

#[test]
fn what_authorities_have_revoked_is_read_with_them_and_replaced_alike() {
    let mut world = World::new();
    let authority = authority();
    world.write_pair(&authority.server("shop.test"));
    world.write("ca.crt", &authority.pem);
    let revoked = world.path("ca.crl");
    if let BundleSource::Files { revoked: path, .. } = &mut world.draft.bundles[0].source {
        *path = Some(revoked);
    }
    world.check_refused("ca.crl");
    for (bad, reason) in [
        ("", "no `-----BEGIN X509 CRL-----` in it"),
        (
            "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
            "list 1 of revoked certificates cannot be used",
        ),
    ] {
        world.write("ca.crl", bad);
        world.check_refused(reason);
    }
    world.write("ca.crl", authority.revoked(&[], 4000));
    let first = world.load();
    assert_eq!(first.problems, []);
    let lists = |read: &Read| read.trusted.bundles[0].as_ref().map(|one| one.lists());
    assert_eq!(lists(&first), Some(1));
    assert!(first.trusted.is(&world.load().trusted));
    world.write("ca.crl", authority.revoked(&[7], 4000));
    let second = world.load();
    assert!(!first.trusted.is(&second.trusted), "it is another");
    // A bad one leaves the one before, and one that is out of date is better than none.
    world.write("ca.crl", "");
    let third = world.load();
    assert!(second.trusted.is(&third.trusted) && third.problems.len() == 1);
    world.write("ca.crl", authority.revoked(&[7, 8], 2002));
    let old = world.load();
    assert_eq!(old.problems[0].severity, Severity::Warning);
    assert!(old.problems[0].message.contains("is out of date"));
    assert!(!old.trusted.is(&second.trusted));
}

#[test]
fn what_cannot_be_read_is_refused_with_its_path() {
    let mut world = World::new();
    world.check_refused(&world.path("tls.crt").display().to_string());
    world.check_refused(&world.path("ca.crt").display().to_string());
    world.write("ca.crt", "no authorities");
    world.write("tls.crt", vec![b'a'; (1 << 20) + 1]);
    world.check_refused("longer than 1 MiB");
    world.check_refused("no `-----BEGIN CERTIFICATE-----`");
}

#[test]
fn a_pipe_is_no_certificate_and_is_not_waited_for() {
    let mut world = World::new();
    let (folder, mode) = (rustix::fs::CWD, rustix::fs::Mode::RWXU);
    rustix::fs::mkfifoat(folder, world.path("tls.crt"), mode).expect("a pipe");
    world.check_refused("tls.crt is not a regular file");
}

#[test]
fn a_certificate_for_clients_is_not_served() {
    let mut world = World::new();
    let authority = authority();
    world.write("ca.crt", &authority.pem);
    world.write_pair(&authority.sign(&Leaf::named("shop.test").for_clients()));
    let read = world.load();
    assert!(
        read.problems.is_empty(),
        "nobody serves it: {:?}",
        read.problems
    );
    let mut names = tidegate_core::host::HostMap::default();
    let termination = Termination {
        certificates: vec![CertificateId(0)],
        min_version: TlsVersion::Tls12,
        alpn: Vec::new(),
        clients: None,
    };
    let rule = tidegate_core::tcp::TcpRule {
        name: "tcp".into(),
        listener: "tcp".into(),
        plugins: Vec::new(),
        backends: Vec::new(),
        idle: std::time::Duration::from_secs(1),
    };
    let name = TlsName::Tcp {
        termination: Arc::new(termination),
        rule: Arc::new(rule),
    };
    names.insert(tidegate_core::host::HostPattern::Any, Arc::new(name));
    let bind = tidegate_core::snapshot::Bind {
        name: "tcp".into(),
        address: ([127, 0, 0, 1], 0).into(),
        trusted_hops: 0,
        forward_client_cert: ForwardClientCert::default(),
        timeouts: tidegate_core::defaults::Timeouts::default(),
        sizes: tidegate_core::defaults::SizeLimits::default(),
        access_log: tidegate_core::snapshot::AccessLog::Off,
        protocol: Protocol::Tls(names),
        proxy_protocol: false,
        listeners: tidegate_core::host::HostMap::default(),
    };
    world.draft.snapshot.binds.push(Arc::new(bind));
    world.check_refused("does not include servers");
}

#[test]
fn a_chain_that_lacks_its_intermediate_is_served_with_a_remark() {
    let mut world = World::new();
    let authority = authority();
    world.write("ca.crt", &authority.pem);
    let below = authority.intermediate("below");
    let whole = below.sign(&Leaf::named("shop.test").naming_issuer());
    world.write_pair(&whole);
    assert!(world.load().problems.is_empty());
    world.write_pair(&whole.bare());
    let read = world.load();
    assert!(read.trusted.certificates[0].is_some());
    assert_eq!(read.problems[0].severity, Severity::Warning);
    assert!(
        read.problems[0]
            .message
            .contains("no intermediate certificate")
    );
}

#[test]
fn a_symbolic_link_that_is_swapped_brings_both_files_at_once() {
    let mut world = World::new();
    let authority = authority();
    world.write("ca.crt", &authority.pem);
    for version in ["one", "two"] {
        let folder = world.path(version);
        std::fs::create_dir(&folder).expect("made");
        let pair = authority.server("shop.test");
        std::fs::write(folder.join("tls.crt"), &pair.chain).expect("written");
        std::fs::write(folder.join("tls.key"), &pair.key).expect("written");
    }
    let (new, data) = (world.path("..new"), world.path("..data"));
    let link = |to: &str| {
        std::os::unix::fs::symlink(to, &new).expect("linked");
        std::fs::rename(&new, &data).expect("swapped");
    };
    link("one");
    for file in ["tls.crt", "tls.key"] {
        let target = Path::new("..data").join(file);
        std::os::unix::fs::symlink(target, world.path(file)).expect("linked");
    }
    let digest = |read: &Read| {
        assert!(read.problems.is_empty(), "{:?}", read.problems);
        read.trusted.certificates[0]
            .as_ref()
            .map(|one| one.sha256())
    };
    let first = {
        let read = world.certificates.resolve(&world.draft);
        digest(&read)
    };
    link("two");
    let read = world.certificates.resolve(&world.draft);
    assert!(first.is_some() && digest(&read) != first);
}
