//! What origins are told about the client's certificate: X-Forwarded-Client-Cert, as Envoy writes
//! it.
//!
//! Owns the form of one element. Whether it replaces what came in, or follows it, is
//! [`crate::forwarded`]'s.

use std::fmt::Write as _;

use http::HeaderValue;

/// An element is no longer than this: names that do not fit are left out, the DNS names first.
const MAX_BYTES: usize = 4096;

/// A verified certificate, as origins are told of it.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// SHA-256 of it.
    pub sha256: &'a [u8; 32],
    /// Its subject (RFC 2253).
    pub subject: &'a str,
    /// The URIs among its names.
    pub uris: &'a [Box<str>],
    /// The DNS names among its names.
    pub dns: &'a [Box<str>],
}

/// The element for a certificate that was shown to us: `By`, `Hash`, `Subject`, `URI`, `DNS`.
/// `by` is the URI among the names of our own certificate.
pub fn element(by: Option<&str>, shown: &Shown<'_>) -> HeaderValue {
    let mut text = String::new();
    if let Some(by) = by {
        push(&mut text, "By", by, false);
    }
    let mut hash = String::with_capacity(64);
    for byte in shown.sha256 {
        // Writing to a String cannot fail.
        write!(hash, "{byte:02x}").ok();
    }
    push(&mut text, "Hash", &hash, false);
    push(&mut text, "Subject", shown.subject, true);
    for uri in shown.uris {
        push(&mut text, "URI", uri, false);
    }
    for name in shown.dns {
        push(&mut text, "DNS", name, false);
    }
    // Names in certificates may have bytes that no header may have.
    let visible: Vec<u8> = text
        .bytes()
        .map(|byte| if byte.is_ascii_control() { b'?' } else { byte })
        .collect();
    HeaderValue::from_bytes(&visible).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn push(text: &mut String, key: &str, value: &str, quoted: bool) {
    if text.len() + key.len() + value.len() + 4 > MAX_BYTES {
        return;
    }
    if !text.is_empty() {
        text.push(';');
    }
    text.push_str(key);
    text.push('=');
    if quoted || value.contains([',', ';', '=', '"']) {
        text.push('"');
        for character in value.chars() {
            if matches!(character, '"' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
        text.push('"');
    } else {
        text.push_str(value);
    }
}

#[cfg(test)]
mod tests {
    use super::Shown;
    use super::element;

    #[test]
    fn an_element_has_the_form_of_envoy() {
        let shown = Shown {
            sha256: &[0xab; 32],
            subject: "CN=a \"b\",O=c",
            uris: &["spiffe://td/ns/a".into()],
            dns: &["a.test".into(), "b.test".into()],
        };
        let expected = format!(
            "By=spiffe://td/gw;Hash={};Subject=\"CN=a \\\"b\\\",O=c\";URI=spiffe://td/ns/a;\
             DNS=a.test;DNS=b.test",
            "ab".repeat(32)
        );
        assert_eq!(element(Some("spiffe://td/gw"), &shown), expected);
    }

    #[test]
    fn what_would_end_an_element_is_quoted_and_what_no_header_has_is_replaced() {
        let shown = Shown {
            sha256: &[0; 32],
            subject: "CN=a\nb",
            uris: &["u:a;Hash=b".into()],
            dns: &[],
        };
        let hash = "00".repeat(32);
        let expected = format!("Hash={hash};Subject=\"CN=a?b\";URI=\"u:a;Hash=b\"");
        assert_eq!(element(None, &shown), expected);
    }

    #[test]
    fn names_that_do_not_fit_are_left_out() {
        let names: Vec<Box<str>> = (0..1000).map(|n| format!("{n}.test").into()).collect();
        let shown = Shown {
            sha256: &[0; 32],
            subject: "",
            uris: &[],
            dns: &names,
        };
        assert!(element(None, &shown).len() <= super::MAX_BYTES);
    }
}
