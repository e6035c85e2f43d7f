//! Other protocols on the connection or stream of a request (RFC 9110 §7.8, RFC 8441): who may ask
//! for which.
//!
//! Owns the decision what of a client's `Upgrade` field goes to the origin, and whether the origin's
//! `101` answers it. The bytes that follow are the proxy's.

use std::sync::Arc;

use http::HeaderMap;
use http::HeaderValue;

use crate::failure::Failure;
use crate::hop_by_hop::strip_with_upgrade;

/// WebSocket's name (RFC 6455 §11.2).
pub const WEBSOCKET: &str = "websocket";

/// Protocols that are never passed on, whatever is allowed: HTTP itself has its own ways, and TLS
/// inside would hide every further request from the gateway.
const NEVER: [&str; 4] = ["h2c", "h2", "http", "tls"];

/// A longer `Upgrade` field is ignored.
const MOST_BYTES: usize = 256;

/// The protocols that the clients of a rule may change to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Upgrades(Option<Arc<[Box<str>]>>);

/// What becomes of a client's wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// The origin is asked for these protocols.
    Protocols(HeaderValue),
    /// The wish is ignored (RFC 9110 §7.8 lets a server), and the request goes on without it.
    Nothing,
}

impl Upgrades {
    /// These protocols, in any case, such as `websocket`; a name alone allows all its versions.
    /// Without any, no connection changes its protocol. The default is WebSocket.
    pub fn of(protocols: &[&str]) -> Self {
        Self(Some(protocols.iter().map(|one| Box::from(*one)).collect()))
    }

    /// Whether clients may change to a protocol, `name` or `name/version`.
    pub fn allows(&self, protocol: &[u8]) -> bool {
        let name = name(protocol);
        let is = |allowed: &str| {
            let allowed = allowed.as_bytes();
            protocol.eq_ignore_ascii_case(allowed) || name.eq_ignore_ascii_case(allowed)
        };
        if is_forbidden(protocol) {
            return false;
        }
        match &self.0 {
            None => is(WEBSOCKET),
            Some(allowed) => allowed.iter().any(|one| is(one)),
        }
    }

    /// What the origin is asked for if a client asks for `wanted`.
    ///
    /// # Errors
    ///
    /// [`Failure::UpgradeRefused`] if a client wants a WebSocket and may not: it could do nothing
    /// with another answer.
    pub fn offer(&self, wanted: &HeaderValue) -> Result<Offer, Failure> {
        let (value, wanted) = (wanted, wanted.as_bytes());
        if wanted.len() > MOST_BYTES {
            return Ok(Offer::Nothing);
        }
        let allowed: Vec<&[u8]> = tokens(wanted).filter(|one| self.allows(one)).collect();
        if allowed.is_empty() {
            return match has_websocket(value) {
                true => Err(Failure::UpgradeRefused),
                false => Ok(Offer::Nothing),
            };
        }
        let protocols = HeaderValue::from_bytes(&allowed.join(&b", "[..]));
        Ok(protocols.map_or(Offer::Nothing, Offer::Protocols))
    }
}

/// Whether a protocol is one that no policy can allow: see [`Upgrades::allows`].
pub fn is_forbidden(protocol: &[u8]) -> bool {
    let name = name(protocol);
    NEVER
        .iter()
        .any(|never| name.eq_ignore_ascii_case(never.as_bytes()))
}

/// The protocol that a client names in `:protocol` (RFC 8441 §4), as an `Upgrade` field has it.
///
/// # Errors
///
/// [`Failure::MalformedRequest`] if it is not the name of one protocol.
pub fn of_stream(protocol: &[u8]) -> Result<HeaderValue, Failure> {
    let token = |part: &[u8]| {
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        !part.is_empty() && part.iter().all(fits)
    };
    if !protocol.splitn(2, |byte| *byte == b'/').all(token) {
        return Err(Failure::MalformedRequest);
    }
    HeaderValue::from_bytes(protocol).map_err(|_| Failure::MalformedRequest)
}

