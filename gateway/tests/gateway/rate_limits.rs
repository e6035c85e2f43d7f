//! The filter rate-limit in a whole gateway: many connections on several workers count as one, and counts
//! outlive what changes.

use std::net::SocketAddr;
use std::thread;

use tidegate_testkit::Client;
use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::backend;
use crate::process::route;
use crate::process::tidegate;

/// How many requests the limit admits at once, and as good as never again.
const LIMIT: usize = 400;

fn plugin(limits: &str, more: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: {{ name: fair-use }}
spec:
  source: {{ builtin: rate-limit }}
  config: {{ limits: [{limits}], {more} }}
  targetRefs: [{{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }}]
"
    )
}

fn daily() -> String {
    plugin(&format!("{{ requests: {LIMIT}, window: 24h }}"), "")
}

fn start(origin: &Origin, plugin: &str) -> (Folder, Running) {
    let files = Folder::of(&[
        ("gateway.yaml", GATEWAY),
        ("route.yaml", &route("texts")),
        ("backend.yaml", &backend("texts", origin.address())),
        ("plugin.yaml", plugin),
    ]);
    let mut command = tidegate();
    command.arg("run").arg("-c").arg(files.path());
    command.args([
        "--admin",
        "127.0.0.1:0",
        "--state-dir",
        "off",
        "--workers",
        "4",
    ]);
    (files, Running::spawn(&mut command))
}

/// How many of so many requests on so many connections at once are admitted.
fn admitted(gateway: &Running, connections: usize, each: usize) -> usize {
    admitted_at(gateway.address().expect("it listens"), connections, each)
}

fn admitted_at(address: SocketAddr, connections: usize, each: usize) -> usize {
    let connection = move || {
        let mut client = Client::connect(address);
        let statuses = (0..each).map(|_| client.get("/").status());
        let statuses: Vec<u16> = statuses.collect();
        assert!(statuses.iter().all(|it| [200, 429].contains(it)));
        statuses.iter().filter(|it| **it == 200).count()
    };
    let threads: Vec<_> = (0..connections)
        .map(|_| thread::spawn(connection))
        .collect();
    threads
        .into_iter()
        .map(|it| it.join().expect("no panic"))
        .sum()
}

#[test]
fn connections_on_all_workers_are_admitted_exactly_what_one_limit_admits() {
    let origin = Origin::answers(200, "in");
    let (_files, gateway) = start(&origin, &daily());
    assert_eq!(admitted(&gateway, 32, 40), LIMIT);
    let space = "tidegate_plugin_limited_keys{space=\"default/plugin/default/fair-use\"}";
    assert_eq!(gateway.metric(space), Some(1.0));
}

#[test]
fn counts_outlive_changes_of_the_configuration_and_end_with_the_plugin() {
    let origin = Origin::answers(200, "in");
    let (files, gateway) = start(&origin, &daily());
    assert_eq!(admitted(&gateway, 4, 50), 200);
    let told = |gateway: &Running| gateway.get("/").field("ratelimit").map(str::to_owned);
    assert!(told(&gateway).is_some());
    // The one that was told of, and one that finds the change.
    let limits =
        format!("{{ requests: {LIMIT}, window: 24h }}, {{ requests: 100000, window: 1s }}");
    files.write("plugin.yaml", plugin(&limits, "headers: off").as_bytes());
    let mut asked = 1;
    eventually("the change to serve", || {
        asked += 1;
        told(&gateway).is_none().then_some(())
    });
    assert_eq!(admitted(&gateway, 4, 100), LIMIT - 200 - asked);

    std::fs::remove_file(files.file("plugin.yaml")).expect("it was there");
    eventually("the plugin to go", || {
        (gateway.get("/").status() == 200).then_some(())
    });
    files.write("plugin.yaml", daily().as_bytes());
    eventually("the plugin to come back", || told(&gateway));
    assert_eq!(gateway.get("/").status(), 200);
}

#[test]
fn a_filter_that_may_not_call_the_host_keeps_limits_in_shared_data_of_all_workers() {
    let origin = Origin::answers(200, "in");
    let module = tidegate_builtins::find("rate-limit").expect("it is built in");
    let config = format!(r#"{{"limits": [{{"requests": {LIMIT}, "window": "24h"}}]}}"#);
    let allowed = [
        "proxy_log",
        "proxy_get_property",
        "proxy_get_header_map_value",
        "proxy_get_header_map_pairs",
        "proxy_replace_header_map_value",
        "proxy_send_local_response",
        "proxy_get_shared_data",
        "proxy_set_shared_data",
        "proxy_define_metric",
        "proxy_increment_metric",
        "proxy_get_buffer_bytes",
        "clock_time_get",
        "random_get",
        "proxy_get_current_time_nanoseconds",
        "proxy_on_context_create",
        "proxy_on_vm_start",
        "proxy_on_configure",
        "proxy_on_request_headers",
        "proxy_on_response_headers",
        "proxy_on_done",
        "proxy_on_log",
        "proxy_on_delete",
    ];
    let filter = Wasm::bytes("rate-limit", module.module.to_vec())
        .config(&config)
        .with(|spec| spec.allowed = Some(allowed.map(str::to_owned).to_vec()));
    let gateway = Gateway::to(origin.address())
        .plugin(&filter)
        .workers(4)
        .start();
    let admitted = admitted_at(gateway.address(), 32, 40);
    assert!(
        gateway.metrics().limited_keys.is_empty(),
        "the host keeps none"
    );
    // Two workers that find no slot at the same moment may count one request between them.
    let at_most = LIMIT + 4;
    assert!((LIMIT..=at_most).contains(&admitted), "{admitted}");
}
