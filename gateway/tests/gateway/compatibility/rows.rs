//! The rows of `tests/matrix/compatibility.rows`.

use std::fs;

use crate::matrix::cases::folder;

/// All rows, by section and name.
#[derive(Debug)]
pub(crate) struct Rows(Vec<(String, String, Row)>);

/// What is said of one name.
#[derive(Debug)]
pub(crate) struct Row {
    /// `file::name` of host-abi's tests, or `gateway file::name`.
    pub(crate) test: String,
    pub(crate) state: State,
}

/// How far it is there.
#[derive(Debug)]
pub(crate) enum State {
    Supported,
    Differs(String),
    /// No case can show it.
    Fixtures(String),
    /// Another test compares it with Envoy.
    Compared(String),
    NotYet(String),
}

impl State {
    fn read(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Supported);
        }
        let (kind, why) = text.split_once(": ")?;
        let why = why.to_owned();
        Some(match kind {
            "differs" => Self::Differs(why),
            "by fixtures" => Self::Fixtures(why),
            "compared" => Self::Compared(why),
            "not yet" => Self::NotYet(why),
            _ => return None,
        })
    }

    /// For the page.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Supported | Self::Compared(_) => "supported".to_owned(),
            Self::Differs(how) => format!("differs: {how}"),
            Self::Fixtures(why) => format!("supported ({why})"),
            Self::NotYet(why) => format!("not yet: {why}"),
        }
    }
}

impl Rows {
    #[track_caller]
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(folder().join("compatibility.rows")).expect("rows are there");
        let mut section = String::new();
        let mut rows = Vec::new();
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
                continue;
            }
            let mut parts = line.split('|').map(str::trim);
            let mut part = || parts.next().unwrap_or_default();
            let (name, test, state) = (part(), part(), part());
            let state = State::read(state).expect("a state of those the file explains");
            let row = Row {
                test: test.to_owned(),
                state,
            };
            rows.push((section.clone(), name.to_owned(), row));
        }
        Self(rows)
    }

    /// The row of a name; that of `*` if it has none of its own.
    pub(crate) fn of(&self, section: &str, name: &str) -> Option<&Row> {
        let find = |wanted: &str| {
            let mut rows = self.0.iter();
            rows.find(|(of, name, _)| of == section && name == wanted)
        };
        find(name).or_else(|| find("*")).map(|(_, _, row)| row)
    }

    /// The names that have rows of their own.
    pub(crate) fn names(&self, section: &str) -> impl Iterator<Item = &str> {
        let of_section = self
            .0
            .iter()
            .filter(move |(of, name, _)| of == section && name != "*");
        of_section.map(|(_, name, _)| name.as_str())
    }
}
