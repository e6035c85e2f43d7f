//! Requests to one repository, and the right to make them.
//!
//! Owns what happens at a 401: the challenge is met once, and what met it is used from then on.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use serde::Deserialize;
use url::Url;

use crate::again::retry_after;
use crate::credentials::Credential;
use crate::credentials::Found;
use crate::digest::Digest;
use crate::http::Access;
use crate::http::Client;
use crate::http::Origin;
use crate::http::Request;
use crate::http::Response;
use crate::http::Upload;
use crate::quote;
use crate::reference::Reference;
use crate::registry::RegistryError;
use crate::registry::challenge;
use crate::registry::challenge::Challenge;
use crate::registry::hosts::Hosts;
use crate::registry::manifest::ACCEPT;
use crate::registry::manifest::FetchedManifest;
use crate::registry::manifest::MAX_MANIFEST_BYTES;
use crate::registry::token;
use crate::registry::token::Ask;
use crate::registry::token::Tokens;

/// The header in which a registry says what it sends.
const CONTENT_DIGEST: &str = "docker-content-digest";
/// The header by which registries of docker's making are known.
const API_VERSION: &str = "docker-distribution-api-version";
/// How often a request is sent again with what it was asked for.
const MOST_CHALLENGES: usize = 2;
/// Most bytes of an error message that are read.
const MAX_DETAIL: usize = 16 << 10;

/// What a repository is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To read.
    Pull,
    /// To read and write.
    Push,
}

/// One repository of one registry.
#[derive(Debug)]
pub struct Registry {
    client: Arc<Client>,
    tokens: Arc<Tokens>,
    host: String,
    /// What people call the repository.
    name: String,
    root: Url,
    origin: Origin,
    repository: String,
    purpose: Purpose,
    credential: Found,
    access: Access,
    challenge: Mutex<Option<Challenge>>,
}

impl Registry {
    /// The repository of an image.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if the registry's address or authorities cannot be used. Nothing is asked yet.
    pub fn new(
        client: &Arc<Client>,
        tokens: &Arc<Tokens>,
        hosts: &Hosts,
        image: &Reference,
        (purpose, credential): (Purpose, Found),
    ) -> Result<Self, RegistryError> {
        let (root, access) = hosts.find(image.api_host())?;
        let origin = Origin::of(&root).map_err(|source| RegistryError::Http {
            registry: image.registry().to_owned(),
            source,
        })?;
        Ok(Self {
            client: Arc::clone(client),
            tokens: Arc::clone(tokens),
            host: image.registry().to_owned(),
            name: image.name(),
            root,
            origin,
            repository: image.repository().to_owned(),
            purpose,
            credential,
            access,
            challenge: Mutex::new(None),
        })
    }

    /// Registry and repository.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is spoken to without TLS, and not on this machine.
    pub(crate) fn is_plain_far_away(&self) -> bool {
        !self.origin.is_secure && !crate::http::is_loopback(&self.root)
    }

