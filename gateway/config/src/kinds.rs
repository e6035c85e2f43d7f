//! Every kind of resource as operators write it, without logic: the types are the reference.
//!
//! The doc comments become the reference pages and the descriptions in editors; the `schemars`
//! attributes are what files are checked against. `x-tidegate-unsupported` marks fields that exist
//! elsewhere and are refused here with that reason, `x-tidegate-secret` values that no message shows.
//! What fields mean together is said in `rules`, what they come to in `compile`.

pub mod backend;
pub mod certificate;
pub mod gateway;
pub mod grpc_route;
pub mod http_filter;
pub mod http_route;
pub mod istio;
pub mod l4_route;
pub mod plugin;
pub mod plugin_rollout;
pub mod plugin_source;
pub mod policy;
pub mod reference_grant;
pub mod service;
pub mod signature_policy;
pub mod text;
pub mod tls;
pub mod values;

use crate::export::KindSchema;
use crate::parse::Parsed;
use crate::problem::Problem;
use crate::resource::ResourceId;
use crate::schema::Checker;
use crate::schema::Kind;
use crate::schema::resource;

/// The API group of the Gateway API.
pub const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
/// Our own API group.
pub const OWN_GROUP: &str = "tidegate.dev";
/// The API group of Istio's policies.
pub const ISTIO_GROUP: &str = "security.istio.io";
/// What the plugins are called that Gateways have because of Istio's policies, in the place of a kind.
pub(crate) const AUTHORIZATION_POLICIES: &str = "AuthorizationPolicies";
/// See [`AUTHORIZATION_POLICIES`].
pub(crate) const REQUEST_AUTHENTICATIONS: &str = "RequestAuthentications";
/// The class of Gateways that exists undeclared.
pub const OWN_CLASS: &str = "tidegate";
/// What GatewayClasses of ours name as their controller.
pub const CONTROLLER: &str = "tidegate.dev/gateway-controller";

macro_rules! kinds {
    ($($name:ident, $kind:literal, $scope:ident, [$($version:literal),+], $type:ty;)+) => {
        /// A resource of one of our kinds.
        #[derive(Debug, Clone)]
        #[expect(missing_docs, reason = "each is a kind")]
        pub enum Body {
            $($name(Box<$type>),)+
        }

        $(
            impl Kind for $type {
                const API_VERSIONS: &'static [&'static str] = &[$($version),+];
                const KIND: &'static str = $kind;
                const NAMESPACED: bool = kinds!(@scope $scope);
            }
        )+

        /// All kinds that are read, with the versions of each, the current one first.
        pub const ALL: &[(&str, &[&str])] = &[$(($kind, &[$($version),+])),+];

        /// The schemas of all kinds, for editors and reference pages.
        #[must_use]
        pub fn schemas() -> Vec<KindSchema> {
            vec![$(KindSchema::of::<$type>()),+]
        }

        /// The compiled schema of a kind, whatever the version.
        pub(crate) fn checker(kind: &str) -> Option<&'static Checker> {
            match kind {
                $($kind => Some(Checker::of::<$type>()),)+
                _ => None,
            }
        }

        /// Reads a resource as the kind that it says it is.
        pub(crate) fn read(parsed: &Parsed, problems: &mut Vec<Problem>) -> Option<Read> {
            match parsed.kind.as_str() {
                $($kind if <$type>::API_VERSIONS.contains(&parsed.api_version.as_str()) => Some(Read {
                    id: resource::<$type>(parsed),
                    body: Checker::of::<$type>()
                        .read::<$type>(parsed, problems)
                        .map(|value| Body::$name(Box::new(value))),
                }),)+
                _ => None,
            }
        }
    };
    (@scope namespaced) => { true };
    (@scope cluster) => { false };
}

