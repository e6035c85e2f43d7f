//! What serves after good and bad changes of certificates and of TLS to backends.

use std::fs;

use tidegate_config::draft::BundleSource;
use tidegate_config::draft::CertificateSource;
use tidegate_config::draft::Draft;
use tidegate_config::load::Loader;
use tidegate_config::problem::Problem;
use tidegate_core::snapshot::Protocol;
use tidegate_core::tls::TlsName;

const GATEWAY: &str = "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: tidegate
  listeners:
  - { name: http, port: 80, protocol: HTTP }
  - { name: https, port: 443, protocol: HTTPS, hostname: a.test, tls: { certificateRefs: [{ name: pair }] } }
  - { name: pass, port: 443, protocol: TLS, tls: { mode: Passthrough } }
";

const BACKEND: &str = "---
apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: { name: api }
spec: { endpoints: [{ address: '127.0.0.1:1' }] }
";

fn secret(key: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{ name: pair }}\ntype: kubernetes.io/tls\nstringData: {{ tls.crt: cert, tls.key: {key} }}\n"
    )
}

fn policy(hostname: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{ name: api }}\nspec:\n  targetRefs: [{{ group: tidegate.dev, kind: Backend, name: api }}]\n  validation: {{ hostname: {hostname}, wellKnownCACertificates: System }}\n"
    )
}

/// A folder of configuration with its loader.
struct Gateway {
    folder: tempfile::TempDir,
    loader: Loader,
}

impl Gateway {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let loader = Loader::with_environment(folder.path(), |_| None);
        Self { folder, loader }
    }

    /// Loads these documents and lets them serve.
    fn load(&mut self, parts: &[&str]) -> Draft {
        fs::write(self.folder.path().join("a.yaml"), parts.concat()).expect("writable");
        let draft = self.loader.load();
        self.loader.commit(&draft, &[]);
        draft
    }

    /// The same after a restart.
    fn restart(&mut self, draft: &Draft) -> Draft {
        self.loader = Loader::with_environment(self.folder.path(), |_| None);
        self.loader.restore(draft.accepted.clone());
        self.loader.load()
    }
}

/// The key that is shown to clients that ask for `a.test`.
fn key(draft: &Draft) -> String {
    let mut binds = draft.snapshot.binds.iter();
    let names = binds.find_map(|bind| match &bind.protocol {
        Protocol::Tls(names) => Some(names),
        Protocol::Http | Protocol::Tcp(_) => None,
    });
    let Some(one) = names.and_then(|names| names.claims("a.test").next()) else {
        return "not bound".to_owned();
    };
    let TlsName::Http { termination, .. } = &**one else {
        return "not HTTP".to_owned();
    };
    let id = termination.certificates.first().expect("one");
    let index = usize::try_from(id.0).expect("small");
    match &draft.certificates.get(index).expect("a place").source {
        CertificateSource::Inline { key, .. } => String::from_utf8_lossy(key).into_owned(),
        CertificateSource::Files { key, .. } => key.display().to_string(),
        CertificateSource::Refused => "refused".to_owned(),
    }
}

/// How the backend is reached.
fn reached(draft: &Draft) -> String {
    let backend = draft
        .snapshot
        .backends
        .named("default", "api")
        .expect("one");
    match (&backend.tls, backend.endpoints.is_empty()) {
        (Some(tls), false) => format!("TLS {}", tls.hostname),
        (None, false) => "plain".to_owned(),
        (_, true) => "not at all".to_owned(),
    }
}

#[test]
fn a_certificate_that_is_gone_or_broken_keeps_its_last_good_version() {
    let mut gateway = Gateway::new();
    assert_eq!(key(&gateway.load(&[GATEWAY, &secret("one")])), "one");
    assert_eq!(key(&gateway.load(&[GATEWAY, &secret("two")])), "two");
    // Broken, gone, and another one that does not exist.
    let broken = secret("three").replace("tls.crt: cert, ", "");
    let lost = GATEWAY.replace("name: pair", "name: pear");
    for bad in [
        vec![GATEWAY, &broken],
        vec![GATEWAY],
        vec![&lost, &secret("two")],
    ] {
        let draft = gateway.load(&bad);
        assert_eq!(key(&draft), "two", "{bad:?}");
        assert_eq!(draft.problems.len(), 1, "{:?}", draft.problems);
        assert_eq!(key(&gateway.restart(&draft)), "two", "{bad:?}");
        gateway.loader.commit(&draft, &[]);
    }
    let draft = gateway.load(&[GATEWAY, &secret("four")]);
    assert_eq!(key(&draft), "four");
    assert_eq!(draft.problems, []);
}

