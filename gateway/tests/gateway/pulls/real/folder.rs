//! Images as folders (OCI image layout), made by hand and by tar: no line of ours writes what is read.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;

/// The manifest of an image.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// That of a list of images.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A folder with one image or list.
#[derive(Debug)]
pub(super) struct Layout {
    path: PathBuf,
}

impl Layout {
    pub(super) fn new(path: PathBuf) -> Self {
        std::fs::create_dir_all(path.join("blobs/sha256")).expect("a folder");
        let version = json!({ "imageLayoutVersion": "1.0.0" });
        std::fs::write(path.join("oci-layout"), version.to_string()).expect("written");
        Self { path }
    }

    /// Puts content there; what describes it.
    pub(super) fn blob(&self, media_type: &str, content: &[u8]) -> Value {
        let digest = Sha256::digest(content);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.path.join("blobs/sha256").join(&hex);
        std::fs::write(path, content).expect("written");
        json!({ "mediaType": media_type, "digest": format!("sha256:{hex}"), "size": content.len() })
    }

    /// An image of these layers; what describes it.
    pub(super) fn image(&self, config: (&str, &Value), layers: &[(&str, &[u8])]) -> Value {
        let layers = layers
            .iter()
            .map(|(kind, content)| self.blob(kind, content));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(config.0, config.1.to_string().as_bytes()),
            "layers": layers.collect::<Vec<Value>>(),
        });
        self.blob(MANIFEST, manifest.to_string().as_bytes())
    }

    /// A list of images; what describes it.
    pub(super) fn index(&self, images: &[Value]) -> Value {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": images });
        self.blob(INDEX, index.to_string().as_bytes())
    }

    /// Names what the folder is; returns it as skopeo writes it.
    pub(super) fn finish(self, mut top: Value) -> String {
        if let Some(fields) = top.as_object_mut() {
            let name = json!({ "org.opencontainers.image.ref.name": "it" });
            fields.insert("annotations".to_owned(), name);
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [top] });
        std::fs::write(self.path.join("index.json"), index.to_string()).expect("written");
        format!("oci:{}:it", self.path.display())
    }
}

/// An archive with one file, by tar(1): as it is, and with gzip.
pub(super) fn archive(folder: &Path, name: &str, content: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("written");
    let make = |flag: &str| {
        let mut tar = Command::new("tar");
        tar.arg(flag).arg("-").arg("-C").arg(folder).arg(name);
        let output = tar.output().expect("tar runs");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    (make("-cf"), make("-czf"))
}

/// The SHA-256 of an archive, as an image's configuration has it.
pub(super) fn diff_id(tar: &[u8]) -> String {
    let digest = Sha256::digest(tar);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
