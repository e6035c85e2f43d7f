//! Requests to one repository, and the right to make them.
//!
//! Owns what happens at a 401: the challenge is met once, and what met it is used from then on.

use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use url::Url;

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
use crate::registry::answer::content_digest;
use crate::registry::answer::drained;
use crate::registry::answer::media_type;
use crate::registry::answer::no_json;
use crate::registry::answer::origin_of;
use crate::registry::challenge::Challenge;
use crate::registry::hosts::Hosts;
use crate::registry::manifest::ACCEPT;
use crate::registry::manifest::FetchedManifest;
use crate::registry::manifest::MAX_MANIFEST_BYTES;
use crate::registry::token::Tokens;

/// How often a request is sent again with what it was asked for.
const MOST_CHALLENGES: usize = 2;

/// What registries answer that do not know `HEAD`.
const NO_HEAD: [StatusCode; 3] = [
    StatusCode::BAD_REQUEST,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_IMPLEMENTED,
];

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
    pub(super) client: Arc<Client>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) host: String,
    /// What people call the repository.
    pub(super) name: String,
    pub(super) root: Url,
    pub(super) origin: Origin,
    pub(super) repository: String,
    pub(super) purpose: Purpose,
    pub(super) credential: Found,
    pub(super) access: Access,
    pub(super) challenge: Mutex<Option<Challenge>>,
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
        let (root, access) = hosts.find(image)?;
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

    /// Whether it is spoken to without TLS because it is on this machine.
    pub(super) fn is_plain_here(&self) -> bool {
        !self.origin.is_secure && crate::http::is_loopback(&self.root)
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
        match self.ask_manifest(Method::HEAD, tag).await {
            Ok(response) => Ok(content_digest(&response.headers)),
            // Some do not know that question, and know the manifest all the same.
            Err(RegistryError::Status { status, .. }) if NO_HEAD.contains(&status) => Ok(None),
            Err(err) => Err(err),
        }
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
            // Read to its end, the connection serves the next try.
            drained(&mut response).await;
            response = self.send(request.clone()).await?;
        }
        Ok(response)
    }

    async fn send(&self, request: Request) -> Result<Response, RegistryError> {
        let sent = self.client.send(request).await;
        sent.map_err(|source| self.failed(source))
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
