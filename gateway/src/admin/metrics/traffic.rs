//! Numbers of connections and exchanges, and of names that were looked up.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use tidegate_proxy::LookedUp;
use tidegate_proxy::Lookups;
use tidegate_proxy::Metrics;
use tidegate_proxy::TcpNumbers;

use crate::admin::exposition::Exposition;
use crate::admin::exposition::Kind;
use crate::admin::metrics::plugins;

/// All of it, and what plugins use.
pub(super) fn traffic(out: &mut Exposition, proxy: &Metrics) {
    // No `..`: whoever counts something new must show it.
    let Metrics {
        requests,
        flags,
        open_connections,
        connections,
        handshakes,
        tcp,
        connection_flags,
        tunnels,
        open_tunnels,
        silent_clients,
        silent_origins,
        plugin_faults,
        retired_instances,
        plugins: used,
        waiting_plugins,
        limited_keys,
        guests: _,
        names,
    } = proxy;
    let statuses = requests
        .iter()
        .map(|(status, count)| (status.to_string(), count));
    by_label(
        out,
        "tidegate_requests_total",
        "Exchanges by the status that the client got.",
        "status",
        statuses,
    );
    by_label(
        out,
        "tidegate_request_flags_total",
        "Exchanges that did not end with a forwarded response, by the access log's flag.",
        "flag",
        flags,
    );
    out.single(
        "tidegate_open_connections",
        Kind::Gauge,
        "Client connections that are open.",
        open_connections,
    );
    out.single(
        "tidegate_connections_total",
        Kind::Counter,
        "Client connections accepted.",
        connections,
    );
    tcp_connections(out, tcp);
    by_label(
        out,
        "tidegate_connection_flags_total",
        "Connections that were refused before a request, or passed on as bytes and did not end by \
         both peers' word, by the access log's flag.",
        "flag",
        connection_flags,
    );
    out.single(
        "tidegate_open_tunnels",
        Kind::Gauge,
        "Connections that have changed their protocol, such as to WebSocket, and are open.",
        open_tunnels,
    );
    out.single(
        "tidegate_tunnels_total",
        Kind::Counter,
        "Connections that have changed their protocol.",
        tunnels,
    );
    by_label(
        out,
        "tidegate_http2_ping_timeouts_total",
        "HTTP/2 connections that were given up because the peer answered no PING.",
        "peer",
        [("client", silent_clients), ("origin", silent_origins)],
    );
    let mut family = out.family(
        "tidegate_tls_handshakes_total",
        Kind::Counter,
        "TLS handshakes with clients by how they ended: completed, resumed, passed_through, or why \
         they failed.",
    );
    for ((listener, result), count) in handshakes {
        family.sample(&[("listener", listener), ("result", result)], count);
    }
    let mut family = out.family(
        "tidegate_plugin_faults_total",
        Kind::Counter,
        "Plugin instances that were ended, by kind of fault.",
    );
    for ((plugin, kind), count) in plugin_faults {
        family.sample(&[("plugin", plugin), ("kind", kind)], count);
    }
    swaps(out, retired_instances, waiting_plugins);
    let mut family = out.family(
        "tidegate_plugin_limited_keys",
        Kind::Gauge,
        "Keys that have used up something of rate limits which plugins keep in the gateway, by the space of \
         their shared data.",
    );
    for (space, keys) in limited_keys {
        family.sample(&[("space", space)], keys);
    }
    self::names(out, names);
    plugins(out, used);
}

/// Counts of one family by one label.
fn by_label<L: AsRef<str>, C: Display>(
    out: &mut Exposition,
    name: &'static str,
    help: &'static str,
    label: &'static str,
    counts: impl IntoIterator<Item = (L, C)>,
) {
    let mut family = out.family(name, Kind::Counter, help);
    for (value, count) in counts {
        family.sample(&[(label, value.as_ref())], count);
    }
}

/// What becomes of plugins that are replaced.
fn swaps(out: &mut Exposition, retired: impl Display, waiting: &[String]) {
    out.single(
        "tidegate_plugin_retired_instances",
        Kind::Gauge,
        "Plugin instances that only streams of older generations hold.",
        retired,
    );
    let mut family = out.family(
        "tidegate_plugin_swap_waiting",
        Kind::Gauge,
        "1 for each plugin whose newest version waits, because streams hold too many old ones.",
    );
    for plugin in waiting {
        family.sample(&[("plugin", plugin)], 1);
    }
}

/// Reads one number of a listener.
type ReadTcp = fn(&TcpNumbers) -> u64;

/// Connections that are passed on as bytes.
fn tcp_connections(out: &mut Exposition, tcp: &BTreeMap<Arc<str>, TcpNumbers>) {
    let families: [(&str, Kind, &str, ReadTcp); 4] = [
        (
            "tidegate_tcp_connections_total",
            Kind::Counter,
            "Connections that were passed on as bytes, by listener.",
            |numbers| numbers.connections,
        ),
        (
            "tidegate_tcp_open_connections",
            Kind::Gauge,
            "Connections that are passed on as bytes now, by listener.",
            |numbers| numbers.open,
        ),
        (
            "tidegate_tcp_received_bytes_total",
            Kind::Counter,
            "Bytes that clients sent on such connections.",
            |numbers| numbers.received,
        ),
        (
            "tidegate_tcp_sent_bytes_total",
            Kind::Counter,
            "Bytes that clients were sent on such connections.",
            |numbers| numbers.sent,
        ),
    ];
    for (name, kind, help, read) in families {
        let mut family = out.family(name, kind, help);
        for (listener, numbers) in tcp {
            family.sample(&[("listener", listener)], read(numbers));
        }
    }
}

/// What names have led to.
fn names(out: &mut Exposition, names: &[LookedUp]) {
    let mut family = out.family(
        "tidegate_dns_lookups_total",
        Kind::Counter,
        "Lookups of the names of a backend: records were found, are missing, or the servers failed.",
    );
    for one in names {
        let backend = one.backend.as_str();
        let Lookups {
            found,
            missing,
            failed,
        } = one.lookups;
        for (result, count) in [("found", found), ("missing", missing), ("failed", failed)] {
            family.sample(&[("backend", backend), ("result", result)], count);
        }
    }
    let mut family = out.family(
        "tidegate_dns_endpoints",
        Kind::Gauge,
        "Endpoints that the names of a backend lead to.",
    );
    for one in names {
        family.sample(&[("backend", one.backend.as_str())], one.endpoints.len());
    }
    let mut family = out.family(
        "tidegate_dns_answer_age_seconds",
        Kind::Gauge,
        "Age of the oldest answer that the endpoints of a backend come from.",
    );
    for one in names {
        if let Some(age) = one.age_seconds {
            family.sample(&[("backend", one.backend.as_str())], age);
        }
    }
}
