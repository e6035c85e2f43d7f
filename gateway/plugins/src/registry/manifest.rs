//! Manifests and indexes, as OCI and docker have them.
//!
//! Owns their JSON. What is not understood is left out; what is needed must be there.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;

use crate::digest::Digest;

/// Most bytes of a manifest, as registries have it.
pub const MAX_MANIFEST_BYTES: usize = 4 << 20;
/// Most layers, or manifests of an index, that are looked at.
pub const MAX_ENTRIES: usize = 1000;

/// The media type of an image.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of a list of images.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// What docker calls an image.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// What docker calls a list of images.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The form of before 2016, without digests of its layers' content.
const DOCKER_OLD: &str = "application/vnd.docker.distribution.manifest.v1";

/// What `Accept` says.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest as it came, with the digest it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedManifest {
    /// Its bytes.
    pub raw: Bytes,
    /// What it is said to be.
    pub media_type: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

/// A piece of content: what it is said to be, and what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is said to be.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What an image it describes is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What is said about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What an image is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `wasm`, `amd64`, ….
    #[serde(default)]
    pub architecture: String,
    /// `wasip1`, `linux`, ….
    #[serde(default)]
    pub os: String,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u8,
    /// What it says it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// What it is, for those that are no images of containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers.
    pub layers: Vec<Descriptor>,
    /// The image that it says something about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// What is said about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A list of images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u8,
    /// What it says it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The images, but those that are described in a way that is not known here: another kind of digest, for
    /// instance.
    #[serde(deserialize_with = "known")]
    pub manifests: Vec<Descriptor>,
}

fn known<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Descriptor>, D::Error> {
    let all = Vec::<serde_json::Value>::deserialize(from)?;
    let read = all.into_iter().map(serde_json::from_value);
    Ok(read.filter_map(Result::ok).collect())
}

/// One or the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// An image.
    Image(Box<Manifest>),
    /// A list of images.
    Index(Index),
}

impl FetchedManifest {
    /// What it says. Its content decides what it is, because labels lie.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as a fragment of a sentence.
    pub fn parse(&self) -> Result<Parsed, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Outline {
            #[serde(default)]
            schema_version: u64,
            #[serde(default)]
            media_type: String,
            #[serde(default)]
            manifests: Option<serde::de::IgnoredAny>,
            #[serde(default)]
            layers: Option<serde::de::IgnoredAny>,
        }
        let form = |err: serde_json::Error| format!("it is no manifest: {err}");
        let outline: Outline = serde_json::from_slice(&self.raw).map_err(form)?;
        let is_old = self.media_type.starts_with(DOCKER_OLD);
        if is_old || outline.schema_version == 1 {
            return Err(
                "it is of docker's schema 1, which has no digests of content; push it again with \
                 a tool of this decade"
                    .to_owned(),
            );
        }
        let parsed = match (&outline.manifests, &outline.layers) {
            (Some(_), Some(_)) => {
                return Err("it says that it is an image and a list of images".to_owned());
            }
            (Some(_), None) => Parsed::Index(serde_json::from_slice(&self.raw).map_err(form)?),
            (None, Some(_)) => {
                Parsed::Image(Box::new(serde_json::from_slice(&self.raw).map_err(form)?))
            }
            (None, None) => {
                let said = crate::quote::short(&outline.media_type);
                return Err(format!(
                    "it has neither layers nor manifests (it says it is {said:?})"
                ));
            }
        };
        let (version, entries) = match &parsed {
            Parsed::Image(image) => (image.schema_version, image.layers.len()),
            Parsed::Index(index) => (index.schema_version, index.manifests.len()),
        };
        if version != 2 {
            return Err(format!(
                "its schemaVersion is {version}, and 2 is the only one there is"
            ));
        }
        if entries > MAX_ENTRIES {
            return Err(format!(
                "it lists {entries} things, more than {MAX_ENTRIES}"
            ));
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::ProptestConfig;
    use proptest::proptest;

    use super::FetchedManifest;
    use super::Parsed;
    use crate::digest::Digest;

    fn parse(media_type: &str, text: &str) -> Result<Parsed, String> {
        let raw = Bytes::copy_from_slice(text.as_bytes());
        FetchedManifest {
            digest: Digest::of(&raw),
            raw,
            media_type: media_type.to_owned(),
        }
        .parse()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_manifest_panics(places in proptest::collection::vec((0..500_usize, 0..96_u8), 1..6)) {
            let digest = Digest::of(b"");
            let mut text = format!(
                r#"{{"schemaVersion":2,"config":{{"digest":"{digest}","size":7}},"layers":[
                {{"mediaType":"a","digest":"{digest}","size":1,"annotations":{{"a":"b"}}}}],
                "x":{{"platform":{{"os":"linux","architecture":"amd64"}}}}}}"#
            )
            .into_bytes();
            for (place, value) in places {
                let at = place % text.len();
                text[at] = value + b' ';
            }
            let text = String::from_utf8(text).expect("ASCII");
            if let Ok(Parsed::Image(image)) = parse("", &text) {
                crate::layout::candidates(&image);
            }
        }
    }

    #[test]
    fn content_decides_what_a_manifest_is() {
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        let parsed = parse(super::OCI_MANIFEST, index);
        assert!(matches!(parsed, Ok(Parsed::Index(_))), "{parsed:?}");
    }

    #[test]
    fn what_is_no_manifest_is_said() {
        #[track_caller]
        fn check(text: &str, because: &str) {
            let err = parse("", text).expect_err(text);
            assert!(err.contains(because), "{err}");
        }
        check("<html>", "no manifest");
        check("{}", "neither layers nor manifests");
        check(r#"{"schemaVersion":1,"layers":[]}"#, "schema 1");
        check(
            r#"{"schemaVersion":3,"manifests":[]}"#,
            "schemaVersion is 3",
        );
        check(
            r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#,
            "and a list",
        );
        check(
            r#"{"schemaVersion":2,"layers":[]}"#,
            "missing field `config`",
        );
        let many = format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            vec![format!(r#"{{"digest":"{}","size":1}}"#, Digest::of(b"")); 1001].join(",")
        );
        check(&many, "more than 1000");
        check(&"[".repeat(1_000_000), "no manifest");
    }

    #[test]
    fn entries_of_an_index_that_cannot_be_read_hide_no_others() {
        let entry =
            |digest: String| format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":1}}"#);
        let (good, other) = (
            entry(format!("sha256:{}", "a".repeat(64))),
            entry(format!("sha512:{}", "b".repeat(128))),
        );
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{other},7,{good}]}}"#);
        let index: super::Index = serde_json::from_str(&text).unwrap();
        let digests: Vec<String> = index
            .manifests
            .iter()
            .map(|it| it.digest.to_hex())
            .collect();
        assert_eq!(digests, ["a".repeat(64)]);
    }
}
