//! An image as a folder (OCI image layout 1.0.0), for tools that push such folders.
//!
//! Owns both ways: an image is written to a folder, and one that any tool wrote is read, for a push.

use std::fs;
use std::io;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::digest::Digest;
use crate::push::Image;
use crate::registry::manifest::DOCKER_LIST;
use crate::registry::manifest::DOCKER_MANIFEST;
use crate::registry::manifest::Descriptor;
use crate::registry::manifest::MAX_MANIFEST_BYTES;
use crate::registry::manifest::Manifest;
use crate::registry::manifest::OCI_INDEX;
use crate::registry::manifest::OCI_MANIFEST;

/// The file that says that a folder is an image layout.
const MARK: &str = "oci-layout";
/// The list of what is in it.
const INDEX: &str = "index.json";
/// The annotation with the name of an image in a folder.
const NAME: &str = "org.opencontainers.image.ref.name";

/// An image that cannot be written to a folder, or read from one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A file or folder cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is a folder of something else.
    #[error("{path} is no image layout: it has no file {MARK}")]
    NotALayout {
        /// The folder.
        path: PathBuf,
    },
    /// An image would be put between other things.
    #[error(
        "{path} is a folder of other things, and no image layout: name a folder that is new or empty, \
         or one that an image was packed into before"
    )]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// There is more than one image, or none.
    #[error("{path} has {count} images, and one can be pushed: `skopeo copy --all` pushes several")]
    NotOne {
        /// The folder.
        path: PathBuf,
        /// How many there are.
        count: usize,
    },
    /// A file is not what its name or the folder's list says.
    #[error("{path} cannot be used: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a folder lists.
#[derive(Debug, Deserialize)]
struct Listed {
    manifests: Vec<Descriptor>,
}

impl Image {
    /// Writes the image to a folder, under a name such as a tag if it is to have one. What else was
    /// in the folder is no longer in its index.
    ///
    /// # Errors
    ///
    /// [`FolderError`] names what cannot be written. A folder of other things is left alone.
    pub fn write_folder(&self, folder: &Path, name: Option<&str>) -> Result<(), FolderError> {
        if !folder.join(MARK).is_file()
            && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
        {
            return Err(FolderError::Occupied {
                path: folder.to_owned(),
            });
        }
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(|source| FolderError::Write {
            path: blobs.clone(),
            source,
        })?;
        for blob in self.blobs.iter().chain([&self.manifest]) {
            write(&blobs.join(Digest::of(blob).to_hex()), blob)?;
        }
        let layout = json!({ "imageLayoutVersion": "1.0.0" });
        write(&folder.join(MARK), layout.to_string().as_bytes())?;
        let mut manifest = json!({
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.manifest.len(),
        });
        if let (Some(name), Some(fields)) = (name, manifest.as_object_mut()) {
            fields.insert("annotations".to_owned(), json!({ NAME: name }));
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [manifest],
        });
        write(&folder.join(INDEX), index.to_string().as_bytes())
    }

    /// The only image of a folder that any tool wrote, as it is: every file has the digest that it is
    /// known by.
    ///
    /// # Errors
    ///
    /// [`FolderError`] names what is wrong, and where.
    pub fn read_folder(folder: &Path) -> Result<Self, FolderError> {
        if !folder.join(MARK).is_file() {
            return Err(FolderError::NotALayout {
                path: folder.to_owned(),
            });
        }
        let path = folder.join(INDEX);
        let Listed { manifests } = parsed(&path, &read(&path, MAX_MANIFEST_BYTES as u64)?)?;
        let [listed] = manifests.as_slice() else {
            return Err(FolderError::NotOne {
                path: folder.to_owned(),
                count: manifests.len(),
            });
        };
        let path = blob_path(folder, listed);
        let raw = blob(folder, listed, MAX_MANIFEST_BYTES as u64)?;
        if [OCI_INDEX, DOCKER_LIST].contains(&listed.media_type.as_str()) {
            let reason = "it is a list of images: `skopeo copy --all` pushes those";
            return Err(damaged(path, reason.to_owned()));
        }
        let manifest: Manifest = parsed(&path, &raw)?;
        let said = [&listed.media_type, &manifest.media_type];
        let said = said.into_iter().find(|it| !it.is_empty());
        let known = [OCI_MANIFEST, DOCKER_MANIFEST].into_iter();
        let Some(media_type) = known
            .into_iter()
            .find(|kind| said.is_none_or(|it| it == kind))
        else {
            let reason = format!("it is {:?}, and no image", said.map_or("", String::as_str));
            return Err(damaged(path, reason));
        };
        let mut left = crate::MAX_MODULE_BYTES;
        let mut blobs = Vec::new();
        for part in manifest.layers.iter().chain([&manifest.config]) {
            let content = blob(folder, part, left)?;
            left = left.saturating_sub(content.len() as u64);
            blobs.push(content);
        }
        Ok(Self {
            manifest: raw,
            digest: listed.digest,
            media_type,
            blobs,
        })
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), FolderError> {
    fs::write(path, content).map_err(|source| FolderError::Write {
        path: path.to_owned(),
        source,
    })
}

fn read(path: &Path, limit: u64) -> Result<Bytes, FolderError> {
    let failed = |source| FolderError::Read {
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(failed)?;
    let mut content = Vec::new();
    let taken = file.take(limit + 1).read_to_end(&mut content);
    if taken.map_err(failed)? as u64 > limit {
        let reason = format!("it has more than {limit} bytes");
        return Err(damaged(path.to_owned(), reason));
    }
    Ok(content.into())
}

fn blob_path(folder: &Path, part: &Descriptor) -> PathBuf {
    folder.join("blobs/sha256").join(part.digest.to_hex())
}

/// Content that is what it is said to be.
fn blob(folder: &Path, part: &Descriptor, limit: u64) -> Result<Bytes, FolderError> {
    let path = blob_path(folder, part);
    let content = read(&path, limit)?;
    let actual = Digest::of(&content);
    if actual != part.digest {
        return Err(damaged(path, format!("its digest is {actual}")));
    }
    Ok(content)
}

fn parsed<T: DeserializeOwned>(path: &Path, content: &[u8]) -> Result<T, FolderError> {
    serde_json::from_slice(content).map_err(|err| damaged(path.to_owned(), err.to_string()))
}

fn damaged(path: PathBuf, reason: String) -> FolderError {
    FolderError::Damaged { path, reason }
}
