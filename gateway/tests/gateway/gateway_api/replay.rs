//! One file of cases against gateways: sends what is asked, and says all that is not as expected.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::net::SocketAddr;

use tidegate_config::problem::Severity;
use tidegate_config::render::Colour;
use tidegate_config::render::render;
use tidegate_testkit::Client;
use tidegate_testkit::Echo;
use tidegate_testkit::Loaded;
use tidegate_testkit::Message;
use tidegate_testkit::TlsFront;
use tidegate_testkit::echo;
use tidegate_testkit::eventually;

use super::cases::Ask;
use super::cases::Case;
use super::cases::Condition;
use super::cases::Lines;
use super::cases::Setting;
use super::cases::settings;
use super::shares::Sent;
use super::trust::Trust;

/// The request field by which copies are known.
pub(crate) const ID: &str = "x-case";
/// The port of URLs without one.
const PORT: u16 = 80;
const TLS_PORT: u16 = 443;

/// Replays all cases of a file.
///
/// # Panics
///
/// With everything that is not as expected.
#[track_caller]
pub(crate) fn replay(file: &str) {
    let mut origins = Origins::default();
    let mut wrong = Vec::new();
    for setting in settings(file) {
        let found = replay_case(&setting, &mut origins);
        let says = &setting.case.says;
        wrong.extend(
            found
                .into_iter()
                .map(|one| format!("{}: {says}\n    {one}", setting.place)),
        );
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Everything that is not as a case expects.
pub(crate) fn replay_case(setting: &Setting, origins: &mut Origins) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let resources = origins.fill_in(&setting.resources);
    fs::write(folder.path().join("resources.yaml"), resources).expect("writable");
    origins.trust.write(folder.path());
    let gateway = Loaded::start(folder.path());
    let mut wrong: Vec<String> = check_problems(&setting.case, &gateway)
        .into_iter()
        .collect();
    for condition in &setting.case.conditions {
        wrong.extend(check_condition(condition, &gateway));
    }
    let mut exchanges = Exchanges {
        gateway: &gateway,
        origins,
        clients: BTreeMap::new(),
        sent: Vec::new(),
    };
    for ask in &setting.case.requests {
        let found = exchanges.check(ask);
        wrong.extend(
            found
                .into_iter()
                .map(|one| format!("{}: {one}", ask.request)),
        );
    }
    let Exchanges { clients, sent, .. } = exchanges;
    // Clients that stay would make the gateway wait for them.
    drop((clients, gateway));
    eventually("the ends of all connections", || {
        origins.all.values().all(Echo::is_idle).then_some(())
    });
    for sent in sent {
        let found = sent.check_copies(origins);
        wrong.extend(found.map(|one| format!("{}: {one}", sent.ask.request)));
    }
    wrong
}

/// The origins of a file, by name.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    all: BTreeMap<String, Echo>,
    /// Those behind TLS, by the name of their ports.
    fronts: BTreeMap<String, TlsFront>,
    trust: Trust,
    next_id: usize,
}

impl Origins {
    /// Resources with the ports of the origins that they name.
    fn fill_in(&mut self, text: &str) -> String {
        fill_in(text, |name| {
            let plain = name.strip_suffix("Tls").or(name.strip_suffix("Mtls"));
            let plain = plain.unwrap_or(name);
            let origin = self.all.entry(plain.to_owned());
            let origin = origin.or_insert_with(|| Echo::named(plain)).address();
            if plain == name {
                return origin.port();
            }
            let front = self.fronts.entry(name.to_owned());
            let asks = name.ends_with("Mtls");
            let front = front.or_insert_with(|| self.trust.front(plain, origin, asks));
            front.address().port()
        })
    }

    fn new_id(&mut self) -> String {
        self.next_id += 1;
        format!("{}.", self.next_id)
    }

    /// How many requests of an id each origin has read, those that have read none left out.
    pub(crate) fn reads(&self, id: &str) -> BTreeMap<&str, usize> {
        let counts = self.all.iter().map(|(name, origin)| {
            let requests = origin.requests();
            let count = requests.iter().filter(|one| one.field(ID) == Some(id));
            (name.as_str(), count.count())
        });
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

/// A text with ports in place of `$name`.
fn fill_in(text: &str, mut port: impl FnMut(&str) -> u16) -> String {
    let mut parts = text.split('$');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|one: char| !one.is_ascii_alphanumeric());
        let (name, rest) = part.split_at(end.unwrap_or(part.len()));
        if name.is_empty() {
            filled.push('$');
        } else {
            filled.push_str(&port(name).to_string());
        }
        filled.push_str(rest);
    }
    filled
}

