//! What origins are told about the client's certificate: X-Forwarded-Client-Cert, as Envoy writes
//! it.
//!
//! Owns the form of one element, and what is to be made of those that came in. That is done in
//! [`crate::forwarded`].

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// The names in an element are no longer than this: those that do not fit are left out, the DNS names
/// first.
const MAX_BYTES: usize = 4096;
/// `Cert` and `Chain` are left out if they are longer, as they are written.
const MAX_PEM_BYTES: usize = 16 << 10;

/// What becomes of X-Forwarded-Client-Cert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForwardClientCert {
    /// What becomes of elements that came in, and whether ours is added.
    pub mode: Mode,
    /// What ours says.
    pub details: Details,
}

/// What becomes of elements that came in (Envoy: `forward_client_cert_details`), and whether one for
/// the client's own certificate, if it has one that is believed, is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// As trust in proxies says: behind some, what came in is kept, and ours follows it; else ours
    /// alone is told.
    #[default]
    ByTrust,
    /// Nothing is told.
    Sanitize,
    /// What came in is told if the client has a certificate, and else nothing.
    ForwardOnly,
    /// The same, and ours follows it.
    AppendForward,
    /// Ours is told, and nothing else.
    SanitizeSet,
    /// What came in is told, whoever sent it.
    AlwaysForwardOnly,
}

impl Mode {
    /// Whether what came in is kept, from a client that `has` a certificate, with `trust` in proxies.
    pub(crate) const fn keeps(self, has: bool, trust: bool) -> bool {
        match self {
            Self::ByTrust => trust,
            Self::Sanitize | Self::SanitizeSet => false,
            Self::ForwardOnly | Self::AppendForward => has,
            Self::AlwaysForwardOnly => true,
        }
    }

    /// Whether the client's own certificate is told.
    pub(crate) const fn tells(self) -> bool {
        match self {
            Self::ByTrust | Self::AppendForward | Self::SanitizeSet => true,
            Self::Sanitize | Self::ForwardOnly | Self::AlwaysForwardOnly => false,
        }
    }
}

/// One thing that an element may say beside `By` and `Hash`, which are always there (Envoy:
/// `set_current_client_cert_details`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The certificate, as PEM with escapes of URLs.
    Cert,
    /// The certificate and those that were sent with it, in the same form.
    Chain,
    /// The subject.
    Subject,
    /// The URIs among the names.
    Uri,
    /// The DNS names.
    Dns,
}

/// Things that an element says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Details(u8);

impl Details {
    /// These, and `By` and `Hash`.
    pub fn of(details: impl IntoIterator<Item = Detail>) -> Self {
        let bits = details.into_iter().map(Detail::bit);
        Self(bits.fold(0, |all, one| all | one))
    }

    const fn has(self, detail: Detail) -> bool {
        self.0 & detail.bit() != 0
    }
}

impl Default for Details {
    fn default() -> Self {
        Self::of([Detail::Subject, Detail::Uri, Detail::Dns])
    }
}

impl Detail {
    const fn bit(self) -> u8 {
        match self {
            Self::Cert => 1,
            Self::Chain => 2,
            Self::Subject => 4,
            Self::Uri => 8,
            Self::Dns => 16,
        }
    }
}

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
    /// It, and those that the client sent with it, as DER.
    pub chain: &'a [&'a [u8]],
}

