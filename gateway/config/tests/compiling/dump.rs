//! A draft as stable text.
//!
//! Which rule has a request is asked of the route tables: a line `# probe: GET http://shop.test/a x=1`
//! in the configuration asks for one, at the bind `port=` if there are several.

use std::fmt::Write as _;

use http::HeaderName;
use http::HeaderValue;
use http::Method;
use tidegate_config::draft::Draft;
use tidegate_config::draft::PluginDecl;
use tidegate_config::draft::ResourceStatus;
use tidegate_config::draft::RolloutDecl;
use tidegate_core::backend::Backend;
use tidegate_core::backend::BackendProtocol;
use tidegate_core::client_certificate::ForwardClientCert;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tidegate_core::filter::Filter;
use tidegate_core::message::RequestHead;
use tidegate_core::route::Rule;
use tidegate_core::snapshot::Bind;
use tidegate_core::snapshot::Canary;
use tidegate_core::snapshot::Protocol;
use tidegate_core::tcp::TcpRule;
use tidegate_core::tls::BundleId;
use tidegate_core::tls::Termination;
use tidegate_core::tls::TlsName;
use tidegate_core::tls::Trust;
use tidegate_core::tls::TrustName;

/// All of it that tests look at; paths below `root` are shortened.
pub(crate) fn dump(draft: &Draft, text: &str, root: &str) -> String {
    let mut out = String::new();
    for bind in &draft.snapshot.binds {
        bind_line(&mut out, bind);
        if let Protocol::Tcp(rule) = &bind.protocol {
            writeln!(out, "  to{}", tcp(draft, rule)).expect("a string");
        }
    }
    for backend in draft.snapshot.backends.iter() {
        backend_line(&mut out, draft, backend);
    }
    for (rollout, pair) in draft.rollouts.iter().zip(&draft.snapshot.canaries) {
        rollout_lines(&mut out, rollout, pair);
    }
    for plugin in &draft.plugins {
        plugin_lines(&mut out, plugin, root);
    }
    for one in &draft.certificates {
        let source = format!("{:?}", one.source).replace(root, "ROOT");
        let (name, of) = (&one.name.0, &one.resource);
        writeln!(out, "certificate {name} {of} {source}").expect("a string");
    }
    for one in &draft.bundles {
        let source = format!("{:?}", one.source).replace(root, "ROOT");
        let (name, of) = (&one.name.0, &one.resource);
        writeln!(out, "bundle {name} {of} {source}").expect("a string");
    }
    for probe in text
        .lines()
        .filter_map(|line| line.strip_prefix("# probe: "))
    {
        let answer = match probe.strip_prefix("SNI ") {
            Some(name) => ask_tls(draft, name),
            None => ask(draft, probe),
        };
        writeln!(out, "probe {probe}\n{answer}").expect("a string");
    }
    for status in &draft.resources {
        status_lines(&mut out, status);
    }
    out
}

fn rollout_lines(out: &mut String, rollout: &RolloutDecl, pair: &Canary) {
    let RolloutDecl {
        resource,
        name,
        course,
        limits,
        webhooks,
    } = rollout;
    let Canary {
        stable,
        canary,
        split,
    } = pair;
    writeln!(out, "rollout {} of {resource}", name.0).expect("a string");
    writeln!(out, "  {stable:?} {canary:?} {split:?}").expect("a string");
    writeln!(out, "  {course:?}\n  {limits:?}").expect("a string");
    for webhook in webhooks {
        writeln!(out, "  {webhook:?} {}", webhook.path).expect("a string");
    }
}

fn bind_line(out: &mut String, bind: &Bind) {
    let protocol = match &bind.protocol {
        Protocol::Http => "",
        Protocol::Tls(_) => " TLS",
        Protocol::Tcp(_) => " TCP",
    };
    writeln!(out, "bind {} {}{protocol}", bind.name, bind.address).expect("a string");
    if bind.timeouts != Timeouts::default() {
        writeln!(out, "  {:?}", bind.timeouts).expect("a string");
    }
    if bind.sizes != SizeLimits::default() {
        writeln!(out, "  {:?}", bind.sizes).expect("a string");
    }
    if bind.trusted_hops != 0 {
        writeln!(out, "  trusted hops {}", bind.trusted_hops).expect("a string");
    }
    if bind.forward_client_cert != ForwardClientCert::default() {
        writeln!(out, "  {:?}", bind.forward_client_cert).expect("a string");
    }
    if bind.proxy_protocol {
        writeln!(out, "  PROXY protocol").expect("a string");
    }
    writeln!(out, "  log {:?}", bind.access_log).expect("a string");
    let mut listeners: Vec<_> = bind.listeners.values().collect();
    listeners.sort_by(|a, b| a.name.cmp(&b.name));
    for listener in listeners {
        writeln!(
            out,
            "  listener {} plugins {:?}",
            listener.name, listener.plugins
        )
        .expect("a string");
    }
}

