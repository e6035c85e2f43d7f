//! What is known of a request, read from the host once and only if a rule asks.

use std::cell::Cell;
use std::cell::OnceCell;
use std::net::IpAddr;
use std::rc::Rc;

use tidegate_policy::ip_address;

use crate::principal::Principal;
use crate::principal::SCHEME;
use crate::test::Header;
use crate::token::Token;
use crate::tokens::Tokens;

/// Where attributes come from: the host.
pub(crate) trait Host {
    /// The value of a property, if there is one.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;
    /// The value of a pseudo-header, such as `:path`.
    fn pseudo_header(&self, name: &str) -> Option<Vec<u8>>;
    /// The values of a header, one for each line.
    fn header(&self, name: &str) -> Vec<Vec<u8>>;
}

/// Why a request cannot be decided about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// A rule asks for the address at the other end of the connection, and the host says none.
    PeerAddress,
    /// A rule asks for the client's address, and the host says none.
    ClientAddress,
    /// A rule asks where the connection was accepted, and the host says no address or port.
    Destination,
    /// The client's certificate names it more than once.
    Principal,
    /// What should be a verified token cannot be read.
    Token,
}

/// The attributes of one request.
pub(crate) struct Attributes<'p> {
    host: &'p dyn Host,
    tokens: &'p Tokens,
    /// The reading of the path that rules see now.
    path: Cell<&'p [u8]>,
    method: OnceCell<Vec<u8>>,
    /// The headers that rules ask for, in the order of their numbers.
    headers: Box<[OnceCell<Vec<Vec<u8>>>]>,
    authority: OnceCell<Authority>,
    principal: OnceCell<Option<Principal>>,
    is_authenticated: OnceCell<bool>,
    token: OnceCell<Option<Rc<Token>>>,
    peer: OnceCell<Option<IpAddr>>,
    client: OnceCell<Option<IpAddr>>,
    destination: OnceCell<Option<IpAddr>>,
    port: OnceCell<Option<u16>>,
    sni: OnceCell<Vec<u8>>,
    unknown: Cell<Option<Unknown>>,
}

/// The host that was asked for, in lower case.
pub(crate) struct Authority {
    /// With the port, if it was said.
    pub(crate) whole: Box<[u8]>,
    /// How much of it is the host, without a last dot.
    host: usize,
}

impl Authority {
    fn new(mut whole: Vec<u8>) -> Self {
        whole.make_ascii_lowercase();
        let digits = whole.iter().rev().take_while(|it| it.is_ascii_digit());
        let colon = (whole.len() - digits.count()).checked_sub(1);
        let mut host = colon
            .filter(|at| whole.get(*at) == Some(&b':'))
            .unwrap_or(whole.len());
        if host > 1 && whole.get(host - 1) == Some(&b'.') {
            host -= 1;
        }
        Self {
            whole: whole.into(),
            host,
        }
    }

    /// The host without the port.
    pub(crate) fn host(&self) -> &[u8] {
        self.whole.get(..self.host).unwrap_or_default()
    }
}

impl<'p> Attributes<'p> {
    /// Those of a request that `host` knows; rules ask for so many headers.
    pub(crate) fn new(host: &'p dyn Host, tokens: &'p Tokens, headers: usize) -> Self {
        Self {
            host,
            tokens,
            headers: std::iter::repeat_with(OnceCell::new)
                .take(headers)
                .collect(),
            path: Cell::new(b""),
            method: OnceCell::new(),
            authority: OnceCell::new(),
            principal: OnceCell::new(),
            is_authenticated: OnceCell::new(),
            token: OnceCell::new(),
            peer: OnceCell::new(),
            client: OnceCell::new(),
            destination: OnceCell::new(),
            port: OnceCell::new(),
            sni: OnceCell::new(),
            unknown: Cell::new(None),
        }
    }

    /// Shows rules this reading of the path.
    pub(crate) fn read_path_as(&self, path: &'p [u8]) {
        self.path.set(path);
    }

