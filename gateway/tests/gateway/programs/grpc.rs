//! grpcio for Python on both ends: unary calls, all kinds of streams, deadlines, errors.

use std::process::Command;

use tidegate_testkit::Peer;
use tidegate_testkit::peer::Place;
use tidegate_testkit::peer::python;

use super::Secure;
use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::backend;
use crate::process::finish;

const ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: all }
spec:
  parentRefs: [{ name: edge }]
  rules: [{ backendRefs: [{ group: tidegate.dev, kind: Backend, name: echo }] }]
";

/// Runs the client against an address; it has to be content.
#[track_caller]
fn all_calls_are_well(address: &str, authority: Option<&str>) {
    let place = Place::new();
    let script = place.file("client.py", include_str!("grpc_client.py"));
    let mut command = Command::new(python());
    command.arg(script).arg(address);
    if let Some(pem) = authority {
        command.arg(place.file("ca.pem", pem));
    }
    let (code, out, err) = finish(&mut command);
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "all calls are well\n"),
        "{err}"
    );
}

fn server() -> Peer {
    Peer::python(include_str!("grpc_server.py"), &[])
}

#[test]
fn grpcio_makes_every_kind_of_call_through_two_gateways() {
    if !Peer::wanted("grpcio") {
        return;
    }
    let server = server();
    // Content without a gateway first, or it says nothing about one.
    all_calls_are_well(&server.address().to_string(), None);
    let files = |to| {
        Folder::of(&[
            ("gateway.yaml", GATEWAY),
            ("route.yaml", ROUTE),
            ("backend.yaml", &backend("echo", to)),
        ])
    };
    // A gateway follows its files: they have to stay.
    let near_files = files(server.address());
    let near = Running::start(&near_files, &[]);
    let far_files = files(near.address().expect("it listens"));
    let far = Running::start(&far_files, &[]);
    let address = far.address().expect("it listens").to_string();
    all_calls_are_well(&address, None);
}

#[test]
fn grpcio_makes_every_kind_of_call_over_tls() {
    if !Peer::wanted("grpcio over TLS") {
        return;
    }
    let server = server();
    let gateway = Secure::start(&[
        ("route.yaml", ROUTE),
        ("backend.yaml", &backend("echo", server.address())),
    ]);
    let authority = std::fs::read_to_string(gateway.files.file("ca.pem")).expect("a file");
    let port = gateway.address().port();
    all_calls_are_well(&format!("localhost:{port}"), Some(&authority));
}
