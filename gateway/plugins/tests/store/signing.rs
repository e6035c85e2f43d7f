//! Signatures: found in a registry, checked against a policy, and checked again in the cache. The
//! fixtures are made by other implementations, see `signatures/README.md`.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
use aws_lc_rs::signature::EcdsaKeyPair;
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::json;
use tidegate_plugin_store::Digest;
use tidegate_plugin_store::Store;
use tidegate_plugin_store::again::Again;
use tidegate_plugin_store::progress::Silent;
use tidegate_plugin_store::pull::Download;
use tidegate_plugin_store::pull::PullError;
use tidegate_plugin_store::pull::Source;
use tidegate_plugin_store::registry::Mirror;
use tidegate_plugin_store::registry::Mirrors;
use tidegate_plugin_store::signatures::Form;
use tidegate_plugin_store::signatures::Key;
use tidegate_plugin_store::signatures::Mode;
use tidegate_plugin_store::signatures::Pattern;
use tidegate_plugin_store::signatures::Policy;
use tidegate_plugin_store::signatures::Rule;
use tidegate_plugin_store::signatures::SharedPolicy;
use tidegate_plugin_store::signatures::Verdict;
use tidegate_plugin_store::signatures::Web;

use crate::kit::TAR;
use crate::kit::WASM;
use crate::kit::chain;
use crate::kit::layer;
use crate::kit::module;
use crate::kit::pull;
use crate::kit::pull_always;
use crate::kit::reference;
use crate::kit::refused;
use crate::kit::store;
use crate::stub::OCI_MANIFEST;
use crate::stub::Reply;
use crate::stub::Stub;
use crate::stub::sha256;

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

fn fixture(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/store/signatures");
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|err| panic!("{name}: {err}"))
}

pub(crate) fn key(name: &str) -> Key {
    Key::from_pem(name, fixture(name).as_bytes()).unwrap_or_else(|err| panic!("{name}: {err}"))
}

pub(crate) fn rule(mode: Mode, keys: &[&str]) -> Rule {
    Rule {
        images: Pattern::parse("*").unwrap(),
        mode,
        keys: keys.iter().map(|name| key(name)).collect(),
        same_repository: false,
        references: Vec::new(),
    }
}

pub(crate) fn ruled(mut store: Store, rule: Rule) -> Store {
    let policy = Policy::new(vec![rule]).unwrap();
    store.signatures = Arc::new(SharedPolicy::new(policy));
    store
}

/// A store that requires a signature of one of these keys.
fn strict(folder: &Path, keys: &[&str]) -> Store {
    ruled(store(folder), rule(Mode::Require, keys))
}

/// Puts the image of the fixtures there; its digest.
fn put_image(stub: &Stub, name: &str) -> String {
    stub.blob(b"{}");
    stub.blob(&module(1));
    stub.manifest(name, "1", OCI_MANIFEST, &fixture("image.json"))
}

/// Puts bundles there that refer to an image, as registries without the API have them.
fn put_bundles(stub: &Stub, name: &str, of: &str, bundles: &[&str]) {
    let referrers: Vec<Value> = bundles
        .iter()
        .map(|bundle| {
            let digest = stub.blob(bundle.as_bytes());
            let manifest = json!({
                "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": BUNDLE,
                "config": {
                    "mediaType": "application/vnd.oci.empty.v1+json",
                    "digest": stub.blob(b"{}"), "size": 2,
                },
                "layers": [{ "mediaType": BUNDLE, "digest": digest, "size": bundle.len() }],
                "subject": { "mediaType": OCI_MANIFEST, "digest": of, "size": 1 },
            })
            .to_string();
            let digest = stub.manifest(name, "referrer", OCI_MANIFEST, &manifest);
            json!({
                "mediaType": OCI_MANIFEST, "artifactType": BUNDLE,
                "digest": digest, "size": manifest.len(),
            })
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": referrers });
    stub.manifest(name, &of.replace(':', "-"), INDEX, &index.to_string());
}

/// Puts signatures of cosign 2 there: documents with their signatures in base64.
fn put_simple(stub: &Stub, name: &str, of: &str, signed: &[(String, String)]) {
    let layers: Vec<Value> = signed
        .iter()
        .map(|(payload, signature)| {
            json!({
                "mediaType": SIMPLE, "digest": stub.blob(payload.as_bytes()), "size": payload.len(),
                "annotations": { "dev.cosignproject.cosign/signature": signature },
            })
        })
        .collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": layers,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": stub.blob(b"{}"), "size": 2,
        },
    });
    let tag = format!("{}.sig", of.replace(':', "-"));
    stub.manifest(name, &tag, OCI_MANIFEST, &manifest.to_string());
}

