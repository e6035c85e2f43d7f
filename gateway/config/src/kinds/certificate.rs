//! Certificate and BackendTLSPolicy: certificates in files, and TLS to backends.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::policy::PolicyTarget;
use crate::kinds::text::Group;
use crate::kinds::text::Hostname;
use crate::kinds::text::KindName;
use crate::kinds::text::ObjectName;
use crate::kinds::text::PreciseHostname;
use crate::kinds::tls::TlsOptions;
use crate::place::At;

/// Certificates in PEM files, which are watched: a certificate with its key, authorities that are
/// believed, or both.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// Where the files are.
    pub spec: CertificateSpec,
}

/// See [`Certificate`]. Paths are relative to the file that names them.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateSpec {
    /// The certificate, followed by those that lead to its authority. For `certificateRefs`.
    #[schemars(length(min = 1, max = 4096))]
    pub certificate: Option<At<String>>,
    /// Its private key.
    #[schemars(length(min = 1, max = 4096))]
    pub key: Option<At<String>>,
    /// Authorities that are believed. For `caCertificateRefs`.
    #[schemars(length(min = 1, max = 4096))]
    pub ca: Option<At<String>>,
    /// Certificates that these authorities have revoked (CRL), as PEM or DER: with it, each certificate
    /// between a peer and its authority must be covered by a list.
    #[schemars(length(min = 1, max = 4096))]
    pub crl: Option<At<String>>,
}

/// How TLS to backends begins: without such a policy they are reached without TLS.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendTlsPolicy {
    /// What it says.
    pub spec: BackendTlsPolicySpec,
}

/// See [`BackendTlsPolicy`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendTlsPolicySpec {
    /// The Services and Backends it is for, in its own namespace; `sectionName` is the name of a
    /// Service's port.
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Vec<PolicyTarget>,
    /// What their certificates must be.
    pub validation: At<BackendTlsValidation>,
    /// Settings of Tidegate's own: `tidegate.dev/min-tls-version` (`"1.2"`, the default, or
    /// `"1.3"`).
    #[serde(default)]
    #[schemars(extend("maxProperties" = 16))]
    pub options: TlsOptions,
}

/// What a backend's certificate must be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendTlsValidation {
    /// Who may have signed it. Either this or `wellKnownCACertificates`.
    #[serde(default, rename = "caCertificateRefs")]
    #[schemars(length(max = 8))]
    pub ca_certificate_refs: Vec<LocalAuthorityRef>,
    /// Whether the authorities of the machine are believed.
    #[serde(rename = "wellKnownCACertificates")]
    pub well_known: Option<At<WellKnownAuthorities>>,
    /// The name that is asked for (SNI), and that the certificate must have unless
    /// `subjectAltNames` says otherwise.
    #[schemars(length(min = 1))]
    pub hostname: At<PreciseHostname>,
    /// Names of which the certificate must have one, instead of `hostname`.
    #[serde(default)]
    #[schemars(length(max = 5))]
    pub subject_alt_names: Vec<SubjectAltName>,
}

/// Authorities that need no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum WellKnownAuthorities {
    /// Those of the machine.
    System,
}

/// Authorities that are believed, of the policy's namespace.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalAuthorityRef {
    /// The API group: empty for a ConfigMap or Secret, `tidegate.dev` for a Certificate.
    pub group: At<Group>,
    /// `ConfigMap` or `Secret`, with the key `ca.crt` and maybe `ca.crl`, or `Certificate`, with the
    /// field `ca`.
    #[schemars(length(min = 1))]
    pub kind: At<KindName>,
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: At<ObjectName>,
}

/// A name in a certificate: a type, and the one field that belongs to the type.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectAltName {
    /// What kind of name.
    #[serde(rename = "type")]
    pub kind: At<SubjectAltNameKind>,
    /// For `Hostname`: the host, with a leading `*.` for one label.
    #[schemars(length(min = 1))]
    pub hostname: Option<At<Hostname>>,
    /// For `URI`: the URI with its scheme, such as `spiffe://cluster.local/ns/shop/sa/api`.
    #[schemars(length(min = 1, max = 253))]
    pub uri: Option<At<String>>,
}

/// A kind of name in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SubjectAltNameKind {
    /// A DNS name.
    Hostname,
    /// A URI, such as a SPIFFE id.
    #[serde(rename = "URI")]
    Uri,
}
