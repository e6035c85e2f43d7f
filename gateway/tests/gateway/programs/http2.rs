//! curl and h2load over HTTP/2.

use std::net::SocketAddr;
use std::process::Command;

use tidegate_testkit::Authority;
use tidegate_testkit::Leaf;
use tidegate_testkit::Origin;
use tidegate_testkit::Peer;
use tidegate_testkit::TlsClient;
use tidegate_testkit::eventually;

use super::Secure;
use crate::process::backend;
use crate::process::finish;
use crate::process::route;

/// How often certificates change under load.
const ROTATIONS: usize = 10;

fn secure(origin: &Origin) -> Secure {
    Secure::start(&[
        ("route.yaml", &route("all")),
        ("backend.yaml", &backend("all", origin.address())),
    ])
}

/// Runs curl; what it prints and how it ended.
fn curl(args: &[&str]) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20"]);
    curl.args(["--write-out", " %{http_version} %{http_code}"]);
    let (_, out, err) = finish(curl.args(args));
    format!("{out}{err}")
}

#[test]
fn curl_speaks_http_2_with_and_without_tls() {
    if !Peer::wanted("curl --http2") {
        return;
    }
    let origin = Origin::echoes();
    let gateway = secure(&origin);
    let url = format!("https://localhost:{}/", gateway.address().port());
    let authority = gateway.files.file("ca.pem");
    let authority = authority.to_str().expect("text");
    let body = ["--cacert", authority, "--data", "hello"];
    for (version, said) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let args = [&body[..], &[version, &url]].concat();
        assert_eq!(curl(&args), format!("hello {said} 200"));
    }
    let plain = tidegate_testkit::Gateway::to(origin.address()).start();
    let url = format!("http://{}/", plain.address());
    let args = ["--http2-prior-knowledge", "--data", "hello", &url];
    assert_eq!(curl(&args), "hello 2 200");
}

/// Runs h2load with new connections: so many requests, all of which have to succeed.
#[track_caller]
fn h2load(address: SocketAddr, requests: usize) {
    let mut h2load = Command::new("h2load");
    h2load.args(["-n", &requests.to_string(), "-c", "10", "-m", "10"]);
    h2load.arg(format!("https://localhost:{}/", address.port()));
    let (code, out, err) = finish(&mut h2load);
    let all = format!(
        "requests: {requests} total, {requests} started, {requests} done, {requests} succeeded, \
         0 failed, 0 errored, 0 timeout"
    );
    assert!(code == Some(0) && out.contains(&all), "{out}{err}");
    assert!(out.contains(&format!("{requests} 2xx")), "{out}");
    assert!(out.contains("Application protocol: h2"), "{out}");
}

#[test]
fn certificates_rotate_under_h2load_without_a_failed_request() {
    if !Peer::wanted("rotation under h2load") {
        return;
    }
    let origin = Origin::answers(200, "hello");
    let gateway = secure(&origin);
    let address = gateway.address();
    for round in 0..ROTATIONS {
        std::thread::scope(|scope| {
            let load = scope.spawn(|| h2load(address, 500));
            if round == ROTATIONS / 2 {
                // A pair that does not fit changes nothing.
                let other = Authority::root("other").sign(&Leaf::named("localhost"));
                gateway.files.write("tls.key", other.key.as_bytes());
                gateway
                    .gateway
                    .logs("the private key does not belong to the certificate");
            }
            let authority = gateway.rotate();
            let client = TlsClient::new(&authority, None);
            eventually("the new certificate", || {
                client.get(address, "localhost", "/").ok()
            });
            load.join().expect("every request succeeds");
        });
    }
}
