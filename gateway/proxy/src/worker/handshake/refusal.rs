//! Why a TLS handshake with a client failed.
//!
//! Owns the closed list of reasons, what each is called in the metric, and what the client is told.

use std::fmt;
use std::io;

use rustls::AlertDescription;
use rustls::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Reads of 1 KiB of what nobody wants to know: a client that sends on and on is reset.
const MOST_UNREAD: usize = 64;
/// Fatal `unrecognized_name` (RFC 6066 §3), as a record in the clear.
const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];
/// Fatal `handshake_failure`: there is no certificate to show.
const HANDSHAKE_FAILURE: &[u8] = &[21, 3, 3, 0, 2, 2, 40];
/// What is said to who speaks HTTP without TLS.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    connection: close\r\n\
    content-length: 59\r\n\
    content-type: text/plain\r\n\r\n\
    This port speaks HTTP over TLS only: use https:// instead.\n";

/// Why a handshake failed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The client said nothing in time.
    Silent,
    /// The handshake did not end in time.
    TimedOut,
    /// Newer handshakes needed its place.
    Crowded,
    /// The client closed or broke the connection.
    Closed,
    /// What came is HTTP without TLS.
    PlainHttp,
    /// What came is not TLS.
    NotTls,
    /// The greeting is not one; the alert that says so.
    BadHello(Error, Vec<u8>),
    /// No listener claims the name; it is empty if the client named none.
    UnknownName(Box<str>),
    /// No certificate of the listener can be used.
    NoCertificate,
    /// The client's certificate cannot be read, though it was verified.
    Unreadable(String),
    /// The library's reason.
    Tls(Error),
    /// The system's reason.
    Broken(io::Error),
}

impl Refusal {
    /// The reason behind an error of the handshake.
    pub(super) fn of(err: &io::Error) -> Self {
        let inner = err.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(err) => Self::Tls(Error::clone(err)),
            None if err.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            None => Self::Broken(err.kind().into()),
        }
    }

    /// What the metric calls it.
    pub(super) fn result(&self) -> &'static str {
        match self {
            Self::Silent | Self::TimedOut => "timeout",
            Self::Crowded => "crowded_out",
            Self::Closed | Self::Broken(_) => "closed",
            Self::PlainHttp => "plain_http",
            Self::NotTls => "not_tls",
            Self::UnknownName(_) => "unknown_name",
            Self::NoCertificate => "no_certificate",
            Self::Unreadable(_) => "bad_client_certificate",
            Self::BadHello(err, _) | Self::Tls(err) => match err {
                Error::NoCertificatesPresented => "no_client_certificate",
                Error::InvalidCertificate(_) => "bad_client_certificate",
                Error::NoApplicationProtocol => "no_common_protocol",
                Error::PeerIncompatible(_) => "incompatible",
                Error::AlertReceived(
                    AlertDescription::BadCertificate
                    | AlertDescription::UnsupportedCertificate
                    | AlertDescription::CertificateRevoked
                    | AlertDescription::CertificateExpired
                    | AlertDescription::CertificateUnknown
                    | AlertDescription::UnknownCA
                    | AlertDescription::AccessDenied,
                ) => "distrusted_by_client",
                Error::AlertReceived(_) => "ended_by_client",
                _ => "malformed",
            },
        }
    }

    /// Tells the client, as far as that was not done: what fits the connection's send buffer.
    pub(super) async fn tell(&self, stream: &mut TcpStream) {
        let bytes = match self {
            Self::PlainHttp => PLAIN_HTTP,
            Self::UnknownName(_) => UNRECOGNIZED_NAME,
            Self::NoCertificate => HANDSHAKE_FAILURE,
            Self::BadHello(_, alert) => alert,
            _ => return,
        };
        if stream.write_all(bytes).await.is_ok() {
            stream.shutdown().await.ok();
        }
        // What was not read would turn the close into a reset, which may outrun what was said.
        let mut scrap = [0; 1024];
        for _ in 0..MOST_UNREAD {
            if !matches!(stream.try_read(&mut scrap), Ok(1..)) {
                break;
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("nothing came in time"),
            Self::TimedOut => f.write_str("it took too long"),
            Self::Crowded => f.write_str("too many newer handshakes"),
            Self::Closed => f.write_str("the client closed the connection"),
            Self::PlainHttp => f.write_str("the client speaks HTTP without TLS"),
            Self::NotTls => f.write_str("the client does not speak TLS"),
            Self::UnknownName(name) if name.is_empty() => {
                f.write_str("the client asks for no name, and no listener takes that")
            }
            Self::UnknownName(name) => write!(f, "no listener claims the name {name:?}"),
            Self::NoCertificate => f.write_str("no certificate of the listener can be used"),
            Self::Unreadable(reason) => write!(f, "the client's certificate: {reason}"),
            Self::BadHello(err, _) | Self::Tls(err) => err.fmt(f),
            Self::Broken(err) => err.fmt(f),
        }
    }
}
