//! What TLS says of the client's connection: its version, our certificate, the client's.
//!
//! Without a client certificate that is believed, what is text is empty, and names are absent, as
//! on Envoy.

use std::borrow::Cow;
use std::fmt::Write as _;

use tidegate_host_abi::Property;
use tidegate_host_abi::PropertyValue;

use super::bytes;
use crate::tls::Facts;
use crate::tls::Secured;

pub(crate) fn read<'a>(secured: &'a Secured, property: &Property<'_>) -> Option<PropertyValue<'a>> {
    let shown = secured.shown.facts();
    let client = secured.client.as_ref().map(|client| &client.facts);
    let value = match property {
        Property::ConnectionTlsVersion => bytes(secured.version.as_bytes()),
        Property::ConnectionSubjectLocalCertificate => bytes(shown.subject.as_bytes()),
        Property::ConnectionSubjectPeerCertificate => {
            bytes(client.map_or(b"", |client| client.subject.as_bytes()))
        }
        Property::ConnectionDnsSanLocalCertificate => first(&shown.dns)?,
        Property::ConnectionDnsSanPeerCertificate => first(&client?.dns)?,
        Property::ConnectionUriSanLocalCertificate => first(&shown.uris)?,
        Property::ConnectionUriSanPeerCertificate => first(&client?.uris)?,
        Property::ConnectionSha256PeerCertificateDigest => {
            let digest = client.map_or_else(String::new, digest);
            PropertyValue::Bytes(Cow::Owned(digest.into_bytes()))
        }
        _ => return None,
    };
    Some(value)
}

/// All URI names of the client's certificate, if it has any.
pub(crate) fn peer_uris(secured: &Secured) -> Option<PropertyValue<'_>> {
    match &*secured.client.as_ref()?.facts.uris {
        [] => None,
        [only] => Some(bytes(only.as_bytes())),
        all => Some(PropertyValue::Bytes(Cow::Owned(all.join(",").into_bytes()))),
    }
}

fn first(names: &[Box<str>]) -> Option<PropertyValue<'_>> {
    names.first().map(|name| bytes(name.as_bytes()))
}

fn digest(facts: &Facts) -> String {
    let mut text = String::with_capacity(64);
    for byte in facts.sha256 {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}
