//! Images in every layout in use, and in some that nobody uses.

use tidegate_plugin_store::layout::Layout;
use tidegate_plugin_store::pull::Source;

use crate::kit::CONTENT;
use crate::kit::Member;
use crate::kit::TAR;
use crate::kit::WASM;
use crate::kit::component;
use crate::kit::file;
use crate::kit::gzip;
use crate::kit::layer;
use crate::kit::module;
use crate::kit::pull;
use crate::kit::reference;
use crate::kit::refused;
use crate::kit::store;
use crate::kit::tar;
use crate::kit::zstd;
use crate::stub::OCI_MANIFEST;
use crate::stub::Stub;
use crate::stub::sha256;

/// What an image with these layers comes to: its layout, or the error.
async fn check(layers: &[(&str, &[u8])], expected: Layout) {
    let stub = Stub::start();
    let folder = tempfile::tempdir().unwrap();
    let digest = stub.image("a/filter", "1", layers);
    let pulled = pull(&store(folder.path()), &reference(&stub, "a/filter:1")).await;
    let pulled = pulled.unwrap_or_else(|err| panic!("{expected}: {}", crate::kit::chain(&err)));
    assert_eq!(pulled.code.bytes, module(1), "{expected}");
    assert_eq!(pulled.code.name, "filter");
    assert_eq!(pulled.digest.to_string(), digest);
    assert_eq!(pulled.artifact.unwrap().layout, expected);
    assert!(matches!(pulled.source, Source::Registry { .. }));
}

async fn refuse(layers: &[(&str, &[u8])], because: &[&str]) {
    let stub = Stub::start();
    let folder = tempfile::tempdir().unwrap();
    stub.image("a/filter", "1", layers);
    let outcome = pull(&store(folder.path()), &reference(&stub, "a/filter:1")).await;
    refused(outcome, because);
}

#[tokio::test]
async fn every_layout_in_use_is_pulled() {
    let module = module(1);
    let archived = layer(&module);
    let spec = "application/vnd.module.wasm.spec.v1+yaml";
    let config = "application/vnd.module.wasm.config.v1+json";
    check(&[(TAR, &archived)], Layout::Compat).await;
    check(
        &[(spec, b"a: b"), ("x/y", b"readme"), (TAR, &archived)],
        Layout::Compat,
    )
    .await;
    check(&[(config, b"{}"), (CONTENT, &module)], Layout::Oci).await;
    check(&[(CONTENT, &module)], Layout::OciSingle).await;
    check(
        &[(CONTENT, &module), (spec, b"a: b"), (config, b"{}")],
        Layout::Oci,
    )
    .await;
    let old = "application/vnd.wasm.content.layer.v1+wasm";
    check(&[(old, &module)], Layout::Krustlet).await;
}

#[tokio::test]
async fn the_cncfs_artifact_and_an_image_of_docker_are_told_apart() {
    let stub = Stub::start();
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let put =
        |tag: &str, manifest_type: &str, config_type: &str, layer_type: &str, layer: &[u8]| {
            let config = stub.blob(b"{}");
            let digest = stub.blob(layer);
            let text = serde_json::json!({
                "schemaVersion": 2,
                "mediaType": manifest_type,
                "config": { "mediaType": config_type, "digest": config, "size": 2 },
                "layers": [{ "mediaType": layer_type, "digest": digest, "size": layer.len() }],
            });
            stub.manifest("a", tag, manifest_type, &text.to_string());
        };
    let module = module(1);
    put(
        "cncf",
        OCI_MANIFEST,
        "application/vnd.wasm.config.v0+json",
        WASM,
        &module,
    );
    put(
        "docker",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        &layer(&module),
    );
    for (tag, layout, takers) in [
        (
            "cncf",
            Layout::Cncf,
            ["wkg and other tools of the CNCF's artifacts"].as_slice(),
        ),
        (
            "docker",
            Layout::CompatDocker,
            &["Istio", "Envoy Gateway", "Higress"],
        ),
    ] {
        let pulled = pull(&store, &reference(&stub, &format!("a:{tag}")))
            .await
            .unwrap();
        let artifact = pulled.artifact.unwrap();
        assert_eq!(artifact.layout, layout);
        let accepted = artifact.accepted.iter().filter(|it| it.refusal.is_none());
        assert_eq!(accepted.map(|it| it.gateway).collect::<Vec<_>>(), takers);
    }
}

#[tokio::test]
async fn an_image_says_who_else_would_not_take_it_and_why() {
    let module = module(1);
    let other_name = gzip(&tar(&[file("auth.wasm", &module)]));
    for (layers, because) in [
        (
            [(CONTENT, module.as_slice())].as_slice(),
            "exactly two layers, and there are 1",
        ),
        (
            &[(TAR, other_name.as_slice())],
            "called plugin.wasm, not auth.wasm",
        ),
        (
            &[(
                "application/vnd.oci.image.layer.v1.tar+zstd",
                &zstd(&tar(&[file("plugin.wasm", &module)])),
            )],
            "tar+gzip",
        ),
    ] {
        let stub = Stub::start();
        let folder = tempfile::tempdir().unwrap();
        stub.image("a", "1", layers);
        let pulled = pull(&store(folder.path()), &reference(&stub, "a:1"))
            .await
            .unwrap();
        let artifact = pulled.artifact.unwrap();
        let istio = artifact
            .accepted
            .iter()
            .find(|it| it.gateway == "Istio")
            .unwrap();
        let refusal = istio.refusal.as_deref().unwrap();
        assert!(refusal.contains(because), "{refusal}");
    }
}