/// A signature of cosign 2 out of the fixtures.
fn simple(name: &str) -> (String, String) {
    let made: Value = serde_json::from_str(&fixture(name)).unwrap();
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    (text("payload"), text("signature"))
}

/// A key that signs while the test runs.
struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn key(&self) -> Key {
        use aws_lc_rs::encoding::AsDer as _;
        let der = self.0.public_key().as_der().unwrap();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der.as_ref())
        );
        Key::from_pem("mine.pub", pem.as_bytes()).unwrap()
    }

    fn rule(&self, mode: Mode) -> Rule {
        Rule {
            keys: vec![self.key()],
            ..rule(mode, &[])
        }
    }

    fn sign(&self, message: &[u8]) -> String {
        let signature = self.0.sign(&SystemRandom::new(), message).unwrap();
        STANDARD.encode(signature.as_ref())
    }

    /// As cosign 3 signs an image.
    fn bundle(&self, of: &str) -> String {
        self.envelope(&statement(of, SIGNED), "application/vnd.in-toto+json")
    }

    fn envelope(&self, payload: &str, kind: &str) -> String {
        let signed = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
        json!({
            "mediaType": BUNDLE,
            "verificationMaterial": { "publicKey": { "hint": "x" }, "tlogEntries": [{ "logIndex": "1" }] },
            "dsseEnvelope": {
                "payload": STANDARD.encode(payload), "payloadType": kind,
                "signatures": [{ "sig": self.sign(signed.as_bytes()) }],
            },
        })
        .to_string()
    }
}

fn statement(of: &str, predicate: &str) -> String {
    json!({
        "_type": "https://in-toto.io/Statement/v1", "predicateType": predicate, "predicate": {},
        "subject": [{ "digest": { "sha256": of.trim_start_matches("sha256:") } }],
    })
    .to_string()
}

fn document(of: &str, repository: &str) -> String {
    json!({
        "critical": {
            "identity": { "docker-reference": repository },
            "image": { "docker-manifest-digest": of },
            "type": "cosign container image signature",
        },
        "optional": { "creator": "tests" },
    })
    .to_string()
}

#[tokio::test]
async fn signatures_of_every_key_in_every_form_are_accepted() {
    for name in ["p256", "p384", "ed25519", "rsa"] {
        for (kind, form) in [
            ("statement", Form::Statement),
            ("message", Form::Message),
            ("simple", Form::Simple),
        ] {
            let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
            let digest = put_image(&stub, "a/b");
            let file = format!("{name}.{kind}.json");
            match form {
                Form::Simple => put_simple(&stub, "a/b", &digest, &[simple(&file)]),
                _ => put_bundles(&stub, "a/b", &digest, &[&fixture(&file)]),
            }
            let public = format!("{name}.pub");
            let store = strict(folder.path(), &["other.pub", &public]);
            let pulled = pull(&store, &reference(&stub, "a/b:1")).await;
            let pulled = pulled.unwrap_or_else(|err| panic!("{file}: {}", chain(&err)));
            let expected = Verdict::Valid { key: public, form };
            assert_eq!(pulled.signature, expected, "{file}");
            assert_eq!(pulled.code.bytes, module(1));
        }
    }
    for (file, public) in [
        ("rsa-pss.simple.json", "rsa.pub"),
        ("p384-sha256.simple.json", "p384.pub"),
    ] {
        let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
        let digest = put_image(&stub, "a/b");
        put_simple(&stub, "a/b", &digest, &[simple(file)]);
        let store = strict(folder.path(), &[public]);
        let pulled = pull(&store, &reference(&stub, "a/b:1")).await;
        assert!(pulled.is_ok(), "{file}: {pulled:?}");
    }
}

