//! `WWW-Authenticate`: how a registry asks for credentials (RFC 9110 §11.6.1, RFC 6750).
//!
//! Owns its grammar. Several challenges may stand in one field, parameters are words or quoted
//! strings, and servers are not careful.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// Most bytes of all challenges that are looked at.
const MAX_BYTES: usize = 8 << 10;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A token from a token server.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
    /// A user and a password.
    Basic,
}

/// The challenge that can be met best: a token, else a password.
///
/// The error says what was found instead.
pub(crate) fn choose(headers: &HeaderMap) -> Result<Challenge, String> {
    let mut found = Vec::new();
    let mut bytes = 0;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        bytes += value.len();
        if bytes > MAX_BYTES {
            return Err("its WWW-Authenticate is too long".to_owned());
        }
        found.extend(parse(&String::from_utf8_lossy(value.as_bytes())));
    }
    let bearer = found.iter().find_map(|(scheme, parameters)| {
        let parameter = |name: &str| {
            let found = parameters
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        scheme.eq_ignore_ascii_case("bearer").then(|| {
            parameter("realm").map(|realm| Challenge::Bearer {
                realm,
                service: parameter("service"),
                scope: parameter("scope"),
            })
        })?
    });
    if let Some(bearer) = bearer {
        return Ok(bearer);
    }
    if found
        .iter()
        .any(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
    {
        return Ok(Challenge::Basic);
    }
    let schemes: Vec<&str> = found.iter().map(|(scheme, _)| scheme.as_str()).collect();
    Err(match schemes.as_slice() {
        [] => "it sent no WWW-Authenticate".to_owned(),
        _ if schemes.iter().any(|it| it.eq_ignore_ascii_case("bearer")) => {
            "its Bearer challenge names no realm".to_owned()
        }
        _ => format!("it knows {}", crate::quote::plain(&schemes.join(", "))),
    })
}

type Parsed = (String, Vec<(String, String)>);

/// All challenges of one field.
fn parse(text: &str) -> Vec<Parsed> {
    let mut rest = Cursor { rest: text };
    let mut found: Vec<Parsed> = Vec::new();
    loop {
        rest.skip(&[' ', '\t', ',']);
        let word = rest.token();
        if word.is_empty() {
            // What is no word is left out, one character at a time.
            if rest.next().is_none() {
                return found;
            }
            continue;
        }
        rest.skip(&[' ', '\t']);
        // `name=value` belongs to the scheme before it; anything else is a scheme.
        if rest.eat('=')
            && let Some((_, parameters)) = found.last_mut()
        {
            rest.skip(&[' ', '\t']);
            parameters.push((word.to_owned(), rest.value()));
        } else {
            found.push((word.to_owned(), Vec::new()));
        }
    }
}

#[derive(Debug)]
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn skip(&mut self, these: &[char]) {
        self.rest = self.rest.trim_start_matches(these);
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    fn eat(&mut self, this: char) -> bool {
        match self.rest.strip_prefix(this) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn token(&mut self) -> &'a str {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        self.up_to(|c| !is_token(c))
    }

    fn up_to(&mut self, end: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(end).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        word
    }

    fn value(&mut self) -> String {
        if !self.eat('"') {
            return self.up_to(|c| c == ',' || c.is_whitespace()).to_owned();
        }
        let mut value = String::new();
        while let Some(c) = self.next() {
            match c {
                '"' => break,
                '\\' => value.extend(self.next()),
                _ => value.push(c),
            }
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::ProptestConfig;
    use proptest::proptest;

    use super::Challenge;
    use super::choose;

    fn read(fields: &[&str]) -> Result<Challenge, String> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append("www-authenticate", field.parse().expect("a value"));
        }
        choose(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn challenges_of_real_registries_are_understood() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let expected = bearer(
            "https://auth.docker.io/token",
            Some("registry.docker.io"),
            Some("repository:a/b:pull,push"),
        );
        assert_eq!(read(&[hub]), Ok(expected));
        assert_eq!(read(&[r#"Basic realm="x, y""#]), Ok(Challenge::Basic));
        assert_eq!(read(&["basic"]), Ok(Challenge::Basic));
    }

    #[test]
    fn a_token_is_preferred_wherever_it_stands() {
        let expected = Ok(bearer("https://a.test/t", None, None));
        assert_eq!(
            read(&["Basic realm=\"x\"", "bearer realm=https://a.test/t"]),
            expected
        );
        let both = r#"Negotiate, Basic realm="Bearer realm=\"https://no.test\"", Bearer Realm = "https://a.test/t""#;
        assert_eq!(read(&[both]), expected);
    }

    #[test]
    fn what_cannot_be_met_is_said() {
        assert!(read(&[]).unwrap_err().contains("no WWW-Authenticate"));
        assert!(read(&["Negotiate abc="]).unwrap_err().contains("Negotiate"));
        assert!(
            read(&["Bearer service=\"x\""])
                .unwrap_err()
                .contains("no realm")
        );
        assert!(
            read(&[&"Basic ".repeat(5000)])
                .unwrap_err()
                .contains("too long")
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_panics_or_hangs(text in "[ -~]{0,60}") {
            super::parse(&text);
        }
    }
}
