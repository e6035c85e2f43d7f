//! The flags of `tidegate explain`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Uri;

use crate::cli::CheckFormat;
use crate::cli::MeshArgs;

/// `tidegate explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// File, or folder of .yaml, .yml and .json files
    #[arg(short, long, value_name = "PATH")]
    pub(crate) config: PathBuf,
    /// The method of the request, such as GET
    #[arg(value_name = "METHOD", value_parser = method)]
    pub(crate) method: Method,
    /// What it asks for: http://HOST:PORT/PATH or https://…, without :PORT that of the scheme; the port says which listener is meant
    #[arg(value_name = "URL")]
    pub(crate) url: Asked,
    /// A header field of the request (repeatable)
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// How the answer is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: CheckFormat,
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
}

/// A URL that a client would ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Whether over TLS.
    pub(crate) secure: bool,
    /// Its host, without brackets.
    pub(crate) host: String,
    /// Its port, or that of the scheme.
    pub(crate) port: u16,
    /// What a client writes as `Host`.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) target: String,
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH";
        let uri: Uri = text.parse().map_err(|err| format!("{err}; {expected}"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(expected.to_owned()),
        };
        let authority = uri.authority().ok_or(expected)?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(expected.to_owned());
        }
        let host = authority.host();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(Self {
            secure,
            host: host.to_ascii_lowercase(),
            port: authority
                .port_u16()
                .unwrap_or(if secure { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            target: target.to_owned(),
        })
    }
}

fn method(text: &str) -> Result<Method, String> {
    let method = Method::from_bytes(text.as_bytes());
    method.map_err(|_| "expected a method, such as GET".to_owned())
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let expected = || "expected NAME: VALUE, such as 'x-user: 7'".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(expected)?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| expected())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| expected())?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::Asked;
    use super::header;

    #[test]
    fn a_url_says_address_and_request() {
        let asked: Asked = "https://Shop.test/a?b=c".parse().expect("a URL");
        assert_eq!(
            (asked.secure, &*asked.host, asked.port),
            (true, "shop.test", 443)
        );
        assert_eq!(asked.target, "/a?b=c");
        let asked: Asked = "http://[::1]:8080".parse().expect("a URL");
        assert_eq!(
            (&*asked.host, asked.port, &*asked.target),
            ("::1", 8080, "/")
        );
        for bad in ["shop.test/", "ftp://a/", "http:///x", "http://u@a/"] {
            assert!(bad.parse::<Asked>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_header_is_a_name_and_a_value() {
        let (name, value) = header("X-User: a:b").expect("a header");
        assert_eq!((name.as_str(), value.as_bytes()), ("x-user", &b"a:b"[..]));
        for bad in ["x-user", "x user: a", "x: \u{1}"] {
            assert!(header(bad).is_err(), "{bad}");
        }
    }
}
