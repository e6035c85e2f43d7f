//! The resources that measured gateways have in common, each a YAML document that others may follow.
//!
//! Owns their names: a Gateway `edge` with one listener for HTTP, an HTTPRoute `all` that sends everything
//! to the Backend `origin`, and Plugins on that Gateway.

use std::net::SocketAddr;

/// The Gateway, which listens there.
#[must_use]
pub fn gateway(listen: SocketAddr) -> String {
    let (address, port) = (listen.ip(), listen.port());
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: edge }}
spec:
  gatewayClassName: tidegate
  addresses: [{{ type: IPAddress, value: {address} }}]
  listeners: [{{ name: http, port: {port}, protocol: HTTP }}]
"
    )
}

/// A Backend with one endpoint.
#[must_use]
pub fn backend(name: &str, endpoint: SocketAddr) -> String {
    format!(
        "---
apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: {{ name: {name} }}
spec: {{ endpoints: [{{ address: \"{endpoint}\" }}] }}
"
    )
}

/// A Plugin on the Gateway; `spec` is what else its `spec` has, lines that are indented by two spaces.
#[must_use]
pub fn plugin(name: &str, spec: &str) -> String {
    format!(
        "---
apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: {{ name: {name} }}
spec:
  targetRefs: [{{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }}]
{spec}"
    )
}

/// The Gateway, the Backend `origin` and the route of everything to it.
#[must_use]
pub fn all_to(origin: SocketAddr, listen: SocketAddr) -> String {
    let (gateway, backend) = (gateway(listen), backend("origin", origin));
    format!(
        "{gateway}{backend}---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: all }}
spec:
  parentRefs: [{{ name: edge }}]
  rules: [{{ backendRefs: [{{ group: tidegate.dev, kind: Backend, name: origin }}] }}]
"
    )
}
