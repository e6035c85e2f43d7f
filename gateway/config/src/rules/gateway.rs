//! The rules of Gateway (Gateway API: `GatewaySpec`, `Listener`).

use std::net::IpAddr;

use tidegate_core::host::HostPattern;

use super::Findings;
use super::repeated;
use super::tls;
use super::tls::ListenerProtocol;
use super::tls::protocol;
use crate::kinds::gateway::FromNamespaces;
use crate::kinds::gateway::Gateway;
use crate::kinds::gateway::GatewayAddress;
use crate::kinds::gateway::LabelOperator;
use crate::kinds::gateway::Listener;
use crate::place::Span;
use crate::schema::Finding;

pub(super) fn check(gateway: &Gateway, findings: &mut Findings) {
    let spec = &gateway.spec;
    repeated(
        spec.listeners.iter().map(|one| (one.name.as_str(), one)),
        |one| {
            let message = format!("the listener name `{}` is used twice", *one.name);
            findings.with_hint(one.name.span, message, "each listener needs its own name");
        },
    );
    let key = |one: &Listener| {
        let host = one.hostname.as_ref().map(|host| host.to_string());
        // Each listener for TCP that asks for any free port gets one of its own.
        let own = (one.port.value == 0 && protocol(one) == Some(ListenerProtocol::Tcp))
            .then(|| one.name.to_string());
        let protocol = one.protocol.to_ascii_uppercase();
        (one.port.value, protocol, host, own)
    };
    repeated(spec.listeners.iter().map(|one| (key(one), one)), |one| {
        findings.with_hint(
            one.name.span,
            "an earlier listener has the same port, protocol and hostname",
            "give them different hostnames or ports",
        );
    });
    for listener in &spec.listeners {
        check_listener(listener, findings);
    }
    check_addresses(&spec.addresses, findings);
    let frontend = spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref());
    if let Some(frontend) = frontend {
        tls::check_frontend(frontend, findings);
    }
}

fn check_listener(listener: &Listener, findings: &mut Findings) {
    if let Some(hostname) = &listener.hostname
        && matches!(
            listener.protocol.to_ascii_uppercase().as_str(),
            "TCP" | "UDP"
        )
    {
        let message = format!("a listener for {} has no hostname", *listener.protocol);
        findings.error(hostname.span, message);
    }
    if let Some(hostname) = &listener.hostname {
        check_host(hostname, hostname.span, findings);
    }
    tls::check_listener(listener, findings);
    let Some(namespaces) = listener
        .allowed_routes
        .as_ref()
        .and_then(|allowed| allowed.namespaces.as_ref())
    else {
        return;
    };
    if let Some(from) = &namespaces.from
        && from.value == FromNamespaces::Selector
        && namespaces.selector.is_none()
    {
        findings.error(from.span, "`from: Selector` needs a `selector`");
    }
    for rule in namespaces
        .selector
        .iter()
        .flat_map(|selector| &selector.match_expressions)
    {
        let wants_values = matches!(
            rule.operator.value,
            LabelOperator::In | LabelOperator::NotIn
        );
        if wants_values == rule.values.is_empty() {
            let message = if wants_values {
                "this operator needs `values`"
            } else {
                "this operator takes no `values`"
            };
            findings.error(rule.operator.span, message);
        }
    }
}

fn check_addresses(addresses: &[GatewayAddress], findings: &mut Findings) {
    let is_address =
        |one: &&GatewayAddress| one.kind.as_ref().is_none_or(|kind| **kind == "IPAddress");
    for address in addresses {
        match (&address.kind, &address.value) {
            (Some(kind), _) if !is_address(&address) => {
                let message = format!("the address type `{}` is not supported yet", **kind);
                let finding = Finding::new(kind.span, message);
                // The API's reason for types that an implementation does not know.
                findings.push(finding.hint("use `IPAddress`").reason("UnsupportedAddress"));
            }
            (_, Some(value)) if value.parse::<IpAddr>().is_err() => {
                let message = format!("{:?} is not an IP address", value.value);
                findings.with_hint(value.span, message, "such as `127.0.0.1` or `::1`");
            }
            _ => {}
        }
    }
    let values = addresses
        .iter()
        .filter(is_address)
        .filter_map(|one| one.value.as_ref());
    let keyed = values.filter_map(|value| Some((value.parse::<IpAddr>().ok()?, value)));
    repeated(keyed, |value| {
        findings.error(
            value.span,
            format!("the address `{}` is given twice", **value),
        );
    });
}

/// A host must be a host, with or without wildcard.
pub(super) fn check_host(text: &str, span: Span, findings: &mut Findings) {
    if let Err(err) = HostPattern::parse(text) {
        let hint = "a lower-case host without port, such as `shop.test` or `*.shop.test`";
        findings.with_hint(span, format!("the hostname {text:?} {err}"), hint);
    }
}
