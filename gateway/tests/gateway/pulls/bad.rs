//! What a registry, a disk or an image can do wrong: each time the reason has a name, says what to do
//! about it, and takes nothing away from what serves.

use std::path::Path;
use std::process::Command;

use tidegate_testkit::Authority;
use tidegate_testkit::Leaf;
use tidegate_testkit::Mood;
use tidegate_testkit::Registry;
use tidegate_testkit::TlsFront;
use tidegate_testkit::eventually;

use super::World;
use super::ask_again;
use super::by;
use super::filter;
use super::plugin;
use super::ready;
use super::serves;
use super::source;
use crate::process::Running;
use crate::process::tidegate;

const ARCHIVE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Something bad, and words of the error about it.
type Bad = (&'static str, fn(&Registry), &'static [&'static str]);

const BAD: &[Bad] = &[
    (
        "not a registry",
        |registry| registry.treat("one", Mood::Page),
        &["a page (text/html)", "no OCI registry"],
    ),
    (
        "no such tag",
        |registry| registry.untag("one", "1"),
        &[" has no one:1"],
    ),
    (
        "401",
        |registry| registry.want_login(Some("Basic bm90aGluZw==")),
        &["401", "docker login"],
    ),
    (
        "403",
        |registry| registry.treat("one", Mood::Answers(403)),
        &["403"],
    ),
    (
        "a registry that is ill",
        |registry| registry.treat("one", Mood::Answers(500)),
        &["500"],
    ),
    (
        "a wrong digest",
        |registry| {
            registry.put("one", "1", &filter("v2"));
            registry.treat("one", Mood::WrongBlobs);
        },
        &["digest"],
    ),
    (
        "not Wasm",
        |registry| drop(registry.put("one", "1", b"a text")),
        &["tidegate plugin push"],
    ),
    (
        "a component",
        |registry| drop(registry.put("one", "1", b"\0asm\x0d\0\x01\0")),
        &["is a component", "wasm32-unknown-unknown"],
    ),
    (
        "a version of the ABI that nobody has",
        |registry| {
            let text = "(module (func (export \"proxy_abi_version_9_9_9\")))";
            let module = wat::parse_str(text).expect("a module");
            registry.put("one", "1", &module);
        },
        &["proxy_abi_version_9_9_9"],
    ),
    (
        "a module that is none behind its first bytes",
        |registry| drop(registry.put("one", "1", b"\0asm\x01\0\0\0broken")),
        &["InvalidModule"],
    ),
    (
        "more than anybody wants",
        |registry| drop(registry.put_claim("one", "1", b"", 3 << 30)),
        &["3221225472", "67108864"],
    ),
    (
        "a path that leaves the archive",
        |registry| put_archive(registry, &["--transform", "s,^,../../,", "plugin.wasm"]),
        &["../../plugin.wasm", "leaves the archive"],
    ),
    (
        "a link in an archive",
        |registry| put_archive(registry, &["--transform", "s,^link,plugin.wasm,", "link"]),
        &["plugin.wasm", "links are not followed"],
    ),
    (
        "an archive that is damaged",
        |registry| drop(registry.put_content("one", "1", ARCHIVE, b"\x1f\x8b\x08\0damaged")),
        &["is damaged"],
    ),
];

/// An image of an archive that tar(1) makes, of a folder with a module and a link.
fn put_archive(registry: &Registry, args: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("plugin.wasm"), filter("v2")).expect("written");
    std::os::unix::fs::symlink("/etc/passwd", path("link")).expect("linked");
    let mut tar = Command::new("tar");
    tar.args(["-czPf", "-", "-C"]).arg(folder.path()).args(args);
    let output = tar.output().expect("tar runs");
    assert!(output.status.success(), "{output:?}");
    registry.put_content("one", "1", ARCHIVE, &output.stdout);
}

/// All that is said about the plugin.
fn said(gateway: &Running) -> String {
    let resource = gateway.resource("Plugin", "one").expect("it is there");
    let error = source(gateway, "lastError");
    format!("{} {resource}", error.as_str().unwrap_or_default())
}

#[test]
fn whatever_a_tag_comes_to_be_the_last_good_version_serves_and_the_reason_is_named() {
    let world = World::new("pullPolicy: Always");
    let good = world.registry.put("one", "1", &filter("v1"));
    let gateway = world.start(&[]);
    serves(&gateway, "v1");
    for (what, make, words) in BAD {
        make(&world.registry);
        ask_again(&gateway);
        eventually(&format!("what is said of {what}"), || {
            let said = said(&gateway);
            words.iter().all(|word| said.contains(word)).then_some(())
        });
        assert_eq!(by(&gateway), "v1", "{what}");
        assert_eq!(ready(&gateway).0, 200, "{what}");
        world.registry.treat("one", Mood::Fine);
        world.registry.want_login(None);
        world.registry.tag("one", "1", &good);
        ask_again(&gateway);
        eventually(&format!("peace after {what}"), || {
            let is_known = source(&gateway, "imageDigest") == good;
            (is_known && source(&gateway, "lastError").is_null()).then_some(())
        });
    }
    world.registry.put("one", "1", &filter("v2"));
    ask_again(&gateway);
    serves(&gateway, "v2");
}

#[test]
fn a_registry_whose_certificate_nobody_vouches_for_is_not_believed() {
    let world = World::new("");
    world.registry.put("one", "1", &filter("v1"));
    let (good, other) = (Authority::root("good"), Authority::root("other"));
    let front = |authority: &Authority| {
        let pair = authority.sign(&Leaf::named("localhost"));
        TlsFront::new(world.registry.address(), &pair, &["http/1.1"], None)
    };
    let (believed, unknown) = (front(&good), front(&other));
    let host = |front: &TlsFront| format!("localhost:{}", front.address().port());
    world.folder.write("ca.pem", good.pem.as_bytes());
    let file = world.folder.file("ca.pem");
    let named = |front| format!("{}={}", host(front), file.display());
    let flags = [
        "--registry-ca",
        &named(&believed),
        "--registry-ca",
        &named(&unknown),
    ];
    let write = |front| {
        let text = plugin("one", &format!("{}/one:1", host(front)), "");
        world.folder.write("plugin.yaml", text.as_bytes());
    };
    write(&believed);
    let gateway = world.start(&flags);
    serves(&gateway, "v1");
    world.registry.put("one", "1", &filter("v2"));
    write(&unknown);
    let why = eventually("the refusal", || {
        source(&gateway, "lastError").as_str().map(str::to_owned)
    });
    assert!(
        why.contains("no secure connection") && why.contains("--registry-ca"),
        "{why}"
    );
    assert_eq!(by(&gateway), "v1", "the version before serves");
    let (status, text) = ready(&gateway);
    assert_eq!(status, 200);
    assert!(text.contains("the version before it serves"), "{text}");
}

/// A gateway whose files may have at most so many KiB, without the signal that would end it.
fn start_limited(world: &World, kib: u32) -> Running {
    let mut gateway = tidegate();
    gateway.args(["run", "--state-dir", "off", "--admin", "127.0.0.1:0"]);
    gateway.args(["--workers", "1", "--plugin-cache"]);
    gateway.arg(world.cache.path()).arg("-c");
    gateway.arg(world.folder.path());
    // Shells count in 512 bytes, some in 1024.
    let mut limited = Command::new("sh");
    limited.args([
        "-c",
        &format!("trap '' XFSZ; ulimit -f {kib}; exec \"$@\""),
        "sh",
    ]);
    limited.arg(gateway.get_program()).args(gateway.get_args());
    for (name, value) in gateway.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    Running::spawn(&mut limited)
}

#[test]
fn a_full_disk_is_named_and_the_last_good_version_serves() {
    let world = World::new("pullPolicy: Always");
    world.registry.put("one", "1", &filter("v1"));
    let gateway = start_limited(&world, 64);
    serves(&gateway, "v1");
    let section = [&[0, 0x81, 0x80, 0x10, 0][..], &[0; 1 << 18]].concat();
    let large = [filter("v2"), section].concat();
    world.registry.put("one", "1", &large);
    ask_again(&gateway);
    let why = eventually("the reason", || {
        source(&gateway, "lastError").as_str().map(str::to_owned)
    });
    assert!(why.contains("no space is left for"), "{why}");
    assert_eq!(by(&gateway), "v1");
    let unfinished = |path: &Path| path.extension().is_some_and(|it| it == "new");
    eventually("nothing half to be left", || {
        let blobs = std::fs::read_dir(world.cache.path().join("blobs/sha256")).ok()?;
        let left = blobs.flatten().filter(|it| unfinished(&it.path()));
        (left.count() == 0).then_some(())
    });
    world.registry.put("one", "1", &filter("v3"));
    ask_again(&gateway);
    serves(&gateway, "v3");
}

#[test]
fn a_cache_of_another_user_is_not_used_and_the_reason_is_said() {
    let world = World::new("");
    world.registry.put("one", "1", &filter("v1"));
    // Root's own folder, or for root one that is given away.
    let theirs = tempfile::tempdir().expect("a folder");
    let path = match std::os::unix::fs::chown(theirs.path(), Some(65534), None) {
        Ok(()) => theirs.path(),
        Err(_) => Path::new("/"),
    };
    let path = path.to_str().expect("UTF-8");
    let gateway = Running::start(&world.folder, &["--plugin-cache", path]);
    let why = eventually("the reason", || {
        source(&gateway, "lastError").as_str().map(str::to_owned)
    });
    assert!(
        why.contains("belongs to user") && why.contains("choose another folder"),
        "{why}"
    );
    assert_eq!(by(&gateway), "503");
    assert!(world.registry.asked().is_empty(), "nothing is pulled");
}

#[test]
fn a_start_with_a_pull_that_never_ends_serves_reloads_and_ends() {
    for mood in [Mood::Hangs, Mood::HangsAtBlobs] {
        let world = World::new("pullPolicy: Always");
        world.registry.put("one", "1", &filter("v1"));
        world.registry.put("slow", "1", &filter("slow"));
        world.registry.treat("slow", mood);
        let reference = world.registry.reference("slow:1");
        let slow = plugin("slow", &reference, "failurePolicy: FailOpen");
        world.folder.write("slow.yaml", slow.as_bytes());
        let mut gateway = world.start(&[]);
        serves(&gateway, "v1");
        let (status, text) = ready(&gateway);
        assert_eq!(status, 503, "for --pull-wait: {text}");
        assert!(text.contains(&reference), "{text}");
        world.registry.put("one", "1", &filter("v2"));
        ask_again(&gateway);
        serves(&gateway, "v2");
        // Without it, nothing is waited for.
        std::fs::remove_file(world.folder.file("slow.yaml")).expect("it is ours");
        eventually("readiness", || (ready(&gateway).0 == 200).then_some(()));
        world.folder.write("slow.yaml", slow.as_bytes());
        eventually("the pull", || {
            let page = gateway.json("/plugins").to_string();
            page.contains("\"pulling\":true").then_some(())
        });
        gateway.signal("TERM");
        assert_eq!(gateway.wait(), Some(0));
    }
}