fn check_problems(case: &Case, gateway: &Loaded) -> Option<String> {
    let errors = gateway.problems.iter();
    let errors: Vec<_> = errors
        .filter(|problem| problem.severity == Severity::Error)
        .cloned()
        .collect();
    let reasons: Vec<&str> = errors.iter().map(|problem| problem.reason).collect();
    (case.problems != reasons).then(|| {
        let shown = render(&errors, Colour::Never);
        format!(
            "expected problems {:?}, got {reasons:?}\n{shown}",
            case.problems
        )
    })
}

fn check_condition(expected: &Condition, gateway: &Loaded) -> Option<String> {
    let resource = gateway
        .resources
        .iter()
        .find(|one| one.resource.to_string() == expected.of);
    let Some(resource) = resource else {
        return Some(format!("there is no resource {}", expected.of));
    };
    let is_there = resource.conditions.iter().any(|one| {
        one.kind == expected.kind
            && one.status == expected.status
            && one.reason == expected.reason
            && (expected.about.is_none() || one.about == expected.about)
            && expected
                .message
                .as_ref()
                .is_none_or(|message| *message == one.message)
    });
    let known = resource.conditions.iter();
    let known: Vec<String> = known.map(|one| format!("\n      {one:?}")).collect();
    (!is_there).then(|| format!("expected\n      {expected:?}\n    among{}", known.concat()))
}

/// What is needed to send requests.
struct Exchanges<'g, 'c> {
    gateway: &'g Loaded,
    origins: &'g mut Origins,
    clients: BTreeMap<SocketAddr, Client>,
    sent: Vec<Sent<'c>>,
}

/// What came of one request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// An answer.
    Answer(Message),
    /// None, or not all of it.
    Cut,
}

impl Outcome {
    /// The name of the origin that answered.
    pub(crate) fn origin(&self) -> Option<&str> {
        match self {
            Self::Answer(answer) => answer.field(echo::NAME),
            Self::Cut => None,
        }
    }
}

