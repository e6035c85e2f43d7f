//! From a module to an image, and to a registry.
//!
//! Owns what we make: the layout that most gateways take, or the CNCF's. The same module with the
//! same description is the same image, byte for byte. What a module needs and what configuration it
//! takes is read by who knows modules, and only written here.

mod archive;
mod folder;
mod upload;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::json;

use crate::digest::Digest;
use crate::layout::Kind;
use crate::layout::MODULE_NAME;
use crate::layout::OCI_LAYER;
use crate::layout::WASM_LAYER;
use crate::registry::manifest::Descriptor;
use crate::registry::manifest::Manifest;
use crate::registry::manifest::OCI_MANIFEST;

pub use folder::FolderError;
pub use upload::PushError;
pub use upload::Pushed;

/// The annotation with the version of the ABI, such as `0.2.1`.
pub const ABI_ANNOTATION: &str = "dev.tidegate.plugin.abi";
/// The annotation with the digest of the configuration's JSON Schema.
pub const SCHEMA_ANNOTATION: &str = "dev.tidegate.plugin.config-schema";
/// The annotation with a name: the plugin's, or a file's.
const TITLE: &str = "org.opencontainers.image.title";
/// What marks the layout for Istio; readers do without.
const VARIANT_ANNOTATION: &str = "module.wasm.image/variant";
/// The configuration of an image.
const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// When images are said to be made that say nothing else: always the same.
const NEVER: &str = "1970-01-01T00:00:00Z";

/// How an image has its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `plugin.wasm` in a layer: Istio, Envoy Gateway, Higress and we take it.
    #[default]
    Compat,
    /// The module as a layer: wkg, Spin and other tools of the CNCF's artifacts, and we take it.
    Cncf,
}

/// What is said about a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub title: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// Where its source is.
    pub source: Option<String>,
    /// The commit it was made from.
    pub revision: Option<String>,
    /// Its licences, as SPDX has them.
    pub licenses: Option<String>,
    /// When it was made (RFC 3339). Left out, the image is the same whenever it is made.
    pub created: Option<String>,
    /// The version of the ABI that it is written for.
    pub abi: Option<String>,
    /// The JSON Schema of its configuration; its digest is written.
    pub config_schema: Option<String>,
    /// What else is said about it.
    pub annotations: BTreeMap<String, String>,
}

/// An image that is to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The bytes of its manifest.
    pub manifest: Bytes,
    /// Their digest, by which the image is known.
    pub digest: Digest,
    /// What the manifest says that it is.
    pub media_type: &'static str,
    /// What the manifest names, in the order in which it is pushed.
    pub blobs: Vec<Bytes>,
}

/// What cannot be made into an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// It is no module.
    #[error("it is {kind}, and not a WebAssembly module")]
    NotAModule {
        /// What it is.
        kind: Kind,
    },
    /// It is larger than any module should be.
    #[error(
        "it has {bytes} bytes, more than the limit of {}",
        crate::MAX_MODULE_BYTES
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It cannot be packed.
    #[error("it cannot be packed: {reason}")]
    Pack {
        /// Why.
        reason: String,
    },
}

impl Image {
    /// An image of a module.
    ///
    /// # Errors
    ///
    /// [`ImageError`] if it is no module.
    pub fn new(
        module: &Bytes,
        format: Format,
        description: &Description,
    ) -> Result<Self, ImageError> {
        match Kind::of(module) {
            Kind::Module => {}
            kind => return Err(ImageError::NotAModule { kind }),
        }
        if module.len() as u64 > crate::MAX_MODULE_BYTES {
            return Err(ImageError::TooLarge {
                bytes: module.len(),
            });
        }
        match format {
            Format::Compat => Self::compat(module, description),
            Format::Cncf => Self::cncf(module, description),
        }
    }

    fn compat(module: &Bytes, description: &Description) -> Result<Self, ImageError> {
        let pack = |err: std::io::Error| ImageError::Pack {
            reason: err.to_string(),
        };
        let tar = archive::tar(module).map_err(pack)?;
        let config = json!({
            "architecture": "wasm",
            "os": "wasip1",
            "created": description.created.as_deref().unwrap_or(NEVER),
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(&tar).to_string()] },
            "history": [{
                "created": description.created.as_deref().unwrap_or(NEVER),
                "created_by": "tidegate plugin push",
            }],
        });
        let layer = archive::gzip(&tar).map_err(pack)?;
        let mut annotations = description.to_annotations();
        annotations.insert(VARIANT_ANNOTATION.to_owned(), "compat".to_owned());
        let parts = Parts {
            config_type: IMAGE_CONFIG,
            config: config.to_string().into(),
            layer_type: OCI_LAYER,
            layer: layer.into(),
        };
        parts.image(annotations)
    }

    fn cncf(module: &Bytes, description: &Description) -> Result<Self, ImageError> {
        let config = json!({
            "created": description.created.as_deref().unwrap_or(NEVER),
            "architecture": "wasm",
            "os": "wasip1",
            "layerDigests": [Digest::of(module).to_string()],
        });
        let parts = Parts {
            config_type: crate::layout::CNCF_CONFIG,
            config: config.to_string().into(),
            layer_type: WASM_LAYER,
            layer: module.clone(),
        };
        parts.image(description.to_annotations())
    }
}

/// What an image is made of.
struct Parts {
    config_type: &'static str,
    config: Bytes,
    layer_type: &'static str,
    layer: Bytes,
}

impl Parts {
    fn image(self, annotations: BTreeMap<String, String>) -> Result<Image, ImageError> {
        let mut layer = descriptor(self.layer_type, &self.layer);
        if self.layer_type == WASM_LAYER {
            // The name of the file that oras writes.
            let name = (TITLE.to_owned(), MODULE_NAME.to_owned());
            layer.annotations.extend([name]);
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: OCI_MANIFEST.to_owned(),
            artifact_type: None,
            config: descriptor(self.config_type, &self.config),
            layers: vec![layer],
            subject: None,
            annotations,
        };
        let manifest = serde_json::to_vec(&manifest).map_err(|err| ImageError::Pack {
            reason: err.to_string(),
        })?;
        Ok(Image {
            digest: Digest::of(&manifest),
            manifest: manifest.into(),
            media_type: OCI_MANIFEST,
            blobs: vec![self.layer, self.config],
        })
    }
}

impl Description {
    fn to_annotations(&self) -> BTreeMap<String, String> {
        let schema = self.config_schema.as_ref();
        let schema = schema.map(|text| Digest::of(text.as_bytes()).to_string());
        let opencontainers = [
            ("title", &self.title),
            ("version", &self.version),
            ("description", &self.description),
            ("source", &self.source),
            ("revision", &self.revision),
            ("licenses", &self.licenses),
            ("created", &self.created),
        ];
        let mut annotations = self.annotations.clone();
        for (name, value) in opencontainers {
            if let Some(value) = value {
                let name = format!("org.opencontainers.image.{name}");
                annotations.insert(name, value.clone());
            }
        }
        for (name, value) in [(ABI_ANNOTATION, &self.abi), (SCHEMA_ANNOTATION, &schema)] {
            if let Some(value) = value {
                annotations.insert(name.to_owned(), value.clone());
            }
        }
        annotations
    }
}

fn descriptor(media_type: &str, content: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: Digest::of(content),
        size: content.len() as u64,
        artifact_type: None,
        platform: None,
        annotations: BTreeMap::new(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