#[tokio::test]
async fn media_types_that_lie_are_not_believed() {
    let module = module(1);
    let archived = layer(&module);
    // An archive that is said to be a module, a module that is said to be an archive, and neither.
    check(&[(WASM, &archived)], Layout::Compat).await;
    check(&[(TAR, &module)], Layout::Unlabelled).await;
    check(&[("application/octet-stream", &module)], Layout::Unlabelled).await;
    check(&[("", &archived)], Layout::Compat).await;
    check(
        &[(TAR, &tar(&[file("plugin.wasm", &module)]))],
        Layout::Compat,
    )
    .await;
    check(
        &[(TAR, &zstd(&tar(&[file("plugin.wasm", &module)])))],
        Layout::Compat,
    )
    .await;
    check(&[(WASM, &gzip(&module))], Layout::Unlabelled).await;
    check(&[(WASM, b"<html>"), (TAR, &archived)], Layout::Compat).await;
}

#[tokio::test]
async fn the_module_of_an_archive_is_plugin_wasm_or_the_only_one() {
    let (module, other) = (module(1), module(2));
    let archive = |members: &[Member<'_>]| gzip(&tar(members));
    let named = archive(&[
        file("a.wasm", &other),
        file("./plugin.wasm", &module),
        file("z.wasm", &other),
    ]);
    check(&[(TAR, &named)], Layout::Compat).await;
    let only = archive(&[file("readme", b"x"), file("opt/auth.wasm", &module)]);
    check(&[(TAR, &only)], Layout::Compat).await;
    let top = archive(&[
        file("a/plugin.wasm", &other),
        file("plugin.wasm", &module),
        file("b/plugin.wasm", &other),
    ]);
    check(&[(TAR, &top)], Layout::Compat).await;
    let twice = archive(&[file("plugin.wasm", &other), file("./plugin.wasm", &module)]);
    check(&[(TAR, &twice)], Layout::Compat).await;
    let below = [
        (TAR, layer(&module)),
        (TAR, archive(&[file("etc/x", b"x")])),
    ];
    check(
        &[(below[0].0, &below[0].1), (below[1].0, &below[1].1)],
        Layout::Compat,
    )
    .await;

    let several = archive(&[file("a.wasm", &module), file("b.wasm", &module)]);
    refuse(
        &[(TAR, &several)],
        &["a.wasm, b.wasm", "must be called plugin.wasm"],
    )
    .await;
    let none = archive(&[file("etc/passwd", b"x")]);
    refuse(
        &[(TAR, &none)],
        &["etc/passwd", "neither plugin.wasm", "tidegate plugin push"],
    )
    .await;
    let deleted = archive(&[file(".wh.plugin.wasm", b"")]);
    let below = layer(&module);
    refuse(&[(TAR, &below), (TAR, &deleted)], &["deletes the module"]).await;
}

#[tokio::test]
async fn path_traversal_links_and_devices_in_archives_are_harmless_and_refused() {
    let module = module(1);
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("plugin.wasm");
    let absolute = outside.to_str().unwrap().to_owned();
    for (member, because) in [
        (file("../../plugin.wasm", &module), "leaves the archive"),
        (file("a/../../plugin.wasm", &module), "leaves the archive"),
        (
            Member {
                path: "plugin.wasm",
                kind: b'1',
                content: b"",
            },
            "links are not followed",
        ),
        (
            Member {
                path: "plugin.wasm",
                kind: b'2',
                content: b"",
            },
            "links are not followed",
        ),
        (
            Member {
                path: "plugin.wasm",
                kind: b'3',
                content: b"",
            },
            "not a file",
        ),
        (
            Member {
                path: "plugin.wasm",
                kind: b'6',
                content: b"",
            },
            "not a file",
        ),
        (
            Member {
                path: "plugin.wasm",
                kind: b'S',
                content: b"",
            },
            "holes",
        ),
    ] {
        refuse(&[(TAR, &gzip(&tar(&[member])))], &["plugin.wasm", because]).await;
    }
    // A link that says more than a file must not be passed over for that file.
    let link = Member {
        path: "plugin.wasm",
        kind: b'2',
        content: b"",
    };
    let both = gzip(&tar(&[file("other.wasm", &module), link]));
    refuse(&[(TAR, &both)], &["links are not followed"]).await;
    // A path from the root is a name like any other: nothing is written there.
    check(
        &[(TAR, &gzip(&tar(&[file(&absolute, &module)])))],
        Layout::Compat,
    )
    .await;
    assert!(!outside.exists());
}

#[tokio::test]
async fn what_is_not_wasm_is_named() {
    refuse(
        &[(WASM, b"<!DOCTYPE html>")],
        &["layer 1", "a web page", "tidegate plugin push"],
    )
    .await;
    refuse(&[(WASM, b"(module)")], &["WebAssembly as text"]).await;
    refuse(&[(WASM, b"\x7fELF\x02")], &["a program for a machine"]).await;
    refuse(
        &[(TAR, &layer(b"\x7fELF\x02"))],
        &["plugin.wasm is a program"],
    )
    .await;
    refuse(&[(WASM, b"")], &["it is empty"]).await;
    refuse(&[(TAR, b"\x1f\x8b\x08\x00")], &["it is damaged"]).await;
    refuse(&[(TAR, &gzip(&gzip(&module(1))))], &["compressed twice"]).await;
    refuse(&[], &["it has no layers"]).await;
}

#[tokio::test]
async fn a_component_is_told_from_a_module() {
    refuse(
        &[(WASM, &component())],
        &["is a component", "wasm32-wasip1", "not for wasm32-wasip2"],
    )
    .await;
    refuse(
        &[(TAR, &layer(&component()))],
        &["plugin.wasm is a component"],
    )
    .await;
    refuse(&[(WASM, b"\0asm\x02\0\0\0")], &["WebAssembly of version 2"]).await;
}

#[tokio::test]
async fn what_is_compressed_to_nothing_does_not_come_out() {
    // 16 MiB of zeros in 16 KiB, behind the beginning of a module; 8 MiB are allowed.
    let mut bomb = module(1);
    bomb.resize(16 << 20, 0);
    for packed in [
        gzip(&bomb),
        layer(&bomb),
        zstd(&tar(&[file("plugin.wasm", &bomb)])),
    ] {
        assert!(packed.len() < 1 << 20);
        refuse(&[(TAR, &packed)], &["more than 8388608 bytes come out"]).await;
    }
    // And beside the module.
    let zeros = vec![0; 16 << 20];
    let beside = gzip(&tar(&[
        file("zeros", &zeros),
        file("plugin.wasm", &module(1)),
    ]));
    refuse(&[(TAR, &beside)], &["more than 8388608 bytes come out"]).await;
}

#[tokio::test]
async fn an_index_of_buildx_with_attestations_is_followed() {
    let stub = Stub::start();
    let folder = tempfile::tempdir().unwrap();
    let image = stub.image("a", "image", &[(TAR, &layer(&module(1)))]);
    let other = stub.image("a", "other", &[(TAR, &layer(&module(2)))]);
    let entry = |digest: &str, os: &str, architecture: &str| {
        serde_json::json!({
            "mediaType": OCI_MANIFEST, "digest": digest, "size": 1,
            "platform": { "os": os, "architecture": architecture },
        })
    };
    let mut attestation = entry(&other, "unknown", "unknown");
    attestation["annotations"] =
        serde_json::json!({ "vnd.docker.reference.type": "attestation-manifest" });
    let index_type = "application/vnd.oci.image.index.v1+json";
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": index_type,
        "manifests": [attestation, entry(&image, "wasip1", "wasm")],
    });
    let digest = stub.manifest("a", "1", index_type, &index.to_string());
    let store = store(folder.path());
    let pulled = pull(&store, &reference(&stub, "a:1")).await.unwrap();
    assert_eq!(pulled.code.bytes, module(1));
    assert_eq!(pulled.digest.to_string(), digest);
    assert_eq!(pulled.manifest.to_string(), image);
    // By the index's digest, from the cache.
    let pinned = reference(&stub, &format!("a@{digest}"));
    let pulled = pull(&store, &pinned).await.unwrap();
    assert!(matches!(pulled.source, Source::Cache));
    assert_eq!(pulled.manifest.to_string(), image);

    let index = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [entry(&image, "linux", "s390x"), entry(&other, "linux", "mips")],
    });
    stub.manifest("a", "2", index_type, &index.to_string());
    refused(
        pull(&store, &reference(&stub, "a:2")).await,
        &["linux/s390x", "linux/mips", &image],
    );
}

#[tokio::test]
async fn an_index_that_leads_to_itself_ends() {
    let stub = Stub::start();
    let folder = tempfile::tempdir().unwrap();
    // Nobody can make a digest that contains itself, but a chain can be long.
    let mut digest = stub.image("a", "image", &[(WASM, &module(1))]);
    for _ in 0..5 {
        let index = serde_json::json!({
            "schemaVersion": 2, "manifests": [{ "digest": digest, "size": 1 }],
        });
        let text = index.to_string();
        digest = stub.manifest("a", "1", "application/vnd.oci.image.index.v1+json", &text);
        assert_eq!(digest, sha256(text.as_bytes()));
    }
    let outcome = pull(&store(folder.path()), &reference(&stub, "a:1")).await;
    refused(outcome, &["list of lists"]);
}