    /// The reading of the path that counts now.
    pub(crate) fn path(&self) -> &'p [u8] {
        self.path.get()
    }

    /// What rules have asked for in vain since the last time, if they did.
    pub(crate) fn take_unknown(&self) -> Option<Unknown> {
        self.unknown.take()
    }

    pub(crate) fn method(&self) -> &[u8] {
        self.method
            .get_or_init(|| self.host.pseudo_header(":method").unwrap_or_default())
    }

    pub(crate) fn authority(&self) -> &Authority {
        self.authority.get_or_init(|| {
            Authority::new(self.host.pseudo_header(":authority").unwrap_or_default())
        })
    }

    /// Who the client's certificate is for, if TLS verified one.
    pub(crate) fn principal(&self) -> Option<&Principal> {
        let found = self.principal.get_or_init(|| {
            let path = ["connection", "uri_san_peer_certificate"];
            let first = self.host.property(&path)?;
            if self.has_other_names(&first) {
                self.unknown.set(Some(Unknown::Principal));
                return None;
            }
            Principal::new(String::from_utf8(first).ok()?)
        });
        found.as_ref()
    }

    /// Whether the certificate has URI names beside the first, and one of all is a SPIFFE id. It should
    /// have one name only (SPIFFE X509-SVID 2): each of them could be somebody else.
    fn has_other_names(&self, first: &[u8]) -> bool {
        let all = self.bytes(&["filter_state", "tidegate.peer_uri_sans"]);
        let mut windows = all.windows(SCHEME.len());
        all.len() > first.len() && windows.any(|it| it == SCHEME.as_bytes())
    }

    /// Whether TLS verified a certificate of the client, whatever names it has.
    pub(crate) fn is_authenticated(&self) -> bool {
        *self.is_authenticated.get_or_init(|| {
            let named = |name| !self.bytes(&["connection", name]).is_empty();
            self.principal().is_some()
                || named("uri_san_peer_certificate")
                || named("dns_san_peer_certificate")
                || named("subject_peer_certificate")
        })
    }

    /// The verified token, if there is one.
    pub(crate) fn token(&self) -> Option<&Token> {
        let token = self.token.get_or_init(|| {
            let json = self.bytes(&["tidegate.auth.jwt"]);
            if json.is_empty() {
                return None;
            }
            let token = self.tokens.read(json);
            if token.is_none() {
                self.unknown.set(Some(Unknown::Token));
            }
            token
        });
        token.as_deref()
    }

    /// The address at the other end of the connection.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        let path = ["filter_state", "tidegate.peer_address"];
        *self
            .peer
            .get_or_init(|| self.address(&path, Unknown::PeerAddress))
    }

    /// The client's address, as far as the host trusts proxies in front of it.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        let path = ["source", "address"];
        *self
            .client
            .get_or_init(|| self.address(&path, Unknown::ClientAddress))
    }

    /// Where the connection was accepted.
    pub(crate) fn destination(&self) -> Option<IpAddr> {
        let path = ["destination", "address"];
        *self
            .destination
            .get_or_init(|| self.address(&path, Unknown::Destination))
    }

    /// The address in a property; what is none, such as the path of a socket, is in doubt.
    fn address(&self, path: &[&str], or: Unknown) -> Option<IpAddr> {
        let address = self.text(path).and_then(|text| ip_address(&text));
        if address.is_none() {
            self.unknown.set(Some(or));
        }
        address
    }

    /// The port where the connection was accepted.
    pub(crate) fn port(&self) -> Option<u16> {
        *self.port.get_or_init(|| {
            let number = self.host.property(&["destination", "port"]);
            let number = number.and_then(|it| it.try_into().ok());
            let port = number.and_then(|it| u16::try_from(i64::from_le_bytes(it)).ok());
            if port.is_none() {
                self.unknown.set(Some(Unknown::Destination));
            }
            port
        })
    }

    /// The name that the client asked for in its TLS handshake; empty without one.
    pub(crate) fn sni(&self) -> &[u8] {
        self.sni
            .get_or_init(|| self.bytes(&["connection", "requested_server_name"]))
    }

    /// The values of a header, one for each line; none if it is absent.
    pub(crate) fn header(&self, header: &Header) -> &[Vec<u8>] {
        let Some(values) = self.headers.get(header.number) else {
            return &[];
        };
        values.get_or_init(|| self.host.header(&header.name))
    }

    fn bytes(&self, path: &[&str]) -> Vec<u8> {
        self.host.property(path).unwrap_or_default()
    }

    fn text(&self, path: &[&str]) -> Option<String> {
        String::from_utf8(self.host.property(path)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Authority;

    #[test]
    fn a_host_is_compared_without_port_case_and_last_dot() {
        for (authority, host) in [
            ("Shop.Test", "shop.test"),
            ("shop.test:8080", "shop.test"),
            ("shop.test.:80", "shop.test"),
            ("shop.test:", "shop.test"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
            (".", "."),
            ("80", "80"),
        ] {
            let found = Authority::new(authority.as_bytes().to_vec());
            assert_eq!(found.host(), host.as_bytes(), "{authority}");
        }
    }
}
