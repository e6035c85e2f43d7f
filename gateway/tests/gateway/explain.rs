//! `tidegate explain` as operators meet it: what it says is what the gateway does.

use crate::process::Folder;
use crate::process::finish;
use crate::process::tidegate;

const CONFIG: &str = r#"apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: tidegate
  addresses: [{ type: IPAddress, value: 127.0.0.1 }]
  listeners:
  - { name: http, port: 8080, protocol: HTTP }
  - { name: https, port: 8443, protocol: HTTPS, hostname: shop.test, tls: { certificateRefs: [{ name: pair }] } }
  - { name: pass, port: 8443, protocol: TLS, hostname: vault.test, tls: { mode: Passthrough } }
  - { name: cache, port: 6379, protocol: TCP }
---
apiVersion: v1
kind: Secret
metadata: { name: pair }
type: kubernetes.io/tls
stringData: { tls.crt: never read, tls.key: hush }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop }
spec:
  parentRefs: [{ name: edge }]
  hostnames: [shop.test]
  rules:
  - name: beta
    matches: [{ path: { value: /cart }, headers: [{ name: x-beta, value: "1" }] }]
    timeouts: { request: 3s }
    filters:
    - { type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x-secret, value: hush }] } }
    - { type: ExtensionRef, extensionRef: { group: tidegate.dev, kind: Plugin, name: guard } }
    backendRefs:
    - { group: tidegate.dev, kind: Backend, name: api, weight: 9 }
    - { group: tidegate.dev, kind: Backend, name: lost }
  - matches: [{ path: { value: /old } }]
    filters: [{ type: RequestRedirect, requestRedirect: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /new } } }]
  - matches: [{ path: { value: /none } }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: { name: vault }
spec:
  parentRefs: [{ name: edge, sectionName: pass }]
  hostnames: [vault.test]
  rules: [{ backendRefs: [{ group: tidegate.dev, kind: Backend, name: api }] }]
---
apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: { name: api }
spec: { endpoints: [{ address: "127.0.0.1:9001" }, { address: "127.0.0.1:9002" }] }
---
apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: { name: guard }
spec: { source: { file: guard.wasm } }
---
apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: { name: count }
spec:
  source: { file: count.wasm }
  failurePolicy: FailOpen
  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: edge, sectionName: https }]
"#;

fn explain(folder: &Folder, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = tidegate();
    command.args(["explain", "-c"]).arg(folder.path());
    finish(command.args(args))
}

fn folder() -> Folder {
    Folder::of(&[("gateway.yaml", CONFIG)])
}

#[track_caller]
fn says(args: &[&str], code: i32, expected: &str) {
    let (got, out, err) = explain(&folder(), args);
    assert_eq!(out, expected, "{args:?}: {err}");
    assert_eq!(got, Some(code), "{args:?}");
}

#[test]
fn a_request_is_followed_from_its_address_to_its_backends() {
    says(
        &[
            "GET",
            "https://shop.test:8443/%63art?a=b",
            "-H",
            "X-Beta: 1",
        ],
        0,
        "address   127.0.0.1:8443 (default/edge@127.0.0.1:8443)\n\
         tls       ends here with default/pair\n\
         listener  default/edge/https\n\
         plugin    default/count (FailOpen)\n\
         rule      default/shop/beta\n\
         filter    request fields: set x-secret\n\
         plugin    default/guard (FailClosed)\n\
         time-out  3s for the exchange\n\
         backend   default/api, weight 9: 127.0.0.1:9001, 127.0.0.1:9002\n\
         backend   none, weight 1: the reference leads nowhere (500)\n",
    );
    says(
        &[
            "GET",
            "http://127.0.0.1:8080/old/a?b",
            "-H",
            "host: shop.test",
        ],
        0,
        "address   127.0.0.1:8080 (default/edge@127.0.0.1:8080)\n\
         listener  default/edge/http\n\
         rule      default/shop/1\n\
         answer    302 redirect to http://shop.test:8080/new/a?b\n",
    );
}

#[test]
fn connections_are_followed_too() {
    says(
        &["GET", "https://vault.test:8443/"],
        0,
        "address   127.0.0.1:8443 (default/edge@127.0.0.1:8443)\n\
         tls       passed through\n\
         listener  default/edge/pass\n\
         route     default/vault: connections are passed on as bytes\n\
         backend   default/api, weight 1: 127.0.0.1:9001, 127.0.0.1:9002\n",
    );
    says(
        &["GET", "http://cache.test:6379/"],
        1,
        "address   127.0.0.1:6379 (default/edge@127.0.0.1:6379)\n\
         listener  default/edge/cache\n\
         answer    none: no route has these connections, they are closed\n",
    );
}

#[test]
fn what_nobody_has_is_said_with_the_answer_that_it_gets() {
    for (args, end) in [
        (
            ["GET", "http://other.test:8080/"],
            "answer    404 no_route: no rule of the listener matches\n",
        ),
        (
            ["GET", "http://shop.test:8080/none/a"],
            "answer    500 no_backend: the rule has no backend that gets requests\n",
        ),
        (
            ["GET", "https://other.test:8443/"],
            "answer    none: no listener claims the name (unrecognized_name)\n",
        ),
        (
            ["GET", "https://shop.test:8080/"],
            "answer    none: this port speaks HTTP without TLS, use http://\n",
        ),
        (
            ["GET", "http://shop.test:8443/"],
            "answer    400 malformed_request: this port speaks TLS, use https://\n",
        ),
        (
            ["GET", "http://shop.test:8080/a%00"],
            "answer    400 bad_path: the request is refused as it is\n",
        ),
        (
            ["GET", "http://shop.test/"],
            "answer    none: nobody listens on port 80; there is 127.0.0.1:6379, 127.0.0.1:8080, 127.0.0.1:8443\n",
        ),
    ] {
        let (code, out, err) = explain(&folder(), &args);
        assert!(out.ends_with(end), "{args:?}: {out}{err}");
        // A rule without backends has the request all the same.
        let expected = i32::from(!end.contains("no_backend"));
        assert_eq!(code, Some(expected), "{args:?}");
    }
}

#[test]
fn mistakes_are_counted_and_scripts_get_json() {
    let args = [
        "--format",
        "json",
        "GET",
        "http://shop.test:8080/cart",
        "-H",
        "x-beta: 1",
    ];
    let (code, out, err) = explain(&folder(), &args);
    assert_eq!(code, Some(0));
    assert!(
        err.starts_with("1 error:") && err.contains("tidegate check"),
        "{err}"
    );
    assert!(!out.contains("hush"), "{out}");
    let page: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let steps = page.pointer("/addresses/0/steps").expect("steps");
    let rule = steps
        .as_array()
        .expect("a list")
        .iter()
        .find(|one| one["what"] == "rule");
    assert_eq!(rule.expect("a rule")["is"], "default/shop/beta");
    for bad in [["GET", "shop.test"], ["G T", "http://shop.test/"]] {
        assert_eq!(explain(&folder(), &bad).0, Some(2), "{bad:?}");
    }
}
