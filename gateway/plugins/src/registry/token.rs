//! Tokens: asking a token server, and remembering what it gave.
//!
//! Owns both. A token is used for 90 % of its life; a realm is asked over TLS, or over plain HTTP
//! only where the registry itself is spoken to so.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::header;
use serde::Deserialize;
use url::Url;

use crate::again::Again;
use crate::again::retry_after;
use crate::credentials::Credential;
use crate::digest::Digest;
use crate::http::Access;
use crate::http::Client;
use crate::http::Request;
use crate::http::Response;
use crate::http::Upload;
use crate::quote;
use crate::registry::RegistryError;
use crate::registry::right::basic;
use crate::registry::right::bearer;

/// Most bytes of a token server's answer.
const MAX_ANSWER: usize = 256 << 10;
/// Most tokens that are remembered.
const MOST_TOKENS: usize = 512;
/// The life of a token that says nothing of it, as the specification has it.
const USUAL_LIFE: u64 = 60;
/// Longest life that is believed.
const LONGEST_LIFE: u64 = 24 * 3600;
/// Who we are, to token servers.
const CLIENT_ID: &str = "tidegate";

/// The tokens that were given, for all pulls of a process.
#[derive(Default)]
pub struct Tokens {
    known: Mutex<HashMap<Key, Token>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

/// What a token was asked for with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    realm: String,
    service: Option<String>,
    scope: String,
    credential: Digest,
}

struct Token {
    value: HeaderValue,
    refresh_at: Instant,
}

/// What a token is asked for with.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) registry: &'a str,
    /// Whether the registry itself is spoken to by TLS.
    pub(super) is_secure: bool,
    pub(super) realm: &'a str,
    pub(super) service: Option<&'a str>,
    pub(super) scope: &'a str,
    pub(super) credential: &'a Credential,
    pub(super) access: &'a Access,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<f64>,
}

impl Tokens {
    /// A token: one that is known, else a new one. It is the value of `Authorization`.
    pub(super) async fn find(
        &self,
        client: &Client,
        ask: &Ask<'_>,
    ) -> Result<HeaderValue, RegistryError> {
        let key = ask.key();
        if let Some(value) = self.known(&key, Instant::now()) {
            return Ok(value);
        }
        let asked_at = Instant::now();
        let (value, life) = ask.send(client).await?;
        let token = Token {
            value: value.clone(),
            refresh_at: asked_at + life.mul_f64(0.9),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_TOKENS {
            let now = Instant::now();
            known.retain(|_, token| now < token.refresh_at);
        }
        if known.len() < MOST_TOKENS {
            known.insert(key, token);
        }
        Ok(value)
    }

    /// Forgets a token that was refused.
    pub(super) fn forget(&self, ask: &Ask<'_>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&ask.key());
    }

    fn known(&self, key: &Key, now: Instant) -> Option<HeaderValue> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let token = known.get(key).filter(|token| now < token.refresh_at)?;
        Some(token.value.clone())
    }
}

