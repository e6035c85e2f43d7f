//! Signed images for tests: the fixtures, a key that signs while the test runs, and signatures put where
//! registries have them.

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
use tidegate_plugin_store::Store;
use tidegate_plugin_store::signatures::Key;
use tidegate_plugin_store::signatures::Mode;
use tidegate_plugin_store::signatures::Pattern;
use tidegate_plugin_store::signatures::Policy;
use tidegate_plugin_store::signatures::Rule;
use tidegate_plugin_store::signatures::SharedPolicy;

use crate::kit::module;
use crate::kit::store;
use crate::stub::OCI_MANIFEST;
use crate::stub::Stub;

pub(crate) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

pub(crate) fn fixture(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/store/signatures");
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|err| panic!("{name}: {err}"))
}

fn key(name: &str) -> Key {
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
pub(crate) fn strict(folder: &Path, keys: &[&str]) -> Store {
    ruled(store(folder), rule(Mode::Require, keys))
}

/// Puts the image of the fixtures there; its digest.
pub(crate) fn put_image(stub: &Stub, name: &str) -> String {
    stub.blob(b"{}");
    stub.blob(&module(1));
    stub.manifest(name, "1", OCI_MANIFEST, &fixture("image.json"))
}

/// Puts bundles there that refer to an image, as registries without the API have them.
pub(crate) fn put_bundles(stub: &Stub, name: &str, of: &str, bundles: &[&str]) {
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
pub(crate) fn put_simple(stub: &Stub, name: &str, of: &str, signed: &[(String, String)]) {
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
pub(crate) fn simple(name: &str) -> (String, String) {
    let made: Value = serde_json::from_str(&fixture(name)).unwrap();
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    (text("payload"), text("signature"))
}

/// A key that signs while the test runs.
pub(crate) struct Signer(EcdsaKeyPair);

impl Signer {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    pub(crate) fn key(&self) -> Key {
        use aws_lc_rs::encoding::AsDer as _;
        let der = self.0.public_key().as_der().unwrap();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der.as_ref())
        );
        Key::from_pem("mine.pub", pem.as_bytes()).unwrap()
    }

    pub(crate) fn rule(&self, mode: Mode) -> Rule {
        Rule {
            keys: vec![self.key()],
            ..rule(mode, &[])
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> String {
        let signature = self.0.sign(&SystemRandom::new(), message).unwrap();
        STANDARD.encode(signature.as_ref())
    }

    /// As cosign 3 signs an image.
    pub(crate) fn bundle(&self, of: &str) -> String {
        self.envelope(&statement(of, SIGNED), "application/vnd.in-toto+json")
    }

    pub(crate) fn envelope(&self, payload: &str, kind: &str) -> String {
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

pub(crate) fn document(of: &str, repository: &str) -> String {
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