#[tokio::test]
async fn what_is_not_signed_is_refused_before_any_of_it_is_fetched() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let digest = put_image(&stub, "a/b");
    let store = strict(folder.path(), &["p256.pub", "p384.pub"]);
    let outcome = pull(&store, &reference(&stub, "a/b:1")).await;
    let err = refused(
        outcome,
        &[
            &format!("a/b@{digest} has no valid signature (rule `*`)"),
            "there is none",
            "keys tried: p256.pub, p384.pub",
            &format!("cosign sign --key KEY {}/a/b@{digest}", stub.address),
        ],
    );
    assert!(matches!(err, PullError::Unsigned(_)) && err.is_unsigned());
    assert_eq!(err.again(), Again::Late);
    let seen = stub.take_seen();
    assert!(!seen.iter().any(|it| it.contains("/blobs/")), "{seen:?}");
}

#[tokio::test]
async fn signatures_that_do_not_count_are_named_with_the_reason() {
    let changed = fixture("p256.statement.json").replace("eyJfdHlwZSI6", "eyJfdHlwZSI7");
    let spaced = fixture("p256.statement.json").replace("\"sig\":\"M", "\"sig\":\" M");
    let keyless = fixture("p256.statement.json").replace(
        "\"publicKey\":{",
        "\"certificate\":{\"rawBytes\":\"\"},\"x\":{",
    );
    let huge = format!("{}{}", fixture("p256.statement.json"), " ".repeat(2 << 20));
    for (bundle, because) in [
        (fixture("other.statement.json"), "by another key"),
        (fixture("other.message.json"), "by another key"),
        (fixture("elsewhere.json"), "for another image (sha256:"),
        (
            fixture("attestation.json"),
            "of something else (https://slsa.dev/provenance/v1)",
        ),
        (changed, "by another key, or changed since"),
        (keyless, "keyless"),
        (spaced, "`dsseEnvelope.signatures[0].sig` is no base64"),
        (huge, "more than 1048576"),
        ("garbage".to_owned(), "cannot be read"),
        ("[".repeat(100_000), "cannot be read"),
        (
            json!({ "mediaType": BUNDLE }).to_string(),
            "not one signature",
        ),
        (
            json!({ "mediaType": "x" }).to_string(),
            "it says it is \"x\"",
        ),
    ] {
        let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
        let digest = put_image(&stub, "a/b");
        put_bundles(&stub, "a/b", &digest, &[&bundle]);
        let store = strict(folder.path(), &["p256.pub"]);
        let outcome = pull(&store, &reference(&stub, "a/b:1")).await;
        refused(outcome, &["a Sigstore bundle", because]);
        // A good one beside it is enough.
        put_bundles(
            &stub,
            "a/b",
            &digest,
            &[&bundle, &fixture("p256.statement.json")],
        );
        pull(&store, &reference(&stub, "a/b:1")).await.unwrap();
    }
}

