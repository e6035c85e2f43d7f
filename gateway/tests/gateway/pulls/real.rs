//! The gateway with a real registry that wants a password: images in every layout, by ourselves and by
//! others' tools, which serve also when the registry is gone.
//!
//! `cargo xtask test --peers` installs what this needs.

#[path = "real/folder.rs"]
mod folder;
#[path = "real/images.rs"]
mod images;

use std::path::Path;

use serde_json::Value;
use tidegate_testkit::Origin;
use tidegate_testkit::Peer;
use tidegate_testkit::RealRegistry;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;
use tidegate_testkit::real_registry::PASSWORD;
use tidegate_testkit::real_registry::USER;

use super::filter;
use super::plugin;
use super::ready;
use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::backend;
use crate::process::finish;
use crate::process::route;
use crate::process::tidegate;

/// A configuration with these Plugins, an origin for it, and a cache.
struct Site {
    folder: Folder,
    _origin: Origin,
    cache: tempfile::TempDir,
}

impl Site {
    fn new(plugins: &str) -> Self {
        let origin = Origin::answers(200, "apples");
        Self {
            folder: Folder::of(&[
                ("gateway.yaml", GATEWAY),
                ("route.yaml", &route("apples")),
                ("backend.yaml", &backend("apples", origin.address())),
                ("plugins.yaml", plugins),
            ]),
            _origin: origin,
            cache: tempfile::tempdir().expect("a folder"),
        }
    }

    fn cache(&self) -> &str {
        self.cache.path().to_str().expect("UTF-8")
    }

    fn start(&self) -> Running {
        Running::start(&self.folder, &["--plugin-cache", self.cache()])
    }
}

/// A Secret with what skopeo wrote when it logged in.
fn secret(registry: &RealRegistry) -> String {
    let auth = std::fs::read_to_string(registry.auth_file()).expect("skopeo wrote it");
    let auth: Value = serde_json::from_str(&auth).expect("JSON");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: login }}\n\
         type: kubernetes.io/dockerconfigjson\n\
         stringData: {{ .dockerconfigjson: '{auth}' }}\n"
    )
}

/// What `plugin push` and `plugin inspect` log in with.
fn login(folder: &Path) -> Vec<String> {
    let password = folder.join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).expect("written");
    let password = password.to_str().expect("UTF-8").to_owned();
    let flags = ["--username", USER, "--password-file"];
    let mut flags: Vec<String> = flags.map(str::to_owned).into();
    flags.push(password);
    flags
}

/// What filters say in a response, in any order.
fn served(gateway: &Running) -> Vec<String> {
    let answer = gateway.get("/");
    let mut names: Vec<String> = answer
        .values("x-by")
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    names.sort();
    names
}

fn tags() -> Vec<String> {
    let mut tags: Vec<String> = images::TAGS.iter().map(|it| it.tag.to_owned()).collect();
    tags.sort();
    tags
}

#[test]
fn images_of_every_layout_and_tool_serve_and_go_on_when_the_registry_is_gone() {
    if !Peer::wanted("images_of_every_layout_and_tool_serve") {
        return;
    }
    let mut registry = RealRegistry::start();
    images::push_all(&registry);
    let mut all = secret(&registry);
    for tag in tags() {
        let reference = registry.reference(&format!("team/filter:{tag}"));
        let more = "pullPolicy: Always\n  pullSecret: { name: login }";
        all.push_str("---");
        all.push_str(&plugin(&tag, &reference, more));
    }
    let site = Site::new(&all);
    let mut gateway = site.start();
    eventually("every filter", || {
        let served = served(&gateway);
        (served == tags()).then_some(())
    });
    eventually("readiness", || {
        (ready(&gateway) == (200, "ready\n".to_owned())).then_some(())
    });
    let log = gateway.log().join("\n");
    assert!(!log.contains(PASSWORD), "{log}");

    gateway.kill();
    registry.stop();
    let gateway = site.start();
    assert_eq!(served(&gateway), tags(), "from the first request on");
    eventually("the reasons", || {
        let (status, text) = ready(&gateway);
        assert_eq!(status, 200, "{text}");
        let is_told = |tag: &String| {
            let which = format!("default/{tag}: {}/team/filter:{tag} ", registry.address());
            text.lines().any(|line| {
                line.starts_with(&which)
                    && line.contains("serves from the cache (sha256:")
                    && line.contains("cannot connect to")
            })
        };
        tags().iter().all(is_told).then_some(())
    });
    let page = gateway.json("/plugins");
    for (at, tag) in tags().iter().enumerate() {
        let source = page.pointer(&format!("/plugins/{at}/source"));
        let source = source.expect("it is pulled").to_string();
        assert!(source.contains("\"state\":\"Cached\""), "{tag}: {source}");
        let image = images::named(tag);
        let layout = format!("\"layout\":\"{}\"", image.layout);
        assert!(source.contains(&layout), "{tag}: {source}");
    }

    // Back again, and all of it is confirmed.
    registry.start_again();
    gateway.admin("POST /reload");
    eventually("readiness without remarks", || {
        (ready(&gateway).1 == "ready\n").then_some(())
    });
}

