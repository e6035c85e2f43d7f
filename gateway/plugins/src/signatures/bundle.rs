//! Sigstore bundles, version 0.3 and those before it, as JSON.
//!
//! Owns their outline. Entries of transparency logs and timestamps are left alone: whoever has the key
//! needs none, and nothing is believed because of them. Bundles with a certificate (keyless) are named
//! as such, for they are of no use here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::digest::Digest;
use crate::signatures::Evidence;
use crate::signatures::WhyNot;

/// What their media type begins with, as that of an artifact, of a layer and in themselves.
pub(super) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// The only algorithm of digests that images are known by.
const SHA256: &str = "SHA2_256";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    #[serde(default)]
    verification_material: Material,
    message_signature: Option<MessageSignature>,
    dsse_envelope: Option<Envelope>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    certificate: Option<IgnoredAny>,
    x509_certificate_chain: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageSignature {
    message_digest: Option<MessageDigest>,
    signature: String,
}

#[derive(Debug, Deserialize)]
struct MessageDigest {
    algorithm: String,
    digest: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Debug, Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

/// The signature in a bundle, whoever made it and whatever it is about.
pub(super) fn read(text: &[u8]) -> Result<Evidence, WhyNot> {
    let bundle: Bundle = serde_json::from_slice(text).map_err(|err| WhyNot::form(&err))?;
    if !bundle.media_type.starts_with(BUNDLE) {
        return Err(WhyNot::Form {
            reason: format!(
                "it says it is {:?}",
                crate::quote::short(&bundle.media_type)
            ),
        });
    }
    let material = bundle.verification_material;
    if material.certificate.is_some() || material.x509_certificate_chain.is_some() {
        return Err(WhyNot::Keyless);
    }
    match (bundle.message_signature, bundle.dsse_envelope) {
        (Some(message), None) => of_message(message),
        (None, Some(envelope)) => of_envelope(envelope),
        _ => Err(WhyNot::Form {
            reason: "it has not one signature".to_owned(),
        }),
    }
}

fn of_message(message: MessageSignature) -> Result<Evidence, WhyNot> {
    let digest = message.message_digest.map(|digest| {
        let bytes = decoded("messageDigest.digest", &digest.digest)?;
        match <[u8; 32]>::try_from(bytes) {
            Ok(bytes) if digest.algorithm == SHA256 => Ok(Digest::from_bytes(bytes)),
            _ => Err(WhyNot::Form {
                reason: "its digest is no SHA-256".to_owned(),
            }),
        }
    });
    Ok(Evidence::Message {
        digest: digest.transpose()?,
        signature: decoded("messageSignature.signature", &message.signature)?,
    })
}

fn of_envelope(envelope: Envelope) -> Result<Evidence, WhyNot> {
    let [signature] = envelope.signatures.as_slice() else {
        return Err(WhyNot::Form {
            reason: format!("its envelope has {} signatures", envelope.signatures.len()),
        });
    };
    Ok(Evidence::Statement {
        payload: decoded("dsseEnvelope.payload", &envelope.payload)?,
        signature: decoded("dsseEnvelope.signatures[0].sig", &signature.sig)?,
        payload_type: envelope.payload_type,
    })
}

/// Base64 as it is written by everybody: padded, and without anything else in it.
pub(super) fn decoded(field: &str, text: &str) -> Result<Vec<u8>, WhyNot> {
    STANDARD.decode(text).map_err(|err| WhyNot::Form {
        reason: format!("`{field}` is no base64: {err}"),
    })
}
