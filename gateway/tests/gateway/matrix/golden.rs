//! What Envoy said, as it is kept beside the cases, and what Tidegate says where it differs.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::cases::Area;
use super::cases::folder;
use super::legs::Leg;
use super::replay::Outcome;

fn path(area: &Area, leg: Leg, who: &str) -> PathBuf {
    let name = match leg {
        Leg::Http1 => format!("{}.{who}", area.name),
        _ => format!("{}.{}.{who}", area.name, leg.name()),
    };
    folder().join(name)
}

fn blessing() -> bool {
    std::env::var_os("TIDEGATE_BLESS").is_some()
}

/// The outcomes that are written down.
fn read(area: &Area, leg: Leg, who: &str) -> Vec<Outcome> {
    let text = fs::read_to_string(path(area, leg, who)).unwrap_or_default();
    let sections = text.split("== ").skip(1);
    let outcome = |section: &str| {
        let (case, text) = section.split_once('\n').unwrap_or((section, ""));
        Outcome {
            case: case.to_owned(),
            text: text.trim_end_matches('\n').to_owned() + "\n",
        }
    };
    sections.map(outcome).collect()
}

fn write(area: &Area, leg: Leg, who: &str, outcomes: &[Outcome]) {
    let sections = outcomes
        .iter()
        .map(|Outcome { case, text }| format!("== {case}\n{text}"));
    let sections: Vec<String> = sections.collect();
    let path = path(area, leg, who);
    if sections.is_empty() {
        fs::remove_file(path).ok();
    } else {
        fs::write(path, sections.join("\n")).expect("writable");
    }
}

/// What is written down of one proxy: for HTTP/2 only what differs from HTTP/1.1.
#[derive(Debug)]
struct Golden {
    leg: Leg,
    http1: Vec<Outcome>,
    http2: Vec<Outcome>,
}

impl Golden {
    fn read(area: &Area, leg: Leg, who: &str) -> Self {
        let http2 = match leg {
            Leg::Http1 => Vec::new(),
            _ => read(area, leg, who),
        };
        Self {
            leg,
            http1: read(area, Leg::Http1, who),
            http2,
        }
    }

    /// What is to be expected of a case.
    fn expected(&self, case: &str) -> Option<String> {
        if let Some(own) = self.http2.iter().find(|one| one.case == case) {
            return Some(own.text.clone());
        }
        self.expected_by_http1(case)
    }

    /// The same if nothing is said of HTTP/2.
    fn expected_by_http1(&self, case: &str) -> Option<String> {
        let found = self.http1.iter().find(|one| one.case == case);
        found.map(|one| self.leg.expects(&one.text))
    }

    /// Fails if something is written down that is not asked for any more.
    #[track_caller]
    fn has_no_stray(&self, area: &Area, is_wanted: impl Fn(&Outcome) -> bool) {
        let written = match self.leg {
            Leg::Http1 => &self.http1,
            _ => &self.http2,
        };
        let strays = written.iter().filter(|one| !is_wanted(one));
        let strays: Vec<&str> = strays.map(|one| one.case.as_str()).collect();
        let path = path(area, self.leg, "*");
        assert_eq!(
            strays,
            [""; 0],
            "nothing asks for these: {}",
            path.display()
        );
    }
}

/// Compares what Envoy did with what is written down of it.
#[track_caller]
pub(crate) fn envoy(area: &Area, leg: Leg, found: &[Outcome]) {
    if blessing() {
        let golden = Golden::read(area, leg, "envoy");
        let is_news = |one: &&Outcome| {
            leg == Leg::Http1 || golden.expected_by_http1(&one.case).as_ref() != Some(&one.text)
        };
        let news: Vec<Outcome> = found.iter().filter(is_news).cloned().collect();
        write(area, leg, "envoy", &news);
    }
    let golden = Golden::read(area, leg, "envoy");
    let mut faults = String::new();
    for Outcome { case, text } in found {
        let expected = golden.expected(case).unwrap_or_default();
        faults.push_str(&compare(case, &expected, text));
    }
    assert!(faults.is_empty(), "envoy is not as written down:{faults}");
    golden.has_no_stray(area, |one| found.iter().any(|it| it.case == one.case));
}

/// Compares what Tidegate did with what is written down of Envoy, or of Tidegate where that differs.
#[track_caller]
pub(crate) fn tidegate(area: &Area, leg: Leg, found: &[Outcome]) {
    let differing = |one: &&Outcome| {
        let mut cases = area.cases.iter();
        cases.any(|case| case.name == one.case && case.may_differ(leg))
    };
    let envoy = Golden::read(area, leg, "envoy");
    if blessing() {
        let golden = Golden::read(area, leg, "tidegate");
        let is_news = |one: &&Outcome| {
            let known = [
                golden.expected_by_http1(&one.case),
                envoy.expected(&one.case),
            ];
            leg == Leg::Http1 || !known.contains(&Some(one.text.clone()))
        };
        let own = found.iter().filter(differing).filter(is_news);
        write(area, leg, "tidegate", &own.cloned().collect::<Vec<_>>());
    }
    let own = Golden::read(area, leg, "tidegate");
    let mut faults = String::new();
    for one in found {
        let Outcome { case, text } = one;
        let expected = envoy.expected(case).unwrap_or_default();
        if !differing(&one) {
            faults.push_str(&compare(case, &expected, text));
            continue;
        }
        let is_as_envoy = expected == *text;
        // With HTTP/2 a difference of HTTP/1.1 may be gone.
        let must_differ = leg == Leg::Http1 || area.differs_alone(case, leg);
        if is_as_envoy && must_differ {
            write!(faults, "\n== {case}\nit no longer differs from Envoy\n").ok();
        } else if !is_as_envoy {
            let expected = own.expected(case).unwrap_or_default();
            faults.push_str(&compare(case, &expected, text));
        }
    }
    assert!(faults.is_empty(), "not as on envoy:{faults}");
    own.has_no_stray(area, |one| differing(&one));
}

/// The lines that differ; nothing if none does.
fn compare(case: &str, expected: &str, found: &str) -> String {
    if expected == found {
        return String::new();
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (
        old.get(same..).unwrap_or_default(),
        new.get(same..).unwrap_or_default(),
    );
    let back = old_rest.iter().rev().zip(new_rest.iter().rev());
    let back = back.take_while(|(a, b)| a == b).count();
    let mut text = format!("\n== {case}\n");
    let from = same.saturating_sub(2);
    for line in old.get(from..same).unwrap_or_default() {
        writeln!(text, "    {line}").ok();
    }
    for line in old_rest.get(..old_rest.len() - back).unwrap_or_default() {
        writeln!(text, "  - {line}").ok();
    }
    for line in new_rest.get(..new_rest.len() - back).unwrap_or_default() {
        writeln!(text, "  + {line}").ok();
    }
    text
}
