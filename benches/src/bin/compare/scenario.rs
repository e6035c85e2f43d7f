//! What is compared: each scenario has its clients, its origin, who takes part, and figures to reach.

use std::fmt;

use clap::ValueEnum;

use crate::contestant::Proxy;

/// One kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// HTTP/1.1 over kept connections, with and without filters.
    Http,
    /// HTTP/1.1 with bodies of 1 MB.
    Large,
    /// HTTP/1.1 over kept TLS connections.
    Tls,
    /// One request on each TLS connection, every session resumed.
    Resumed,
    /// HTTP/2 without TLS, 100 streams on each of 4 connections, to an HTTP/1.1 origin.
    H2,
    /// gRPC without streaming: HTTP/2 on both sides, 100 streams on each of 4 connections.
    Grpc,
    /// Messages of 100 bytes over WebSockets, one at a time.
    Websocket,
    /// Bytes over TCP: 64 KiB there and back.
    Tcp,
    /// HTTP/1.1 with a token that is verified: jwt-auth beside Envoy's own filter.
    Jwt,
    /// HTTP/1.1 by a hundred rules: authz beside Envoy's own filter.
    Rbac,
    /// HTTP/1.1, each request asked about at a service: ext-auth beside Envoy's own filter.
    ExtAuthz,
    /// HTTP/1.1 through five policies in a row, beside Envoy's own filters.
    Chain,
}

/// A figure to reach: one contestant may cost so many times what another costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) what: &'static str,
    pub(crate) ours: (Proxy, u32),
    pub(crate) theirs: (Proxy, u32),
    pub(crate) most: f64,
}

/// What one unit of work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) one: &'static str,
    pub(crate) many: &'static str,
}

const REQUESTS: Unit = Unit {
    one: "request",
    many: "requests",
};
const MESSAGES: Unit = Unit {
    one: "message",
    many: "messages",
};
const MEBIBYTES: Unit = Unit {
    one: "MiB",
    many: "MiB",
};

impl Scenario {
    pub(crate) const ALL: [Self; 12] = [
        Self::Http,
        Self::Large,
        Self::Tls,
        Self::Resumed,
        Self::H2,
        Self::Grpc,
        Self::Websocket,
        Self::Tcp,
        Self::Jwt,
        Self::Rbac,
        Self::ExtAuthz,
        Self::Chain,
    ];

