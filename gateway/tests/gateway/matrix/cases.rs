//! The cases of the matrix, as files of text.
//!
//! A file is an area: one proxy serves all of its cases. Before the first case stand the proxy's
//! settings (`plugins: a b`, `a: SCRIPT`, `vm: SCRIPT`, `module: NAME`, `env: K=V`, `buffer: BYTES`,
//! `fail: open`,
//! `strict: yes`). A case begins with `== its name`; then, in any order:
//!
//! `> GET /path` begins a request, more lines with `>` are its fields, `>> text` a piece of its body,
//! `>>! name: value` a trailer; `! STATEMENT` is a line of its script. `differs: WHY` says that Tidegate
//! differs here; `until: TEXT` waits for a text in the report instead of the end of all streams,
//! `until: none` asks for no report; `exactly` compares the order of everything, without [`canon`].
//! `differs on h2-client: WHY` is a difference of one of the [`legs`] alone, `http/1 only` leaves them out.
//!
//! [`canon`]: super::canon
//! [`legs`]: super::legs

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::legs::Leg;

/// A file of cases.
#[derive(Debug, Default)]
pub(crate) struct Area {
    pub(crate) name: String,
    pub(crate) settings: Settings,
    /// The first one is the start.
    pub(crate) cases: Vec<Case>,
}

/// How the proxy of an area is set up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// The plugins by name, with the scripts that are their configuration.
    pub(crate) plugins: Vec<(String, String)>,
    pub(crate) vm: String,
    pub(crate) module: String,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) buffer: Option<usize>,
    pub(crate) fail_open: bool,
    pub(crate) strict: bool,
}

/// Some requests and what is compared of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Why Tidegate differs, with both versions of HTTP.
    pub(crate) differs: Option<String>,
    /// Why it differs on a leg alone, by the leg's name.
    pub(crate) differs_on: Vec<(String, String)>,
    /// It says nothing with HTTP/2.
    pub(crate) http1_only: bool,
    pub(crate) until: Option<String>,
    pub(crate) exactly: bool,
    pub(crate) requests: Vec<Request>,
}

/// One request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) start: String,
    pub(crate) fields: Vec<String>,
    pub(crate) script: Vec<String>,
    pub(crate) pieces: Vec<String>,
    pub(crate) trailers: Vec<String>,
}

/// The case that is what happens before the first request.
pub(crate) const START: &str = "start";

/// Where the files of cases are.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/matrix")
}

/// The names of all areas.
pub(crate) fn areas() -> BTreeSet<String> {
    let entries = fs::read_dir(folder()).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let cases = paths.filter(|path| path.extension().is_some_and(|it| it == "cases"));
    let names = cases.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    names.collect()
}

impl Area {
    /// Reads one.
    #[track_caller]
    pub(crate) fn read(name: &str) -> Self {
        let path = folder().join(name).with_extension("cases");
        let text = fs::read_to_string(&path).expect("the cases are there");
        let mut area = Self {
            name: name.to_owned(),
            ..Self::default()
        };
        area.settings.module = "probe".to_owned();
        area.cases.push(Case {
            name: START.to_owned(),
            until: Some("configure".to_owned()),
            ..Case::default()
        });
        for (number, line) in text.lines().enumerate() {
            let known = line.is_empty() || line.starts_with('#') || area.line(line).is_some();
            assert!(known, "{name}.cases:{}: {line}", number + 1);
        }
        if area.settings.plugins.is_empty() {
            area.settings.plugins.push(("a".to_owned(), String::new()));
        }
        area
    }

    /// Whether Tidegate differs in a case on this leg and no other.
    pub(crate) fn differs_alone(&self, case: &str, leg: Leg) -> bool {
        let mut cases = self.cases.iter();
        cases.any(|it| it.name == case && it.differs_alone(leg).is_some())
    }

