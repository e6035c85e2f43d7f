//! Real programs as clients and servers, through a gateway process: each has to be content.
//!
//! All of them are peers: `cargo xtask test --peers` installs them.

#[path = "programs/grpc.rs"]
mod grpc;
#[path = "programs/http2.rs"]
mod http2;
#[path = "programs/tcp.rs"]
mod tcp;
#[path = "programs/websocket.rs"]
mod websocket;

use std::net::SocketAddr;

use tidegate_testkit::Authority;
use tidegate_testkit::Leaf;

use crate::process::Folder;
use crate::process::Running;

/// A listener for HTTPS on a free port, with a certificate in files.
const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: tidegate
  addresses: [{ type: IPAddress, value: 127.0.0.1 }]
  listeners:
    - name: https
      port: 0
      protocol: HTTPS
      tls: { certificateRefs: [{ group: tidegate.dev, kind: Certificate, name: files }] }
---
apiVersion: tidegate.dev/v1alpha1
kind: Certificate
metadata: { name: files }
spec: { certificate: tls.crt, key: tls.key }
";

/// A gateway for HTTPS at `localhost`, whose authority is in the file `ca.pem`.
struct Secure {
    gateway: Running,
    files: Folder,
}

impl Secure {
    /// With these routes and backends.
    fn start(more: &[(&str, &str)]) -> Self {
        let files = Folder::of(&[("gateway.yaml", GATEWAY)]);
        for (name, text) in more {
            files.write(name, text.as_bytes());
        }
        new_pair(&files);
        Self {
            gateway: Running::start(&files, &[]),
            files,
        }
    }

    fn address(&self) -> SocketAddr {
        self.gateway.address().expect("it listens")
    }

    /// Puts another certificate in place, of another authority; returns that.
    fn rotate(&self) -> String {
        new_pair(&self.files)
    }
}

fn new_pair(files: &Folder) -> String {
    let authority = Authority::root("programs");
    let pair = authority.sign(&Leaf::named("localhost"));
    files.write("ca.pem", authority.pem.as_bytes());
    files.write("tls.crt", pair.chain.as_bytes());
    files.write("tls.key", pair.key.as_bytes());
    authority.pem
}