#[test]
fn a_certificate_that_cannot_be_used_keeps_its_last_good_version() {
    let mut gateway = Gateway::new();
    gateway.load(&[GATEWAY, &secret("one")]);
    let draft = gateway.load(&[GATEWAY, &secret("two")]);
    let decl = draft.certificates.first().expect("one");
    let problem = Problem::error(decl.place.clone(), "the key is of another certificate")
        .about(decl.resource.clone());
    // What was committed serves on: the version before it is gone for good.
    gateway.load(&[GATEWAY, &secret("one")]);
    fs::write(
        gateway.folder.path().join("a.yaml"),
        [GATEWAY, &secret("two")].concat(),
    )
    .expect("writable");
    gateway.loader.load();
    let draft = gateway.loader.refuse(vec![problem]);
    assert_eq!(key(&draft), "one");
}

#[test]
fn a_certificate_that_could_never_be_used_leaves_its_name_to_nobody() {
    let mut gateway = Gateway::new();
    let draft = gateway.load(&[GATEWAY, &secret("one")]);
    let decl = draft.certificates.first().expect("one");
    let problem = Problem::error(decl.place.clone(), "it is expired").about(decl.resource.clone());
    let mut fresh = Loader::with_environment(gateway.folder.path(), |_| None);
    fresh.load();
    let draft = fresh.refuse(vec![problem]);
    assert_eq!(key(&draft), "refused", "and not passed through");
    let of_gateway = draft.resources.iter();
    let conditions: Vec<(&str, bool, &str)> = of_gateway
        .filter(|one| one.resource.kind == "Gateway")
        .flat_map(|one| &one.conditions)
        .filter(|one| one.about.as_deref() == Some("https"))
        .map(|one| (one.kind, one.status, one.reason))
        .collect();
    assert_eq!(
        conditions,
        [
            ("Accepted", true, "Accepted"),
            ("Programmed", false, "Invalid"),
            ("ResolvedRefs", false, "InvalidCertificateRef"),
            ("Conflicted", false, "NoConflicts"),
        ]
    );
    assert_eq!(draft.problems.len(), 1, "the Gateway is not to blame");
}

#[test]
fn certificate_files_are_watched() {
    let mut gateway = Gateway::new();
    let files = GATEWAY.replace(
        "[{ name: pair }]",
        "[{ group: tidegate.dev, kind: Certificate, name: files }]",
    );
    let certificate = "---\napiVersion: tidegate.dev/v1alpha1\nkind: Certificate\nmetadata: { name: files }\nspec: { certificate: a.crt, key: keys/a.key }\n";
    let draft = gateway.load(&[&files, certificate]);
    let folder = gateway.folder.path();
    assert_eq!(key(&draft), folder.join("keys/a.key").display().to_string());
    for file in ["a.crt", "keys/a.key"] {
        assert!(draft.watch.contains(&folder.join(file)), "{file}");
    }
}

#[test]
fn a_policy_that_goes_bad_never_means_plain_text() {
    let mut gateway = Gateway::new();
    assert_eq!(reached(&gateway.load(&[BACKEND])), "plain");
    let draft = gateway.load(&[BACKEND, &policy("a.test")]);
    assert_eq!(reached(&draft), "TLS a.test");
    let bad = policy("'*'");
    let draft = gateway.load(&[BACKEND, &bad]);
    assert_eq!(reached(&draft), "TLS a.test", "the last good version");
    assert_eq!(reached(&gateway.restart(&draft)), "TLS a.test");
    // Without a last good version nothing is sent.
    let mut gateway = Gateway::new();
    for bad in [
        bad.clone(),
        policy("a.test, extra: 1"),
        policy("a.test").replace("wellKnownCACertificates: System", ""),
        policy("a.test").replace(
            "wellKnownCACertificates: System",
            "caCertificateRefs: [{ group: '', kind: ConfigMap, name: none }]",
        ),
    ] {
        assert_eq!(
            reached(&gateway.load(&[BACKEND, &bad])),
            "not at all",
            "{bad}"
        );
    }
    // Who takes it away means it.
    gateway.load(&[BACKEND, &policy("a.test")]);
    assert_eq!(reached(&gateway.load(&[BACKEND])), "plain");
}

