//! An image as a folder (OCI image layout 1.0.0), for tools that push such folders.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use serde_json::json;

use crate::digest::Digest;
use crate::push::Image;

/// An image that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}")]
pub struct FolderError {
    /// The file or folder.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

impl Image {
    /// Writes the image to a folder, under a name such as a tag if it is to have one. What else was
    /// in the folder is no longer in its index.
    ///
    /// # Errors
    ///
    /// [`FolderError`] names what cannot be written.
    pub fn write_folder(&self, folder: &Path, name: Option<&str>) -> Result<(), FolderError> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(|source| FolderError {
            path: blobs.clone(),
            source,
        })?;
        for blob in self.blobs.iter().chain([&self.manifest]) {
            write(&blobs.join(Digest::of(blob).to_hex()), blob)?;
        }
        let mut manifest = json!({
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.manifest.len(),
        });
        if let (Some(name), Some(fields)) = (name, manifest.as_object_mut()) {
            let annotations = json!({ "org.opencontainers.image.ref.name": name });
            fields.insert("annotations".to_owned(), annotations);
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": crate::registry::manifest::OCI_INDEX,
            "manifests": [manifest],
        });
        write(&folder.join("index.json"), index.to_string().as_bytes())?;
        let layout = json!({ "imageLayoutVersion": "1.0.0" });
        write(&folder.join("oci-layout"), layout.to_string().as_bytes())
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), FolderError> {
    fs::write(path, content).map_err(|source| FolderError {
        path: path.to_owned(),
        source,
    })
}
