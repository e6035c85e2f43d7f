//! Code from a web server, of which the digest must be known.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::StatusCode;
use url::Url;

use crate::PluginCode;
use crate::again::retry_after;
use crate::cache::Pin;
use crate::digest::Digest;
use crate::http::Request;
use crate::layout::Kind;
use crate::pull::PullError;
use crate::pull::Store;
use crate::pull::blocking;
use crate::quote;

/// A module at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Where it is.
    pub url: Url,
    /// What it must be. Without it a web server, and everybody on the way to it, could put any code
    /// into the gateway.
    pub sha256: Digest,
}

impl Store {
    /// Fetches a module, or takes it out of the cache.
    ///
    /// # Errors
    ///
    /// [`PullError`], also if it is not what it must be, or the signature policy does not let it in.
    pub async fn download(&self, wanted: &Download) -> Result<(PluginCode, Vec<Pin>), PullError> {
        // Also what the cache has: it may be there as the module of an image.
        self.signatures.get().check_web(&wanted.url)?;
        let digest = wanted.sha256;
        let cache = Arc::clone(&self.cache);
        let known = blocking(move || cache.blob(digest)).await??;
        if let Some((bytes, pin)) = known {
            return Ok((code(wanted, bytes), vec![pin]));
        }
        let limit = self.limits.total;
        let fetched = tokio::time::timeout(limit, self.fetch(wanted)).await;
        let bytes = fetched.unwrap_or_else(|_| {
            Err(PullError::Slow {
                image: quote::url(&wanted.url),
                limit,
            })
        })?;
        let cache = Arc::clone(&self.cache);
        let kept = bytes.clone();
        let (_, pin) = blocking(move || cache.keep_bytes(&kept)).await??;
        Ok((code(wanted, bytes), vec![pin]))
    }

    async fn fetch(&self, wanted: &Download) -> Result<Bytes, PullError> {
        let url = || quote::url(&wanted.url);
        let failed = |source| PullError::Http { url: url(), source };
        let access = self.hosts.access_to(&wanted.url);
        let access = access.map_err(|source| PullError::Trust { url: url(), source })?;
        let request = Request {
            method: Method::GET,
            url: wanted.url.clone(),
            headers: HeaderMap::new(),
            authorization: None,
            body: None,
            access,
        };
        let mut response = self.client.send(request).await.map_err(failed)?;
        // Whoever sends us on must not lead around the policy either.
        let policy = self.signatures.get();
        for asked in response.via.iter().chain([&response.url]) {
            policy.check_web(asked)?;
        }
        if response.status != StatusCode::OK {
            return Err(PullError::Status {
                url: url(),
                status: response.status,
                after: retry_after(&response.headers, SystemTime::now()),
            });
        }
        let limit = self.limits.layer_bytes;
        let too_large = || PullError::TooLarge { url: url(), limit };
        if response.body.length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let bytes = response.body.up_to(most).await.map_err(failed)?;
        if bytes.len() > most {
            return Err(too_large());
        }
        let actual = Digest::of(&bytes);
        if actual != wanted.sha256 {
            return Err(PullError::Digest {
                url: url(),
                expected: wanted.sha256,
                actual,
            });
        }
        match Kind::of(&bytes) {
            Kind::Module => Ok(Bytes::from(bytes)),
            kind => Err(PullError::NotAModule { url: url(), kind }),
        }
    }
}

/// Named after its file, without the extension.
fn code(wanted: &Download, bytes: Bytes) -> PluginCode {
    let file = wanted.url.path().rsplit('/').next().unwrap_or_default();
    PluginCode {
        name: file.strip_suffix(".wasm").unwrap_or(file).to_owned(),
        bytes,
        digest: *wanted.sha256.as_bytes(),
    }
}
