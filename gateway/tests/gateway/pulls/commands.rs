//! The commands around images: check, lock, push, pull, inspect, and `tidegate proxy --plugin`.

use std::process::Command;

use tidegate_plugin_store::Digest;
use tidegate_testkit::Client;
use tidegate_testkit::Mood;
use tidegate_testkit::Origin;
use tidegate_testkit::Registry;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

use super::filter;
use super::plugin;
use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::finish;
use crate::process::tidegate;

/// A command with a cache of its own.
fn command(cache: &Folder, args: &[&str]) -> Command {
    let mut command = tidegate();
    command.args(args).arg("--plugin-cache").arg(cache.path());
    command
}

fn run(cache: &Folder, args: &[&str]) -> (Option<i32>, String, String) {
    finish(&mut command(cache, args))
}

/// A Plugin of an image, with this field beside its reference.
fn one_plugin(registry: &Registry, more: &str) -> Folder {
    let reference = registry.reference("one:1");
    Folder::of(&[
        ("gateway.yaml", GATEWAY),
        ("plugin.yaml", &plugin("one", &reference, more)),
    ])
}

/// A Plugin that wants what its tag is now, and the cache of a check that pulled it.
fn checked_with_pull(registry: &Registry) -> (Folder, Folder) {
    registry.put("one", "1", &filter("v1"));
    let (folder, cache) = (one_plugin(registry, "pullPolicy: Always"), Folder::of(&[]));
    let (code, out, err) = run(&cache, &["check", "--pull", "-c", path(&folder)]);
    assert_eq!(code, Some(0), "{out}{err}");
    (folder, cache)
}

fn path(folder: &Folder) -> &str {
    folder.path().to_str().expect("UTF-8")
}

#[test]
fn check_needs_no_registry_and_says_what_it_could_not_check() {
    let registry = Registry::start();
    registry.set_down(true);
    let (folder, cache) = (one_plugin(&registry, ""), Folder::of(&[]));
    let (code, out, err) = run(&cache, &["check", "-c", path(&folder)]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(
        out.contains("warning: the code of the Plugin is not here yet"),
        "{out}"
    );
    assert!(out.contains("`--pull` fetches it"), "{out}");
    assert!(registry.asked().is_empty());
    let (code, out, _) = run(&cache, &["check", "--pull", "-c", path(&folder)]);
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("error: the code of the Plugin cannot be pulled"),
        "{out}"
    );
}

#[test]
fn check_can_pull_and_checks_from_the_cache_after_that() {
    let registry = Registry::start();
    registry.put("one", "1", b"no module");
    let (folder, cache) = (one_plugin(&registry, ""), Folder::of(&[]));
    let (code, out, _) = run(&cache, &["check", "--pull", "-c", path(&folder)]);
    assert_eq!(code, Some(1), "{out}");
    registry.put("one", "1", &filter("v1"));
    let (code, out, err) = run(&cache, &["check", "--pull", "-c", path(&folder)]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("no problems"), "{out}");
    registry.set_down(true);
    let (code, out, _) = run(&cache, &["check", "-c", path(&folder)]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("no problems"), "{out}");
}

#[test]
fn check_with_pull_looks_at_what_a_tag_is_now() {
    let registry = Registry::start();
    let (folder, cache) = checked_with_pull(&registry);
    // A module by its first bytes alone.
    registry.put("one", "1", b"\0asm\x01\0\0\0broken");
    let (code, out, _) = run(&cache, &["check", "--pull", "-c", path(&folder)]);
    assert_eq!(code, Some(1), "{out}");
    let (code, out, _) = run(&cache, &["check", "-c", path(&folder)]);
    assert_eq!(code, Some(1), "it is in the cache now: {out}");
}

