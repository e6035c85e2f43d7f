//! Signatures of what is in the cache: checked again at each use, and replaced by nothing that does not
//! count.

use std::path::Path;
use std::sync::Arc;

use tidegate_plugin_store::Digest;
use tidegate_plugin_store::pull::Source;
use tidegate_plugin_store::signatures::Mode;
use tidegate_plugin_store::signatures::Policy;
use tidegate_plugin_store::signatures::Verdict;

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
use crate::signing::kit::Signer;
use crate::signing::kit::fixture;
use crate::signing::kit::put_bundles;
use crate::signing::kit::put_image;
use crate::signing::kit::put_simple;
use crate::signing::kit::rule;
use crate::signing::kit::ruled;
use crate::signing::kit::simple;
use crate::signing::kit::strict;
use crate::stub::OCI_MANIFEST;
use crate::stub::Reply;
use crate::stub::Stub;
use crate::stub::sha256;

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
