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
use crate::cache::CacheError;
use crate::cache::Pin;
use crate::cache::Unfinished;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::http::Request;
use crate::layout::Kind;
use crate::pieces;
use crate::progress::Progress;
use crate::pull::PullError;
use crate::pull::Store;
use crate::pull::blocking;
use crate::quote;

/// Bytes at the beginning that say what something is.
const HEAD: usize = 512;

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
    pub async fn download(
        &self,
        wanted: &Download,
        progress: &dyn Progress,
    ) -> Result<(PluginCode, Vec<Pin>), PullError> {
        // Also what the cache has: it may be there as the module of an image.
        self.signatures.get().check_web(&wanted.url)?;
        let limit = self.limits.total;
        let found = tokio::time::timeout(limit, self.find(wanted, progress)).await;
        found.unwrap_or_else(|_| {
            Err(PullError::Slow {
                image: quote::url(&wanted.url),
                limit,
            })
        })
    }

    async fn find(
        &self,
        wanted: &Download,
        progress: &dyn Progress,
    ) -> Result<(PluginCode, Vec<Pin>), PullError> {
        let (cache, digest) = (Arc::clone(&self.cache), wanted.sha256);
        let bytes = cache.bytes_of(digest);
        if bytes > 0 {
            let memory = self.memory.take(bytes, progress).await;
            // Who asked may have left: it is given back when it is used no more.
            let known = blocking(move || Ok::<_, CacheError>((cache.blob(digest)?, memory)));
            if let (Some((bytes, pin)), _) = known.await?? {
                return Ok((code(wanted, bytes), vec![pin]));
            }
        }
        let file = self.fetch(wanted).await?;
        let memory = self.memory.take(file.bytes()?, progress).await;
        let cache = Arc::clone(&self.cache);
        let kept = blocking(move || {
            let mut bytes = Vec::with_capacity(usize::try_from(file.bytes()?).unwrap_or(0));
            let read = pieces::read(file.reader()?, &mut bytes);
            read.map_err(|err| file.failed(err))?;
            let (pin, placed) = cache.place(file, digest)?;
            // A disk that hangs must not stop other pulls as well.
            drop(memory);
            placed.settle()?;
            Ok::<_, CacheError>((Bytes::from(bytes), pin))
        });
        let (bytes, pin) = kept.await??;
        Ok((code(wanted, bytes), vec![pin]))
    }

    /// What an address has, on disk and verified.
    async fn fetch(&self, wanted: &Download) -> Result<Unfinished, PullError> {
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
        let mut file = self.cache.begin()?;
        let mut hasher = Hasher::default();
        let mut bytes = 0;
        let mut head = Vec::new();
        while let Some(piece) = response.body.piece().await.map_err(failed)? {
            bytes += piece.len() as u64;
            if bytes > limit {
                return Err(too_large());
            }
            pieces::write(&mut file, &piece).map_err(|err| file.failed(err))?;
            hasher.update(&piece);
            let missing = HEAD.saturating_sub(head.len());
            head.extend_from_slice(piece.get(..missing).unwrap_or(&piece));
        }
        let actual = hasher.finish();
        if actual != wanted.sha256 {
            return Err(PullError::Digest {
                url: url(),
                expected: wanted.sha256,
                actual,
            });
        }
        match Kind::of(&head) {
            Kind::Module => Ok(file),
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
