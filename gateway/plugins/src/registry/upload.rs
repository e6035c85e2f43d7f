//! Pushing: blobs, then the manifest that names them.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use crate::digest::Digest;
use crate::http::Upload;
use crate::registry::RegistryError;
use crate::registry::answer::origin_of;
use crate::registry::session::Registry;

/// Is told how many bytes of a blob are on their way.
pub(crate) type OnPiece = Arc<dyn Fn(u64) + Send + Sync>;

impl Registry {
    /// Whether the repository has a blob already.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub async fn has_blob(&self, digest: Digest) -> Result<bool, RegistryError> {
        let path = format!("blobs/{digest}");
        let response = self
            .ask(Method::HEAD, &path, HeaderMap::new(), None)
            .await?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        let what = format!("a look for {digest}");
        let response = self.expect(response, &[StatusCode::OK], &what).await?;
        Ok(response.status == StatusCode::OK)
    }

    /// Pushes a blob in one piece.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub async fn push_blob(
        &self,
        bytes: Bytes,
        on_piece: Option<OnPiece>,
    ) -> Result<Digest, RegistryError> {
        let digest = Digest::of(&bytes);
        // An empty body, with its length: some servers want to see that there is none.
        let nothing = Some(Upload::default());
        let response = self
            .ask(Method::POST, "blobs/uploads/", HeaderMap::new(), nothing)
            .await?;
        let what = format!("the start of an upload to {}", self.name());
        let response = self
            .expect(response, &[StatusCode::ACCEPTED], &what)
            .await?;
        let location = response.headers.get(header::LOCATION);
        let location = location.and_then(|it| it.to_str().ok()).unwrap_or_default();
        let url = response.url.join(location);
        let mut url = url.ok().filter(|_| !location.is_empty()).ok_or_else(|| {
            RegistryError::NotARegistry {
                host: origin_of(&response.url),
                found: "an upload without a place for it".to_owned(),
            }
        })?;
        url.query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        let mut headers = HeaderMap::new();
        let octets = HeaderValue::from_static("application/octet-stream");
        headers.insert(header::CONTENT_TYPE, octets);
        let body = Some(Upload::new(bytes, on_piece));
        let response = self.ask_at(Method::PUT, url, headers, body).await?;
        let what = format!("the upload of {digest} to {}", self.name());
        self.expect(response, &[StatusCode::CREATED], &what).await?;
        Ok(digest)
    }

    /// Pushes a manifest under a tag, or under its digest alone.
    ///
    /// # Errors
    ///
    /// [`RegistryError`], also if the registry says that it keeps it as something else.
    pub async fn push_manifest(
        &self,
        tag: Option<&str>,
        media_type: &str,
        raw: Bytes,
    ) -> Result<Digest, RegistryError> {
        let digest = Digest::of(&raw);
        let by_digest = digest.to_string();
        let name = tag.unwrap_or(&by_digest);
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(media_type) {
            headers.insert(header::CONTENT_TYPE, value);
        }
        let body = Some(Upload::new(raw, None));
        let path = format!("manifests/{name}");
        let response = self.ask(Method::PUT, &path, headers, body).await?;
        let what = format!("the push of {}", self.image(name));
        let response = self.expect(response, &[StatusCode::CREATED], &what).await?;
        let kept = response.headers.get("docker-content-digest");
        let kept = kept.and_then(|it| it.to_str().ok()).unwrap_or(&by_digest);
        if kept != by_digest {
            return Err(RegistryError::Kept {
                registry: self.host().to_owned(),
                what: "the manifest",
                expected: digest,
                actual: crate::quote::plain(kept),
            });
        }
        Ok(digest)
    }
}
