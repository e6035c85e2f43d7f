//! What a layout is called, and who else would take it.
//!
//! Owns the names, and what Istio, Envoy Gateway and Higress demand: they share one reader, which
//! goes by labels and counts.

use std::fmt;

use crate::layout::CONTENT_LAYER;
use crate::layout::DOCKER_LAYER;
use crate::layout::MODULE_NAME;
use crate::layout::OCI_LAYER;
use crate::layout::OLD_LAYER;
use crate::layout::WASM_LAYER;
use crate::registry::manifest::DOCKER_MANIFEST;
use crate::registry::manifest::Manifest;

/// The configuration of the CNCF's artifacts.
pub(crate) const CNCF_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Largest module that Istio takes.
const ISTIO_LIMIT: u64 = 256 << 20;

/// The conventions by which images have modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// A tar layer of an OCI image: what buildah and `tidegate plugin push` make.
    Compat,
    /// The same of docker's own form: what `docker build` makes.
    CompatDocker,
    /// A layer of configuration and one that is the module: wasme, Higress.
    Oci,
    /// The second of these alone.
    OciSingle,
    /// The CNCF's artifact: wkg, Spin, wasmCloud.
    Cncf,
    /// Its predecessor: krustlet.
    Krustlet,
    /// None of them; the module was found by its content.
    Unlabelled,
}

/// A module in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The convention.
    pub layout: Layout,
    /// The layer with the module; the first is 1.
    pub layer: usize,
    /// How many layers there are.
    pub layers: usize,
    /// What that layer is said to be.
    pub media_type: String,
    /// The module's path in an archive.
    pub path: Option<String>,
    /// Bytes of the module.
    pub module_bytes: u64,
    /// Others, and whether they would take it.
    pub accepted: Vec<Acceptance>,
}

/// What another gateway says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// Who.
    pub gateway: &'static str,
    /// Why not; `None` if it takes it.
    pub refusal: Option<String>,
}

impl Artifact {
    /// The module of this layer, found at that path.
    pub(crate) fn new(
        manifest: &Manifest,
        manifest_type: &str,
        layer: usize,
        (path, module_bytes): (Option<String>, u64),
    ) -> Self {
        let found = layer.checked_sub(1).and_then(|at| manifest.layers.get(at));
        let media_type = found.map(|it| it.media_type.clone()).unwrap_or_default();
        let manifest_type = match manifest.media_type.as_str() {
            "" => manifest_type,
            own => own,
        };
        let mut artifact = Self {
            layout: layout(manifest, manifest_type, &media_type, path.is_some()),
            layer,
            layers: manifest.layers.len(),
            media_type,
            path,
            module_bytes,
            accepted: Vec::new(),
        };
        artifact.accepted = artifact.acceptances(manifest, manifest_type);
        artifact
    }

    fn acceptances(&self, manifest: &Manifest, manifest_type: &str) -> Vec<Acceptance> {
        let of_istio = self.istio(manifest, manifest_type).err();
        let of_cncf = match self.layout {
            Layout::Cncf => None,
            _ => Some(format!(
                "it wants {CNCF_CONFIG} and one layer {WASM_LAYER}: push it with --format cncf"
            )),
        };
        let istio = |gateway| Acceptance {
            gateway,
            refusal: of_istio.clone(),
        };
        vec![
            istio("Istio"),
            istio("Envoy Gateway"),
            istio("Higress"),
            Acceptance {
                gateway: "wkg and other tools of the CNCF's artifacts",
                refusal: of_cncf,
            },
        ]
    }

    /// The reader of Istio, which Envoy Gateway and Higress have too.
    fn istio(&self, manifest: &Manifest, manifest_type: &str) -> Result<(), String> {
        let last = manifest.layers.last().map(|it| it.media_type.as_str());
        let last = last.unwrap_or_default();
        if self.module_bytes > ISTIO_LIMIT {
            return Err(format!("the module has more than {ISTIO_LIMIT} bytes"));
        }
        if manifest_type == DOCKER_MANIFEST {
            return self.in_archive(last, DOCKER_LAYER);
        }
        let by_archive = self.in_archive(last, OCI_LAYER);
        let has_content = manifest
            .layers
            .iter()
            .any(|it| it.media_type == CONTENT_LAYER);
        match (by_archive, manifest.layers.len()) {
            (Ok(()), _) => Ok(()),
            (Err(_), 2) if has_content => Ok(()),
            (Err(_), count) if has_content => Err(format!(
                "it wants exactly two layers, and there are {count}"
            )),
            (Err(why), _) => Err(why),
        }
    }

    fn in_archive(&self, last: &str, wanted: &str) -> Result<(), String> {
        if last != wanted {
            return Err(format!("it wants the last layer to be {wanted}"));
        }
        let name = self.path.as_deref().and_then(|it| it.rsplit('/').next());
        match name {
            Some(MODULE_NAME) if self.layer == self.layers => Ok(()),
            Some(name) if self.layer == self.layers => Err(format!(
                "it wants the file to be called {MODULE_NAME}, not {name}"
            )),
            _ => Err("it looks into the last layer only".to_owned()),
        }
    }
}

fn layout(manifest: &Manifest, manifest_type: &str, layer: &str, is_archived: bool) -> Layout {
    if is_archived {
        return if manifest_type == DOCKER_MANIFEST {
            Layout::CompatDocker
        } else {
            Layout::Compat
        };
    }
    match (layer, manifest.layers.len()) {
        (WASM_LAYER, 1) if manifest.config.media_type == CNCF_CONFIG => Layout::Cncf,
        (CONTENT_LAYER, 1) => Layout::OciSingle,
        (CONTENT_LAYER, _) => Layout::Oci,
        (OLD_LAYER, _) => Layout::Krustlet,
        _ => Layout::Unlabelled,
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compat => "compat (plugin.wasm in a layer of an OCI image)",
            Self::CompatDocker => "compat (plugin.wasm in a layer of a docker image)",
            Self::Oci => "oci (a layer of configuration and one with the module)",
            Self::OciSingle => "oci (a layer with the module, without one of configuration)",
            Self::Cncf => "cncf (an artifact of the CNCF's Wasm working group)",
            Self::Krustlet => "krustlet (an artifact of the CNCF's older form)",
            Self::Unlabelled => "unlabelled (found by its content)",
        })
    }
}
