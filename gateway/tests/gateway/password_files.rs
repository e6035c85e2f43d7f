//! Users of `basic-auth` from a file that changes under traffic.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use tidegate_testkit::Client;
use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::backend;
use crate::process::route;

const PLUGIN: &str = "apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: { name: people }
spec:
  source: { builtin: basic-auth }
  config: { users: { valueFrom: { file: ./people.htpasswd } } }
  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }]
";

// htpasswd -nbBC 4 ada 's3cret pass', with -nbs in the other.
const ADA: &str = "ada:$2y$04$Rw9gJZxLYHlDTo9/D434B.E9XYb1WLbXNETLuPXbaGQWr3gxHtUsm\n";
const SHA: &str = "sha:{SHA}xO2etOilyqtV8o1RvvnmkeBx7QI=\n";
/// `ada:s3cret pass` and `sha:sha-pass`.
const AS_ADA: &str = "YWRhOnMzY3JldCBwYXNz";
const AS_SHA: &str = "c2hhOnNoYS1wYXNz";

fn status(client: &mut Client, credentials: &str) -> u16 {
    let head =
        format!("GET / HTTP/1.1\r\nhost: localhost\r\nauthorization: Basic {credentials}\r\n\r\n");
    client.send(head);
    client.response().status()
}

#[test]
fn a_password_file_changes_under_traffic_and_a_broken_one_changes_nothing() {
    let origin = Origin::answers(200, "in");
    let files = Folder::of(&[
        ("gateway.yaml", GATEWAY),
        ("route.yaml", &route("texts")),
        ("backend.yaml", &backend("texts", origin.address())),
        ("plugin.yaml", PLUGIN),
        ("people.htpasswd", ADA),
    ]);
    let gateway = Running::start(&files, &[]);
    let address = gateway.address().expect("it listens");
    let (over, requests) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let traffic = {
        let (over, requests) = (Arc::clone(&over), Arc::clone(&requests));
        thread::spawn(move || {
            let mut client = Client::connect(address);
            while !over.load(Ordering::Relaxed) {
                assert_eq!(status(&mut client, AS_ADA), 200);
                requests.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let some_traffic = || {
        let from = requests.load(Ordering::Relaxed);
        eventually("requests of ada", || {
            (requests.load(Ordering::Relaxed) > from + 20).then_some(())
        });
    };
    let becomes = |expected: u16| {
        eventually("the change to serve", || {
            let mut client = Client::connect(address);
            (status(&mut client, AS_SHA) == expected).then_some(())
        });
    };
    some_traffic();
    becomes(401);
    files.write("people.htpasswd", [ADA, SHA].concat().as_bytes());
    becomes(200);
    some_traffic();

    // The mistake is told by its line, and not by what stands there; the page of the resources says
    // nothing of values that come from elsewhere.
    let broken = [ADA, "sha:hunter2\n"].concat();
    files.write("people.htpasswd", broken.as_bytes());
    let line = gateway.logs("users: line 2: ");
    assert!(!line.contains("hunter2"), "{line}");
    some_traffic();
    becomes(200);
    // The line is there first: the version before serves on only once it is known what is wrong.
    let people = eventually("the page to say that an older version serves", || {
        let people = gateway.resource("Plugin", "people").expect("it is listed");
        (people["lastGood"] == true).then_some(people)
    });
    assert!(!people.to_string().contains("hunter2"), "{people}");

    files.write("people.htpasswd", ADA.as_bytes());
    becomes(401);
    some_traffic();
    over.store(true, Ordering::Relaxed);
    traffic.join().expect("no request of ada failed");
}
