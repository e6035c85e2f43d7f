//! When a gateway is ready whose plugins are pulled, and that nothing is pulled twice for that.

use std::os::unix::net::UnixDatagram;

use tidegate_testkit::LIMIT;
use tidegate_testkit::Mood;
use tidegate_testkit::eventually;

use super::World;
use super::by;
use super::filter;
use super::plugin;
use super::ready;
use super::serves;
use crate::process::Running;
use crate::process::tidegate;

/// A service manager.
struct Manager {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("bound");
        socket.set_read_timeout(Some(LIMIT)).expect("set");
        Self { socket, folder }
    }

    fn start(&self, world: &World, args: &[&str]) -> Running {
        let mut command = tidegate();
        command.args(["run", "--admin", "127.0.0.1:0", "--state-dir", "off"]);
        command.arg("-c").arg(world.folder.path());
        command.arg("--plugin-cache").arg(world.cache.path());
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        Running::spawn(command.args(args))
    }

    fn next(&self) -> String {
        let mut bytes = [0; 1024];
        let count = self.socket.recv(&mut bytes).expect("a message");
        let message = bytes.get(..count).unwrap_or_default();
        String::from_utf8_lossy(message).into_owned()
    }
}

#[test]
fn the_service_manager_is_told_only_once_plugins_are_here() {
    let world = World::new("");
    world.registry.put("one", "1", &filter("v1"));
    world.registry.treat("one", Mood::Answers(503));
    let manager = Manager::new();
    let gateway = manager.start(&world, &[]);
    let waiting = "STATUS=waiting for plugins that are being pulled";
    assert_eq!(manager.next(), waiting);
    assert_eq!(ready(&gateway).0, 503);
    // A reload is no reason to say it earlier.
    gateway.admin("POST /reload");
    assert_eq!(manager.next(), waiting);
    world.registry.treat("one", Mood::Fine);
    gateway.admin("POST /reload");
    let message = eventually("another word", || {
        Some(manager.next()).filter(|message| message != waiting)
    });
    assert!(message.starts_with("READY=1\n"), "{message}");
    assert_eq!(ready(&gateway).0, 200);
    assert_eq!(by(&gateway), "v1");
}

#[test]
fn the_service_manager_waits_no_longer_than_readiness() {
    let world = World::new("");
    world.registry.treat("one", Mood::Hangs);
    let manager = Manager::new();
    let gateway = manager.start(&world, &["--pull-wait", "1s"]);
    let waiting = "STATUS=waiting for plugins that are being pulled";
    let mut messages = vec![manager.next()];
    while messages.last().is_some_and(|last| last == waiting) {
        messages.push(manager.next());
    }
    // On a busy machine it may have started for so long that it never waits.
    let is_ready = |last: &String| last.starts_with("READY=1\nSTATUS=");
    assert!(messages.last().is_some_and(is_ready), "{messages:?}");
    let (status, text) = ready(&gateway);
    assert!(status == 200 && text.contains("not here yet"), "{text}");
}

#[test]
fn several_plugins_of_one_image_are_one_download() {
    let world = World::new("");
    let image = world.registry.put("one", "1", &filter("v1"));
    world.registry.tag("one", "2", &image);
    let mut all = String::new();
    let pinned = format!("one@{image}");
    let policies = ["pullPolicy: Always", "pullPolicy: IfNotPresent"];
    let intervals = ["pullInterval: 20s", "pullInterval: 30s"];
    for (at, (name, more)) in [
        ("one:1", policies[0]),
        ("one:1", policies[1]),
        ("one:1", intervals[0]),
        ("one:2", intervals[1]),
        (pinned.as_str(), ""),
    ]
    .into_iter()
    .enumerate()
    {
        let reference = world.registry.reference(name);
        all.push_str(&plugin(&format!("p{at}"), &reference, more));
        all.push_str("---");
    }
    let all = all.trim_end_matches("---");
    world.folder.write("plugin.yaml", all.as_bytes());
    let gateway = world.start(&[]);
    serves(&gateway, "v1");
    eventually("all of them", || {
        let answer = gateway.get("/");
        (answer.values("x-by").len() == 5).then_some(())
    });
    let asked = world.registry.asked();
    let blobs = asked.iter().filter(|line| line.contains("/blobs/"));
    assert_eq!(blobs.count(), 1, "{asked:?}");
}
