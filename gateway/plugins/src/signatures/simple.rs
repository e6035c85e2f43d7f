//! What signatures of cosign 2, skopeo and podman are about: a small document, signed as it is
//! (`simplesigning`).

use serde::Deserialize;

use crate::digest::Digest;
use crate::signatures::WhyNot;

/// The media type of such a document as a layer.
pub(super) const SIMPLE_LAYER: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation of that layer that has the signature.
pub(super) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The annotation that has a certificate in its place: the key lived for minutes.
pub(super) const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
/// The only type of document that is about an image.
const TYPE: &str = "cosign container image signature";

#[derive(Debug, Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Debug, Deserialize)]
struct Critical {
    #[serde(rename = "type")]
    kind: String,
    image: Image,
    #[serde(default)]
    identity: Identity,
}

#[derive(Debug, Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: Digest,
}

#[derive(Debug, Default, Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference", default)]
    reference: Option<String>,
}

/// What it says it is for: the digest, and the reference if there is one. To be asked only once the
/// signature is known to be good.
pub(super) fn read(payload: &[u8]) -> Result<(Digest, Option<String>), WhyNot> {
    let Payload { critical } = serde_json::from_slice(payload).map_err(|err| WhyNot::form(&err))?;
    if critical.kind != TYPE {
        return Err(WhyNot::Purpose {
            kind: crate::quote::plain(&critical.kind),
        });
    }
    Ok((critical.image.digest, critical.identity.reference))
}
