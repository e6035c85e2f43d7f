//! `tidegate explain`: what would become of a request, without serving it.
//!
//! Owns the walk from an address to backends, which is the data plane's own: the same functions decide
//! here. What plugins would do is not known; they are named in the order in which they run.

use std::io::Write as _;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::process::ExitCode;

use http::HeaderMap;
use http::HeaderValue;
use http::header::HOST;
use serde_json::json;
use tidegate_config::draft::Draft;
use tidegate_config::problem::Severity;
use tidegate_core::authority::host_of;
use tidegate_core::client_certificate::Mode;
use tidegate_core::failure::Failure;
use tidegate_core::message::RequestHead;
use tidegate_core::message::Version;
use tidegate_core::request::Arrival;
use tidegate_core::request::Received;
use tidegate_core::request::prepare;
use tidegate_core::snapshot::Bind;
use tidegate_core::snapshot::Listener;
use tidegate_core::snapshot::Protocol;
use tidegate_core::tcp::TcpRule;
use tidegate_core::tls::Termination;
use tidegate_core::tls::TlsName;

use crate::builtin;
use crate::check::counted;
use crate::cli::CheckFormat;
use crate::cli::ExplainArgs;
use crate::explain::words::Words;

mod words;

/// What becomes of a request at one address.
#[derive(Debug, Default)]
struct Story {
    /// What it meets, in order.
    steps: Vec<(&'static str, String)>,
    /// Whether a rule has it.
    is_routed: bool,
}

impl Story {
    fn add(&mut self, what: &'static str, is: impl Into<String>) {
        self.steps.push((what, is.into()));
    }

