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
use crate::registry::session::Purpose;
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
        let said = said(&mut response).await;
        let detail = said.as_ref().map_or_else(String::new, Said::in_words);
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
                let what = what.trim_start_matches("the manifest of ");
                let own = what.strip_prefix(self.host.as_str());
                let own = own.and_then(|it| it.strip_prefix('/'));
                Err(RegistryError::NotFound {
                    registry: self.host.clone(),
                    what: own.unwrap_or(what).to_owned(),
                    detail: said.map_or(detail, |said| said.code_in_brackets()),
                })
            }
            // What servers say that expect TLS.
            StatusCode::BAD_REQUEST if is_registry && self.is_plain_here() => {
                let host = origin_of(&response.url);
                let advice = format!(
                    "; it was asked without TLS, as registries on this machine are: if it speaks TLS, \
                     `--registry-ca {}=FILE` names its authorities",
                    self.host
                );
                Err(RegistryError::Status {
                    host,
                    what: what.to_owned(),
                    status,
                    detail: detail + &advice,
                    after,
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
            Credential::Anonymous => {
                let (origin, host) = (&self.credential.origin, &self.host);
                let flags = "`--username` and `--password-file`";
                let named = match self.purpose {
                    Purpose::Push => format!("name some with {flags}"),
                    Purpose::Pull => {
                        format!(
                            "name some in the Plugin's `pullSecret` (of a command, with {flags})"
                        )
                    }
                };
                format!(
                    "no credentials for it were found ({origin}): {named}, or log in with \
                     `docker login {host}` or `skopeo login {host}`"
                )
            }
            _ => format!(
                "the credentials of {} were refused, or give no right to this",
                self.credential.origin
            ),
        }
    }
}

/// What a registry says about a failure. It is somebody else's text.
struct Said {
    code: String,
    message: String,
}

impl Said {
    /// In words, with a separator before them.
    fn in_words(&self) -> String {
        let text = quote::plain(&format!("{} {}", self.code, self.message));
        format!(": it says {text:?}")
    }

    /// Its code alone, if it has one: of what is not there, the words say no more.
    fn code_in_brackets(&self) -> String {
        match self.code.as_str() {
            "" => self.in_words(),
            code => format!(" ({})", quote::plain(code)),
        }
    }
}

/// What a registry says about a failure, with a separator before it; nothing if it says nothing.
pub(super) async fn detail(response: &mut Response) -> String {
    let said = said(response).await;
    said.as_ref().map_or_else(String::new, Said::in_words)
}

async fn said(response: &mut Response) -> Option<Said> {
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
    let body = response.body.up_to(MAX_DETAIL).await.ok()?;
    let parsed = serde_json::from_slice::<Errors>(&body).ok()?;
    let Error { code, message } = parsed.errors.into_iter().next()?;
    Some(Said { code, message })
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
