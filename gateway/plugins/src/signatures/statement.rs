//! What signatures in Sigstore bundles are about: an in-toto statement in an envelope (DSSE), signed
//! together with its type.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::digest::Digest;
use crate::signatures::WhyNot;

/// The type of statements.
const IN_TOTO: &str = "application/vnd.in-toto+json";
/// What `cosign sign` states. Other predicates (where an image comes from, what is in it) are signed
/// too, by machines that approve of nothing.
pub(super) const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
/// What the type of all versions of statements begins with.
const STATEMENT: &str = "https://in-toto.io/Statement/";

#[derive(Debug, Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    subject: Vec<About>,
}

#[derive(Debug, Deserialize)]
struct About {
    digest: BTreeMap<String, String>,
}

/// What is signed of an envelope: its type and content with their lengths (`DSSEv1`).
pub(super) fn signed_bytes(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let (of_type, of_payload) = (payload_type.len(), payload.len());
    let mut bytes = format!("DSSEv1 {of_type} {payload_type} {of_payload} ").into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// The digests that it is for. To be asked only once the signature is known to be good.
pub(super) fn read(payload_type: &str, payload: &[u8]) -> Result<Vec<Digest>, WhyNot> {
    if payload_type != IN_TOTO {
        return Err(WhyNot::Purpose {
            kind: crate::quote::plain(payload_type),
        });
    }
    let Statement {
        kind,
        predicate_type,
        subject,
    } = serde_json::from_slice(payload).map_err(|err| WhyNot::form(&err))?;
    for (text, is_known) in [
        (&predicate_type, predicate_type == SIGNED),
        (&kind, kind.starts_with(STATEMENT)),
    ] {
        if !is_known {
            return Err(WhyNot::Purpose {
                kind: crate::quote::plain(text),
            });
        }
    }
    let digests = subject.iter().filter_map(|about| {
        let hex = about.digest.get("sha256")?;
        Digest::from_hex(hex)
    });
    Ok(digests.collect())
}
