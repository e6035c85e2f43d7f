//! What resources say about TLS: listeners and Gateways as the Gateway API v1 has them, and the
//! references to certificates that they share with BackendTLSPolicy.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::text::Group;
use crate::kinds::text::KindName;
use crate::kinds::text::NamespaceName;
use crate::kinds::text::ObjectName;
use crate::place::At;

/// Settings of Tidegate's own, by name. `tidegate.dev/min-tls-version` is `"1.2"`, the default, or
/// `"1.3"`. `tidegate.dev/alpn`, for listeners, is what is offered inside TLS, best first, such as
/// `"h2,http/1.1"`, the default where HTTP comes out of TLS; `""` offers nothing.
pub type TlsOptions = BTreeMap<String, At<String>>;

/// How a listener treats TLS.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerTls {
    /// Whether TLS ends here. A listener for TLS must say it.
    #[schemars(extend("default" = "Terminate"))]
    pub mode: Option<At<TlsMode>>,
    /// What is shown to clients. Of several, the first that has the name that a client asks for is
    /// shown, or else the first.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub certificate_refs: Vec<CertificateRef>,
    /// Settings of Tidegate's own: `tidegate.dev/min-tls-version` (`"1.2"`, the default, or
    /// `"1.3"`) and `tidegate.dev/alpn` (such as `"h2,http/1.1"`, which is the default where HTTP
    /// comes out of TLS; `""` offers nothing).
    #[serde(default)]
    #[schemars(extend("maxProperties" = 16))]
    pub options: TlsOptions,
}

/// Whether TLS ends at the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// It ends here.
    Terminate,
    /// It ends at the backend: only the name that the client asks for is read. For TLSRoutes.
    Passthrough,
}

/// A certificate with its key.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateRef {
    /// The API group: empty for a Secret, `tidegate.dev` for a Certificate.
    #[schemars(extend("default" = ""))]
    pub group: Option<At<Group>>,
    /// `Secret` or `Certificate`.
    #[schemars(length(min = 1), extend("default" = "Secret"))]
    pub kind: Option<At<KindName>>,
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: At<ObjectName>,
    /// Its namespace; the Gateway's own if absent. Another one needs a ReferenceGrant there.
    #[schemars(length(min = 1))]
    pub namespace: Option<At<NamespaceName>>,
}

/// Authorities that are believed, maybe of another namespace.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthorityRef {
    /// The API group: empty for a ConfigMap or Secret, `tidegate.dev` for a Certificate.
    pub group: At<Group>,
    /// `ConfigMap` or `Secret`, with the key `ca.crt` and maybe `ca.crl`, or `Certificate`, with the
    /// field `ca`.
    #[schemars(length(min = 1))]
    pub kind: At<KindName>,
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: At<ObjectName>,
    /// Its namespace; the Gateway's own if absent. Another one needs a ReferenceGrant there.
    #[schemars(length(min = 1))]
    pub namespace: Option<At<NamespaceName>>,
}

/// Certificates that concern a whole Gateway.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayTls {
    /// What is shown to backends.
    pub backend: Option<GatewayBackendTls>,
    /// What is asked of clients.
    pub frontend: Option<FrontendTls>,
}

/// What is shown to backends.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayBackendTls {
    /// The certificate for backends that ask for one. Which backends are reached by TLS is
    /// BackendTLSPolicy's to say.
    pub client_certificate_ref: Option<CertificateRef>,
}

/// What is asked of clients, by port.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FrontendTls {
    /// For all ports with HTTPS listeners that `perPort` does not name.
    pub default: FrontendTlsConfig,
    /// For certain ports.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub per_port: Vec<FrontendTlsPort>,
}

/// What is asked of the clients of one port.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FrontendTlsPort {
    /// The port; 0 is that of listeners that ask for any free port (Tidegate only).
    #[schemars(range(min = 0, max = 65535))]
    pub port: At<u16>,
    /// What is asked there.
    pub tls: FrontendTlsConfig,
}

/// What is asked of clients.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FrontendTlsConfig {
    /// How their certificates are checked; they need none if absent.
    pub validation: Option<FrontendValidation>,
}

/// How clients' certificates are checked.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FrontendValidation {
    /// Who may have signed them.
    #[schemars(length(min = 1, max = 8))]
    pub ca_certificate_refs: Vec<AuthorityRef>,
    /// What happens without a valid one.
    #[schemars(extend("default" = "AllowValidOnly"))]
    pub mode: Option<At<FrontendValidationMode>>,
}

/// What happens to clients without a valid certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum FrontendValidationMode {
    /// They are refused.
    AllowValidOnly,
    /// They are served all the same: backends or filters have to look.
    AllowInsecureFallback,
}