#[tokio::test]
async fn documents_that_do_not_count_are_named_with_the_reason() {
    let signer = Signer::new();
    let (payload, signature) = simple("p256.simple.json");
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let digest = put_image(&stub, "a/b");
    let other = document(&sha256(b"another image"), "a.test/b");
    let atomic = document(&digest, "a.test/b").replace("cosign container", "atomic container");
    let twice = document(&digest, "a.test/b").replace(
        "\"docker-manifest-digest\"",
        &format!("\"docker-manifest-digest\":\"{digest}\",\"docker-manifest-digest\""),
    );
    let sign = |text: String| {
        let signature = signer.sign(text.as_bytes());
        (text, signature)
    };
    for (signed, because) in [
        ((payload.clone(), signature.clone()), "by another key"),
        (sign(other), "for another image (sha256:"),
        (sign(atomic), "of something else (atomic container"),
        (sign(twice), "duplicate field"),
        (sign("{}".to_owned()), "missing field `critical`"),
        ((payload.clone(), format!("{signature}\n")), "no base64"),
        ((payload, String::new()), "by another key"),
        (sign(" ".repeat(100_000)), "more than 65536"),
    ] {
        put_simple(&stub, "a/b", &digest, std::slice::from_ref(&signed));
        let store = ruled(store(folder.path()), signer.rule(Mode::Require));
        let outcome = pull(&store, &reference(&stub, "a/b:1")).await;
        refused(outcome, &["a signature of cosign 2", because]);
        let good = sign(document(&digest, "a.test/b"));
        put_simple(&stub, "a/b", &digest, &[signed, good]);
        pull(&store, &reference(&stub, "a/b:1")).await.unwrap();
        std::fs::remove_dir_all(folder.path().join("cache")).unwrap();
    }
}

#[tokio::test]
async fn a_signature_that_was_copied_from_another_image_is_none() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let signer = Signer::new();
    let good = stub.image("a/b", "1", &[(TAR, &layer(&module(1)))]);
    let bad = stub.image("a/b", "2", &[(TAR, &layer(&module(2)))]);
    put_bundles(&stub, "a/b", &bad, &[&signer.bundle(&good)]);
    let copied = document(&good, "a.test/b");
    let signature = signer.sign(copied.as_bytes());
    put_simple(&stub, "a/b", &bad, &[(copied, signature)]);
    let store = ruled(store(folder.path()), signer.rule(Mode::Require));
    let outcome = pull(&store, &reference(&stub, "a/b:2")).await;
    refused(
        outcome,
        &[
            "a Sigstore bundle for another image",
            "a signature of cosign 2 for another image",
            &good,
        ],
    );
}

#[tokio::test]
async fn what_the_cache_has_is_checked_again_without_the_registry() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let signer = Signer::new();
    let image = reference(&stub, "a/b:1");
    let digest = stub.image("a/b", "1", &[(TAR, &layer(&module(1)))]);
    put_bundles(&stub, "a/b", &digest, &[&signer.bundle(&digest)]);
    let strict = || ruled(store(folder.path()), signer.rule(Mode::Require));
    pull(&strict(), &image).await.unwrap();
    stub.rule(|_| Some(Reply::new(503, "")));
    // Another process.
    for pulled in [
        pull(&strict(), &image).await,
        pull_always(&strict(), &image).await,
    ] {
        let pulled = pulled.unwrap_or_else(|err| panic!("{}", chain(&err)));
        assert_eq!(pulled.code.bytes, module(1));
        assert!(matches!(pulled.signature, Verdict::Valid { .. }));
    }
    // A key that is believed no more.
    let other = ruled(store(folder.path()), rule(Mode::Require, &["other.pub"]));
    refused(
        pull(&other, &image).await,
        &["what the cache has is not used", "by another key", "503"],
    );
    assert!(other.cached(&image).await.is_err());
}

/// Replaces all files below a folder of the cache.
fn replace(folder: &Path, edit: impl Fn(&str) -> String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, edit(&text)).unwrap();
    }
}

