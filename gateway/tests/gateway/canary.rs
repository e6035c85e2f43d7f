//! The policy canary in a gateway, and behind Envoy's routes: the same client has the same version in both.

use std::net::SocketAddr;

use tidegate_testkit::Client;
use tidegate_testkit::Envoy;
use tidegate_testkit::EnvoyConfig;
use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::ask;
use crate::process::backend;
use crate::process::finish;
use crate::process::tidegate;

/// The Plugin `canary` with this configuration.
fn plugin(config: &str) -> String {
    format!(
        "\n---\napiVersion: tidegate.dev/v1alpha1\nkind: Plugin\nmetadata: {{ name: canary }}\nspec:\n  \
         source: {{ builtin: canary }}\n  config: {config}\n"
    )
}

/// A route with that plugin and these backendRefs.
fn split(refs: &[&str]) -> String {
    let refs = refs
        .iter()
        .map(|it| format!("{{ group: tidegate.dev, kind: Backend, {it} }}"));
    let refs: Vec<String> = refs.collect();
    format!(
        "\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{ name: shop }}\nspec:\n  \
         parentRefs: [{{ name: edge }}]\n  rules:\n    - filters: [{{ type: ExtensionRef, extensionRef: \
         {{ group: tidegate.dev, kind: Plugin, name: canary }} }}]\n      backendRefs: [{}]\n",
        refs.join(", ")
    )
}

fn backends(addresses: [SocketAddr; 2]) -> String {
    let [old, new] = addresses;
    format!("{}\n---\n{}", backend("old", old), backend("new", new))
}

#[test]
fn check_remarks_on_weights_that_say_something_else() {
    let nowhere = [SocketAddr::from(([127, 0, 0, 1], 9)); 2];
    let three = "{ versions: [{ name: a }, { name: b, weight: 30, backend: new }, { name: c, weight: 20 }] }";
    for (config, refs, remark) in [
        // All to one is for when the plugin does not run, and the same shares say the same.
        (
            "{ weight: 5 }",
            &["name: old", "name: new, weight: 0"][..],
            "",
        ),
        ("{ weight: 5 }", &["name: old, weight: 19", "name: new"], ""),
        (
            "{ weight: 0.01 }",
            &["name: old, weight: 9999", "name: new"],
            "",
        ),
        (
            "{ weight: 5 }",
            &["name: old", "name: new"],
            "the Plugin gives `default/new` 5 % of the requests of `default/shop/0`, and the weights of \
             backendRefs give it 50 %",
        ),
        (
            "{ weight: 2.5 }",
            &["name: old, weight: 95", "name: new, weight: 5"],
            "2.5 % of the requests of `default/shop/0`, and the weights of backendRefs give it 5 %",
        ),
        ("{ weight: 5 }", &["name: old"], "its rules have one each"),
        (
            three,
            &[
                "name: old, weight: 5",
                "name: new, weight: 3",
                "name: old, weight: 2",
            ],
            "",
        ),
        (
            three,
            &[
                "name: old, weight: 5",
                "name: new, weight: 3",
                "name: old, weight: 3",
            ],
            "gives `default/old` 20 %",
        ),
        (
            three,
            &["name: old", "name: new"],
            "the rule `default/shop/0` has no backendRefs[2]",
        ),
        (
            three,
            &["name: old", "name: old", "name: old"],
            "has no backendRef `new`",
        ),
        // What is decided by match alone has no shares.
        (
            "{ match: [{ headers: { a: b } }] }",
            &["name: old", "name: new"],
            "",
        ),
    ] {
        let text = [
            GATEWAY,
            &plugin(config),
            &split(refs),
            "\n---\n",
            &backends(nowhere),
        ]
        .concat();
        let folder = Folder::of(&[("gateway.yaml", &text)]);
        let (code, out, err) = finish(tidegate().arg("check").arg("-c").arg(folder.path()));
        assert_eq!(code, Some(0), "{out}{err}");
        if remark.is_empty() {
            assert!(out.contains("no problems"), "{config} {refs:?}: {out}");
            continue;
        }
        let words = out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(remark), "{config} {refs:?}: {out}");
        assert!(words.contains("1 warning"), "{config} {refs:?}: {out}");
        assert!(words.contains("gateway.yaml:"), "{out}");
    }
}