#[test]
fn check_with_pull_does_not_take_the_cache_for_a_registry_that_is_down() {
    let registry = Registry::start();
    let (folder, cache) = checked_with_pull(&registry);
    registry.set_down(true);
    let (code, out, err) = run(&cache, &["check", "--pull", "-c", path(&folder)]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(
        out.contains("plugin.yaml:")
            && out.contains("error: the code of the Plugin cannot be pulled")
            && out.contains("is in the cache"),
        "{out}"
    );
    assert!(!err.contains("tried again"), "{err}");
    let (code, out, _) = run(&cache, &["check", "-c", path(&folder)]);
    assert_eq!(code, Some(0), "{out}");
}

#[test]
fn pull_and_inspect_do_not_take_the_cache_silently() {
    let registry = Registry::start();
    let image = registry.put("one", "1", &filter("v1"));
    let (files, cache) = (Folder::of(&[]), Folder::of(&[]));
    let reference = registry.reference("one:1");
    let module = files.file("one.wasm");
    let module = module.to_str().expect("UTF-8");
    let (code, out, err) = run(&cache, &["plugin", "pull", &reference, "-o", module]);
    assert_eq!(code, Some(0), "{out}{err}");
    let sha256 = Digest::of(&filter("v1"));
    assert_eq!(
        out.trim(),
        format!("{module} (module {sha256} of image {image})")
    );
    let (code, out, err) = run(&cache, &["plugin", "inspect", &reference]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains(&format!("module         {sha256}")), "{out}");

    registry.set_down(true);
    let (code, _, err) = run(&cache, &["plugin", "pull", &reference, "-o", "-"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains(" as of 20"), "{err}");
    let pinned = format!("{}@{image}", registry.reference("one"));
    assert!(
        err.contains(&format!("`tidegate plugin pull {pinned}`")),
        "{err}"
    );
    let (code, _, err) = run(&cache, &["plugin", "pull", &pinned, "-o", module]);
    assert_eq!(code, Some(0), "{err}");
    let (code, out, err) = run(&cache, &["plugin", "inspect", &reference]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(
        err.contains("warning: ") && err.contains("the cache has"),
        "{err}"
    );
}

#[test]
fn a_module_that_is_expected_by_the_digest_of_its_image_is_told_so() {
    let registry = Registry::start();
    let image = registry.put("one", "1", &filter("v1"));
    let expected = format!("sha256: \"{image}\"");
    let text = plugin("one", &registry.reference("one:1"), &expected);
    let folder = Folder::of(&[("gateway.yaml", GATEWAY), ("plugin.yaml", &text)]);
    let cache = Folder::of(&[]);
    let (code, out, _) = run(&cache, &["check", "--pull", "-c", path(&folder)]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("that is the image's digest"), "{out}");
    let other = text.replace(&image, &format!("sha256:{}", "0".repeat(64)));
    folder.write("plugin.yaml", other.as_bytes());
    let (code, out, _) = run(&cache, &["check", "--pull", "-c", path(&folder)]);
    assert_eq!(code, Some(1), "{out}");
    assert!(!out.contains("that is the image's digest"), "{out}");
}

#[test]
fn lock_writes_digests_behind_tags_and_nothing_else() {
    let registry = Registry::start();
    let image = registry.put("one", "1", &filter("v1"));
    let reference = registry.reference("one:1");
    let text =
        plugin("one", &reference, "priority: 7 # why: seven").replace("spec:", "spec: # here");
    let (folder, cache) = (
        Folder::of(&[("gateway.yaml", GATEWAY), ("plugin.yaml", &text)]),
        Folder::of(&[]),
    );
    let read = || std::fs::read_to_string(folder.file("plugin.yaml")).expect("it is there");
    let args = ["plugin", "lock", "-c", path(&folder)];
    let (code, out, err) = run(&cache, &[&args[..], &["--check"]].concat());
    assert_eq!((code, read()), (Some(1), text.clone()), "{out}{err}");
    let (code, out, err) = run(&cache, &args);
    assert_eq!(code, Some(0), "{out}{err}");
    let locked = format!("{reference}@{image}");
    assert_eq!(read(), text.replace(&reference, &locked));
    assert!(out.contains("1 image locked, 0 locked before"), "{out}");
    // Again, nothing is to be done; with `--update`, the tag counts.
    let second = registry.put("one", "1", &filter("v2"));
    let (code, _, _) = run(&cache, &args);
    assert_eq!((code, read()), (Some(0), text.replace(&reference, &locked)));
    let (code, _, _) = run(&cache, &[&args[..], &["--update"]].concat());
    let updated = format!("{reference}@{second}");
    assert_eq!(
        (code, read()),
        (Some(0), text.replace(&reference, &updated))
    );
}

#[test]
fn lock_leaves_what_it_cannot_look_up_and_fails() {
    let registry = Registry::start();
    let (folder, cache) = (one_plugin(&registry, ""), Folder::of(&[]));
    let before = std::fs::read(folder.file("plugin.yaml")).expect("it is there");
    let (code, out, err) = run(&cache, &["plugin", "lock", "-c", path(&folder)]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(
        err.contains("plugin.yaml:") && err.contains(": error: Plugin default/one: "),
        "{err}"
    );
    assert!(err.contains(" has no one:1"), "{err}");
    let nowhere = folder.file("nosuch");
    let nowhere = nowhere.to_str().expect("UTF-8");
    let (code, _, err) = run(&cache, &["plugin", "lock", "-c", nowhere]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("there is no file or folder"), "{err}");
    let after = std::fs::read(folder.file("plugin.yaml")).expect("it is there");
    assert_eq!(before, after);
}

#[test]
fn what_is_pushed_is_pulled_and_pushed_twice_it_has_one_digest() {
    let registry = Registry::start();
    let (files, cache) = (Folder::of(&[]), Folder::of(&[]));
    files.write("by.wasm", &filter("v1"));
    let module = files.file("by.wasm");
    let module = module.to_str().expect("UTF-8");
    for format in ["compat", "cncf"] {
        let reference = registry.reference(&format!("{format}:1"));
        let args = ["plugin", "push", &reference, module, "--format", format];
        let (code, out, err) = run(&cache, &args);
        assert_eq!(code, Some(0), "{out}{err}");
        let digest = registry.tags()[&format!("{format}:1")].clone();
        assert_eq!(out.trim(), format!("{reference}@{digest}"));
        let (code, again, _) = run(&cache, &args);
        assert_eq!((code, again), (Some(0), out));
        let pulled = files.file("pulled.wasm");
        let (code, out, err) = run(
            &cache,
            &[
                "plugin",
                "pull",
                &reference,
                "-o",
                pulled.to_str().expect("UTF-8"),
            ],
        );
        assert_eq!(code, Some(0), "{out}{err}");
        assert_eq!(std::fs::read(&pulled).expect("it is there"), filter("v1"));
        let (code, out, err) = run(&cache, &["plugin", "inspect", &reference]);
        assert_eq!(code, Some(0), "{out}{err}");
        assert!(
            out.contains(&digest) && out.contains("Proxy-Wasm 0.2.1"),
            "{out}"
        );
        let refused_by_istio = out.contains("refused by     Istio");
        assert_eq!(refused_by_istio, format == "cncf", "{out}");
    }
}

#[test]
fn what_is_packed_is_pushed_as_it_is_and_is_the_image_that_push_would_make() {
    let registry = Registry::start();
    let (files, cache) = (Folder::of(&[]), Folder::of(&[]));
    let module = Wasm::built("cors").module().to_vec();
    files.write("cors.wasm", &module);
    let file = |name: &str| files.file(name).to_str().expect("UTF-8").to_owned();
    let licence = [
        "--annotation",
        "org.opencontainers.image.licenses=Apache-2.0",
    ];
    let pack = |folder: &str, format: &str| {
        let mut command = tidegate();
        command.args(["plugin", "pack", &file("cors.wasm"), "--format", format]);
        command.args(["--output", &file(folder)]).args(licence);
        let (code, out, err) = finish(&mut command);
        assert_eq!(code, Some(0), "{out}{err}");
        let (place, digest) = out.trim().rsplit_once('@').expect("a digest");
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(place, format!("{}:{version}", file(folder)));
        digest.to_owned()
    };
    for format in ["compat", "cncf"] {
        let digest = pack(format, format);
        assert_eq!(pack("again", format), digest, "the same digest twice");
        let push = |tag: &str, what: &str, more: &[&str]| {
            let to = registry.reference(&format!("{format}:{tag}"));
            let args = ["plugin", "push", &to, &file(what)];
            let (code, out, err) = run(&cache, &[&args[..], more].concat());
            assert_eq!(code, Some(0), "{out}{err}");
            assert_eq!(out.trim(), format!("{to}@{digest}"));
        };
        push("folder", format, &[]);
        push(
            "file",
            "cors.wasm",
            &[&licence[..], &["--format", format]].concat(),
        );
        let reference = registry.reference(&format!("{format}:folder"));
        let (code, out, err) = run(&cache, &["plugin", "inspect", &reference]);
        assert_eq!(code, Some(0), "{err}");
        for part in [
            "image.licenses: Apache-2.0",
            "image.title: cors",
            "plugin.abi: 0.2.1",
            "plugin.config-schema: sha256:",
        ] {
            assert!(out.contains(part), "{part}: {out}");
        }
    }
    // A folder of something else.
    let mut command = tidegate();
    command.args(["plugin", "pack", &file("cors.wasm"), "-o", path(&files)]);
    let (code, _, err) = finish(&mut command);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("a folder that is new or empty"), "{err}");
    assert!(!files.file("oci-layout").exists());
    let to = registry.reference("none:1");
    let (code, _, err) = run(&cache, &["plugin", "push", &to, path(&files)]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("no image layout"), "{err}");
}

#[test]
fn what_is_no_filter_is_not_pushed() {
    let registry = Registry::start();
    let (files, cache) = (Folder::of(&[("text.wasm", "hello")]), Folder::of(&[]));
    let module = files.file("text.wasm");
    let reference = registry.reference("text:1");
    let args = [
        "plugin",
        "push",
        &reference,
        module.to_str().expect("UTF-8"),
    ];
    let (code, _, err) = run(&cache, &args);
    assert_eq!(code, Some(1), "{err}");
    assert!(registry.asked().is_empty());
}

#[test]
fn inspect_says_everything_about_a_file_and_about_an_image_as_json() {
    let registry = Registry::start();
    let digest = registry.put("one", "1", &filter("v1"));
    let (files, cache) = (Folder::of(&[]), Folder::of(&[]));
    files.write("by.wasm", &filter("v1"));
    let file = files.file("by.wasm");
    let (code, out, err) = run(
        &cache,
        &["plugin", "inspect", file.to_str().expect("UTF-8")],
    );
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(
        out.contains("imports") && !out.contains("taken by"),
        "{out}"
    );
    let reference = registry.reference("one:1");
    let (code, out, err) = run(
        &cache,
        &[
            "plugin",
            "inspect",
            &format!("oci://{reference}"),
            "--format",
            "json",
        ],
    );
    assert_eq!(code, Some(0), "{out}{err}");
    let page: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(page.pointer("/image/digest"), Some(&digest.into()));
    assert_eq!(page.pointer("/module/abi"), Some(&"0.2.1".into()));
}

#[test]
fn what_is_neither_a_file_nor_a_reference_is_told_why() {
    let cache = Folder::of(&[]);
    for (what, said) in [
        (
            "localhost:5000/x:1@sha256:abc",
            "the digest of \"localhost:5000/x:1@sha256:abc\" cannot be used: ",
        ),
        ("hello-filter:1", "docker.io/library/hello-filter:1"),
        ("http://localhost:5000/x:1", "has the scheme \"http\""),
        ("docker://localhost:5000/x:1", "has the scheme \"docker\""),
    ] {
        let (code, out, err) = run(&cache, &["plugin", "inspect", what]);
        assert_eq!(code, Some(1), "{out}{err}");
        let no_file = format!("there is no file {what}");
        assert!(
            err.contains(&no_file) && err.contains(said),
            "{what}: {err}"
        );
    }
    let (_, _, err) = run(&cache, &["plugin", "inspect", "no.wasm"]);
    assert!(err.contains("cannot read plugin file no.wasm"), "{err}");
}

#[test]
fn a_login_on_the_command_line_is_a_file_and_never_shown() {
    let registry = Registry::start();
    registry.put("one", "1", &filter("v1"));
    registry.want_login(Some("Basic dXNlcjpzZXNhbWU="));
    let (files, cache) = (Folder::of(&[("password", "sesame\n")]), Folder::of(&[]));
    let reference = registry.reference("one:1");
    let args = ["plugin", "pull", &reference, "-o", "-"];
    let (code, _, err) = run(&cache, &args);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("401") && err.contains("pullSecret"), "{err}");
    files.write("by.wasm", &filter("v1"));
    let module = files.file("by.wasm");
    let module = module.to_str().expect("UTF-8");
    let (code, _, err) = run(&cache, &["plugin", "push", &reference, module]);
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains("401")
            && err.contains("`--username` and `--password-file`")
            && !err.contains("pullSecret"),
        "{err}"
    );
    let password = files.file("password");
    let login = [
        "--username",
        "user",
        "--password-file",
        password.to_str().expect("UTF-8"),
    ];
    let output = command(&cache, &[&args[..], &login].concat())
        .output()
        .expect("it runs");
    assert_eq!(output.stdout, filter("v1"));
}

#[test]
fn a_proxy_takes_its_plugins_from_registries_and_then_from_the_cache() {
    let registry = Registry::start();
    registry.put("one", "1", &filter("v1"));
    let origin = Origin::answers(200, "apples");
    let cache = Folder::of(&[]);
    let reference = registry.reference("one:1");
    let to = format!("http://{}", origin.address());
    for is_down in [false, true] {
        registry.set_down(is_down);
        let args = [
            "proxy",
            "--listen",
            "127.0.0.1:0",
            "--to",
            &to,
            "--plugin",
            &reference,
        ];
        let gateway = Running::spawn_bare(&mut command(&cache, &args));
        let line = eventually("the address", || {
            gateway
                .log()
                .into_iter()
                .find(|line| line.contains("listening on"))
        });
        let address = line.rsplit_once(' ').expect("an address").1;
        let answer = Client::connect(address.parse().expect("an address")).get("/");
        assert_eq!(answer.field("x-by"), Some("v1"));
    }
}

#[test]
fn a_proxy_whose_plugin_cannot_be_had_says_why_and_does_not_start() {
    let registry = Registry::start();
    registry.treat("one", Mood::Answers(403));
    let cache = Folder::of(&[]);
    let reference = registry.reference("one:1");
    let args = [
        "proxy",
        "--to",
        "http://127.0.0.1:1",
        "--plugin",
        &reference,
    ];
    let (code, _, err) = run(&cache, &args);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("403") && err.contains(&reference), "{err}");
    let (code, _, err) = run(
        &cache,
        &["proxy", "--to", "http://127.0.0.1:1", "--plugin", "no.wasm"],
    );
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("cannot read plugin file no.wasm"), "{err}");
}
