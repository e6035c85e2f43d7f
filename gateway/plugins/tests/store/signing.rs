//! Signatures: found in a registry, and which of them count, with the reason why the others do not.
//!
//! The fixtures are made by other implementations, see `signatures/README.md`. What policies want is
//! in [`policy`], what happens once an image is in the cache in [`cache`].

#[path = "signing/cache.rs"]
mod cache;
#[path = "signing/kit.rs"]
pub(crate) mod kit;
#[path = "signing/policy.rs"]
mod policy;

use serde_json::json;
use tidegate_plugin_store::again::Again;
use tidegate_plugin_store::pull::PullError;
use tidegate_plugin_store::signatures::Form;
use tidegate_plugin_store::signatures::Mode;
use tidegate_plugin_store::signatures::Verdict;

use crate::kit::TAR;
use crate::kit::chain;
use crate::kit::layer;
use crate::kit::module;
use crate::kit::pull;
use crate::kit::reference;
use crate::kit::refused;
use crate::kit::store;
use crate::signing::kit::BUNDLE;
use crate::signing::kit::INDEX;
use crate::signing::kit::Signer;
use crate::signing::kit::document;
use crate::signing::kit::fixture;
use crate::signing::kit::put_bundles;
use crate::signing::kit::put_image;
use crate::signing::kit::put_simple;
use crate::signing::kit::ruled;
use crate::signing::kit::simple;
use crate::signing::kit::strict;
use crate::stub::OCI_MANIFEST;
use crate::stub::Reply;
use crate::stub::Stub;
use crate::stub::sha256;

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
