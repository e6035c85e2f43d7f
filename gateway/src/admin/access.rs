//! Who may ask the admin API.
//!
//! Browsers are the danger on loopback: a page can make them send requests to 127.0.0.1. One whose
//! name was rebound to it is told by its Host, one of another origin by what the browser adds to its
//! requests; neither can read an answer, for no CORS field is ever sent. Beyond loopback nothing but
//! the token counts.

use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::Full;

use crate::admin::answer::text;

/// Shorter tokens could be guessed.
const LEAST_TOKEN: usize = 16;
/// No token file is larger.
const MOST_TOKEN: u64 = 4096;
/// What probes ask: it says yes or no, and they can carry no token.
const PROBES: [&str; 2] = ["/ready", "/live"];

/// The secret that a client must show.
pub(crate) struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(***)")
    }
}

/// Why a token file is unusable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// It cannot be read.
    #[error("cannot read the admin token file {path}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// It is too short, or no client could send it.
    #[error(
        "the admin token file {path} must hold one line of at least {LEAST_TOKEN} visible characters"
    )]
    Unusable { path: PathBuf },
}

impl Token {
    /// The token in a file; white space around it does not count.
    ///
    /// # Errors
    ///
    /// [`TokenError`] with the path.
    pub(crate) fn load(path: &Path) -> Result<Self, TokenError> {
        use std::io::Read as _;
        let mut content = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MOST_TOKEN).read_to_string(&mut content))
            .map_err(|source| TokenError::Read {
                path: path.to_owned(),
                source,
            })?;
        let token = content.trim();
        if token.len() < LEAST_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Unusable {
                path: path.to_owned(),
            });
        }
        Ok(Self(token.to_owned()))
    }

    /// Compares in a time that does not tell how much was right.
    fn is(&self, given: &[u8]) -> bool {
        let ours = self.0.as_bytes();
        let differences = ours.iter().zip(given).fold(0, |all, (a, b)| all | (a ^ b));
        ours.len() == given.len() && differences == 0
    }
}

/// The rules of one socket.
#[derive(Debug)]
pub(crate) struct Access {
    /// The address that Host may name beside loopback; `None` on a Unix socket, where it says
    /// nothing.
    bound: Option<IpAddr>,
    token: Option<Token>,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It was meant for another server.
    WrongHost,
    /// A page of another origin made the browser send it.
    CrossOrigin,
    /// It does not show the token.
    NoToken,
}

impl Access {
    /// The rules of a TCP socket.
    pub(crate) fn tcp(bound: IpAddr, token: Option<Token>) -> Self {
        Self {
            bound: Some(bound.to_canonical()),
            token,
        }
    }

    /// The rules of a Unix socket.
    pub(crate) fn unix(token: Option<Token>) -> Self {
        Self { bound: None, token }
    }

    /// Whether a request may be answered.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub(crate) fn check<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        if let Some(bound) = self.bound {
            let authority = request.uri().authority().map(http::uri::Authority::as_str);
            let fields: Vec<_> = request.headers().get_all(header::HOST).iter().collect();
            let field = match fields.as_slice() {
                [field] => field.to_str().ok(),
                _ => None,
            };
            let ours = |name: &str| names_us(name, bound);
            // A request with both must mean us by both.
            if !field.is_some_and(ours) || !authority.is_none_or(ours) {
                return Err(Refusal::WrongHost);
            }
        }
        if is_cross_origin(request.headers()) {
            return Err(Refusal::CrossOrigin);
        }
        match &self.token {
            Some(token) if !is_probe(request) && !shows(request.headers(), token) => {
                Err(Refusal::NoToken)
            }
            _ => Ok(()),
        }
    }
}

impl Refusal {
    /// What the client is told.
    pub(crate) fn answer(self) -> Response<Full<Bytes>> {
        match self {
            Self::WrongHost => text(
                StatusCode::MISDIRECTED_REQUEST,
                "Host must be a loopback name or the address of the admin API\n",
            ),
            Self::CrossOrigin => text(
                StatusCode::FORBIDDEN,
                "pages of other origins may not ask the admin API\n",
            ),
            Self::NoToken => {
                let mut answer = text(
                    StatusCode::UNAUTHORIZED,
                    "show the token of --admin-token-file: Authorization: Bearer TOKEN\n",
                );
                answer.headers_mut().insert(
                    header::WWW_AUTHENTICATE,
                    header::HeaderValue::from_static("Bearer"),
                );
                answer
            }
        }
    }
}

/// Whether a request only asks whether the gateway is ready or alive.
pub(crate) fn is_probe<B>(request: &Request<B>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && PROBES.contains(&request.uri().path())
}

/// Whether a Host means this machine or the address that is bound, whatever the port.
fn names_us(host: &str, bound: IpAddr) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else {
        return false;
    };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host();
    if name.eq_ignore_ascii_case("localhost") || name.eq_ignore_ascii_case("localhost.") {
        return true;
    }
    let literal = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let Ok(address) = literal.unwrap_or(name).parse::<IpAddr>() else {
        return false;
    };
    let address = address.to_canonical();
    // Bound to all addresses, it has many; none of them is a name that somebody could rebind.
    address.is_loopback() || address == bound || bound.is_unspecified()
}

fn is_cross_origin(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    let foreign = matches!(site, Some(site) if site != b"same-origin" && site != b"none");
    let Some(origin) = headers.get(header::ORIGIN) else {
        return foreign;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let own = host.map(|host| format!("http://{host}"));
    foreign || own.is_none_or(|own| origin.as_bytes() != own.as_bytes())
}

fn shows(headers: &HeaderMap, token: &Token) -> bool {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return false;
    };
    let Some((scheme, given)) = value.as_bytes().split_at_checked("bearer ".len()) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"bearer ") && token.is(given.trim_ascii())
}

#[cfg(test)]
mod tests;
