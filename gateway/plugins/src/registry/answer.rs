//! What a registry's answers mean, and whether it is a registry that answers.

use std::time::SystemTime;

use http::HeaderMap;
use http::StatusCode;
use http::header;
use serde::Deserialize;
use url::Url;

use crate::again::retry_after;
use crate::credentials::Credential;
use crate::digest::Digest;
use crate::http::Origin;
use crate::http::Response;
use crate::quote;
use crate::registry::RegistryError;
use crate::registry::session::Registry;

/// The header in which a registry says what it sends.
const CONTENT_DIGEST: &str = "docker-content-digest";
/// The header by which registries of docker's making are known.
const API_VERSION: &str = "docker-distribution-api-version";
/// Most bytes of an error message that are read.
const MAX_DETAIL: usize = 16 << 10;

impl Registry {
    /// An answer of one of these statuses, or the error that it is.
    pub(super) async fn expect(
        &self,
        mut response: Response,
        good: &[StatusCode],
        what: &str,
    ) -> Result<Response, RegistryError> {
        if good.contains(&response.status) {
            return Ok(response);
        }
        let status = response.status;
        let is_registry = Origin::of(&response.url).is_ok_and(|it| it == self.origin);
        let after = retry_after(&response.headers, SystemTime::now());
        let media_type = media_type(&response.headers);
        let is_known = response.headers.contains_key(API_VERSION);
        let is_head = response.body.length() == Some(0);
        let detail = detail(&mut response).await;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if is_registry => {
                Err(RegistryError::Refused {
                    registry: self.host.clone(),
                    repository: self.repository.clone(),
                    status,
                    detail,
                    advice: self.advice(),
                })
            }
            StatusCode::NOT_FOUND if is_registry => {
                // Any web server knows how to answer 404.
                if !is_known && !is_head && detail.is_empty() && !media_type.contains("json") {
                    return Err(RegistryError::NotARegistry {
                        host: origin_of(&response.url),
                        found: format!("404 with {}", named(&media_type)),
                    });
                }
                Err(RegistryError::NotFound {
                    image: what.trim_start_matches("the manifest of ").to_owned(),
                    detail,
                })
            }
            _ => Err(RegistryError::Status {
                host: origin_of(&response.url),
                what: what.to_owned(),
                status,
                detail,
                after,
            }),
        }
    }

    fn advice(&self) -> String {
        match &self.credential.credential {
            Credential::Anonymous => format!(
                "no credentials for it were found ({}): name some in the Plugin's `pullSecret`, or \
                 log in with `docker login {}`",
                self.credential.origin, self.host
            ),
            _ => format!(
                "the credentials of {} were refused, or give no right to this",
                self.credential.origin
            ),
        }
    }
}

/// What a registry says about a failure, with a separator before it; nothing if it says nothing.
pub(super) async fn detail(response: &mut Response) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Error>,
    }
    #[derive(Deserialize)]
    struct Error {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(body) = response.body.up_to(MAX_DETAIL).await else {
        return String::new();
    };
    let parsed = serde_json::from_slice::<Errors>(&body).ok();
    match parsed.and_then(|it| it.errors.into_iter().next()) {
        Some(Error { code, message }) => {
            let text = quote::plain(&format!("{code} {message}"));
            format!(": it says {text:?}")
        }
        None => String::new(),
    }
}

/// Reads an answer that nobody needs, if it is short.
pub(super) async fn drained(response: &mut Response) {
    // What fails here will fail again where it matters.
    response.body.up_to(MAX_DETAIL).await.ok();
}

pub(super) fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    // One of another algorithm says nothing that could be compared.
    headers
        .get(CONTENT_DIGEST)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|it| it.to_str().ok()).unwrap_or_default();
    let bare = value.split(';').next().unwrap_or_default();
    quote::plain(bare)
}

/// What came, if it is certainly no manifest.
pub(super) fn no_json(media_type: &str, body: &[u8]) -> Option<String> {
    let begins = body.trim_ascii_start().first();
    match begins {
        Some(b'{') => None,
        Some(b'<') => Some(format!("a page ({})", named(media_type))),
        None => Some("nothing".to_owned()),
        Some(_) => Some(named(media_type).to_owned()),
    }
}

fn named(media_type: &str) -> &str {
    if media_type.is_empty() {
        "something without a content type"
    } else {
        media_type
    }
}

/// Host and port of an address.
pub(super) fn origin_of(url: &Url) -> String {
    Origin::of(url).map_or_else(|_| quote::url(url), |it| it.authority())
}