    /// Who takes part. Not nginx where it would need another module or cannot do it well.
    pub(crate) const fn proxies(self) -> &'static [Proxy] {
        match self {
            Self::Http | Self::Large => &Proxy::ALL,
            Self::Tls | Self::Resumed => {
                &[Proxy::Haproxy, Proxy::Nginx, Proxy::Envoy, Proxy::Tidegate]
            }
            Self::H2 | Self::Grpc => &[Proxy::Haproxy, Proxy::Envoy, Proxy::Tidegate],
            Self::Websocket | Self::Tcp => {
                &[Proxy::Floor, Proxy::Haproxy, Proxy::Envoy, Proxy::Tidegate]
            }
            Self::Jwt | Self::Rbac | Self::ExtAuthz | Self::Chain => {
                &[Proxy::Envoy, Proxy::Tidegate]
            }
        }
    }

    /// Whether clients speak TLS.
    pub(crate) const fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Resumed)
    }

    /// The filters that Tidegate runs in it, in their order, if it is measured with filters too.
    pub(crate) const fn modules(self) -> &'static [&'static str] {
        match self {
            // Configured with the name of its headers, as often as is asked for.
            Self::Http => &["set-headers"],
            Self::Jwt => &["jwt-auth"],
            Self::Rbac => &["authz"],
            Self::ExtAuthz => &["ext-auth"],
            Self::Chain => &["ip-filter", "jwt-auth", "authz", "rate-limit", "canary"],
            _ => &[],
        }
    }

    /// Whether it compares a policy filter with Envoy's own.
    pub(crate) const fn has_policy(self) -> bool {
        matches!(self, Self::Jwt | Self::Rbac | Self::ExtAuthz | Self::Chain)
    }

    /// How many filters contestants that can run some have, of those that were asked for.
    pub(crate) const fn filters(self, asked: &[u32]) -> &[u32] {
        match self {
            Self::Http => asked,
            Self::Jwt | Self::Rbac | Self::ExtAuthz => &[0, 1],
            Self::Chain => &[0, 5],
            _ => &[0],
        }
    }

    /// What is asked for where the path says how many bytes are wanted.
    pub(crate) fn path(self, bytes: u32) -> String {
        if self.has_policy() {
            format!("/{bytes}/orders/42")
        } else {
            format!("/{bytes}")
        }
    }

    /// The size of responses where the command line does not say: bytes of a body.
    pub(crate) const fn bytes(self) -> u32 {
        match self {
            Self::Large => 1_000_000,
            _ => 100,
        }
    }

    /// What is counted.
    pub(crate) const fn unit(self) -> Unit {
        match self {
            Self::Websocket => MESSAGES,
            Self::Tcp => MEBIBYTES,
            _ => REQUESTS,
        }
    }

    /// The load in words.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Http => "HTTP/1.1 GET over keep-alive connections (wrk)",
            Self::Large => "HTTP/1.1 GET of 1 MB over keep-alive connections (wrk)",
            Self::Tls => {
                "HTTP/1.1 GET over keep-alive TLS 1.3 connections (h2load), X25519 and \
                 AES-128-GCM for everybody, an ECDSA P-256 certificate"
            }
            Self::Resumed => {
                "a TLS 1.3 connection for each HTTP/1.1 GET, its session resumed from a ticket, X25519 \
                 and AES-128-GCM for everybody"
            }
            Self::H2 => {
                "HTTP/2 GET without TLS, 4 connections with 100 streams (h2load), to an HTTP/1.1 origin"
            }
            Self::Grpc => {
                "gRPC unary calls without TLS, 4 connections with 100 streams (h2load), to an HTTP/2 origin"
            }
            Self::Websocket => {
                "WebSocket messages of 100 bytes there and back, one at a time on each connection"
            }
            Self::Tcp => {
                "TCP, 64 KiB there and 64 KiB back, on 16 connections; a MiB counts once for both ways"
            }
            Self::Jwt => {
                "HTTP/1.1 GET with 12 headers and an ES256 token of 700 bytes (wrk); both filters have \
                 verified it before, remember that, and tell the origin its subject"
            }
            Self::Rbac => {
                "HTTP/1.1 GET with 12 headers (wrk); the last of a hundred rules, by method and path, \
                 allows it"
            }
            Self::ExtAuthz => {
                "HTTP/1.1 GET with 12 headers (wrk); an HTTP service allows each of them"
            }
            Self::Chain => {
                "HTTP/1.1 GET with 12 headers and a token (wrk) through five policies: addresses, a token \
                 seen before, a hundred rules, a rate limit (for each client; Envoy's is one for all), two \
                 versions of the origin (by a cookie; Envoy's by chance)"
            }
        }
    }

    /// The figures of this release.
    pub(crate) fn figures(self) -> Vec<Figure> {
        match self {
            Self::Http => vec![
                figure("no filter, × HAProxy", Proxy::Haproxy, 1.25),
                figure("no filter, × Envoy", Proxy::Envoy, 0.45),
                Figure {
                    what: "3 filters, × Envoy with the same",
                    ours: (Proxy::Tidegate, 3),
                    theirs: (Proxy::Envoy, 3),
                    most: 0.45,
                },
            ],
            Self::Large => vec![figure("1 MB bodies, × nginx", Proxy::Nginx, 1.0)],
            Self::Tls => vec![],
            Self::Resumed => vec![
                figure("resumed TLS requests, × HAProxy", Proxy::Haproxy, 1.1),
                figure("resumed TLS requests, × Envoy", Proxy::Envoy, 0.5),
            ],
            Self::H2 => vec![figure("HTTP/2, × Envoy", Proxy::Envoy, 0.6)],
            Self::Grpc => vec![figure("gRPC unary, × Envoy", Proxy::Envoy, 0.6)],
            Self::Websocket => vec![figure("WebSocket messages, × HAProxy", Proxy::Haproxy, 1.1)],
            Self::Tcp => vec![figure("TCP bytes, × HAProxy", Proxy::Haproxy, 1.1)],
            // What the filters add is a goal of `cargo xtask bench`.
            Self::Jwt | Self::Rbac | Self::ExtAuthz | Self::Chain => vec![],
        }
    }
}

const fn figure(what: &'static str, theirs: Proxy, most: f64) -> Figure {
    Figure {
        what,
        ours: (Proxy::Tidegate, 0),
        theirs: (theirs, 0),
        most,
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The names of the command line.
        f.write_str(match self {
            Self::Http => "http",
            Self::Large => "large",
            Self::Tls => "tls",
            Self::Resumed => "resumed",
            Self::H2 => "h2",
            Self::Grpc => "grpc",
            Self::Websocket => "websocket",
            Self::Tcp => "tcp",
            Self::Jwt => "jwt",
            Self::Rbac => "rbac",
            Self::ExtAuthz => "ext-authz",
            Self::Chain => "chain",
        })
    }
}
