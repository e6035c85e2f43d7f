//! Which version of HTTP each side of the proxies speaks, and what that alone changes.
//!
//! Every area is replayed with HTTP/1.1 on both sides. Areas about messages are replayed with HTTP/2 on
//! one side too; what is written down of those is only what differs from HTTP/1.1.

/// The versions of one replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leg {
    /// HTTP/1.1 on both sides.
    Http1,
    /// The client speaks HTTP/2.
    Http2Client,
    /// Origins speak HTTP/2.
    Http2Origin,
}

impl Leg {
    /// Whether the client speaks HTTP/2.
    pub(crate) fn client_is_http2(self) -> bool {
        self == Self::Http2Client
    }

    /// Whether origins speak HTTP/2.
    pub(crate) fn origin_is_http2(self) -> bool {
        self == Self::Http2Origin
    }

    /// Its name, in names of files and in cases; nothing for HTTP/1.1.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "",
            Self::Http2Client => "h2-client",
            Self::Http2Origin => "h2-origin",
        }
    }

    /// What is written down of HTTP/1.1, as it is to be expected here: HTTP/2 frames bodies by itself.
    pub(crate) fn expects(self, http1: &str) -> String {
        if self == Self::Http1 {
            return http1.to_owned();
        }
        let lines = http1.lines().filter(|line| !frames_a_body(line));
        lines.map(|line| format!("{line}\n")).collect()
    }
}

/// Whether a line is about how HTTP/1.1 frames a body.
pub(crate) fn frames_a_body(line: &str) -> bool {
    line == "  transfer-encoding: chunked"
}