kinds! {
    GatewayClass, "GatewayClass", cluster,
        ["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"], gateway::GatewayClass;
    Gateway, "Gateway", namespaced,
        ["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"], gateway::Gateway;
    HttpRoute, "HTTPRoute", namespaced,
        ["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"], http_route::HttpRoute;
    GrpcRoute, "GRPCRoute", namespaced, ["gateway.networking.k8s.io/v1"], grpc_route::GrpcRoute;
    TlsRoute, "TLSRoute", namespaced,
        ["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1alpha3",
         "gateway.networking.k8s.io/v1alpha2"], l4_route::TlsRoute;
    TcpRoute, "TCPRoute", namespaced,
        ["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1alpha2"], l4_route::TcpRoute;
    BackendTlsPolicy, "BackendTLSPolicy", namespaced,
        ["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1alpha3"],
        certificate::BackendTlsPolicy;
    ReferenceGrant, "ReferenceGrant", namespaced,
        ["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"],
        reference_grant::ReferenceGrant;
    Service, "Service", namespaced, ["v1"], service::Service;
    EndpointSlice, "EndpointSlice", namespaced, ["discovery.k8s.io/v1"], service::EndpointSlice;
    Secret, "Secret", namespaced, ["v1"], values::Secret;
    ConfigMap, "ConfigMap", namespaced, ["v1"], values::ConfigMap;
    Namespace, "Namespace", cluster, ["v1"], values::Namespace;
    Backend, "Backend", namespaced, ["tidegate.dev/v1alpha1"], backend::Backend;
    BackendPolicy, "BackendPolicy", namespaced, ["tidegate.dev/v1alpha1"], backend::BackendPolicy;
    Certificate, "Certificate", namespaced, ["tidegate.dev/v1alpha1"], certificate::Certificate;
    Plugin, "Plugin", namespaced, ["tidegate.dev/v1alpha1"], plugin::Plugin;
    TrafficPolicy, "TrafficPolicy", namespaced, ["tidegate.dev/v1alpha1"], policy::TrafficPolicy;
    Telemetry, "Telemetry", namespaced, ["tidegate.dev/v1alpha1"], policy::Telemetry;
    AuthorizationPolicy, "AuthorizationPolicy", namespaced,
        ["security.istio.io/v1", "security.istio.io/v1beta1"], istio::AuthorizationPolicy;
    RequestAuthentication, "RequestAuthentication", namespaced,
        ["security.istio.io/v1", "security.istio.io/v1beta1"], istio::RequestAuthentication;
}

/// A kind by its name, those of plugins included that no resource declares.
#[must_use]
pub fn named(kind: &str) -> Option<&'static str> {
    let all = ALL.iter().map(|(name, _)| *name);
    let mut all = all.chain([AUTHORIZATION_POLICIES, REQUEST_AUTHENTICATIONS]);
    all.find(|known| *known == kind)
}

/// The name of the plugin that a Gateway has because of policies of a kind, by the Gateway's full name.
#[must_use]
pub fn generated(kind: &str, gateway: &str) -> Option<String> {
    let generated = match kind {
        "AuthorizationPolicy" => AUTHORIZATION_POLICIES,
        "RequestAuthentication" => REQUEST_AUTHENTICATIONS,
        _ => return None,
    };
    Some(format!("{gateway}/{generated}"))
}

/// The schemas of our own kinds, for CustomResourceDefinitions.
#[must_use]
pub fn own_schemas() -> Vec<KindSchema> {
    let is_own = |schema: &KindSchema| {
        schema
            .api_versions
            .iter()
            .any(|one| group_of(one) == OWN_GROUP)
    };
    schemas().into_iter().filter(is_own).collect()
}

/// The schemas of what operators write into files of their own, which are no resources.
#[must_use]
pub fn operator_schemas() -> Vec<KindSchema> {
    vec![KindSchema::of::<signature_policy::SignaturePolicy>()]
}

/// Kinds that are read from files of their own, with the flag that names them.
pub(crate) const BY_FLAG: &[(&str, &str)] = &[("SignaturePolicy", "--signature-policy")];

/// What was read of a resource.
#[derive(Debug)]
pub(crate) struct Read {
    /// What it is called, if it has a name.
    pub(crate) id: Option<ResourceId>,
    /// What it says; `None` if it is not as its kind wants it.
    pub(crate) body: Option<Body>,
}

/// Kinds that others serve and that are to come here, with their API group.
pub(crate) const NOT_YET: &[(&str, &str)] =
    &[("UDPRoute", GATEWAY_GROUP), ("ListenerSet", GATEWAY_GROUP)];

/// The API group of an `apiVersion`; empty for the core group.
pub(crate) fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}