    /// The end that a failure means.
    fn refuse(&mut self, failure: Failure, why: &str) {
        let verdict = failure.verdict();
        let answer = format!("{} {}: {why}", verdict.status.as_u16(), verdict.flag);
        self.add("answer", answer);
    }
}

/// Says which listener and rule would have a request. Returns failure if none would.
pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let draft = builtin::loader(&args.config, &args.mesh).load();
    let problems = draft.problems.iter();
    let errors = problems
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    if errors > 0 {
        let config = args.config.display();
        let errors = counted(errors, "error");
        eprintln!(
            "{errors}: what is refused does not count here (`tidegate check -c {config}` shows \
             them)"
        );
    }
    let stories = stories(&draft, args);
    let page = match args.format {
        CheckFormat::Text => text(&stories),
        CheckFormat::Json => json_page(&stories),
    };
    match std::io::stdout().lock().write_all(page.as_bytes()) {
        // A reader that has seen enough is no error.
        Err(err) if err.kind() != std::io::ErrorKind::BrokenPipe => return Err(err.into()),
        _ => {}
    }
    Ok(if stories.iter().any(|story| story.is_routed) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// One for each address that the request may come in at.
fn stories(draft: &Draft, args: &ExplainArgs) -> Vec<Story> {
    let (port, ip) = (args.url.port, args.url.host.parse::<IpAddr>().ok());
    let is_meant = |bind: &&Bind| {
        let bound = bind.address.ip();
        bind.address.port() == port && (bound.is_unspecified() || ip.is_none_or(|ip| ip == bound))
    };
    let binds = || draft.snapshot.binds.iter().map(|bind| &**bind);
    let stories: Vec<Story> = binds()
        .filter(is_meant)
        .map(|bind| story(draft, bind, args))
        .collect();
    if !stories.is_empty() {
        return stories;
    }
    let known: Vec<String> = binds().map(|bind| bind.address.to_string()).collect();
    let mut nowhere = Story::default();
    let known = match known.as_slice() {
        [] => "nothing is listened on".to_owned(),
        some => format!("there is {}", some.join(", ")),
    };
    nowhere.add(
        "answer",
        format!("none: nobody listens on port {port}; {known}"),
    );
    vec![nowhere]
}

fn story(draft: &Draft, bind: &Bind, args: &ExplainArgs) -> Story {
    let mut story = Story::default();
    let words = Words { draft };
    story.add("address", format!("{} ({})", bind.address, bind.name));
    match (&bind.protocol, args.url.secure) {
        (Protocol::Http, false) => {}
        (Protocol::Http, true) => {
            story.add(
                "answer",
                "none: this port speaks HTTP without TLS, use http://",
            );
            return story;
        }
        (Protocol::Tls(_), false) => {
            story.refuse(
                Failure::MalformedRequest,
                "this port speaks TLS, use https://",
            );
            return story;
        }
        (Protocol::Tcp(rule), _) => {
            connections(&mut story, words, rule);
            return story;
        }
        (Protocol::Tls(names), true) => {
            // Addresses are not asked for by name (RFC 6066 §3).
            let is_address = args.url.host.parse::<IpAddr>().is_ok();
            let name = if is_address { "" } else { &*args.url.host };
            match names.claims(name).next().map(|name| &**name) {
                None => {
                    story.add(
                        "answer",
                        "none: no listener claims the name (unrecognized_name)",
                    );
                    return story;
                }
                Some(TlsName::Passthrough(rule)) => {
                    story.add("tls", "passed through");
                    connections(&mut story, words, rule);
                    return story;
                }
                Some(TlsName::Tcp { termination, rule }) => {
                    ended(&mut story, words, termination);
                    connections(&mut story, words, rule);
                    return story;
                }
                Some(TlsName::Http { termination, .. }) => ended(&mut story, words, termination),
            }
        }
    }
    request(&mut story, words, bind, args);
    story
}

fn ended(story: &mut Story, words: Words<'_>, termination: &Termination) {
    let certificates = words.certificates(&termination.certificates);
    let clients = match &termination.clients {
        None => "",
        Some(clients) if clients.optional => "; a client certificate is asked for",
        Some(_) => "; a client certificate is required",
    };
    story.add("tls", format!("ends here with {certificates}{clients}"));
}

fn connections(story: &mut Story, words: Words<'_>, rule: &TcpRule) {
    story.add("listener", rule.listener.to_string());
    for plugin in words.plugins(&rule.plugins) {
        story.add("plugin", plugin);
    }
    if rule.backends.is_empty() {
        story.add(
            "answer",
            "none: no route has these connections, they are closed",
        );
        return;
    }
    story.is_routed = true;
    story.add(
        "route",
        format!("{}: connections are passed on as bytes", rule.name),
    );
    for share in &rule.backends {
        story.add("backend", words.share(share));
    }
}

fn request(story: &mut Story, words: Words<'_>, bind: &Bind, args: &ExplainArgs) {
    let head = match head(bind, args) {
        Ok(head) => head,
        Err(failure) => return story.refuse(failure, "the request is refused as it is"),
    };
    let host = host_of(head.authority.as_bytes()).to_owned();
    let listener = bind.listeners.claims(&host).next();
    let Some(listener) = listener else {
        return story.refuse(Failure::NoRoute, "no listener of the address has the host");
    };
    story.add("listener", listener.name.to_string());
    for plugin in words.plugins(&listener.plugins) {
        story.add("plugin", plugin);
    }
    rule(story, words, listener, (&host, &head), bind.address.port());
}

fn rule(
    story: &mut Story,
    words: Words<'_>,
    listener: &Listener,
    (host, head): (&str, &RequestHead),
    port: u16,
) {
    let Some(found) = listener.routes.find(host, head) else {
        return story.refuse(Failure::NoRoute, "no rule of the listener matches");
    };
    let rule = found.rule;
    story.is_routed = true;
    story.add("rule", rule.name.to_string());
    for filter in &rule.filters {
        let (what, is) = words.filter(filter, head, found.prefix, port);
        story.add(what, is);
    }
    let times = &rule.timeouts;
    for (what, limit) in [
        ("the exchange", times.request),
        ("one attempt", times.backend_request),
        ("silence", times.stream_idle),
    ] {
        if let Some(limit) = limit {
            story.add("time-out", format!("{limit:?} for {what}"));
        }
    }
    for share in &rule.backends {
        story.add("backend", words.share(share));
        for filter in &share.filters {
            let (what, is) = words.filter(filter, head, found.prefix, port);
            story.add(what, is);
        }
    }
    if rule.backends.iter().all(|share| share.weight == 0) && !words::answers(&rule.filters) {
        story.refuse(
            Failure::NoBackend,
            "the rule has no backend that gets requests",
        );
    }
}

/// The request as filters and routes see it.
fn head(bind: &Bind, args: &ExplainArgs) -> Result<RequestHead, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in &args.headers {
        headers.append(name.clone(), value.clone());
    }
    if !headers.contains_key(HOST) {
        let host = HeaderValue::from_str(&args.url.authority).map_err(|_| Failure::BadHost)?;
        headers.insert(HOST, host);
    }
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let received = Received {
        method: args.method.clone(),
        target: args.url.target.as_bytes(),
        version: Version::Http11,
        headers,
    };
    let arrival = Arrival {
        peer,
        peer_text: &HeaderValue::from_static("127.0.0.1"),
        trusted_hops: bind.trusted_hops,
        secure: args.url.secure,
        client_certificate: None,
        forward_client_cert: Mode::ByTrust,
        random: 0,
    };
    Ok(prepare(received, &arrival)?.head)
}

fn text(stories: &[Story]) -> String {
    let mut page = String::new();
    for (place, story) in stories.iter().enumerate() {
        if place > 0 {
            page.push('\n');
        }
        for (what, is) in &story.steps {
            page.push_str(&format!("{what:<9} {is}\n"));
        }
    }
    page
}

fn json_page(stories: &[Story]) -> String {
    let addresses: Vec<_> = stories
        .iter()
        .map(|story| {
            let steps = story.steps.iter();
            let steps: Vec<_> = steps
                .map(|(what, is)| json!({ "what": what, "is": is }))
                .collect();
            json!({ "routed": story.is_routed, "steps": steps })
        })
        .collect();
    format!("{:#}\n", json!({ "addresses": addresses }))
}
