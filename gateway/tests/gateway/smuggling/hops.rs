//! Who reads HTTP behind the gateway, and what they have seen.
//!
//! Each answers with the method and path it was asked, and keeps a list of these.

use std::net::SocketAddr;

use tidegate_testkit::Envoy;
use tidegate_testkit::Origin;
use tidegate_testkit::Peer;

/// An origin, or a proxy with an origin behind it.
pub(super) struct Hop {
    address: SocketAddr,
    seen: Seen,
    /// Lives as long as this.
    _proxy: Option<Proxy>,
}

/// Where the list is.
enum Seen {
    Origin(Origin),
    /// A file of this name in the peer's folder.
    File(Peer, &'static str),
}

/// What stands between the gateway and the origin.
enum Proxy {
    Haproxy(#[expect(dead_code, reason = "kept for its end")] Peer),
    Envoy(#[expect(dead_code, reason = "kept for its end")] Envoy),
}

impl Hop {
    /// An origin of the harness; it goes by what it reads and looks for nothing wrong.
    pub(super) fn origin() -> Self {
        Self::of(recorder())
    }

    /// This origin.
    pub(super) fn of(origin: Origin) -> Self {
        Self {
            address: origin.address(),
            seen: Seen::Origin(origin),
            _proxy: None,
        }
    }

    pub(super) fn nginx() -> Self {
        let http = "log_format seen '$request_method $request_uri'; keepalive_requests 1000000;";
        let server =
            "access_log seen seen; location / { return 200 \"$request_method $request_uri\"; }";
        Self::in_file(Peer::nginx(http, server))
    }

    pub(super) fn node() -> Self {
        Self::in_file(Peer::node(include_str!("origin.js")))
    }

    fn in_file(peer: Peer) -> Self {
        Self {
            address: peer.address(),
            seen: Seen::File(peer, "seen"),
            _proxy: None,
        }
    }

    pub(super) fn haproxy() -> Self {
        let origin = recorder();
        let haproxy = Peer::haproxy(origin.address());
        Self {
            address: haproxy.address(),
            seen: Seen::Origin(origin),
            _proxy: Some(Proxy::Haproxy(haproxy)),
        }
    }

    pub(super) fn envoy() -> Self {
        let origin = recorder();
        let port = origin.address().port().to_string();
        let envoy = Envoy::start(&include_str!("envoy.yaml").replace("ORIGIN_PORT", &port));
        Self {
            address: envoy.address(),
            seen: Seen::Origin(origin),
            _proxy: Some(Proxy::Envoy(envoy)),
        }
    }

    /// Where the gateway sends requests.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Method and path of every request so far.
    pub(super) fn seen(&self) -> Vec<String> {
        match &self.seen {
            Seen::Origin(origin) => origin.requests().iter().map(|it| line(&it.start)).collect(),
            Seen::File(peer, name) => peer.file(name).lines().map(str::to_owned).collect(),
        }
    }
}

fn recorder() -> Origin {
    Origin::script(|connection| {
        while let Ok(request) = connection.request() {
            let line = line(&request.start);
            let length = line.len();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{line}"
            ))?;
        }
        Ok(())
    })
}

/// A request line without its version.
fn line(start: &str) -> String {
    start
        .rsplit_once(' ')
        .map_or(start, |(line, _)| line)
        .to_owned()
}
