//! Which image of an index, and which layers of an image in which order.

use crate::layout::CONTENT_LAYER;
use crate::layout::OLD_LAYER;
use crate::layout::WASM_LAYER;
use crate::registry::manifest::Descriptor;
use crate::registry::manifest::Index;
use crate::registry::manifest::Manifest;
use crate::registry::manifest::Platform;

/// What buildx marks its attestations with.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// Most layers that are looked into.
const MOST_LAYERS: usize = 16;
/// Most choices that an error lists.
const MOST_CHOICES: usize = 10;

/// An index from which nothing can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChoiceError {
    /// There is nothing in it, or nothing but attestations.
    #[error("the list of images has none in it")]
    Empty,
    /// There are several, none of them for WebAssembly, and none for this machine.
    #[error(
        "the list of images has several, and none is said to be WebAssembly: {choices}; name one by \
         its digest"
    )]
    Several {
        /// What there is, with digests.
        choices: String,
    },
}

/// A layer that may have the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate<'a> {
    /// Its place; the first is 1.
    pub(crate) place: usize,
    pub(crate) layer: &'a Descriptor,
    /// Why it is not looked at, if it is not.
    pub(crate) skipped: Option<&'static str>,
}

/// The image of an index that a gateway wants.
///
/// # Errors
///
/// [`ChoiceError`] lists what there is.
pub fn choose(index: &Index) -> Result<&Descriptor, ChoiceError> {
    let images: Vec<&Descriptor> = index
        .manifests
        .iter()
        .filter(|it| !is_attestation(it))
        .collect();
    let best = images.iter().map(|it| preference(it)).max();
    let best = best.ok_or(ChoiceError::Empty)?;
    let mut chosen = images.iter().filter(|it| preference(it) == best);
    match (chosen.next(), chosen.next(), images.len()) {
        (Some(only), _, 1) => Ok(only),
        (Some(only), None, _) if best > 0 => Ok(only),
        // The same image twice is no question.
        (Some(first), Some(second), _) if best > 0 && first.digest == second.digest => Ok(first),
        _ => Err(ChoiceError::Several {
            choices: choices(&images),
        }),
    }
}

fn is_attestation(image: &Descriptor) -> bool {
    let unknown = Platform {
        architecture: "unknown".to_owned(),
        os: "unknown".to_owned(),
    };
    image.annotations.get(REFERENCE_TYPE).map(String::as_str) == Some("attestation-manifest")
        || image.platform.as_ref() == Some(&unknown)
}

/// How much an image is for us; 0 is not at all.
fn preference(image: &Descriptor) -> u8 {
    let Some(platform) = &image.platform else {
        return 0;
    };
    let is_wasm = matches!(platform.architecture.as_str(), "wasm" | "wasm32");
    match platform.os.as_str() {
        "wasip1" => 5,
        "wasi" => 4,
        // Components.
        "wasip2" => 2,
        _ if is_wasm => 3,
        // Images of filters that were built as if they were for machines.
        "linux" if platform.architecture == machine() => 1,
        _ => 0,
    }
}

/// This machine, as OCI calls it.
const fn machine() -> &'static str {
    if cfg!(target_arch = "x86_64") {
        "amd64"
    } else if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        std::env::consts::ARCH
    }
}

fn choices(images: &[&Descriptor]) -> String {
    let mut names: Vec<String> = images
        .iter()
        .take(MOST_CHOICES)
        .map(|image| {
            let platform = image.platform.clone().unwrap_or_default();
            let platform = format!("{}/{}", platform.os, platform.architecture);
            format!("{} ({})", crate::quote::plain(&platform), image.digest)
        })
        .collect();
    if images.len() > MOST_CHOICES {
        names.push("…".to_owned());
    }
    names.join(", ")
}

/// The layers of an image in the order in which they are looked into: those that say they are the
/// module, then archives from the last to the first, then what says nothing known.
pub(crate) fn candidates(image: &Manifest) -> Vec<Candidate<'_>> {
    let mut layers: Vec<(usize, &Descriptor)> = (1..).zip(&image.layers).collect();
    let order = |layer: &Descriptor| match label(layer) {
        Label::Module(order) => order,
        Label::Archive => 10,
        Label::Unknown => 11,
        Label::About => 12,
    };
    layers.sort_by_key(|(place, layer)| {
        let is_module = matches!(label(layer), Label::Module(_));
        let place = if is_module {
            *place
        } else {
            usize::MAX - place
        };
        (order(layer), place)
    });
    let all = layers.into_iter().enumerate();
    all.map(|(rank, (place, layer))| Candidate {
        place,
        layer,
        skipped: match label(layer) {
            Label::About => Some("it is said to describe the module"),
            _ if rank >= MOST_LAYERS => Some("there are too many layers"),
            _ => None,
        },
    })
    .collect()
}

