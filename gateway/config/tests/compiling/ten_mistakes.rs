//! The promise to operators: all mistakes of all files at once, each at its line and column.

use std::fs;

use tidegate_config::load::Loader;

const GATEWAY: &str = r#"apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: edge
spec:
  gatewayClassName: tidegate
  listeners:
  - name: http
    port: 99999
    protocol: HTTP
---
apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata:
  name: api
spec:
  endpoints:
  - address: localhost:9001
---
apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: { name: api }
spec: { endpoints: [{ address: "127.0.0.1:9002", wieght: 2 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: { name: calls }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { ports: [{ port: 80, }, { port: 80, name: again }] }
"#;

const ROUTES: &str = r#"apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop }
spec:
  parentRefs: [{ name: edg }]
  rules:
  - backendRefs: [{ group: tidegate.dev, kind: Backend, name: apo }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: paths }
spec:
  parentRefs: [{ name: edge }]
  rules:
  - matches:
    - path: { value: "api" }
    - path: { type: RegularExpression, value: "(" }
    timeouts: { request: 1s, backendRequest: 2s }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: types }
spec:
  rules: yes
  rules: []
---
spec: [
"#;

#[test]
fn ten_mistakes_in_two_files_are_all_reported_with_line_and_column() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("gateway.yaml"), GATEWAY).expect("writable");
    fs::write(folder.path().join("routes.yaml"), ROUTES).expect("writable");
    let draft = Loader::new(folder.path()).load();
    let found: Vec<String> = draft
        .problems
        .iter()
        .map(|problem| {
            let place = problem.place.as_ref().expect("each has a place");
            let file = place.file.file_name().expect("a name").display();
            format!("{file}:{}:{}", place.line, place.column)
        })
        .collect();
    assert_eq!(
        found,
        [
            // A port beyond the range.
            "gateway.yaml:9:11",
            // A name where an address is expected.
            "gateway.yaml:18:14",
            // A misspelt field.
            "gateway.yaml:22:19",
            "gateway.yaml:23:50",
            // A kind that is to come.
            "gateway.yaml:26:7",
            // A port twice, and one of several without a name.
            "gateway.yaml:32:25",
            "gateway.yaml:32:40",
            // A parent that does not exist, and a backend.
            "routes.yaml:5:24",
            "routes.yaml:7:63",
            // A relative path, a pattern that is none, a time-out that is longer than the whole.
            "routes.yaml:16:22",
            "routes.yaml:17:47",
            "routes.yaml:18:46",
            // A string where a list is expected, and a key twice.
            "routes.yaml:24:10",
            "routes.yaml:25:3",
            // A bracket that is never closed.
            "routes.yaml:27:7",
        ],
        "{:#?}",
        draft.problems
    );
}
