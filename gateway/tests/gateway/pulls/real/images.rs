//! One image of each layout in use, each of a filter that says the image's tag, and who pushes it.

use serde_json::Value;
use serde_json::json;
use tidegate_testkit::RealRegistry;

use super::folder::Layout;
use super::folder::archive;
use super::folder::diff_id;
use super::login;
use crate::process::Folder;
use crate::process::finish;
use crate::process::tidegate;
use crate::pulls::filter;

const TAR: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const CONTENT: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
const CONTENT_CONFIG: &str = "application/vnd.module.wasm.config.v1+json";
const OLD: &str = "application/vnd.wasm.content.layer.v1+wasm";
const SPEC: &str = "application/vnd.module.wasm.spec.v1+yaml";

/// What is known of an image.
#[derive(Debug)]
pub(super) struct Tag {
    pub(super) tag: &'static str,
    /// The first word of what we call its layout.
    pub(super) layout: &'static str,
    /// Whether Istio and its kin take it, and wkg and its.
    pub(super) taken_by: (bool, bool),
    pub(super) is_index: bool,
}

const fn image(tag: &'static str, layout: &'static str, taken_by: (bool, bool)) -> Tag {
    Tag {
        tag,
        layout,
        taken_by,
        is_index: false,
    }
}

/// All of them.
pub(super) const TAGS: &[Tag] = &[
    image("ours-compat", "compat", (true, false)),
    image("ours-cncf", "cncf", (false, true)),
    image("oras-single", "oci", (false, false)),
    image("oras-two", "oci", (true, false)),
    image("oras-krustlet", "krustlet", (false, false)),
    image("oras-archive", "compat", (true, false)),
    image("oras-plain", "unlabelled", (false, false)),
    image("buildah", "compat", (true, false)),
    image("docker", "compat", (true, false)),
    image("zstd", "compat", (false, false)),
    image("wkg", "cncf", (false, true)),
    image("spin", "krustlet", (false, false)),
    Tag {
        is_index: true,
        ..image("buildx", "compat", (true, false))
    },
];

/// The one of that tag.
#[track_caller]
pub(super) fn named(tag: &str) -> &'static Tag {
    let found = TAGS.iter().find(|one| one.tag == tag);
    found.expect("it is one of them")
}

/// Pushes all of them to `team/filter`.
#[track_caller]
pub(super) fn push_all(registry: &RealRegistry) {
    push_ours(registry, "ours-compat", &filter("ours-compat"), "compat");
    push_ours(registry, "ours-cncf", &filter("ours-cncf"), "cncf");
    push_with_oras(registry);
    push_folders(registry);
}

/// With `tidegate plugin push`.
#[track_caller]
pub(super) fn push_ours(registry: &RealRegistry, tag: &str, module: &[u8], format: &str) {
    let files = Folder::of(&[]);
    files.write("by.wasm", module);
    let mut push = tidegate();
    let to = registry.reference(&format!("team/filter:{tag}"));
    push.args(["plugin", "push", &to, "--format", format]);
    push.arg(files.file("by.wasm"));
    push.args(login(registry.folder()));
    push.arg("--plugin-cache").arg(files.file("cache"));
    let (code, out, err) = finish(&mut push);
    assert_eq!(code, Some(0), "{tag}: {out}{err}");
}

fn push_with_oras(registry: &RealRegistry) {
    let push = |tag: &str, files: &[(&str, &str, &[u8])]| {
        registry.oras_push(&format!("team/filter:{tag}"), files);
    };
    let module = "plugin.wasm";
    push("oras-single", &[(module, CONTENT, &filter("oras-single"))]);
    push(
        "oras-two",
        &[
            ("config.json", CONTENT_CONFIG, b"{}"),
            (module, CONTENT, &filter("oras-two")),
        ],
    );
    push("oras-krustlet", &[(module, OLD, &filter("oras-krustlet"))]);
    let (_, zipped) = archive(registry.folder(), module, &filter("oras-archive"));
    push(
        "oras-archive",
        &[
            ("spec.yaml", SPEC, b"name: by"),
            ("plugin.tar.gz", TAR, &zipped),
        ],
    );
    push(
        "oras-plain",
        &[(module, "application/wasm", &filter("oras-plain"))],
    );
}

