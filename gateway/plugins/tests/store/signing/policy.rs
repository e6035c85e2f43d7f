//! What a policy wants: a warning or a refusal, for which repository, of mirrors, of registries that
//! cannot say, and of web servers.

use std::sync::Arc;

use tidegate_plugin_store::Digest;
use tidegate_plugin_store::again::Again;
use tidegate_plugin_store::progress::Silent;
use tidegate_plugin_store::pull::Download;
use tidegate_plugin_store::pull::Source;
use tidegate_plugin_store::registry::Mirror;
use tidegate_plugin_store::registry::Mirrors;
use tidegate_plugin_store::signatures::Mode;
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
use crate::signing::kit::Signer;
use crate::signing::kit::document;
use crate::signing::kit::fixture;
use crate::signing::kit::put_bundles;
use crate::signing::kit::put_image;
use crate::signing::kit::put_simple;
use crate::signing::kit::rule;
use crate::signing::kit::ruled;
use crate::signing::kit::simple;
use crate::signing::kit::strict;
use crate::stub::Reply;
use crate::stub::Stub;
use crate::stub::sha256;

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
    let err = refused(
        outcome,
        &[
            "for a.test/other:1, which the rule does not allow",
            "is said by `identity` and `references` of the rule",
        ],
    );
    assert!(!chain(&err).contains("cosign sign"), "it is signed: {err}");
    put_bundles(&stub, "a/b", &digest, &[&signer.bundle(&digest)]);
    let outcome = pull(&store, &image).await;
    refused(outcome, &["does not say for which repository it is"]);
    put_simple(&stub, "a/b", &digest, &[sign(&stub.reference("a/b:old"))]);
    pull(&store, &image).await.unwrap();
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
