//! Blobs: content by digest, in pieces, checked as it comes.

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::StatusCode;

use crate::digest::Hasher;
use crate::http::HttpError;
use crate::http::ResponseBody;
use crate::registry::RegistryError;
use crate::registry::manifest::Descriptor;
use crate::registry::session::Registry;

/// Content that is on its way. It is to be believed only once all of it has come.
#[derive(Debug)]
pub struct Blob {
    registry: String,
    image: String,
    descriptor: Descriptor,
    body: ResponseBody,
    hasher: Option<Hasher>,
}

impl Registry {
    /// Asks for a blob of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; what is too large is not read.
    pub async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Blob, RegistryError> {
        let too_large = |bytes| RegistryError::BlobTooLarge {
            image: self.name().to_owned(),
            digest: descriptor.digest,
            bytes,
            limit,
        };
        if descriptor.size > limit {
            return Err(too_large(descriptor.size));
        }
        let path = format!("blobs/{}", descriptor.digest);
        let response = self.ask(Method::GET, &path, HeaderMap::new(), None).await?;
        let what = format!("{} of {}", descriptor.digest, self.name());
        let response = self.expect(response, &[StatusCode::OK], &what).await?;
        let blob = Blob {
            registry: self.host().to_owned(),
            image: self.name().to_owned(),
            descriptor: descriptor.clone(),
            body: response.body,
            hasher: Some(Hasher::default()),
        };
        match blob.body.length() {
            Some(length) if length > limit => Err(too_large(length)),
            Some(length) if length != descriptor.size => {
                Err(blob.wrong_length(format!("{length} are announced")))
            }
            _ => Ok(blob),
        }
    }
}

impl Blob {
    /// Its length.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.descriptor.size
    }

    /// The next piece; `None` once all of it has come and is what it should be.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if it is cut, too long or other content.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let Some(hasher) = &mut self.hasher else {
            return Ok(None);
        };
        let came = hasher.bytes();
        match self.body.piece().await {
            Ok(Some(piece)) => {
                hasher.update(&piece);
                if hasher.bytes() > self.descriptor.size {
                    return Err(self.wrong_length("more came".to_owned()));
                }
                Ok(Some(piece))
            }
            Ok(None) if came != self.descriptor.size => {
                Err(self.wrong_length(format!("only {came} came")))
            }
            Ok(None) => {
                let actual = self.hasher.take().unwrap_or_default().finish();
                let expected = self.descriptor.digest;
                if actual == expected {
                    return Ok(None);
                }
                Err(RegistryError::BlobDigest {
                    image: self.image.clone(),
                    expected,
                    actual,
                })
            }
            Err(HttpError::Exchange { source, .. }) => {
                let reason = crate::chain(&source);
                Err(self.wrong_length(format!("only {came} came: {reason}")))
            }
            Err(source) => Err(RegistryError::Http {
                registry: self.registry.clone(),
                source,
            }),
        }
    }

    fn wrong_length(&self, what: String) -> RegistryError {
        RegistryError::BlobLength {
            image: self.image.clone(),
            digest: self.descriptor.digest,
            expected: self.descriptor.size,
            what,
        }
    }
}
