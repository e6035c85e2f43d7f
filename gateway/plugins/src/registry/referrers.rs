//! What was pushed about an image: signatures, attestations, documents.
//!
//! Owns finding it: by the referrers API, and by the tag `sha256-HEX` where a registry has no such
//! API, or has one that knows nothing because the tag was written past it.

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use url::Url;

use crate::digest::Digest;
use crate::registry::RegistryError;
use crate::registry::manifest::Descriptor;
use crate::registry::manifest::FetchedManifest;
use crate::registry::manifest::Index;
use crate::registry::manifest::MAX_MANIFEST_BYTES;
use crate::registry::manifest::OCI_INDEX;
use crate::registry::manifest::Parsed;
use crate::registry::session::Registry;

/// Most pages of a list that are read.
const MOST_PAGES: usize = 8;

impl Registry {
    /// What refers to an image, of one type or of any.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]. That nothing refers to it is no error.
    pub async fn referrers(
        &self,
        of: Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        // Registries may leave the choice to us.
        let is_wanted = |it: &Descriptor| match (artifact_type, it.artifact_type.as_deref()) {
            (Some(wanted), Some(is)) => wanted == is,
            // The list does not say; the manifest will.
            (Some(_), None) | (None, _) => true,
        };
        self.referrers_where(of, artifact_type, is_wanted).await
    }

    /// What refers to an image and is wanted. `artifact_type` is what the registry is asked for.
    pub(crate) async fn referrers_where(
        &self,
        of: Digest,
        artifact_type: Option<&str>,
        is_wanted: impl Fn(&Descriptor) -> bool,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let mut found = self.by_api(of, artifact_type).await?.unwrap_or_default();
        found.retain(&is_wanted);
        if found.is_empty() {
            found = self.by_tag(of).await?;
            found.retain(&is_wanted);
        }
        Ok(found)
    }

    /// `None` if the registry has no such API.
    async fn by_api(
        &self,
        of: Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        let mut url = self.url(&format!("referrers/{of}"))?;
        if let Some(artifact_type) = artifact_type {
            url.query_pairs_mut()
                .append_pair("artifactType", artifact_type);
        }
        let mut found = Vec::new();
        for page in 0..MOST_PAGES {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(OCI_INDEX));
            let response = self.ask_at(Method::GET, url.clone(), headers, None).await?;
            // Some refuse what they do not know; whoever has no right to read learns so by the tag.
            let unknown = [400, 401, 403, 404, 405, 501].contains(&response.status.as_u16());
            if page == 0 && unknown {
                return Ok(None);
            }
            let what = format!("what refers to {}", self.image(&of.to_string()));
            let mut response = self.expect(response, &[StatusCode::OK], &what).await?;
            let next = next_page(&response.headers, &url);
            let raw = response.body.up_to(MAX_MANIFEST_BYTES).await;
            let raw = raw.map_err(|source| self.failed(source))?;
            let index: Option<Index> = serde_json::from_slice(&raw).ok();
            match index {
                Some(index) => found.extend(index.manifests),
                // A web page for everything that it does not know.
                None => return Ok(None),
            }
            match next {
                Some(next) => url = next,
                None => break,
            }
        }
        Ok(Some(found))
    }

    async fn by_tag(&self, of: Digest) -> Result<Vec<Descriptor>, RegistryError> {
        let tag = format!("sha256-{}", of.to_hex());
        match self.manifest(&tag).await {
            Ok(manifest) => self.list(&tag, &manifest),
            Err(RegistryError::NotFound { .. }) => Ok(Vec::new()),
            Err(err) => Err(err),
        }
    }

    fn list(
        &self,
        tag: &str,
        manifest: &FetchedManifest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        match manifest.parse() {
            Ok(Parsed::Index(index)) => Ok(index.manifests),
            Ok(Parsed::Image(_)) => Ok(Vec::new()),
            Err(reason) => Err(RegistryError::ManifestForm {
                image: self.image(tag),
                reason,
            }),
        }
    }
}

/// The next page, if it is of the same registry (RFC 8288).
fn next_page(headers: &HeaderMap, from: &Url) -> Option<Url> {
    let link = headers.get(header::LINK)?.to_str().ok()?;
    let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = rest.contains("rel=next") || rest.contains("rel=\"next\"");
    let next = from.join(address).ok().filter(|_| is_next)?;
    (next.origin() == from.origin() && next != *from).then_some(next)
}