/// What skopeo copies from folders.
fn push_folders(registry: &RealRegistry) {
    let new = |name: &str| Layout::new(registry.folder().join(name));
    let copy = |flags: &[&str], from: &str, tag: &str| {
        let to = registry.reference(&format!("team/filter:{tag}"));
        registry.skopeo_copy(flags, from, &format!("docker://{to}"));
    };
    let buildah = new("buildah");
    let top = of_layers(registry, &buildah, "buildah");
    copy(&[], &buildah.finish(top), "buildah");
    let docker = new("docker");
    let top = of_layers(registry, &docker, "docker");
    copy(&["--format", "v2s2"], &docker.finish(top), "docker");

    let wkg = new("wkg");
    let config = json!({ "architecture": "wasm", "os": "wasip1", "layerDigests": [] });
    let config = ("application/vnd.wasm.config.v0+json", &config);
    let top = wkg.image(config, &[("application/wasm", &filter("wkg"))]);
    copy(&[], &wkg.finish(top), "wkg");
    let spin = new("spin");
    let config = json!({ "spin_manifest_version": 2, "components": [] });
    let config = (
        "application/vnd.fermyon.spin.application.v1+config",
        &config,
    );
    let data = "application/vnd.wasm.content.layer.v1+data";
    let layers = [(OLD, &filter("spin")[..]), (data, b"<p>a page of it</p>")];
    let top = spin.image(config, &layers);
    copy(&[], &spin.finish(top), "spin");

    // It compresses anew only what it finds uncompressed, and where it knows no other copy.
    let zstd = new("zstd");
    let top = of_layers(registry, &zstd, "zstd");
    let dir = |name: &str| format!("dir:{}", registry.folder().join(name).display());
    registry.skopeo_copy(&["--dest-decompress"], &zstd.finish(top), &dir("plain"));
    let flags = ["--dest-compress", "--dest-compress-format", "zstd"];
    registry.skopeo_copy(&flags, &dir("plain"), &dir("zstd-dir"));
    copy(&["--preserve-digests"], &dir("zstd-dir"), "zstd");

    let buildx = new("buildx");
    let mut linux = of_layers(registry, &buildx, "not-this-one");
    let mut wasm = of_layers(registry, &buildx, "buildx");
    let statement = ("application/vnd.in-toto+json", &b"{}"[..]);
    let mut attestation = buildx.image((IMAGE_CONFIG, &json!({})), &[statement]);
    platform(&mut linux, "linux", "arm64");
    platform(&mut wasm, "wasip1", "wasm");
    platform(&mut attestation, "unknown", "unknown");
    if let Some(fields) = attestation.as_object_mut() {
        let kind = json!({ "vnd.docker.reference.type": "attestation-manifest" });
        fields.insert("annotations".to_owned(), kind);
    }
    let top = buildx.index(&[linux, wasm, attestation]);
    copy(&["--all"], &buildx.finish(top), "buildx");
}

/// An image as buildah and docker build them: what is copied last is in the last layer.
fn of_layers(registry: &RealRegistry, layout: &Layout, says: &str) -> Value {
    let (first, first_zipped) = archive(registry.folder(), "LICENSE", b"as it is");
    let (last, last_zipped) = archive(registry.folder(), "plugin.wasm", &filter(says));
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [diff_id(&first), diff_id(&last)] },
    });
    layout.image(
        (IMAGE_CONFIG, &config),
        &[(TAR, &first_zipped), (TAR, &last_zipped)],
    )
}

fn platform(image: &mut Value, os: &str, architecture: &str) {
    if let Some(fields) = image.as_object_mut() {
        let platform = json!({ "os": os, "architecture": architecture });
        fields.insert("platform".to_owned(), platform);
    }
}