impl<'c> Exchanges<'_, 'c> {
    fn check(&mut self, ask: &'c Ask) -> Vec<String> {
        let Some((target, head)) = self.target(ask) else {
            return vec!["no listener has this port".to_owned()];
        };
        let id = self.origins.new_id();
        let head = format!("{head}{ID}: {id}\r\n\r\n");
        let outcomes: Vec<Outcome> = (0..ask.times.unwrap_or(1))
            .map(|_| match ask.request.contains(" https://") {
                true => self.send_by_tls(target, ask, &head),
                false => self.send(target, &head),
            })
            .collect();
        let sent = Sent::new(ask, id, &outcomes);
        sent.wait_for_copies(self.origins);
        let mut wrong: Vec<String> = sent.check_answers().into_iter().collect();
        self.sent.push(sent);
        if ask.shares.is_empty() {
            // Of many answers that must all be alike, the first that is not tells enough.
            let checked = outcomes.iter().map(|outcome| self.check_one(ask, outcome));
            wrong.extend(
                checked
                    .into_iter()
                    .find(|found| !found.is_empty())
                    .into_iter()
                    .flatten(),
            );
        }
        wrong
    }

    /// Where a request goes, and its head without end.
    fn target(&self, ask: &Ask) -> Option<(SocketAddr, String)> {
        let (method, url) = ask.request.split_once(' ').expect("method and URL");
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let port = authority
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok());
        let port = port.unwrap_or(if scheme == "https" { TLS_PORT } else { PORT });
        let target = match &ask.address {
            Some(address) => {
                let ip: IpAddr = address.parse().expect("an address");
                self.gateway.address(SocketAddr::new(ip, port))?
            }
            None => self.gateway.port(port)?,
        };
        let host = ask.host.as_deref().unwrap_or(authority);
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
        for (name, Lines(lines)) in &ask.headers {
            for line in lines {
                head.push_str(&format!("{name}: {line}\r\n"));
            }
        }
        for (name, Lines(lines)) in &ask.reply {
            for line in lines {
                head.push_str(&format!("{}: {name}: {line}\r\n", echo::REPLY));
            }
        }
        if let Some(stall) = &ask.stall {
            head.push_str(&format!("{}: {stall}\r\n", echo::STALL));
        }
        Some((target, head))
    }

    fn send(&mut self, target: SocketAddr, head: &str) -> Outcome {
        let client = self.clients.remove(&target);
        let mut client = client.unwrap_or_else(|| Client::connect(target));
        client.send(head);
        let is_head = head.starts_with("HEAD ");
        let answer = if is_head {
            Ok(client.response_head())
        } else {
            client.try_response()
        };
        let Ok(answer) = answer else {
            return Outcome::Cut;
        };
        let closes = answer
            .field("connection")
            .is_some_and(|value| value.contains("close"));
        if !closes {
            self.clients.insert(target, client);
        }
        Outcome::Answer(answer)
    }

    /// The same in a TLS connection of its own.
    fn send_by_tls(&self, target: SocketAddr, ask: &Ask, head: &str) -> Outcome {
        let (_, url) = ask.request.split_once("https://").expect("a URL");
        let host = url.split(['/', ':']).next().unwrap_or_default();
        let name = ask.sni.as_deref().unwrap_or(host);
        let client = self.origins.trust.client(ask.shows);
        let answer = client.connect(target, name).and_then(|mut connection| {
            connection.send(head)?;
            connection.response()
        });
        answer.map_or(Outcome::Cut, Outcome::Answer)
    }

    fn check_one(&self, ask: &Ask, outcome: &Outcome) -> Vec<String> {
        let answer = match outcome {
            Outcome::Cut if ask.cut => return Vec::new(),
            Outcome::Cut => return vec!["the answer breaks off".to_owned()],
            Outcome::Answer(answer) => answer,
        };
        let mut wrong = Vec::new();
        let mut compare = |what: &str, expected: &str, found: &str| {
            if expected != found {
                wrong.push(format!("expected {what} {expected:?}, got {found:?}"));
            }
        };
        if ask.cut {
            compare("an answer that", "breaks off", "it is whole");
        }
        let status = ask.status.unwrap_or(200).to_string();
        compare("status", &status, &answer.status().to_string());
        let from = ask.from.as_deref().unwrap_or("the gateway itself");
        let origin = outcome.origin().unwrap_or("the gateway itself");
        compare("an answer from", from, origin);
        for (name, lines) in &ask.answer.headers {
            let expected = self.with_ports(&lines.0.join(" | "));
            compare(name, &expected, &answer.values(name).join(" | "));
        }
        for name in &ask.answer.without {
            compare(name, "", &answer.values(name).join(" | "));
        }
        let seen = seen(answer);
        let mut start = seen.start.split(' ');
        let (method, path) = (start.next().unwrap_or(""), start.next().unwrap_or(""));
        let host = seen.values("host").join(" | ");
        for (what, expected, found) in [
            ("the origin to see method", &ask.seen.method, method),
            ("the origin to see path", &ask.seen.path, path),
            ("the origin to see host", &ask.seen.host, &host),
        ] {
            if let Some(expected) = expected {
                compare(what, &self.with_ports(expected), found);
            }
        }
        for (name, lines) in &ask.seen.headers {
            let what = format!("the origin to see {name}");
            compare(&what, &lines.0.join(" | "), &seen.values(name).join(" | "));
        }
        for name in &ask.seen.without {
            let what = format!("the origin to see {name}");
            compare(&what, "", &seen.values(name).join(" | "));
        }
        wrong
    }

    fn with_ports(&self, text: &str) -> String {
        fill_in(text, |port| {
            let port = port.parse().expect("the port of a listener");
            let bound = self.gateway.port(port).expect("a listener has it");
            bound.port()
        })
    }
}

/// The request that an echo sent back, head only.
fn seen(answer: &Message) -> Message {
    let text = answer.text();
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let fields = lines.map_while(|line| line.split_once(": "));
    Message {
        start,
        fields: fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: Vec::new(),
        trailers: Vec::new(),
        raw: Vec::new(),
    }
}
