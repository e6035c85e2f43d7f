//! Tidegate, where the command line alone does not say it: resources of the Gateway API.

use std::path::Path;

use tidegate_benches::resources;

use crate::configs::Setting;
use crate::policy;
use crate::scenario::Scenario;

/// The resources, all in one file, with the filters of policies if there are some.
pub(crate) fn file(setting: &Setting<'_>, modules: &[&Path]) -> String {
    let (ip, port) = (setting.address.ip(), setting.address.port());
    let (protocol, route, version) = match setting.scenario {
        Scenario::Tls | Scenario::Resumed => ("HTTPS", "HTTPRoute", "v1"),
        Scenario::Grpc => ("HTTP", "GRPCRoute", "v1"),
        Scenario::Tcp => ("TCP", "TCPRoute", "v1alpha2"),
        Scenario::Http
        | Scenario::Large
        | Scenario::H2
        | Scenario::Websocket
        | Scenario::Jwt
        | Scenario::Rbac
        | Scenario::ExtAuthz
        | Scenario::Chain => ("HTTP", "HTTPRoute", "v1"),
    };
    let (tls, secret) = if setting.scenario.has_tls() {
        (
            ", tls: { certificateRefs: [{ name: bench }] }",
            secret(setting),
        )
    } else {
        ("", String::new())
    };
    let origin = resources::backend("origin", setting.origin);
    let plugins = policy::tidegate(setting, modules);
    let backends = if setting.scenario == Scenario::Chain && !modules.is_empty() {
        "{ group: tidegate.dev, kind: Backend, name: origin, weight: 95 }, \
         { group: tidegate.dev, kind: Backend, name: canary, weight: 5 }"
    } else {
        "{ group: tidegate.dev, kind: Backend, name: origin }"
    };
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: edge }}
spec:
  gatewayClassName: tidegate
  addresses: [{{ type: IPAddress, value: {ip} }}]
  listeners: [{{ name: clients, port: {port}, protocol: {protocol}{tls} }}]
---
apiVersion: gateway.networking.k8s.io/{version}
kind: {route}
metadata: {{ name: bench }}
spec:
  parentRefs: [{{ name: edge }}]
  rules: [{{ backendRefs: [{backends}] }}]
{origin}{secret}{plugins}"
    )
}

fn secret(setting: &Setting<'_>) -> String {
    let indented =
        |pem: &str| -> String { pem.lines().map(|line| format!("    {line}\n")).collect() };
    let (certificate, key) = (
        indented(&setting.identity.certificate),
        indented(&setting.identity.key),
    );
    format!(
        "---
apiVersion: v1
kind: Secret
metadata: {{ name: bench }}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{certificate}  tls.key: |
{key}"
    )
}
