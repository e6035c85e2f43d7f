//! What the service is told of a request (Envoy, "HTTP service" of ext_authz).

use sha2::Digest;
use sha2::Sha256;
use tidegate_sdk::backend::Call;
use tidegate_sdk::prelude::*;

use crate::config::CacheConfig;
use crate::config::Config;

/// Says whether the body in a check is a part only.
pub(crate) const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";

/// What `forwardAuth` says of the request.
pub(crate) const FORWARDED: [&str; 5] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-proto",
    "x-forwarded-uri",
];

/// What the service is asked by and is no UTF-8: a header, or a part of the request's line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotText(pub(crate) &'static str);

/// A question for the service.
#[derive(Debug)]
pub(crate) struct Check {
    method: String,
    host: String,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Check {
    /// The question about a request with these headers.
    ///
    /// # Errors
    /// If the method, host or path is no text: the service would judge another.
    pub(crate) fn of(
        req: &Request,
        all: &[(String, Vec<u8>)],
        config: &Config,
    ) -> std::result::Result<Self, NotText> {
        let method = text_of(all, ":method")?;
        let host = text_of(all, ":authority")?;
        let target = text_of(all, ":path")?;
        let mut headers = told(all, config);
        let (method, host, path) = match &config.forward_auth {
            Some(path) => {
                let client = req.client_ip().map(|it| it.to_string());
                let before = |name: &'static str, other: String| match text_of(all, name)? {
                    it if it.is_empty() => Ok(other),
                    it => Ok(it),
                };
                let scheme = text_of(all, ":scheme")?;
                headers.extend(
                    [
                        ("x-forwarded-method", method),
                        ("x-forwarded-proto", before("x-forwarded-proto", scheme)?),
                        ("x-forwarded-host", host),
                        ("x-forwarded-uri", target),
                        (
                            "x-forwarded-for",
                            before("x-forwarded-for", client.unwrap_or_default())?,
                        ),
                    ]
                    .map(|(name, value)| (name.to_owned(), value.into_bytes())),
                );
                let host = config.backend.name().to_owned();
                (String::from("GET"), host, path.clone())
            }
            None => {
                // The target of OPTIONS may be a star.
                let target = if target.starts_with('/') {
                    &target
                } else {
                    "/"
                };
                let path = [config.path_prefix.as_str(), target].concat();
                (method, host, path)
            }
        };
        Ok(Self {
            method,
            host: config.host.clone().unwrap_or(host),
            path,
            headers,
            body: Vec::new(),
        })
    }

    /// The same with a body, or with its beginning.
    pub(crate) fn with_body(mut self, body: Vec<u8>, is_all: bool) -> Self {
        if !body.is_empty() {
            let is_part = if is_all { "false" } else { "true" };
            self.headers.push((PARTIAL_BODY.to_owned(), is_part.into()));
        }
        self.body = body;
        self
    }

    /// The call that asks it.
    pub(crate) fn call(self, cx: &Cx<Config>) -> Call {
        let call = cx
            .backend(&cx.config.backend)
            .request(&self.method, &self.path)
            .host(&self.host)
            .timeout(cx.config.timeout)
            .body(self.body);
        self.headers
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value))
    }

    /// Under which key an answer is remembered: a hash, so that no secret is kept. `None` if the request
    /// has nothing that the answer depends on.
    pub(crate) fn key(&self, cache: &CacheConfig) -> Option<String> {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        let mut any = cache.key.is_empty();
        if any {
            for part in [&self.method, &self.host, &self.path] {
                add(part.as_bytes());
            }
        }
        for (name, value) in &self.headers {
            if cache.key.is_empty() || cache.key.iter().any(|it| **it == **name) {
                any = true;
                add(name.as_bytes());
                add(value);
            }
        }
        any.then(|| {
            hash.finalize()
                .iter()
                .map(|it| format!("{it:02x}"))
                .collect()
        })
    }
}

/// The first value with this name, which has to be text; empty if there is none.
fn text_of(all: &[(String, Vec<u8>)], name: &'static str) -> std::result::Result<String, NotText> {
    let found = all.iter().find(|(it, _)| it == name);
    let value = found.map_or_else(Vec::new, |(_, value)| value.clone());
    String::from_utf8(value).map_err(|_| NotText(name))
}

/// The headers of a request that the service is told, as they came, and those that are added.
fn told(all: &[(String, Vec<u8>)], config: &Config) -> Vec<(String, Vec<u8>)> {
    let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, value) in all {
        let name = name.to_ascii_lowercase();
        if !config.tells(&name) {
            continue;
        }
        // HTTP/2 cuts a cookie header in parts, which are one header elsewhere (RFC 9113, 8.2.3).
        let before = headers.iter_mut().find(|(it, _)| *it == name);
        match before.filter(|_| name == "cookie") {
            Some((_, cookies)) => {
                cookies.extend_from_slice(b"; ");
                cookies.extend_from_slice(value);
            }
            None => headers.push((name, value.clone())),
        }
    }
    let added = config.include_additional_headers_in_check.iter();
    headers.extend(added.map(|(name, value)| (name.clone(), value.clone().into_bytes())));
    headers
}

#[cfg(test)]
mod tests {
    use super::NotText;
    use super::text_of;

    #[test]
    fn what_the_service_is_asked_by_is_text_or_refused() {
        let all = [
            (":method".to_owned(), b"GET".to_vec()),
            (":path".to_owned(), b"/k\xe9".to_vec()),
            (":authority".to_owned(), "k\u{fffd}".into()),
        ];
        assert_eq!(text_of(&all, ":method"), Ok("GET".into()));
        assert_eq!(text_of(&all, ":authority"), Ok("k\u{fffd}".into()));
        assert_eq!(text_of(&all, ":scheme"), Ok(String::new()));
        assert_eq!(text_of(&all, ":path"), Err(NotText(":path")));
    }
}
