//! What a certificate says: names, dates, purposes.
//!
//! Owns reading it from DER. Whether it is to be believed is decided elsewhere.

use std::fmt::Write as _;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::AttributeTypeAndValue;
use x509_parser::x509::X509Name;

/// More names than this are not looked at.
const MAX_NAMES: usize = 1024;

/// What a certificate says.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// The subject, last part first (RFC 2253).
    pub(crate) subject: Box<str>,
    /// DNS names, lower case.
    pub(crate) dns: Vec<Box<str>>,
    /// URIs, as they are.
    pub(crate) uris: Vec<Box<str>>,
    /// SHA-256 of the certificate.
    pub(crate) sha256: [u8; 32],
    /// From when it is good.
    pub(crate) not_before: SystemTime,
    /// Until when it is good.
    pub(crate) not_after: SystemTime,
    /// It may be shown by servers.
    pub(crate) for_servers: bool,
    /// It may be shown by clients.
    pub(crate) for_clients: bool,
    /// Its issuer is its subject.
    pub(crate) self_issued: bool,
    /// It says where its issuer's certificate can be fetched: public authorities do, for certificates
    /// that need others with them.
    pub(crate) names_issuer_place: bool,
}

impl Facts {
    /// Reads a certificate.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn of(der: &[u8]) -> Result<Self, String> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|err| format!("not a certificate: {err}"))?;
        if !rest.is_empty() {
            return Err("not a certificate: bytes follow it".to_owned());
        }
        let usage = certificate
            .extended_key_usage()
            .map_err(|err| err.to_string())?;
        let usage = usage.map(|extension| extension.value);
        let allows = |purpose: fn(&x509_parser::extensions::ExtendedKeyUsage<'_>) -> bool| {
            usage.is_none_or(|usage| usage.any || purpose(usage))
        };
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
        let mut facts = Self {
            subject: rfc2253(certificate.subject()).into(),
            dns: Vec::new(),
            uris: Vec::new(),
            sha256: digest.as_ref().try_into().unwrap_or_default(),
            not_before: time(certificate.validity().not_before.timestamp()),
            not_after: time(certificate.validity().not_after.timestamp()),
            for_servers: allows(|usage| usage.server_auth),
            for_clients: allows(|usage| usage.client_auth),
            self_issued: certificate.subject().as_raw() == certificate.issuer().as_raw(),
            names_issuer_place: certificate.extensions().iter().any(names_issuer_place),
        };
        let names = certificate
            .subject_alternative_name()
            .map_err(|err| err.to_string())?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        for name in names.take(MAX_NAMES) {
            match name {
                GeneralName::DNSName(name) => facts.dns.push(name.to_ascii_lowercase().into()),
                GeneralName::URI(uri) => facts.uris.push((*uri).into()),
                _ => {}
            }
        }
        Ok(facts)
    }

    /// Whether one certificate says that the other's subject has signed it.
    pub(super) fn follows(issued: &[u8], issuer: &[u8]) -> bool {
        let issued = X509Certificate::from_der(issued);
        let issuer = X509Certificate::from_der(issuer);
        matches!((issued, issuer), (Ok((_, one)), Ok((_, other)))
            if one.issuer().as_raw() == other.subject().as_raw())
    }
}

fn names_issuer_place(extension: &x509_parser::extensions::X509Extension<'_>) -> bool {
    /// `id-ad-caIssuers` (RFC 5280 §4.2.2.1).
    const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";
    let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else {
        return false;
    };
    let mut places = access.accessdescs.iter();
    places.any(|place| place.access_method.to_id_string() == CA_ISSUERS)
}

pub(super) fn time(unix_seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(unix_seconds.unsigned_abs());
    let time = if unix_seconds < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(UNIX_EPOCH)
}

/// A name as RFC 2253 writes it, as Envoy does.
fn rfc2253(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let mut text = String::new();
    for part in parts.iter().rev() {
        if !text.is_empty() {
            text.push(',');
        }
        for (place, attribute) in part.iter().enumerate() {
            if place > 0 {
                text.push('+');
            }
            push_attribute(&mut text, attribute);
        }
    }
    text
}

fn push_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let id = attribute.attr_type().to_id_string();
    let key = match id.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        other => other,
    };
    text.push_str(key);
    text.push('=');
    let Ok(value) = attribute.as_str() else {
        text.push('#');
        for byte in attribute.as_slice() {
            // Writing to a String cannot fail.
            write!(text, "{byte:02X}").ok();
        }
        return;
    };
    let last = value.chars().count().saturating_sub(1);
    for (place, character) in value.chars().enumerate() {
        let special = matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';');
        let edge =
            (character == ' ' && (place == 0 || place == last)) || (character == '#' && place == 0);
        if special || edge {
            text.push('\\');
        }
        text.push(character);
    }
}