    /// The manifest of a tag or digest, whose bytes are what they are said to be.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub async fn manifest(&self, tag_or_digest: &str) -> Result<FetchedManifest, RegistryError> {
        let pinned: Option<Digest> = tag_or_digest.parse().ok();
        let image = self.image(tag_or_digest);
        let mut response = self.ask_manifest(Method::GET, tag_or_digest).await?;
        let claimed = content_digest(&response.headers);
        let media_type = media_type(&response.headers);
        let limit = MAX_MANIFEST_BYTES;
        let raw = response.body.up_to(limit).await;
        let raw = raw.map_err(|source| self.failed(source))?;
        if raw.len() > limit {
            return Err(RegistryError::ManifestTooLarge { image, limit });
        }
        if let Some(found) = no_json(&media_type, &raw) {
            return Err(RegistryError::NotARegistry {
                host: origin_of(&response.url),
                found,
            });
        }
        let actual = Digest::of(&raw);
        let claims = [
            ("the reference asks for", pinned),
            ("the registry says", claimed),
        ];
        for (claim, expected) in claims {
            if let Some(expected) = expected.filter(|it| *it != actual) {
                return Err(RegistryError::ManifestDigest {
                    image,
                    claim,
                    expected,
                    actual,
                });
            }
        }
        Ok(FetchedManifest {
            raw: Bytes::from(raw),
            media_type,
            digest: actual,
        })
    }

    /// The digest that a tag has now, if the registry says it without sending the manifest.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub async fn digest_of(&self, tag: &str) -> Result<Option<Digest>, RegistryError> {
        let response = self.ask_manifest(Method::HEAD, tag).await?;
        Ok(content_digest(&response.headers))
    }

    async fn ask_manifest(&self, method: Method, name: &str) -> Result<Response, RegistryError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        let path = format!("manifests/{name}");
        let response = self.ask(method, &path, headers, None).await?;
        self.expect(
            response,
            &[StatusCode::OK],
            &format!("the manifest of {}", self.image(name)),
        )
        .await
    }

    /// The image of that tag or digest, as people write it.
    pub(super) fn image(&self, tag_or_digest: &str) -> String {
        let separator = if tag_or_digest.contains(':') {
            '@'
        } else {
            ':'
        };
        format!("{}{separator}{tag_or_digest}", self.name)
    }

    /// Where something of the repository is.
    pub(super) fn url(&self, path: &str) -> Result<Url, RegistryError> {
        let path = format!("v2/{}/{path}", self.repository);
        self.root.join(&path).map_err(|_| RegistryError::Http {
            registry: self.host.clone(),
            source: crate::http::HttpError::Address {
                url: quote::short(&path),
                reason: "it is no address",
            },
        })
    }

    /// Asks for something of the repository.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Option<Upload>,
    ) -> Result<Response, RegistryError> {
        self.ask_at(method, self.url(path)?, headers, body).await
    }

    /// Asks an address that the registry gave, with our credentials only if it is the registry's.
    pub(super) async fn ask_at(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Option<Upload>,
    ) -> Result<Response, RegistryError> {
        let is_registry = Origin::of(&url).map_err(|err| self.failed(err))? == self.origin;
        let access = Access {
            loopback: crate::http::sent(&url, self.access.loopback),
            ..self.access.clone()
        };
        let mut request = Request {
            method,
            url,
            headers,
            authorization: None,
            body,
            access,
        };
        if is_registry {
            request.authorization = self.known_right().await?;
        }
        let mut response = self.send(request.clone()).await?;
        for _ in 0..MOST_CHALLENGES {
            let is_asked = response.status == StatusCode::UNAUTHORIZED
                && Origin::of(&response.url).is_ok_and(|it| it == self.origin);
            if !is_asked || !is_registry {
                break;
            }
            // A token that was known may have been taken back; then a new one is asked for.
            let was_refused = request.authorization.is_some();
            let right = self.meet(&response.headers, was_refused).await?;
            if right.is_none() || right == request.authorization {
                break;
            }
            request.authorization = right;
            response = self.send(request.clone()).await?;
        }
        Ok(response)
    }

    async fn send(&self, request: Request) -> Result<Response, RegistryError> {
        let sent = self.client.send(request).await;
        sent.map_err(|source| self.failed(source))
    }

    /// What met the challenge before.
    async fn known_right(&self) -> Result<Option<HeaderValue>, RegistryError> {
        let known = || {
            let challenge = self.challenge.lock();
            challenge.unwrap_or_else(PoisonError::into_inner).clone()
        };
        match known() {
            None => Ok(None),
            Some(challenge) => self.right(&challenge).await,
        }
    }

    /// Meets a challenge; `None` if nothing can be said to it.
    async fn meet(
        &self,
        headers: &HeaderMap,
        was_refused: bool,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let challenge = challenge::choose(headers).map_err(|reason| RegistryError::Challenge {
            registry: self.host.clone(),
            reason,
        })?;
        if was_refused && let Challenge::Bearer { .. } = &challenge {
            self.with_ask(&challenge, |ask| self.tokens.forget(ask));
        }
        let right = self.right(&challenge).await?;
        let mut known = self
            .challenge
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Some(challenge);
        Ok(right)
    }

    async fn right(&self, challenge: &Challenge) -> Result<Option<HeaderValue>, RegistryError> {
        if let Credential::Token(token) = &self.credential.credential {
            return Ok(token::bearer(token.expose()));
        }
        match challenge {
            Challenge::Basic => Ok(token::basic(&self.credential.credential)),
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => {
                let own = self.scope();
                let ask = self.ask_for(realm, service.as_deref(), scope.as_deref().unwrap_or(&own));
                self.tokens.find(&self.client, &ask).await.map(Some)
            }
        }
    }

    fn with_ask(&self, challenge: &Challenge, then: impl FnOnce(&Ask<'_>)) {
        if let Challenge::Bearer {
            realm,
            service,
            scope,
        } = challenge
        {
            let own = self.scope();
            then(&self.ask_for(realm, service.as_deref(), scope.as_deref().unwrap_or(&own)));
        }
    }

    fn ask_for<'a>(&'a self, realm: &'a str, service: Option<&'a str>, scope: &'a str) -> Ask<'a> {
        Ask {
            registry: &self.host,
            is_secure: self.origin.is_secure,
            realm,
            service,
            scope,
            credential: &self.credential.credential,
            access: &self.access,
        }
    }

    /// What we want, for registries that do not say what they want us to ask for.
    fn scope(&self) -> String {
        let actions = match self.purpose {
            Purpose::Pull => "pull",
            Purpose::Push => "pull,push",
        };
        format!("repository:{}:{actions}", self.repository)
    }

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
                "no credentials for it were found ({}): give the plugin a username with a \
                 passwordFile, or log in with `docker login {}`",
                self.credential.origin, self.host
            ),
            _ => format!(
                "the credentials of {} were refused, or give no right to this",
                self.credential.origin
            ),
        }
    }

    pub(super) fn failed(&self, source: crate::http::HttpError) -> RegistryError {
        RegistryError::Http {
            registry: self.host.clone(),
            source,
        }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
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

fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    // One of another algorithm says nothing that could be compared.
    headers
        .get(CONTENT_DIGEST)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|it| it.to_str().ok()).unwrap_or_default();
    let bare = value.split(';').next().unwrap_or_default();
    quote::plain(bare)
}

/// What came, if it is certainly no manifest.
fn no_json(media_type: &str, body: &[u8]) -> Option<String> {
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