#[tokio::test]
async fn a_cache_that_was_tampered_with_is_refused_and_asked_for_again() {
    type Tamper = fn(&Path);
    let signer = Signer::new();
    let cases: [(&str, Tamper); 4] = [
        ("not the one that its manifest names", |cache| {
            // Another module, which is in the cache as well, in the place of the signed one.
            let (signed, other) = (sha256(&module(1)), sha256(&module(2)));
            replace(&cache.join("images"), |text| text.replace(&signed, &other));
        }),
        ("not the one that its manifest names", |cache| {
            replace(&cache.join("images"), |text| {
                text.replace("\"layer\":1", "\"layer\":2")
            });
        }),
        ("registry was not asked", |cache| {
            replace(&cache.join("signatures"), |_| "[]".to_owned());
        }),
        ("by another key, or changed since", |cache| {
            replace(&cache.join("signatures"), |text| {
                text.replace("\"payload\":\"eyJ", "\"payload\":\"eyK")
            });
        }),
    ];
    for (because, tamper) in cases {
        let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
        let image = reference(&stub, "a/b:1");
        let digest = stub.image("a/b", "1", &[(TAR, &layer(&module(1)))]);
        put_bundles(&stub, "a/b", &digest, &[&signer.bundle(&digest)]);
        let store = ruled(store(folder.path()), signer.rule(Mode::Require));
        store.cache.keep_bytes(&module(2)).unwrap();
        pull(&store, &image).await.unwrap();
        tamper(&folder.path().join("cache"));
        let err = store.cached(&image).await.expect_err(because);
        assert!(chain(&err).contains(because), "{}", chain(&err));
        let again = pull(&store, &image).await.unwrap();
        assert!(matches!(again.source, Source::Registry { .. }));
        assert_eq!(again.code.bytes, module(1), "{because}");
        store
            .cached(&image)
            .await
            .unwrap()
            .expect("it is whole again");
    }
}

#[tokio::test]
async fn a_tag_that_moved_to_something_unsigned_leaves_the_last_good_one() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let signer = Signer::new();
    let image = reference(&stub, "a/b:1");
    let digest = stub.image("a/b", "1", &[(WASM, &module(1))]);
    put_bundles(&stub, "a/b", &digest, &[&signer.bundle(&digest)]);
    let store = ruled(store(folder.path()), signer.rule(Mode::Require));
    pull(&store, &image).await.unwrap();
    let moved = stub.image("a/b", "1", &[(WASM, &module(2))]);
    let pulled = pull_always(&store, &image).await.unwrap();
    assert_eq!(pulled.code.bytes, module(1));
    let Source::CacheAfter(err) = pulled.source else {
        panic!("{:?}", pulled.source);
    };
    assert!(err.is_unsigned() && chain(&err).contains(&moved), "{err}");
    // Once it is signed, it comes.
    put_bundles(&stub, "a/b", &moved, &[&signer.bundle(&moved)]);
    let pulled = pull_always(&store, &image).await.unwrap();
    assert_eq!(pulled.code.bytes, module(2));
}

#[tokio::test]
async fn a_signature_of_an_index_or_of_the_manifest_in_it_counts() {
    let signer = Signer::new();
    for signs_index in [true, false] {
        let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
        let manifest = stub.image("a/b", "inner", &[(TAR, &layer(&module(1)))]);
        let index = json!({
            "schemaVersion": 2, "mediaType": INDEX,
            "manifests": [{ "mediaType": OCI_MANIFEST, "digest": manifest, "size": 1 }],
        });
        let index = stub.manifest("a/b", "1", INDEX, &index.to_string());
        let signed = if signs_index { &index } else { &manifest };
        put_bundles(&stub, "a/b", signed, &[&signer.bundle(signed)]);
        let store = ruled(store(folder.path()), signer.rule(Mode::Require));
        let image = reference(&stub, "a/b:1");
        pull(&store, &image).await.unwrap();
        store.cached(&image).await.unwrap().expect("also offline");
    }
}

