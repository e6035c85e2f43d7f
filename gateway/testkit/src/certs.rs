//! Certificates for tests: an authority, and what it signs, good or bad.

use std::sync::Arc;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertificateRevocationListParams;
use rcgen::CustomExtension;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyIdMethod;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::PKCS_ECDSA_P256_SHA256;
use rcgen::RevokedCertParams;
use rcgen::SanType;
use rcgen::SerialNumber;
use rcgen::date_time_ymd;
use tidegate_proxy::Bundle;
use tidegate_proxy::Certificate;

/// An authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, as PEM.
    pub pem: String,
    /// What follows the certificates that it signs: nothing for a root.
    above: String,
}

/// A certificate to be signed.
#[derive(Debug, Clone, Default)]
pub struct Leaf {
    names: Vec<String>,
    uris: Vec<String>,
    common_name: Option<String>,
    purpose: Option<ExtendedKeyUsagePurpose>,
    years: Option<(i32, i32)>,
    serial: Option<u64>,
    issuer_place: bool,
}

/// A certificate with its chain, and its key, both PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate, followed by those between it and the root.
    pub chain: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// A root.
    ///
    /// # Panics
    ///
    /// Never in practice.
    pub fn root(name: &str) -> Self {
        let (params, key) = authority(name);
        let pem = params.self_signed(&key).expect("it signs itself").pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
            above: String::new(),
        }
    }

    /// An authority below this one.
    ///
    /// # Panics
    ///
    /// Never in practice.
    pub fn intermediate(&self, name: &str) -> Self {
        let (params, key) = authority(name);
        let signed = params.signed_by(&key, &self.issuer);
        let pem = signed.expect("it signs").pem();
        Self {
            issuer: Issuer::new(params, key),
            above: format!("{pem}{}", self.above),
            pem,
        }
    }

    /// Signs a certificate with a key of its own.
    ///
    /// # Panics
    ///
    /// If its names cannot be in a certificate.
    pub fn sign(&self, leaf: &Leaf) -> Pair {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut params = CertificateParams::new(leaf.names.clone()).expect("names");
        for uri in &leaf.uris {
            let uri = uri.as_str().try_into().expect("a URI");
            params.subject_alt_names.push(SanType::URI(uri));
        }
        let first = leaf.names.first().cloned();
        let name = leaf.common_name.clone().or(first).unwrap_or_default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Tests");
        params.is_ca = IsCa::ExplicitNoCa;
        params.extended_key_usages = leaf.purpose.iter().cloned().collect();
        if let Some((from, until)) = leaf.years {
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(until, 1, 1);
        }
        params.serial_number = leaf.serial.map(SerialNumber::from);
        if leaf.issuer_place {
            params.custom_extensions.push(issuer_place());
        }
        let signed = params.signed_by(&key, &self.issuer).expect("it signs");
        Pair {
            chain: format!("{}{}", signed.pem(), self.above),
            key: key.serialize_pem(),
        }
    }

    /// A certificate for servers of that name.
    pub fn server(&self, name: &str) -> Pair {
        self.sign(&Leaf::named(name))
    }

    /// A list that it has signed of serial numbers that it has revoked, good until the beginning of a
    /// year, as PEM.
    ///
    /// # Panics
    ///
    /// Never in practice.
    pub fn revoked(&self, serials: &[u64], until: i32) -> String {
        let revoked_certs = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2001, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2001, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let signed = list.signed_by(&self.issuer).expect("it signs");
        signed.pem().expect("PEM")
    }

    /// It alone with lists of what is revoked, to be believed.
    ///
    /// # Panics
    ///
    /// If they are no lists.
    pub fn bundle_with(&self, lists: &str) -> Arc<Bundle> {
        let bundle = Bundle::from_pem(self.pem.as_bytes()).expect("a bundle");
        Arc::new(bundle.with_revoked(lists.as_bytes()).expect("lists"))
    }

    /// It alone, to be believed.
    ///
    /// # Panics
    ///
    /// Never in practice.
    pub fn bundle(&self) -> Arc<Bundle> {
        Arc::new(Bundle::from_pem(self.pem.as_bytes()).expect("a bundle"))
    }
}

impl Leaf {
    /// With this DNS name, good for years, for any purpose.
    pub fn named(name: &str) -> Self {
        Self::default().and_name(name)
    }

    /// Another DNS name or address.
    #[must_use]
    pub fn and_name(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self
    }

    /// Another URI.
    #[must_use]
    pub fn uri(mut self, uri: &str) -> Self {
        self.uris.push(uri.to_owned());
        self
    }

    /// Another subject.
    #[must_use]
    pub fn common_name(mut self, name: &str) -> Self {
        self.common_name = Some(name.to_owned());
        self
    }

    /// For clients only.
    #[must_use]
    pub fn for_clients(mut self) -> Self {
        self.purpose = Some(ExtendedKeyUsagePurpose::ClientAuth);
        self
    }

    /// For servers only.
    #[must_use]
    pub fn for_servers(mut self) -> Self {
        self.purpose = Some(ExtendedKeyUsagePurpose::ServerAuth);
        self
    }

    /// Good from the beginning of a year to the beginning of another.
    #[must_use]
    pub fn years(mut self, from: i32, until: i32) -> Self {
        self.years = Some((from, until));
        self
    }

    /// With this serial number.
    #[must_use]
    pub fn serial(mut self, serial: u64) -> Self {
        self.serial = Some(serial);
        self
    }

    /// Says where its issuer's certificate can be fetched, as those of public authorities do.
    #[must_use]
    pub fn naming_issuer(mut self) -> Self {
        self.issuer_place = true;
        self
    }
}

impl Pair {
    /// As the gateway takes it.
    ///
    /// # Panics
    ///
    /// If they are no pair.
    pub fn certificate(&self) -> Arc<Certificate> {
        let read = Certificate::from_pem(self.chain.as_bytes(), self.key.as_bytes());
        Arc::new(read.expect("a pair"))
    }

    /// The certificate without those that follow.
    pub fn bare(&self) -> Self {
        const END: &str = "-----END CERTIFICATE-----\n";
        let normal = self.chain.replace("\r\n", "\n");
        let end = normal.find(END).map_or(normal.len(), |at| at + END.len());
        Self {
            chain: normal.get(..end).unwrap_or_default().to_owned(),
            key: self.key.clone(),
        }
    }
}

fn authority(name: &str) -> (CertificateParams, KeyPair) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params, key)
}

/// Authority information access with `caIssuers` and a URI (RFC 5280 §4.2.2.1), as DER.
fn issuer_place() -> CustomExtension {
    const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
    const CA_ISSUERS: &[u8] = &[6, 8, 43, 6, 1, 5, 5, 7, 48, 2];
    const URI: &[u8] = b"http://ca.test/ca.crt";
    let tlv = |tag: u8, content: &[u8]| {
        let mut der = vec![tag, u8::try_from(content.len()).expect("short")];
        der.extend_from_slice(content);
        der
    };
    let place = [CA_ISSUERS, &tlv(0x86, URI)].concat();
    CustomExtension::from_oid_content(AUTHORITY_INFO_ACCESS, tlv(0x30, &tlv(0x30, &place)))
}

/// SHA-256 of something.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}
