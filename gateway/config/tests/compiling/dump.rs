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
use tidegate_core::backend::Backend;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tidegate_core::filter::Filter;
use tidegate_core::message::RequestHead;
use tidegate_core::route::Rule;
use tidegate_core::snapshot::Bind;

/// All of it that tests look at; paths below `root` are shortened.
pub(crate) fn dump(draft: &Draft, text: &str, root: &str) -> String {
    let mut out = String::new();
    for bind in &draft.snapshot.binds {
        bind_line(&mut out, bind);
    }
    for backend in draft.snapshot.backends.iter() {
        backend_line(&mut out, backend);
    }
    for plugin in &draft.plugins {
        plugin_lines(&mut out, plugin, root);
    }
    for probe in text
        .lines()
        .filter_map(|line| line.strip_prefix("# probe: "))
    {
        let answer = ask(draft, probe);
        writeln!(out, "probe {probe}\n{answer}").expect("a string");
    }
    for status in &draft.resources {
        status_lines(&mut out, status);
    }
    out
}

fn bind_line(out: &mut String, bind: &Bind) {
    writeln!(out, "bind {} {}", bind.name, bind.address).expect("a string");
    if bind.timeouts != Timeouts::default() {
        writeln!(out, "  {:?}", bind.timeouts).expect("a string");
    }
    if bind.sizes != SizeLimits::default() {
        writeln!(out, "  {:?}", bind.sizes).expect("a string");
    }
    if bind.trusted_hops != 0 {
        writeln!(out, "  trusted hops {}", bind.trusted_hops).expect("a string");
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

fn backend_line(out: &mut String, backend: &Backend) {
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