/// What becomes of a connection for a name, at the first bind for TLS or that of a port.
fn ask_tls(draft: &Draft, probe: &str) -> String {
    let (host, port) = probe.split_once(':').unwrap_or((probe, ""));
    let mut binds = draft.snapshot.binds.iter();
    let found = binds.find_map(|bind| match &bind.protocol {
        Protocol::Tls(names) if port.is_empty() || bind.address.port().to_string() == port => {
            Some(names)
        }
        _ => None,
    });
    let Some(one) = found.and_then(|names| names.claims(host).next()) else {
        return "  refused".to_owned();
    };
    match &**one {
        TlsName::Http {
            termination,
            listener,
        } => format!("  HTTP {} {}", listener.name, ended(draft, termination)),
        TlsName::Tcp { termination, rule } => {
            format!("  TCP {}{}", ended(draft, termination), tcp(draft, rule))
        }
        TlsName::Passthrough(rule) => format!("  passed through{}", tcp(draft, rule)),
    }
}

fn ended(draft: &Draft, termination: &Termination) -> String {
    let certificates = termination.certificates.iter();
    let certificates: Vec<&str> = certificates
        .map(|id| name_of(&draft.snapshot.certificates, id.0))
        .collect();
    let mut out = format!(
        "{certificates:?} {:?} {:?}",
        termination.min_version, termination.alpn
    );
    if let Some(clients) = &termination.clients {
        write!(
            out,
            " clients {:?} optional {}",
            bundles(draft, &clients.bundles),
            clients.optional
        )
        .expect("a string");
    }
    out
}

fn bundles<'d>(draft: &'d Draft, ids: &[BundleId]) -> Vec<&'d str> {
    let all = &draft.snapshot.bundles;
    ids.iter().map(|id| name_of(all, id.0)).collect()
}

fn name_of(names: &[TrustName], id: u32) -> &str {
    let name = names.get(usize::try_from(id).expect("small"));
    &name.expect("ids are places").0
}

fn tcp(draft: &Draft, rule: &TcpRule) -> String {
    let mut out = format!(
        "\n    rule {} at {} idle {:?}",
        rule.name, rule.listener, rule.idle
    );
    for id in &rule.plugins {
        let index = usize::try_from(id.0).expect("small");
        let name = draft.snapshot.plugins.get(index).expect("ids are places");
        write!(out, " plugin {}", name.0).expect("a string");
    }
    for one in &rule.backends {
        let name = one.backend.and_then(|id| draft.snapshot.backends.get(id));
        let name = name.map_or("nowhere", |backend| backend.name.as_str());
        write!(out, "\n    to {name}*{}", one.weight).expect("a string");
    }
    out
}

fn backend_line(out: &mut String, draft: &Draft, backend: &Backend) {
    let endpoints: Vec<String> = backend
        .endpoints
        .iter()
        .map(|one| format!("{}*{}", one.address, one.weight))
        .collect();
    writeln!(
        out,
        "backend {} {:?} [{}]",
        backend.name.as_str(),
        backend.load_balancer,
        endpoints.join(" ")
    )
    .expect("a string");
    if backend.protocol != BackendProtocol::default() {
        writeln!(out, "  {:?}", backend.protocol).expect("a string");
    }
    if let Some(version) = backend.proxy_protocol {
        writeln!(out, "  PROXY protocol {version:?}").expect("a string");
    }
    if let Some(pings) = backend.pings {
        writeln!(out, "  {pings:?}").expect("a string");
    }
    if let Some(dns) = &backend.dns {
        writeln!(out, "  {dns:?}").expect("a string");
    }
    if let Some(tls) = &backend.tls {
        let trust = match &tls.trust {
            Trust::Anybody => vec!["anybody"],
            Trust::System => vec!["the system's"],
            Trust::Bundles(ids) => bundles(draft, ids),
        };
        let shown = tls
            .client_certificate
            .map(|id| name_of(&draft.snapshot.certificates, id.0));
        writeln!(
            out,
            "  TLS {} {trust:?} {:?} {:?} shows {shown:?}",
            tls.hostname, tls.subject_alt_names, tls.min_version
        )
        .expect("a string");
    }
}

