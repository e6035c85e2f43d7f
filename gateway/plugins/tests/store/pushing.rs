//! Pushing, and what refers to an image.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use tidegate_plugin_store::Reference;
use tidegate_plugin_store::Store;
use tidegate_plugin_store::credentials::Found;
use tidegate_plugin_store::digest::Digest;
use tidegate_plugin_store::layout::Layout;
use tidegate_plugin_store::progress::Progress;
use tidegate_plugin_store::progress::Silent;
use tidegate_plugin_store::progress::Step;
use tidegate_plugin_store::push::Description;
use tidegate_plugin_store::push::Format;
use tidegate_plugin_store::push::Image;
use tidegate_plugin_store::registry::Hosts;
use tidegate_plugin_store::registry::Purpose;
use tidegate_plugin_store::registry::Registry;

use crate::kit::chain;
use crate::kit::module;
use crate::kit::pull;
use crate::kit::reference;
use crate::kit::store;
use crate::stub::Reply;
use crate::stub::Stub;
use crate::stub::sha256;

fn registry(store: &Store, image: &Reference, purpose: Purpose) -> Registry {
    let right = (purpose, Found::anonymous());
    Registry::new(
        &store.client,
        &store.tokens,
        &Hosts::default(),
        image,
        right,
    )
    .unwrap()
}

/// Remembers the steps.
#[derive(Default)]
struct Steps(Mutex<Vec<Step>>);

impl Progress for Steps {
    fn on(&self, step: Step) {
        self.0.lock().unwrap().push(step);
    }
}

#[tokio::test]
async fn what_is_pushed_is_pulled_and_pushed_again_it_is_the_same() {
    let stub = Stub::start();
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let large: Vec<u8> = [module(1), vec![9; 1 << 20]].concat();
    let large = Bytes::from(large);
    for (format, layout) in [
        (Format::Compat, Layout::Compat),
        (Format::Cncf, Layout::Cncf),
    ] {
        let image = Image::new(&large, format, &Description::default()).unwrap();
        let to = reference(&stub, &format!("me/filter:{format:?}"));
        let steps = Arc::new(Steps::default());
        let progress: Arc<dyn Progress> = Arc::clone(&steps) as Arc<dyn Progress>;
        let pushed = store.push(&to, None, &image, &progress).await.unwrap();
        assert_eq!((pushed.digest, pushed.present), (image.digest, 0));
        let told = steps.0.lock().unwrap().clone();
        let is_all = |it: &Step| matches!(it, Step::Sending { bytes, of, .. } if bytes == of);
        assert_eq!(told.iter().filter(|it| is_all(it)).count(), 2, "{told:?}");

        let pulled = pull(&store, &to).await.unwrap();
        assert_eq!(pulled.code.bytes, large);
        assert_eq!(pulled.digest, image.digest);
        let artifact = pulled.artifact.unwrap();
        assert_eq!(artifact.layout, layout);
        let istio = artifact
            .accepted
            .iter()
            .find(|it| it.gateway == "Istio")
            .unwrap();
        assert_eq!(istio.refusal.is_none(), format == Format::Compat);

        let again = store.push(&to, None, &image, &progress).await.unwrap();
        assert_eq!((again.digest, again.present), (image.digest, 2));
    }
}

#[tokio::test]
async fn a_push_that_is_refused_says_why() {
    let stub = Stub::start();
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let module = Bytes::from(module(1));
    let image = Image::new(&module, Format::Compat, &Description::default()).unwrap();
    let silent: Arc<dyn Progress> = Arc::new(Silent);
    let to = reference(&stub, "me/filter:1");
    let push = async |to: &Reference| {
        let err = store
            .push(to, None, &image, &silent)
            .await
            .expect_err("it is refused");
        chain(&err)
    };
    let other = reference(&stub, &format!("me/filter@{}", sha256(b"other")));
    assert!(push(&other).await.contains("push to a tag"));

    stub.rule(|seen| (seen.method == "POST").then(|| Reply::new(202, "")));
    assert!(push(&to).await.contains("an upload without a place for it"));
    stub.forget_rules();
    stub.rule(|seen| {
        let error = serde_json::json!({ "errors": [{ "code": "DENIED", "message": "quota" }] });
        (seen.method == "PUT").then(|| Reply::json(403, &error))
    });
    assert!(push(&to).await.contains("DENIED quota"));
    stub.forget_rules();
    stub.rule(|_| Some(Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"x\"")));
    let advice = "no credentials for it were found (";
    let flags = "name some with `--username` and `--password-file`, or log in with `docker login ";
    let text = push(&to).await;
    assert!(text.contains(advice) && text.contains(flags), "{text}");
    stub.forget_rules();
    stub.rule(|seen| {
        let lie = sha256(b"lie");
        let is_it = seen.method == "PUT" && seen.target.contains("/manifests/");
        is_it.then(|| Reply::new(201, "").with("Docker-Content-Digest", lie))
    });
    assert!(
        push(&to)
            .await
            .contains("says that it keeps the manifest as")
    );
}