/// What a layer says that it is.
enum Label {
    /// The module, in this order of preference.
    Module(usize),
    Archive,
    /// A description, a document, a picture.
    About,
    Unknown,
}

fn label(layer: &Descriptor) -> Label {
    let media_type = layer.media_type.to_ascii_lowercase();
    let modules = [WASM_LAYER, CONTENT_LAYER, OLD_LAYER];
    if let Some(order) = modules.iter().position(|it| *it == media_type) {
        return Label::Module(order);
    }
    let is_about = media_type.starts_with("application/vnd.module.wasm.")
        || media_type.starts_with("application/vnd.in-toto")
        || media_type.starts_with("image/")
        || media_type.starts_with("text/")
        || media_type.ends_with("json");
    if media_type.contains(".tar") || media_type.ends_with("/x-tar") {
        Label::Archive
    } else if is_about {
        Label::About
    } else {
        Label::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::ChoiceError;
    use super::candidates;
    use super::choose;
    use crate::digest::Digest;
    use crate::registry::manifest::Descriptor;
    use crate::registry::manifest::Index;
    use crate::registry::manifest::Manifest;
    use crate::registry::manifest::Platform;

    fn descriptor(media_type: &str, content: &str) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest: Digest::of(content.as_bytes()),
            size: 1,
            artifact_type: None,
            platform: None,
            annotations: std::collections::BTreeMap::new(),
        }
    }

    fn image(os: &str, architecture: &str) -> Descriptor {
        Descriptor {
            platform: Some(Platform {
                architecture: architecture.to_owned(),
                os: os.to_owned(),
            }),
            ..descriptor("", &format!("{os}{architecture}"))
        }
    }

    fn index(manifests: Vec<Descriptor>) -> Index {
        Index {
            schema_version: 2,
            media_type: String::new(),
            manifests,
        }
    }

    #[track_caller]
    fn chosen(of: &[(&str, &str)], expected: Option<(&str, &str)>) {
        let index = index(of.iter().map(|(os, arch)| image(os, arch)).collect());
        let expected = expected.map(|(os, arch)| image(os, arch));
        assert_eq!(choose(&index).ok(), expected.as_ref(), "{of:?}");
    }

    #[test]
    fn an_index_of_buildx_gives_its_only_image() {
        let mut attestation = image("linux", "amd64");
        let kind = "attestation-manifest".to_owned();
        attestation
            .annotations
            .insert(super::REFERENCE_TYPE.to_owned(), kind);
        let with = index(vec![
            image("unknown", "unknown"),
            attestation,
            image("linux", "riscv64"),
        ]);
        assert_eq!(choose(&with), Ok(&image("linux", "riscv64")));
        assert_eq!(
            choose(&index(vec![image("unknown", "unknown")])),
            Err(ChoiceError::Empty)
        );
        let plain = index(vec![descriptor("", "x")]);
        assert_eq!(choose(&plain), Ok(&descriptor("", "x")));
    }

    #[test]
    fn wasm_is_preferred_and_then_this_machine() {
        let here = super::machine();
        chosen(
            &[("linux", "amd64"), ("wasip1", "wasm")],
            Some(("wasip1", "wasm")),
        );
        chosen(
            &[("wasip2", "wasm"), ("wasip1", "wasm")],
            Some(("wasip1", "wasm")),
        );
        chosen(
            &[("linux", "arm64"), ("linux", "wasm")],
            Some(("linux", "wasm")),
        );
        chosen(
            &[("linux", here), ("linux", "s390x")],
            Some(("linux", here)),
        );
        chosen(&[("linux", "s390x"), ("linux", "riscv64")], None);
    }

    #[test]
    fn an_error_lists_the_choices() {
        let index = index(vec![image("linux", "s390x"), image("linux", "riscv64")]);
        let err = choose(&index).expect_err("none fits").to_string();
        assert!(
            err.contains("linux/s390x (sha256:") && err.contains("riscv64"),
            "{err}"
        );
    }

    #[test]
    fn layers_that_say_they_are_the_module_come_first_then_archives_from_the_last() {
        let tar = crate::layout::OCI_LAYER;
        let layers = [
            "x/unknown",
            tar,
            "application/vnd.module.wasm.spec.v1+yaml",
            tar,
            "application/wasm",
        ];
        let image = Manifest {
            schema_version: 2,
            media_type: String::new(),
            artifact_type: None,
            config: descriptor("", ""),
            layers: layers.map(|it| descriptor(it, it)).to_vec(),
            subject: None,
            annotations: std::collections::BTreeMap::new(),
        };
        let candidates = candidates(&image);
        let order: Vec<_> = candidates.iter().map(|it| it.place).collect();
        assert_eq!(order, [5, 4, 2, 1, 3]);
        assert!(
            candidates
                .iter()
                .all(|it| it.skipped.is_some() == (it.place == 3))
        );
    }
}