#[test]
fn inspect_explains_every_layout_and_who_else_takes_it() {
    if !Peer::wanted("inspect_explains_every_layout") {
        return;
    }
    let registry = RealRegistry::start();
    images::push_all(&registry);
    let cache = Folder::of(&[]);
    for image in images::TAGS {
        let reference = registry.reference(&format!("team/filter:{}", image.tag));
        let mut inspect = tidegate();
        inspect.args(["plugin", "inspect", &reference, "--format", "json"]);
        inspect.args(login(registry.folder()));
        inspect.arg("--plugin-cache").arg(cache.path());
        let (code, out, err) = finish(&mut inspect);
        assert_eq!(code, Some(0), "{}: {out}{err}", image.tag);
        let page: Value = serde_json::from_str(&out).expect("JSON");
        let text = |place: &str| {
            let value = page.pointer(place).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        assert!(
            text("/image/layout").starts_with(&format!("{} ", image.layout)),
            "{}: {out}",
            image.tag
        );
        assert_eq!(text("/module/abi"), "0.2.1", "{}", image.tag);
        let is_list = text("/image/digest") != text("/image/manifest");
        assert_eq!(is_list, image.is_index, "{}: {out}", image.tag);
        let accepted = page.pointer("/image/acceptedBy").and_then(Value::as_array);
        let takers: Vec<&str> = accepted
            .expect("a list")
            .iter()
            .filter(|one| one.get("refusal").is_some_and(Value::is_null))
            .filter_map(|one| one.get("gateway")?.as_str())
            .collect();
        let istio = takers.contains(&"Istio");
        let wkg = takers.iter().any(|name| name.starts_with("wkg"));
        assert_eq!((istio, wkg), image.taken_by, "{}: {out}", image.tag);
    }
}

#[test]
fn our_own_filters_as_images_are_pushed_by_skopeo_and_serve() {
    if !Peer::wanted("our_own_filters_as_images") {
        return;
    }
    let registry = RealRegistry::start();
    let folder = registry.folder().join("ip-filter");
    let mut pack = tidegate();
    pack.args(["plugin", "pack", "--output"]).arg(&folder);
    pack.arg(Wasm::built_path("ip-filter"));
    let (code, out, err) = finish(&mut pack);
    assert_eq!(code, Some(0), "{err}");
    let (place, digest) = out.trim().rsplit_once('@').expect("a digest");
    let to = registry.reference("tidegate/ip-filter:it");
    let flags = ["--preserve-digests"];
    registry.skopeo_copy(&flags, &format!("oci:{place}"), &format!("docker://{to}"));
    let deny = "pullSecret: { name: login }\n  config: { deny: [127.0.0.1] }";
    let all = format!("{}---{}", secret(&registry), plugin("one", &to, deny));
    let site = Site::new(&all);
    let gateway = site.start();
    eventually("the filter", || {
        (gateway.get("/").status() == 403).then_some(())
    });
    assert_eq!(super::source(&gateway, "imageDigest"), digest);
}

#[test]
fn a_password_that_is_wrong_is_told_and_one_that_is_right_serves_at_once() {
    if !Peer::wanted("a_password_that_is_wrong_is_told") {
        return;
    }
    let registry = RealRegistry::start();
    images::push_ours(&registry, "one", &filter("one"), "compat");
    let reference = registry.reference("team/filter:one");
    let files = "pullSecret: { usernameFile: user, passwordFile: password }";
    let site = Site::new(&plugin("one", &reference, files));
    site.folder.write("user", USER.as_bytes());
    site.folder.write("password", b"wrong");
    let gateway = site.start();
    let why = eventually("the refusal", || {
        super::source(&gateway, "lastError")
            .as_str()
            .map(str::to_owned)
    });
    assert!(why.contains("401"), "{why}");
    assert_eq!(ready(&gateway).0, 503);
    site.folder.write("password", PASSWORD.as_bytes());
    eventually("the filter", || (served(&gateway) == ["one"]).then_some(()));
}
