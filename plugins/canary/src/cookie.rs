//! The cookie by which clients without a key are known.
//!
//! Its value is the number of a bucket, and nothing else: 10,000 of them are too few to follow anybody by.

use std::time::Duration;

use tidegate_policy::cookie_values;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::request::Request;

use crate::config::token;
use crate::split::BUCKETS;

/// The cookie that clients get.
#[derive(FilterConfig, Debug)]
#[config(validate = good)]
pub(crate) struct Cookie {
    /// Its name.
    #[config(default = "tidegate-canary", max_len = 256, validate = token)]
    name: String,
    /// How long a client keeps it. It is not renewed: after that, the client is anybody again.
    #[config(default = "720h", min = "1s", max = "9600h")]
    ttl: Duration,
    /// The paths that it is for.
    #[config(default = "/", max_len = 1024, pattern = "^/[!-:<-~]*$")]
    path: String,
    /// The domain that it is for, with all hosts below; without it, the host that was asked.
    #[config(max_len = 253, pattern = "^[a-zA-Z0-9.-]+$")]
    domain: Option<String>,
    /// Which requests from other sites carry it.
    #[config(default = "Lax")]
    same_site: SameSite,
    /// Whether it goes over TLS only. Without it, if the request came by TLS.
    secure: Option<bool>,
}

/// Which requests from other sites carry a cookie (RFC 6265bis, 5.6.7).
#[derive(FilterConfig, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SameSite {
    /// None.
    #[config(rename = "Strict")]
    Strict,
    /// Those that a user follows a link with.
    #[config(rename = "Lax")]
    Lax,
    /// All; over TLS only.
    #[config(rename = "None")]
    None,
}

impl Cookie {
    /// The number that a request's cookie has; of several, the first that has one.
    pub(crate) fn number(&self, req: &Request) -> Option<u16> {
        let values: Vec<Vec<u8>> = cookie_values(req, &self.name);
        values.iter().find_map(|it| number(it))
    }

    /// The `Set-Cookie` of a number, for the client of a request.
    pub(crate) fn issue(&self, number: u16, req: &Request) -> String {
        let secure = self.secure.unwrap_or_else(|| req.scheme() == "https");
        let age = self.ttl.as_secs().to_string();
        let number = number.to_string();
        let domain = self.domain.as_deref();
        [
            &*self.name,
            "=",
            &number,
            "; Path=",
            &self.path,
            "; Max-Age=",
            &age,
            if domain.is_some() { "; Domain=" } else { "" },
            domain.unwrap_or_default(),
            "; HttpOnly; SameSite=",
            match self.same_site {
                SameSite::Strict => "Strict",
                SameSite::Lax => "Lax",
                SameSite::None => "None",
            },
            if secure { "; Secure" } else { "" },
        ]
        .concat()
    }
}

/// A number of a bucket, written as this filter writes it.
fn number(value: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(value).ok()?;
    let number: u16 = text.parse().ok().filter(|it| *it < BUCKETS)?;
    let is_plain = text == "0" || !text.starts_with(['0', '+']);
    is_plain.then_some(number)
}

fn good(cookie: &Cookie) -> Result<(), String> {
    if cookie.same_site == SameSite::None && cookie.secure == Some(false) {
        return Err("browsers keep a cookie with sameSite None only if it is secure".to_owned());
    }
    let is_host = cookie.name.starts_with("__Host-");
    if (is_host || cookie.name.starts_with("__Secure-")) && cookie.secure == Some(false) {
        return Err("browsers keep a cookie of this name only if it is secure".to_owned());
    }
    if is_host && (cookie.domain.is_some() || cookie.path != "/") {
        return Err(
            "browsers keep a cookie whose name begins with __Host- only for the path / and without a \
             domain"
                .to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn only_numbers_of_buckets_are_taken() {
        for (value, expected) in [
            ("0", Some(0)),
            ("17", Some(17)),
            ("9999", Some(9_999)),
            ("10000", None),
            ("65536", None),
            ("007", None),
            ("+7", None),
            ("-7", None),
            ("7 ", None),
            ("", None),
            ("canary", None),
        ] {
            assert_eq!(number(value.as_bytes()), expected, "{value}");
        }
        assert_eq!(number(b"\xff"), None);
    }
}