impl Ask<'_> {
    fn key(&self) -> Key {
        Key {
            realm: self.realm.to_owned(),
            service: self.service.map(str::to_owned),
            scope: self.scope.to_owned(),
            credential: self.credential.fingerprint(),
        }
    }

    async fn send(&self, client: &Client) -> Result<(HeaderValue, Duration), RegistryError> {
        let realm = self.realm()?;
        let shown = quote::url(&realm);
        let request = self.request(realm)?;
        let mut response = client
            .send(request)
            .await
            .map_err(|source| RegistryError::Token {
                again: if source.is_passing() {
                    Again::Soon
                } else {
                    Again::Late
                },
                reason: crate::chain(&source),
                realm: shown.clone(),
                scope: self.scope.to_owned(),
            })?;
        let failed = |reason: String, again| RegistryError::Token {
            realm: shown.clone(),
            scope: self.scope.to_owned(),
            reason,
            again,
        };
        if !response.status.is_success() {
            return Err(self.refused(&mut response, failed).await);
        }
        let body = response.body.up_to(MAX_ANSWER).await;
        let body = body.map_err(|err| failed(crate::chain(&err), Again::Soon))?;
        // What is wrong with it is not quoted: it may have a token in it.
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| {
            failed(
                "its answer is not the JSON of a token".to_owned(),
                Again::Late,
            )
        })?;
        let token = answer.token.or(answer.access_token);
        let token = token.filter(|token| !token.is_empty());
        let token =
            token.ok_or_else(|| failed("its answer has no token in it".to_owned(), Again::Late))?;
        let value = bearer(&token)
            .ok_or_else(|| failed("its token cannot be sent".to_owned(), Again::Late))?;
        let life = answer.expires_in.filter(|it| it.is_finite() && *it > 0.0);
        let life = life.map_or_else(
            || Duration::from_secs(USUAL_LIFE),
            |seconds| {
                Duration::try_from_secs_f64(seconds)
                    .unwrap_or_default()
                    .min(Duration::from_secs(LONGEST_LIFE))
            },
        );
        Ok((value, life))
    }

    async fn refused(
        &self,
        response: &mut Response,
        failed: impl Fn(String, Again) -> RegistryError,
    ) -> RegistryError {
        let status = response.status;
        let again = match retry_after(&response.headers, SystemTime::now()) {
            Some(pause) => Again::After(pause),
            None if status.is_server_error() || status.as_u16() == 429 => Again::Soon,
            None => Again::Late,
        };
        let detail = super::answer::detail(response).await;
        let advice = match (status.as_u16(), self.credential) {
            (401 | 403, Credential::Anonymous) => "; it wants credentials, and none were found",
            (400, Credential::Anonymous) => "",
            (400 | 401 | 403, _) => "; the credentials that were found are not the right ones",
            _ => "",
        };
        failed(format!("it answered {status}{detail}{advice}"), again)
    }

    /// The address of the token server.
    fn realm(&self) -> Result<Url, RegistryError> {
        let wrong = |reason: &str| RegistryError::Challenge {
            registry: self.registry.to_owned(),
            reason: format!("its realm {:?} {reason}", quote::short(self.realm)),
        };
        let realm: Url = self.realm.parse().map_err(|_| wrong("is no address"))?;
        match realm.scheme() {
            "https" => Ok(realm),
            "http" if self.is_secure => Err(wrong(
                "is plain HTTP, and the registry is not: credentials would go in the open",
            )),
            "http" => Ok(realm),
            _ => Err(wrong("is not HTTPS")),
        }
    }

    fn request(&self, mut realm: Url) -> Result<Request, RegistryError> {
        let access = Access {
            loopback: crate::http::sent(&realm, self.access.loopback),
            ..self.access.clone()
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let mut authorization = None;
        let mut body = None;
        let method = match self.credential {
            // A token for tokens is given in the body (OAuth 2.0, RFC 6749 §6).
            Credential::IdentityToken(token) => {
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(header::CONTENT_TYPE, form);
                let mut fields = url::form_urlencoded::Serializer::new(String::new());
                fields
                    .append_pair("grant_type", "refresh_token")
                    .append_pair("service", self.service.unwrap_or_default())
                    .append_pair("scope", self.scope)
                    .append_pair("client_id", CLIENT_ID)
                    .append_pair("refresh_token", token.expose());
                body = Some(Upload::new(Bytes::from(fields.finish()), None));
                Method::POST
            }
            Credential::Anonymous | Credential::Basic { .. } | Credential::Token(_) => {
                let mut query = realm.query_pairs_mut();
                if let Some(service) = self.service {
                    query.append_pair("service", service);
                }
                query.append_pair("scope", self.scope);
                if let Credential::Basic { user, .. } = self.credential {
                    query.append_pair("account", user);
                }
                drop(query);
                authorization = basic(self.credential);
                Method::GET
            }
        };
        Ok(Request {
            method,
            url: realm,
            headers,
            authorization,
            body,
            access,
        })
    }
}