/// The authorities that clients' certificates are checked with, and what these have revoked.
fn believed(draft: &Draft) -> Vec<String> {
    let bundles = draft.bundles.iter().map(|one| match &one.source {
        BundleSource::Inline {
            authorities,
            revoked,
        } => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let revoked = revoked.as_deref().map(text);
            format!("{} {}", text(authorities), revoked.unwrap_or_default())
        }
        BundleSource::Files { .. } => "files".to_owned(),
        BundleSource::Refused => "refused".to_owned(),
    });
    bundles.collect()
}

#[test]
fn a_config_map_that_loses_its_authorities_keeps_its_last_good_version() {
    let asking = |name: &str| {
        format!(
            "{GATEWAY}  tls: {{ frontend: {{ default: {{ validation: {{ caCertificateRefs: [{{ group: '', kind: ConfigMap, name: {name} }}] }} }} }} }}\n"
        )
    };
    let map = |name: &str, data: &str| {
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\ndata: {{ {data} }}\n"
        )
    };
    let pair = secret("one");
    let mut gateway = Gateway::new();
    let good = map("cas", "ca.crt: A, ca.crl: R");
    let draft = gateway.load(&[&asking("cas"), &pair, &good]);
    assert_eq!(
        (draft.problems.len(), believed(&draft)),
        (0, vec!["A R".to_owned()])
    );
    let draft = gateway.load(&[&asking("cas"), &pair, &map("cas", "other: B")]);
    assert_eq!(believed(&draft), ["A R"]);
    assert_eq!(
        draft.problems[0].message,
        "ConfigMap default/cas has no key `ca.crt`, and Gateway default/edge refers to that"
    );
    assert_eq!(key(&draft), "one", "the listener serves");
    let about = |draft: &Draft| {
        let resource = draft.problems[0].resource.as_ref();
        resource.expect("about one").to_string()
    };
    assert_eq!(about(&draft), "ConfigMap default/cas");
    assert_eq!(believed(&gateway.restart(&draft)), ["A R"]);
    gateway.loader.commit(&draft, &[]);
    // A reference to what never had any is to blame itself.
    let other = map("other", "any: B");
    let draft = gateway.load(&[&asking("cas"), &pair, &good, &other]);
    assert_eq!(draft.problems, []);
    let draft = gateway.load(&[&asking("other"), &pair, &good, &other]);
    assert_eq!(about(&draft), "Gateway default/edge");
    assert_eq!(believed(&draft), ["A R"]);
}

#[test]
fn a_certificate_that_loses_its_key_keeps_its_last_good_version() {
    let files = GATEWAY.replace(
        "[{ name: pair }]",
        "[{ group: tidegate.dev, kind: Certificate, name: files }]",
    );
    let certificate = |spec: &str| {
        format!(
            "---\napiVersion: tidegate.dev/v1alpha1\nkind: Certificate\nmetadata: {{ name: files }}\nspec: {{ {spec} }}\n"
        )
    };
    let mut gateway = Gateway::new();
    let draft = gateway.load(&[&files, &certificate("certificate: a.crt, key: a.key")]);
    let good = key(&draft);
    let draft = gateway.load(&[&files, &certificate("ca: ca.crt, crl: ca.crl")]);
    assert_eq!(key(&draft), good);
    assert_eq!(draft.problems.len(), 1, "{:?}", draft.problems);
    let resource = draft.problems[0].resource.as_ref().expect("about one");
    assert_eq!(resource.kind, "Certificate");
    assert_eq!(key(&gateway.restart(&draft)), good);
}

#[test]
fn a_draft_shows_no_key() {
    let mut gateway = Gateway::new();
    let draft = gateway.load(&[GATEWAY, &secret("hush")]);
    assert!(!format!("{draft:?} {:?}", gateway.loader).contains("hush"));
}
