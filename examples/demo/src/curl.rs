//! A curl command line as data: shown to people, and understood well enough to send it ourselves.
//!
//! Invariant: an option that is not understood is an error, never ignored; so what `--check` sends
//! is what the printed line sends.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use crate::client::Target;

/// The arguments of one curl call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Curl {
    /// The options, one argument each, as in a shell after it removed the quotes.
    pub(crate) options: &'static [&'static str],
    /// The path and query to ask for.
    pub(crate) path: &'static str,
}

impl Curl {
    /// The line to type.
    pub(crate) fn line(self, to: Target<'_>) -> String {
        let mut line = String::from("curl");
        if let Some(identity) = to.identity {
            line.push_str(" --cacert ");
            line.push_str(&quoted(&identity.file.display().to_string()));
        }
        for option in self.options {
            line.push(' ');
            line.push_str(&quoted(option));
        }
        line.push(' ');
        let scheme = if to.identity.is_some() {
            "https"
        } else {
            "http"
        };
        line.push_str(&quoted(&format!("{scheme}://{}{}", to.address, self.path)));
        line
    }

    /// The request that curl would send.
    pub(crate) fn request(self, to: SocketAddr) -> Result<Request<Full<Bytes>>> {
        let mut method = "GET";
        let mut body = Bytes::new();
        let mut request = Request::builder()
            .uri(self.path)
            .header("host", to.to_string());
        let headers = request.headers_mut().context("the path is no URI")?;
        headers.insert("accept", HeaderValue::from_static("*/*"));
        let mut options = self.options.iter();
        while let Some(option) = options.next() {
            let mut argument = || options.next().context("an option lacks its argument");
            match *option {
                // These change what curl prints.
                "-i" | "-N" | "-s" => {}
                "-X" => method = argument()?,
                "-H" => {
                    let (name, value) = argument()?.split_once(": ").context("not a header")?;
                    headers.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
                }
                "-d" => {
                    method = "POST";
                    body = Bytes::from_static(argument()?.as_bytes());
                    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                    headers.entry(CONTENT_TYPE).or_insert(form);
                }
                other => bail!("this demo does not know the curl option {other}"),
            }
        }
        Ok(request.method(method).body(Full::new(body))?)
    }
}

/// An argument as a shell needs it.
fn quoted(argument: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || "-_./:=,@%+".contains(it);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.into();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn to() -> SocketAddr {
        "127.0.0.1:8080".parse().unwrap()
    }

    #[test]
    fn arguments_are_quoted_for_a_shell() {
        assert_eq!(quoted("-i"), "-i");
        assert_eq!(quoted("a: b"), "'a: b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(
            quoted("http://127.0.0.1/?a=1&b"),
            "'http://127.0.0.1/?a=1&b'"
        );
    }

    #[tokio::test]
    async fn the_request_is_what_curl_would_send() {
        let curl = Curl {
            options: &["-i", "-H", "a: b", "-d", "{}"],
            path: "/x?y",
        };
        assert_eq!(
            curl.line(Target::plain(to())),
            "curl -i -H 'a: b' -d '{}' 'http://127.0.0.1:8080/x?y'"
        );
        let request = curl.request(to()).unwrap();
        assert_eq!(request.method(), "POST");
        assert_eq!(request.uri(), "/x?y");
        assert_eq!(request.headers()["a"], "b");
        assert_eq!(
            request.headers()["content-type"],
            "application/x-www-form-urlencoded"
        );
        assert_eq!(
            request.into_body().collect().await.unwrap().to_bytes(),
            "{}"
        );
    }

    #[test]
    fn an_unknown_option_is_refused() {
        let err = Curl {
            options: &["--fail"],
            path: "/",
        }
        .request(to())
        .unwrap_err();
        assert_eq!(
            err.to_string(),
            "this demo does not know the curl option --fail"
        );
    }
}