#[tokio::test]
async fn what_is_only_warned_of_is_used_and_told_until_it_is_signed() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let signer = Signer::new();
    let image = reference(&stub, "a/b:1");
    let digest = stub.image("a/b", "1", &[(TAR, &layer(&module(1)))]);
    let store = ruled(store(folder.path()), signer.rule(Mode::Warn));
    for _ in 0..2 {
        let pulled = pull(&store, &image).await.unwrap();
        let told: Vec<String> = pulled.warnings.iter().map(ToString::to_string).collect();
        assert!(
            told.iter().any(|it| it.contains("has no valid signature")),
            "{told:?}"
        );
        assert!(matches!(pulled.signature, Verdict::Missing(_)));
    }
    stub.take_seen();
    pull_always(&store, &image).await.unwrap();
    let seen = stub.take_seen();
    assert!(!seen.iter().any(|it| it.contains("/blobs/")), "{seen:?}");
    put_bundles(&stub, "a/b", &digest, &[&signer.bundle(&digest)]);
    let pulled = pull(&store, &image).await.unwrap();
    assert!(matches!(pulled.signature, Verdict::Valid { .. }));
    stub.take_seen();
    pull(&store, &image).await.unwrap();
    assert_eq!(stub.take_seen(), [""; 0], "nobody is asked again");
}

#[tokio::test]
async fn a_policy_that_comes_later_asks_for_the_signature_of_what_is_in_the_cache() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let signer = Signer::new();
    let image = reference(&stub, "a/b:1");
    let digest = stub.image("a/b", "1", &[(TAR, &layer(&module(1)))]);
    let store = store(folder.path());
    assert_eq!(pull(&store, &image).await.unwrap().signature, Verdict::Off);
    let policy = Policy::new(vec![signer.rule(Mode::Require)]).unwrap();
    store.signatures.set(policy);
    refused(pull(&store, &image).await, &["there is none"]);
    put_bundles(&stub, "a/b", &digest, &[&signer.bundle(&digest)]);
    let pulled = pull(&store, &image).await.unwrap();
    assert!(matches!(pulled.signature, Verdict::Valid { .. }));
    store.signatures.set(Policy::default());
    assert_eq!(pull(&store, &image).await.unwrap().signature, Verdict::Off);
}

#[tokio::test]
async fn a_registry_that_cannot_say_whether_there_is_a_signature_is_asked_again_soon() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    put_image(&stub, "a/b");
    stub.rule(|seen| {
        let is_asked = seen.target.contains("/referrers/");
        is_asked.then(|| Reply::new(500, ""))
    });
    let store = strict(folder.path(), &["p256.pub"]);
    let outcome = pull(&store, &reference(&stub, "a/b:1")).await;
    let err = refused(outcome, &["500"]);
    assert!(!err.is_unsigned());
    assert_eq!(err.again(), Again::Soon);
    // Elsewhere there is one.
    let digest = sha256(fixture("image.json").as_bytes());
    put_simple(&stub, "a/b", &digest, &[simple("p256.simple.json")]);
    pull(&store, &reference(&stub, "a/b:1")).await.unwrap();
}

#[tokio::test]
async fn referrers_come_from_the_api_where_there_is_one() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let digest = put_image(&stub, "a/b");
    put_bundles(&stub, "a/b", &digest, &[&fixture("p256.statement.json")]);
    // The same list, and documents that are no signatures before it.
    let referrer = stub_manifest(&stub, "a/b", "referrer").await;
    let of = digest.clone();
    stub.rule(move |seen| {
        let is_list = seen.target.contains(&format!("/referrers/{of}"));
        let sbom = json!({
            "mediaType": OCI_MANIFEST, "artifactType": "application/spdx+json",
            "digest": sha256(b"sbom"), "size": 1,
        });
        let attested = json!({
            "mediaType": OCI_MANIFEST, "artifactType": BUNDLE, "digest": sha256(b"attested"), "size": 1,
            "annotations": { "dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1" },
        });
        let bundle = json!({
            "mediaType": OCI_MANIFEST, "artifactType": BUNDLE, "digest": referrer, "size": 1,
        });
        let index = json!({
            "schemaVersion": 2, "mediaType": INDEX, "manifests": [sbom, attested, bundle],
        });
        is_list.then(|| Reply::json(200, &index))
    });
    let store = strict(folder.path(), &["p256.pub"]);
    stub.take_seen();
    pull(&store, &reference(&stub, "a/b:1")).await.unwrap();
    let seen = stub.take_seen();
    let manifests = seen.iter().filter(|it| it.contains("/manifests/"));
    assert_eq!(manifests.count(), 2, "the image and one bundle: {seen:?}");
}