/// The element for a certificate that was shown to us: `By`, `Hash`, and the details in Envoy's order:
/// `Cert`, `Chain`, `Subject`, `URI`, `DNS`. `by` is the URI among the names of our own certificate.
pub fn element(by: Option<&str>, shown: &Shown<'_>, details: Details) -> HeaderValue {
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
    let names = text.len();
    if details.has(Detail::Subject) {
        push(&mut text, "Subject", shown.subject, true);
    }
    let uris = shown.uris.iter().filter(|_| details.has(Detail::Uri));
    let dns = shown.dns.iter().filter(|_| details.has(Detail::Dns));
    for (key, name) in uris
        .map(|one| ("URI", one))
        .chain(dns.map(|one| ("DNS", one)))
    {
        push(&mut text, key, name, false);
    }
    let mut certificates = String::new();
    if details.has(Detail::Cert) {
        push_pem(&mut certificates, "Cert", shown.chain.get(..1));
    }
    if details.has(Detail::Chain) {
        push_pem(&mut certificates, "Chain", Some(shown.chain));
    }
    text.insert_str(names, &certificates);
    // Names in certificates may have bytes that no header may have.
    let visible: Vec<u8> = text
        .bytes()
        .map(|byte| if byte.is_ascii_control() { b'?' } else { byte })
        .collect();
    HeaderValue::from_bytes(&visible).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Certificates as PEM, with escapes of URLs.
fn push_pem(text: &mut String, key: &str, chain: Option<&[&[u8]]>) {
    let chain = chain.unwrap_or_default();
    // Four letters for three bytes, and escapes.
    if chain.is_empty() || chain.iter().map(|der| der.len() * 2).sum::<usize>() > MAX_PEM_BYTES {
        return;
    }
    // What stands before it ends without a semicolon.
    write!(text, ";{key}=\"").ok();
    for der in chain {
        text.push_str("-----BEGIN%20CERTIFICATE-----%0A");
        for (place, letter) in STANDARD.encode(der).chars().enumerate() {
            if place > 0 && place % 64 == 0 {
                text.push_str("%0A");
            }
            match letter {
                '+' => text.push_str("%2B"),
                '/' => text.push_str("%2F"),
                '=' => text.push_str("%3D"),
                plain => text.push(plain),
            }
        }
        text.push_str("%0A-----END%20CERTIFICATE-----%0A");
    }
    text.push('"');
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
    use super::Detail;
    use super::Details;
    use super::Shown;
    use super::element;

    #[test]
    fn an_element_has_the_form_of_envoy() {
        let shown = Shown {
            sha256: &[0xab; 32],
            subject: "CN=a \"b\",O=c",
            uris: &["spiffe://td/ns/a".into()],
            dns: &["a.test".into(), "b.test".into()],
            chain: &[],
        };
        let expected = format!(
            "By=spiffe://td/gw;Hash={};Subject=\"CN=a \\\"b\\\",O=c\";URI=spiffe://td/ns/a;\
             DNS=a.test;DNS=b.test",
            "ab".repeat(32)
        );
        assert_eq!(
            element(Some("spiffe://td/gw"), &shown, Details::default()),
            expected
        );
    }

    #[test]
    fn what_would_end_an_element_is_quoted_and_what_no_header_has_is_replaced() {
        let shown = Shown {
            sha256: &[0; 32],
            subject: "CN=a\nb",
            uris: &["u:a;Hash=b".into()],
            dns: &[],
            chain: &[],
        };
        let hash = "00".repeat(32);
        let expected = format!("Hash={hash};Subject=\"CN=a?b\";URI=\"u:a;Hash=b\"");
        assert_eq!(element(None, &shown, Details::default()), expected);
    }

    #[test]
    fn names_that_do_not_fit_are_left_out() {
        let names: Vec<Box<str>> = (0..1000).map(|n| format!("{n}.test").into()).collect();
        let shown = Shown {
            sha256: &[0; 32],
            subject: "",
            uris: &[],
            dns: &names,
            chain: &[],
        };
        assert!(element(None, &shown, Details::default()).len() <= super::MAX_BYTES);
    }

    #[test]
    fn an_element_says_what_was_asked_for_and_certificates_with_the_escapes_of_urls() {
        let der: &[u8] = &[0xff; 50];
        let shown = Shown {
            sha256: &[0; 32],
            subject: "CN=a",
            uris: &["u:a".into()],
            dns: &["a.test".into()],
            chain: &[der, b"issuer"],
        };
        let told = |details: &[Detail]| {
            let element = element(None, &shown, Details::of(details.iter().copied()));
            element.to_str().expect("text").to_owned()
        };
        let hash = format!("Hash={}", "00".repeat(32));
        assert_eq!(told(&[]), hash);
        assert_eq!(
            told(&[Detail::Dns, Detail::Uri]),
            format!("{hash};URI=u:a;DNS=a.test")
        );
        let first = format!(
            "-----BEGIN%20CERTIFICATE-----%0A{}%0A%2F%2F8%3D%0A-----END%20CERTIFICATE-----%0A",
            "%2F".repeat(64)
        );
        let second = "-----BEGIN%20CERTIFICATE-----%0AaXNzdWVy%0A-----END%20CERTIFICATE-----%0A";
        assert_eq!(
            told(&[Detail::Chain, Detail::Subject, Detail::Cert]),
            format!("{hash};Cert=\"{first}\";Chain=\"{first}{second}\";Subject=\"CN=a\"")
        );
    }

    #[test]
    fn certificates_that_are_too_long_are_left_out() {
        let der = vec![0; super::MAX_PEM_BYTES];
        let shown = Shown {
            sha256: &[0; 32],
            subject: "CN=a",
            uris: &[],
            dns: &[],
            chain: &[&der],
        };
        let element = element(None, &shown, Details::of([Detail::Cert, Detail::Subject]));
        let text = element.to_str().expect("text");
        assert!(text.ends_with("00;Subject=\"CN=a\""), "{text}");
    }
}