#[test]
fn a_version_has_the_filters_of_its_backend_ref_and_metrics_of_its_own() {
    let (old, new) = (Origin::answers(200, "old"), Origin::answers(200, "new"));
    let edit = |what: &str| {
        format!(
            "filters: [{{ type: RequestHeaderModifier, requestHeaderModifier: {{ set: [{{ name: x-edit, \
             value: {what} }}] }} }}, {{ type: ResponseHeaderModifier, responseHeaderModifier: {{ set: \
             [{{ name: x-edit, value: {what} }}] }} }}]"
        )
    };
    let refs = [
        format!("name: old, weight: 1, {}", edit("of-old")),
        format!("name: new, weight: 0, {}", edit("of-new")),
    ];
    let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
    // Buckets: bob 1787, alice 6726.
    let config = "{ weight: 50, key: { header: x-user } }";
    let addresses = [old.address(), new.address()];
    let text = [
        GATEWAY,
        &plugin(config),
        &split(&refs),
        "\n---\n",
        &backends(addresses),
    ]
    .concat();
    let folder = Folder::of(&[("gateway.yaml", &text)]);
    let gateway = Running::start(&folder, &["--access-log", "off"]);
    let address = gateway.address().expect("it listens");
    for (user, body, edited, version) in [
        ("alice", "old", "of-old", "stable"),
        ("bob", "new", "of-new", "canary"),
    ] {
        let fields = format!("Host: a\r\nx-user: {user}\r\n");
        let answer = ask(address, "GET /", &fields);
        assert_eq!(answer.text(), body, "{user}");
        assert_eq!(answer.field("x-edit"), Some(edited), "{user}");
        let origin = if body == "old" { &old } else { &new };
        let request = origin.only_request();
        assert_eq!(request.field("x-edit"), Some(edited), "{user}");
        assert_eq!(request.field("x-version"), Some(version), "{user}");
    }
    eventually("the metrics", || {
        let page = gateway.admin("GET /metrics").text();
        let counts = |name: &str| {
            let mut lines = page.lines().filter(|line| !line.starts_with('#'));
            lines.any(|line| line.contains(name) && line.ends_with(" 1"))
        };
        (counts("canary_stable") && counts("canary_canary")).then_some(())
    });
}

#[test]
fn envoys_routes_send_a_client_where_this_gateway_does() {
    if !Envoy::wanted() {
        return;
    }
    let (old, new) = (Origin::answers(200, "old"), Origin::answers(200, "new"));
    let folder = Folder::of(&[]);
    let builtins = tidegate_builtins::all();
    let module = builtins.iter().find(|it| it.name == "canary");
    folder.write("canary.wasm", module.expect("it is built in").module);
    let config = r#"{"weight": 50, "key": {"header": "x-user"}}"#;
    let module = folder.file("canary.wasm");
    let text = EnvoyConfig::new()
        .route(
            "match: { prefix: /, headers: [{ name: x-version, string_match: { exact: canary } }] }\n\
             route: { cluster: new }",
        )
        .route("match: { prefix: / }\nroute: { cluster: old }")
        // One that has the route looked for before the version is known.
        .filter("buffer.v3.Buffer", &["max_request_bytes: 1000"])
        .wasm("canary", &module, config)
        .cluster("old", old.address())
        .cluster("new", new.address())
        .to_string();
    let request = |user: &str| format!("GET / HTTP/1.1\r\nHost: a\r\nx-user: {user}\r\n\r\n");
    let envoy = Envoy::start(&text).until(&request("alice"), 200);
    let mut client = Client::connect(envoy.address());
    for (user, body) in [
        ("alice", "old"),
        ("bob", "new"),
        ("42", "old"),
        ("alice", "old"),
    ] {
        client.send(request(user));
        assert_eq!(client.response().text(), body, "{user}");
    }
}