fn plugin_lines(out: &mut String, plugin: &PluginDecl, root: &str) {
    let source = format!("{:?}", plugin.source).replace(root, "ROOT");
    writeln!(
        out,
        "plugin {} {source} {:?}",
        plugin.name.0, plugin.failure_policy
    )
    .expect("a string");
    writeln!(
        out,
        "  root {:?} vm {:?} {:?} config {:?} env {:?} backends {:?}",
        plugin.root_id, plugin.vm_id, plugin.vm_config, plugin.config, plugin.env, plugin.backends
    )
    .expect("a string");
    for (resource, place) in &plugin.made_of {
        writeln!(out, "  made of {resource} at line {}", place.line).expect("a string");
    }
    writeln!(
        out,
        "  memory {} call {:?} start {:?}",
        plugin.memory_bytes, plugin.call_timeout, plugin.start_timeout
    )
    .expect("a string");
}

fn ask(draft: &Draft, probe: &str) -> String {
    let mut words = probe.split_whitespace();
    let method = words.next().expect("a method");
    let url = words.next().expect("a URL");
    let (host, path) = url
        .strip_prefix("http://")
        .expect("http")
        .split_once('/')
        .expect("a path");
    let (host, port) = host.split_once(':').unwrap_or((host, ""));
    let mut head = RequestHead {
        method: Method::from_bytes(method.as_bytes()).expect("a method"),
        authority: HeaderValue::from_str(host).expect("a host"),
        path: HeaderValue::from_str(&format!("/{path}")).expect("a path"),
        ..RequestHead::default()
    };
    for word in words {
        let (name, value) = word.split_once('=').expect("a field");
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        head.headers
            .append(name, HeaderValue::from_str(value).expect("a value"));
    }
    let bind = draft
        .snapshot
        .binds
        .iter()
        .find(|bind| port.is_empty() || bind.address.port().to_string() == port);
    let Some(listener) = bind.and_then(|bind| bind.listeners.claims(host).next()) else {
        return "  no listener".to_owned();
    };
    match listener.routes.find(host, &head) {
        None => format!("  {} no rule", listener.name),
        Some(found) => format!(
            "  {} prefix {:?}{}",
            listener.name,
            found.prefix,
            rule(draft, found.rule)
        ),
    }
}

fn rule(draft: &Draft, rule: &Rule) -> String {
    let mut out = format!("\n  rule {}", rule.name);
    if rule.timeouts != tidegate_core::route::RouteTimeouts::default() {
        write!(out, "\n    {:?}", rule.timeouts).expect("a string");
    }
    if let Some(bytes) = rule.buffered_body_bytes {
        write!(out, "\n    buffered body {bytes}").expect("a string");
    }
    for one in &rule.filters {
        write!(out, "\n    {}", filter(draft, one)).expect("a string");
    }
    for one in &rule.backends {
        let name = one.backend.and_then(|id| draft.snapshot.backends.get(id));
        let name = name.map_or("nowhere", |backend| backend.name.as_str());
        write!(out, "\n    to {name}*{}", one.weight).expect("a string");
        for one in &one.filters {
            write!(out, "\n      {}", filter(draft, one)).expect("a string");
        }
    }
    out
}

fn filter(draft: &Draft, filter: &Filter) -> String {
    match filter {
        Filter::Plugin(id) => {
            let index = usize::try_from(id.0).expect("small");
            let name = draft.snapshot.plugins.get(index).expect("ids are places");
            format!("Plugin {}", name.0)
        }
        Filter::Mirror(mirror) => {
            let backend = mirror
                .backend
                .and_then(|id| draft.snapshot.backends.get(id));
            let name = backend.map_or("nowhere", |backend| backend.name.as_str());
            format!("Mirror {name} {}/{}", mirror.share, mirror.of)
        }
        other => format!("{other:?}"),
    }
}

fn status_lines(out: &mut String, status: &ResourceStatus) {
    let last_good = if status.last_good { " last good" } else { "" };
    writeln!(out, "{}{last_good}", status.resource).expect("a string");
    for condition in &status.conditions {
        let about = condition
            .about
            .as_deref()
            .map_or(String::new(), |about| format!(" {about}"));
        writeln!(
            out,
            "  {}={} {}{about}: {}",
            condition.kind, condition.status, condition.reason, condition.message
        )
        .expect("a string");
    }
}
