//! What the fields of one resource mean together: the rules that a schema cannot say.
//!
//! Most are the validation rules that the Gateway API's own definitions carry (CEL), in our words;
//! a file that an API server would refuse is refused here too. Nothing here looks at another
//! resource: the findings of a document depend on its text alone.

mod backend;
mod calls;
mod filter_values;
mod filters;
mod gateway;
mod istio;
mod paths;
mod plugin;
mod plugin_rollout;
mod plugin_source;
mod policy;
mod route;
#[cfg(test)]
mod tests;
mod tls;

use crate::kinds::Body;
use crate::place::Span;
use crate::schema::Finding;

pub(crate) use backend::check_endpoints;
pub(crate) use calls::call_pattern;
pub(crate) use istio::JwksUri;
pub(crate) use istio::jwt_rules;
pub(crate) use paths::kind_of as path_kind;
pub(crate) use plugin::DOCKER_CONFIG_KEY;
pub(crate) use plugin::DOCKER_CONFIG_TYPE;
pub(crate) use plugin::MAX_CONFIG_BYTES;
pub(crate) use plugin::json_bytes;
pub(crate) use plugin::secret_bytes;
pub(crate) use tls::ALPN;
pub(crate) use tls::ListenerProtocol;
pub(crate) use tls::MIN_VERSION;
pub(crate) use tls::alpn;
pub(crate) use tls::protocol;

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    fn error(&mut self, span: Span, message: impl Into<String>) {
        self.list.push(Finding::new(span, message));
    }

    /// Everything that was collected.
    pub(crate) fn into_list(self) -> Vec<Finding> {
        self.list
    }

    fn with_hint(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.list.push(Finding::new(span, message).hint(hint));
    }

    fn push(&mut self, finding: Finding) {
        self.list.push(finding);
    }
}

/// Everything that is wrong within a resource which is as its schema wants it.
pub(crate) fn check(body: &Body) -> Vec<Finding> {
    let mut findings = Findings::default();
    match body {
        Body::Gateway(gateway) => gateway::check(gateway, &mut findings),
        Body::HttpRoute(route) => route::check(route, &mut findings),
        Body::GrpcRoute(route) => calls::check_grpc(route, &mut findings),
        Body::TlsRoute(route) => calls::check_tls(route, &mut findings),
        Body::TcpRoute(route) => calls::check_tcp(route, &mut findings),
        Body::Certificate(one) => tls::check_certificate(one, &mut findings),
        Body::BackendTlsPolicy(policy) => tls::check_backend_policy(policy, &mut findings),
        Body::Backend(backend) => backend::check(backend, &mut findings),
        Body::BackendPolicy(policy) => backend::check_policy(policy, &mut findings),
        Body::EndpointSlice(slice) => backend::check_slice(slice, &mut findings),
        Body::Service(service) => backend::check_service(service, &mut findings),
        Body::Plugin(plugin) => plugin::check(plugin, &mut findings),
        Body::TrafficPolicy(policy) => policy::check(policy, &mut findings),
        Body::Telemetry(telemetry) => policy::check_telemetry(telemetry, &mut findings),
        Body::Secret(secret) => plugin::check_secret(secret, &mut findings),
        Body::AuthorizationPolicy(policy) => {
            istio::check_authorization(&policy.spec, &mut findings);
        }
        Body::RequestAuthentication(policy) => {
            istio::check_authentication(&policy.spec, &mut findings);
        }
        Body::GatewayClass(_)
        | Body::ReferenceGrant(_)
        | Body::ConfigMap(_)
        | Body::Namespace(_) => {}
    }
    findings.list
}

/// Finds the first of two equal keys: calls `on_twice` with the later value for each key that has
/// come before.
fn repeated<K: std::hash::Hash + Eq, T>(
    items: impl IntoIterator<Item = (K, T)>,
    mut on_twice: impl FnMut(T),
) {
    let mut seen = foldhash::HashSet::default();
    for (key, item) in items {
        if !seen.insert(key) {
            on_twice(item);
        }
    }
}