    /// Takes a line; none if it is not understood.
    fn line(&mut self, line: &str) -> Option<()> {
        if let Some(name) = line.strip_prefix("== ") {
            self.cases.push(Case {
                name: name.to_owned(),
                ..Case::default()
            });
            return Some(());
        }
        let first = self.cases.len() == 1;
        let case = self.cases.last_mut()?;
        if let Some(why) = line.strip_prefix("differs: ") {
            case.differs = Some(why.to_owned());
        } else if let Some((leg, why)) = line
            .strip_prefix("differs on ")
            .and_then(|it| it.split_once(": "))
        {
            case.differs_on.push((leg.to_owned(), why.to_owned()));
        } else if line == "http/1 only" {
            case.http1_only = true;
        } else if let Some(text) = line.strip_prefix("until: ") {
            case.until = Some(text.to_owned());
        } else if first {
            return self.settings.line(line);
        } else if line == "exactly" {
            case.exactly = true;
        } else {
            return case.request_line(line);
        }
        Some(())
    }
}

impl Settings {
    fn line(&mut self, line: &str) -> Option<()> {
        let (name, value) = line.split_once(": ")?;
        match name {
            "plugins" => {
                let names = value
                    .split(' ')
                    .map(|name| (name.to_owned(), String::new()));
                self.plugins = names.collect();
            }
            "vm" => join(&mut self.vm, value),
            "module" => value.clone_into(&mut self.module),
            "env" => {
                let (name, value) = value.split_once('=')?;
                self.env.push((name.to_owned(), value.to_owned()));
            }
            "buffer" => self.buffer = Some(value.parse().ok()?),
            "fail" => self.fail_open = value == "open",
            "strict" => self.strict = value == "yes",
            _ => {
                if self.plugins.is_empty() {
                    self.plugins.push(("a".to_owned(), String::new()));
                }
                let plugin = self.plugins.iter_mut().find(|(plugin, _)| plugin == name);
                join(&mut plugin?.1, value);
            }
        }
        Some(())
    }
}

fn join(script: &mut String, line: &str) {
    if !script.is_empty() {
        script.push_str(" ; ");
    }
    script.push_str(line);
}

impl Case {
    /// Why Tidegate differs on this leg and no other.
    pub(crate) fn differs_alone(&self, leg: Leg) -> Option<&str> {
        let mut legs = self.differs_on.iter();
        let found = legs.find(|(name, _)| name == leg.name());
        found.map(|(_, why)| why.as_str())
    }

    /// Whether Tidegate may differ on this leg.
    pub(crate) fn may_differ(&self, leg: Leg) -> bool {
        self.differs.is_some() || self.differs_alone(leg).is_some()
    }

    fn request_line(&mut self, line: &str) -> Option<()> {
        if let Some(start) = line.strip_prefix("> ")
            && start.starts_with(|it: char| it.is_ascii_uppercase())
            && start.contains(" /")
        {
            self.requests.push(Request {
                start: start.to_owned(),
                ..Request::default()
            });
            return Some(());
        }
        let request = self.requests.last_mut()?;
        if let Some(trailer) = line.strip_prefix(">>! ") {
            request.trailers.push(trailer.to_owned());
        } else if let Some(piece) = line.strip_prefix(">> ") {
            request.pieces.push(piece.to_owned());
        } else if let Some(field) = line.strip_prefix("> ") {
            request.fields.push(field.to_owned());
        } else {
            request.script.push(line.strip_prefix("! ")?.to_owned());
        }
        Some(())
    }
}

impl Request {
    /// Its method.
    pub(crate) fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// Its head as it is sent.
    pub(crate) fn head(&self) -> String {
        let mut head = format!("{} HTTP/1.1\r\nhost: matrix.test\r\n", self.start);
        for field in &self.fields {
            head.push_str(field);
            head.push_str("\r\n");
        }
        if !self.script.is_empty() {
            head.push_str(&format!("x-probe: {}\r\n", self.script.join(" ; ")));
        }
        if self.is_chunked() {
            head.push_str("transfer-encoding: chunked\r\n");
        } else if let [piece] = self.pieces.as_slice() {
            head.push_str(&format!("content-length: {}\r\n", expand(piece).len()));
        }
        head.push_str("\r\n");
        head
    }

    /// Whether its body is in chunks.
    pub(crate) fn is_chunked(&self) -> bool {
        self.pieces.len() > 1 || !self.trailers.is_empty()
    }
}

/// A piece of a body: `text*100` is a hundred times `text`.
pub(crate) fn expand(piece: &str) -> String {
    match piece.rsplit_once('*') {
        Some((text, times)) => match times.parse() {
            Ok(times) => text.repeat(times),
            Err(_) => piece.to_owned(),
        },
        None => piece.to_owned(),
    }
}