/// The digest of what a tag is.
async fn stub_manifest(stub: &Stub, name: &str, tag: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let image = reference(stub, &format!("{name}:{tag}"));
    let wanted = tidegate_plugin_store::pull::Wanted {
        image: &image,
        given: None,
        policy: tidegate_plugin_store::pull::PullPolicy::Always,
    };
    let digest = store(folder.path()).resolve(wanted).await;
    digest.unwrap().to_string()
}

#[tokio::test]
async fn a_flood_of_signatures_costs_a_bounded_number_of_requests() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let digest = put_image(&stub, "a/b");
    let junk: Vec<String> = (0..200).map(|at| format!("{{\"junk\": {at}}}")).collect();
    let junk: Vec<&str> = junk.iter().map(String::as_str).collect();
    put_bundles(&stub, "a/b", &digest, &junk);
    let many: Vec<_> = (0..200).map(|_| simple("other.simple.json")).collect();
    put_simple(&stub, "a/b", &digest, &many);
    let store = strict(folder.path(), &["p256.pub"]);
    let outcome = pull(&store, &reference(&stub, "a/b:1")).await;
    refused(outcome, &["and", "more; keys tried: p256.pub"]);
    let seen = stub.take_seen();
    assert!(seen.len() < 150, "{} requests", seen.len());
}

#[tokio::test]
async fn a_mirror_without_the_signatures_is_passed_over() {
    let (stub, mirror, folder) = (Stub::start(), Stub::start(), tempfile::tempdir().unwrap());
    put_image(&mirror, "a/b");
    let digest = put_image(&stub, "a/b");
    put_bundles(&stub, "a/b", &digest, &[&fixture("p256.statement.json")]);
    let mut store = strict(folder.path(), &["p256.pub"]);
    store.mirrors = Mirrors::new(vec![Mirror {
        from: stub.address.to_string(),
        to: mirror.address.to_string(),
        is_only: false,
    }])
    .unwrap();
    let pulled = pull(&store, &reference(&stub, "a/b:1")).await.unwrap();
    let Source::Registry { place } = pulled.source else {
        panic!("{:?}", pulled.source);
    };
    assert!(place.starts_with(&stub.address.to_string()), "{place}");
}

#[tokio::test]
async fn a_rule_may_want_signatures_that_are_for_the_repository_of_the_image() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let signer = Signer::new();
    let digest = stub.image("a/b", "1", &[(WASM, &module(1))]);
    let image = reference(&stub, "a/b:1");
    let sign = |repository: &str| {
        let text = document(&digest, repository);
        let signature = signer.sign(text.as_bytes());
        (text, signature)
    };
    let strict = Rule {
        same_repository: true,
        ..signer.rule(Mode::Require)
    };
    let store = ruled(store(folder.path()), strict);
    put_simple(&stub, "a/b", &digest, &[sign("a.test/other:1")]);
    let outcome = pull(&store, &image).await;
    refused(
        outcome,
        &["for a.test/other:1, which the rule does not allow"],
    );
    put_bundles(&stub, "a/b", &digest, &[&signer.bundle(&digest)]);
    let outcome = pull(&store, &image).await;
    refused(outcome, &["does not say for which repository it is"]);
    put_simple(&stub, "a/b", &digest, &[sign(&stub.reference("a/b:old"))]);
    pull(&store, &image).await.unwrap();
}

#[tokio::test]
async fn a_module_that_is_kept_elsewhere_needs_a_signed_image_in_the_cache() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let signer = Signer::new();
    let image = reference(&stub, "a/b:1");
    let digest = stub.image("a/b", "1", &[(TAR, &layer(&module(1)))]);
    put_bundles(&stub, "a/b", &digest, &[&signer.bundle(&digest)]);
    let store = ruled(store(folder.path()), signer.rule(Mode::Require));
    pull(&store, &image).await.unwrap();
    let of = |bytes: &[u8]| Digest::of(bytes);
    store.vouch(&image, of(&module(1))).unwrap();
    let err = store.vouch(&image, of(&module(2))).expect_err("unknown");
    assert!(err.to_string().contains("no signed image"), "{err}");
    let mut free = store;
    free.signatures = Arc::default();
    free.vouch(&image, of(&module(2))).unwrap();
}