/// Whether a WebSocket is among these protocols.
pub fn has_websocket(protocols: &HeaderValue) -> bool {
    tokens(protocols.as_bytes()).any(|one| one.eq_ignore_ascii_case(WEBSOCKET.as_bytes()))
}

/// The protocol that an origin's `101` changes to: exactly one, and one of those that it was offered.
pub fn answered(offered: &HeaderValue, headers: &HeaderMap) -> Option<HeaderValue> {
    let (_, named) = strip_with_upgrade(&mut headers.clone());
    let named = named?;
    let one = named.as_bytes().trim_ascii();
    let mut offered = tokens(offered.as_bytes());
    let is_one = !one.is_empty() && offered.any(|offered| offered.eq_ignore_ascii_case(one));
    is_one.then_some(named)
}

fn name(protocol: &[u8]) -> &[u8] {
    let end = protocol.iter().position(|byte| *byte == b'/');
    protocol
        .get(..end.unwrap_or(protocol.len()))
        .unwrap_or_default()
}

fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let all = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    all.filter(|one| !one.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::HeaderValue;
    use http::header::CONNECTION;
    use http::header::UPGRADE;

    use super::Offer;
    use super::Upgrades;
    use super::answered;
    use super::of_stream;
    use crate::failure::Failure;

    fn offer(upgrades: &Upgrades, wanted: &'static str) -> Result<String, Failure> {
        let offer = upgrades.offer(&HeaderValue::from_static(wanted))?;
        Ok(match offer {
            Offer::Protocols(list) => list.to_str().expect("text").to_owned(),
            Offer::Nothing => String::new(),
        })
    }

    #[test]
    fn a_websocket_is_allowed_by_default_and_nothing_else_is() {
        let upgrades = Upgrades::default();
        assert_eq!(offer(&upgrades, "WebSocket"), Ok("WebSocket".to_owned()));
        assert_eq!(
            offer(&upgrades, "irc, websocket"),
            Ok("websocket".to_owned())
        );
        for ignored in ["irc", "h2c", "", ",,", "HTTP/2.0"] {
            assert_eq!(offer(&upgrades, ignored), Ok(String::new()), "{ignored}");
        }
    }

    #[test]
    fn other_protocols_are_allowed_by_name_and_a_websocket_that_is_not_is_refused() {
        let upgrades = Upgrades::of(&["IRC", "foo/2"]);
        let got = offer(&upgrades, "irc/6.9, foo/1, FOO/2, x");
        assert_eq!(got, Ok("irc/6.9, FOO/2".to_owned()));
        assert_eq!(offer(&upgrades, "websocket"), Err(Failure::UpgradeRefused));
        assert_eq!(offer(&Upgrades::of(&[]), "foo/2"), Ok(String::new()));
    }

    #[test]
    fn http_and_tls_are_never_passed_on() {
        let upgrades = Upgrades::of(&["h2c", "tls", "http", "websocket"]);
        for never in ["h2c", "TLS/1.0", "HTTP/2.0"] {
            assert_eq!(offer(&upgrades, never), Ok(String::new()), "{never}");
        }
    }

    #[test]
    fn a_stream_is_for_one_protocol() {
        for good in ["websocket", "connect-udp", "foo/2"] {
            assert_eq!(of_stream(good.as_bytes()).expect("it is one"), good);
        }
        for bad in ["", "a,b", "web socket", "a/", "/1", "a/b/c", "w\u{e9}b"] {
            let refused = of_stream(bad.as_bytes());
            assert_eq!(refused, Err(Failure::MalformedRequest), "{bad}");
        }
    }

    #[test]
    fn an_answer_names_one_protocol_that_was_offered() {
        let offered = HeaderValue::from_static("irc, websocket");
        let answered = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            for value in values {
                headers.append(UPGRADE, HeaderValue::from_static(value));
            }
            answered(&offered, &headers).is_some()
        };
        assert!(answered(&["WebSocket"]) && answered(&["irc"]));
        for bad in [
            &["foo"][..],
            &["irc, websocket"],
            &["irc", "irc"],
            &[],
            &[""],
        ] {
            assert!(!answered(bad), "{bad:?}");
        }
    }
}
