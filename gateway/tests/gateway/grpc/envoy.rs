//! Envoy 1.40 with one filter in front of nothing, for comparison.

use std::net::SocketAddr;
use std::path::Path;

use tidegate_testkit::Envoy;
use tidegate_testkit::EnvoyConfig;
use tidegate_testkit::Wasm;

/// One with the filter and these HTTP/2 clusters, and the folder of the filter.
pub(super) fn start(filter: &Wasm, clusters: &[(&str, SocketAddr)]) -> (Envoy, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let module = folder.path().join("f.wasm");
    std::fs::write(&module, filter.module()).expect("written");
    let envoy = Envoy::start(&config(&module, clusters).to_string());
    let ready = "GET / HTTP/1.1\r\nHost: a\r\nx-op: r\r\n\r\n";
    (envoy.until(ready, 200), folder)
}

fn config(module: &Path, clusters: &[(&str, SocketAddr)]) -> EnvoyConfig {
    let config = EnvoyConfig::new()
        .route("match: { prefix: /down }\nroute: { cluster: nowhere }")
        .route("match: { prefix: /grpc }\nroute: { cluster: grpc }")
        .wasm("filter", module, "");
    let clusters = clusters.iter();
    clusters.fold(config, |config, (name, at)| config.http2_cluster(name, *at))
}