#[tokio::test]
async fn content_of_a_registry_is_no_module_of_a_web_server_where_signatures_are_required() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let content = module(1);
    let (blob, other) = (content.clone(), stub.address.to_string());
    stub.rule(move |seen| match seen.target.as_str() {
        path if path.starts_with("/v2/") => Some(Reply::new(200, blob.clone())),
        "/elsewhere.wasm" => {
            let to = format!("http://{other}/v2/a/blobs/x");
            Some(Reply::new(307, "").with("Location", to))
        }
        _ => Some(Reply::new(200, blob.clone())),
    });
    let download = |path: &str| Download {
        url: format!("http://{}/{path}", stub.address).parse().unwrap(),
        sha256: Digest::of(&content),
    };
    let allowing = |mode| {
        let mut store = store(folder.path());
        let rule = rule(mode, &["p256.pub"]);
        let policy = Policy::new(vec![rule]).unwrap().with_web(Some(Web::Allow));
        store.signatures = Arc::new(SharedPolicy::new(policy));
        store
    };
    let strict = allowing(Mode::Require);
    for path in ["v2/a/blobs/x", "elsewhere.wasm"] {
        let outcome = strict.download(&download(path), &Silent).await;
        let err = refused(
            outcome,
            &["content of a registry", "(rule `*`)", "source.oci"],
        );
        assert!(err.is_unsigned() && err.again() == Again::Late, "{err}");
    }
    let lax = allowing(Mode::Warn);
    lax.download(&download("v2/a/blobs/x"), &Silent)
        .await
        .unwrap();
    // Now it is in the cache, and no more allowed there.
    let outcome = strict.download(&download("v2/a/blobs/x"), &Silent).await;
    refused(outcome, &["content of a registry"]);
    strict
        .download(&download("auth.wasm"), &Silent)
        .await
        .unwrap();
    let refusing = ruled(store(folder.path()), rule(Mode::Require, &["p256.pub"]));
    let outcome = refusing.download(&download("auth.wasm"), &Silent).await;
    refused(
        outcome,
        &["nobody signs what web servers have", "http: Allow"],
    );
}

#[tokio::test]
async fn signatures_that_are_kept_are_replaced_by_none_that_do_not_count() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let digest = put_image(&stub, "a/b");
    put_simple(&stub, "a/b", &digest, &[simple("p256.simple.json")]);
    let store = strict(folder.path(), &["p256.pub"]);
    let image = reference(&stub, "a/b:1");
    pull(&store, &image).await.unwrap();

    // The same image in another repository, and under another tag, with signatures of somebody else.
    let (payload, _) = simple("p256.simple.json");
    let junk = |at: usize| {
        let signer = Signer::new();
        let text = format!("{payload}{}", " ".repeat(at));
        let signature = signer.sign(text.as_bytes());
        (text, signature)
    };
    let junk: Vec<_> = (0..20).map(junk).collect();
    put_image(&stub, "c/d");
    stub.manifest("a/b", "2", OCI_MANIFEST, &fixture("image.json"));
    for name in ["c/d", "a/b"] {
        put_simple(&stub, name, &digest, &junk);
    }
    for other in ["c/d:1", "a/b:2"] {
        let outcome = pull(&store, &reference(&stub, other)).await;
        refused(outcome, &["by another key"]);
        let pulled = pull(&store, &image).await.unwrap();
        assert!(
            matches!(pulled.source, Source::Cache),
            "{other}: {pulled:?}"
        );
        assert!(matches!(pulled.signature, Verdict::Valid { .. }), "{other}");
    }
}