#[tokio::test]
async fn an_upload_to_another_host_goes_without_credentials() {
    let stub = Stub::start();
    let elsewhere = Stub::start();
    let folder = tempfile::tempdir().unwrap();
    let password_file = folder.path().join("password");
    std::fs::write(&password_file, "s3cret").unwrap();
    let given = tidegate_plugin_store::credentials::Given::Password {
        username: "me".to_owned(),
        password_file,
    };
    let to = format!("http://{}/upload?signed=1", elsewhere.address);
    stub.rule(move |seen| {
        if seen.header("authorization").is_none() {
            return Some(Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"x\""));
        }
        (seen.method == "POST").then(|| Reply::new(202, "").with("Location", to.clone()))
    });
    elsewhere.rule(|_| Some(Reply::new(201, "")));
    let module = Bytes::from(module(1));
    let image = Image::new(&module, Format::Cncf, &Description::default()).unwrap();
    let silent: Arc<dyn Progress> = Arc::new(Silent);
    let to = reference(&stub, "me/filter:1");
    store(folder.path())
        .push(&to, Some(&given), &image, &silent)
        .await
        .unwrap();
    let uploads = elsewhere.seen();
    assert_eq!(uploads.len(), 2);
    for upload in uploads {
        assert_eq!(upload.header("authorization"), None);
        assert!(
            upload
                .target
                .starts_with("/upload?signed=1&digest=sha256%3A"),
            "{}",
            upload.target
        );
    }
}

fn descriptor(content: &[u8], artifact_type: Option<&str>) -> serde_json::Value {
    let mut value = serde_json::json!({
        "mediaType": crate::stub::OCI_MANIFEST, "digest": sha256(content), "size": content.len(),
    });
    if let Some(artifact_type) = artifact_type {
        value["artifactType"] = artifact_type.into();
    }
    value
}

fn index(manifests: &[serde_json::Value]) -> serde_json::Value {
    serde_json::json!({ "schemaVersion": 2, "manifests": manifests })
}

#[tokio::test]
async fn what_refers_to_an_image_is_found_by_the_api_page_by_page() {
    let stub = Stub::start();
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let image = reference(&stub, "a/b:1");
    stub.rule(|seen| {
        if !seen.target.contains("/referrers/sha256:") {
            return None;
        }
        Some(if seen.target.contains("page=2") {
            Reply::json(
                200,
                &index(&[descriptor(b"2", Some("sig")), descriptor(b"3", Some("doc"))]),
            )
        } else {
            assert!(
                seen.target.ends_with("?artifactType=sig"),
                "{}",
                seen.target
            );
            let next = "</v2/a/b/referrers/sha256:x?page=2>; rel=\"next\"";
            Reply::json(200, &index(&[descriptor(b"1", Some("sig"))])).with("Link", next)
        })
    });
    let registry = registry(&store, &image, Purpose::Pull);
    let found = registry
        .referrers(Digest::of(b"image"), Some("sig"))
        .await
        .unwrap();
    let digests: Vec<Digest> = found.iter().map(|it| it.digest).collect();
    assert_eq!(digests, [Digest::of(b"1"), Digest::of(b"2")]);
}

#[tokio::test]
async fn what_refers_to_an_image_is_found_by_its_tag_where_the_api_is_missing_or_empty() {
    let of = Digest::of(b"image");
    for api in [404, 405, 200, 201] {
        let stub = Stub::start();
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let image = reference(&stub, "a/b:1");
        stub.rule(move |seen| {
            let is_it = seen.target.contains("/referrers/");
            is_it.then(|| match api {
                200 => Reply::json(200, &index(&[])),
                201 => Reply::new(200, "<html>"),
                status => Reply::new(status, ""),
            })
        });
        let registry = registry(&store, &image, Purpose::Pull);
        assert_eq!(registry.referrers(of, None).await.unwrap(), [], "{api}");
        let tag = format!("sha256-{}", of.to_hex());
        let text = index(&[descriptor(b"1", None)]).to_string();
        stub.manifest(
            "a/b",
            &tag,
            "application/vnd.oci.image.index.v1+json",
            &text,
        );
        let found = registry.referrers(of, Some("sig")).await.unwrap();
        assert_eq!(found.len(), 1, "{api}");
        assert_eq!(found[0].annotations, BTreeMap::new());
    }
}
