//! Redis and MariaDB behind a TCP listener with a network filter: one protocol in which clients speak
//! first, and one in which servers do.

use std::net::SocketAddr;
use std::process::Command;

use tidegate_testkit::Peer;
use tidegate_testkit::Wasm;

use crate::process::Folder;
use crate::process::Running;
use crate::process::backend;
use crate::process::finish;

/// A listener for TCP with a route and a network filter.
const RESOURCES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: tidegate
  addresses: [{ type: IPAddress, value: 127.0.0.1 }]
  listeners: [{ name: data, port: 0, protocol: TCP }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: { name: data }
spec:
  parentRefs: [{ name: edge }]
  rules: [{ backendRefs: [{ group: tidegate.dev, kind: Backend, name: data }] }]
---
apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: { name: watch }
spec:
  source: { file: watch.wasm }
  type: Network
  targetRefs: [{ group: gateway.networking.k8s.io, kind: TCPRoute, name: data }]
";

/// Logs each callback of a connection that it gets, and lets everything pass.
fn filter() -> Wasm {
    let imports = r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))"#;
    let body = r#"
        (data (i32.const 16) "watch: a connection")
        (data (i32.const 48) "watch: data of the client")
        (data (i32.const 80) "watch: data of the server")
        (func $say (param $at i32) (param $size i32) (result i32)
            (drop (call $log (i32.const 2) (local.get $at) (local.get $size)))
            (i32.const 0))
        (func (export "proxy_on_new_connection") (param i32) (result i32)
            (call $say (i32.const 16) (i32.const 19)))
        (func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32)
            (call $say (i32.const 48) (i32.const 25)))
        (func (export "proxy_on_upstream_data") (param i32 i32 i32) (result i32)
            (call $say (i32.const 80) (i32.const 25)))"#;
    Wasm::wat("watch", imports, body)
}

/// It, and its files, which it follows.
fn gateway(server: SocketAddr) -> (Running, Folder) {
    let files = Folder::of(&[
        ("gateway.yaml", RESOURCES),
        ("backend.yaml", &backend("data", server)),
    ]);
    files.write("watch.wasm", filter().module());
    (Running::start(&files, &[]), files)
}

/// The filter has seen connections and data both ways.
fn the_filter_has_seen_it(gateway: &Running) {
    for what in ["a connection", "data of the client", "data of the server"] {
        gateway.logs(&format!("watch: {what}"));
    }
}

#[test]
fn redis_cli_speaks_with_redis_through_a_filter() {
    if !Peer::wanted("redis-cli") {
        return;
    }
    let redis = Peer::redis(&[]);
    let (gateway, _files) = gateway(redis.address());
    let port = gateway.address().expect("it listens").port().to_string();
    let cli = |words: &[&str]| {
        let mut cli = Command::new("redis-cli");
        cli.args(["-h", "127.0.0.1", "-p", &port]).args(words);
        let (code, out, err) = finish(&mut cli);
        assert_eq!(code, Some(0), "{words:?}: {out}{err} {:#?}", gateway.log());
        out.trim_end().to_owned()
    };
    assert_eq!(cli(&["PING"]), "PONG");
    let large = "x".repeat(100_000);
    assert_eq!(cli(&["SET", "large", &large]), "OK");
    assert_eq!(cli(&["GET", "large"]), large);
    // Many connections and pipelines at once.
    let mut bench = Command::new("redis-benchmark");
    bench.args(["-h", "127.0.0.1", "-p", &port, "-q", "--csv"]);
    bench.args(["-n", "5000", "-c", "20", "-P", "10", "-t", "set,get"]);
    let (code, out, err) = finish(&mut bench);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(
        out.contains("\"GET\"") && !out.contains("rror"),
        "{out}{err}"
    );
    the_filter_has_seen_it(&gateway);
}

#[test]
fn a_client_of_mariadb_queries_through_a_filter() {
    if !Peer::wanted("MariaDB") {
        return;
    }
    let database = Peer::mariadb();
    let (gateway, _files) = gateway(database.address());
    let port = gateway.address().expect("it listens").port();
    let query = |sql: &str| {
        let mut mariadb = Command::new("mariadb");
        mariadb.args(["--no-defaults", "--protocol=tcp", "-h", "127.0.0.1"]);
        mariadb.arg(format!("--port={port}"));
        mariadb.args(["-u", "root", "--batch", "--skip-column-names", "-e", sql]);
        let (code, out, err) = finish(&mut mariadb);
        assert_eq!(code, Some(0), "{sql}: {out}{err}");
        out
    };
    query("CREATE DATABASE shop; CREATE TABLE shop.apples (id INT PRIMARY KEY, name LONGTEXT)");
    query("INSERT INTO shop.apples VALUES (1, 'boskoop'), (2, REPEAT('x', 1000000))");
    let found = query("SELECT id, LENGTH(name) FROM shop.apples ORDER BY id");
    assert_eq!(found, "1\t7\n2\t1000000\n");
    let large = query("SELECT name FROM shop.apples WHERE id = 2");
    assert_eq!(large.len(), 1_000_001);
    the_filter_has_seen_it(&gateway);
}
