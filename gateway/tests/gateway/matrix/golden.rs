//! What Envoy said, as it is kept beside the cases, and what Tidegate says where it differs.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::cases::Area;
use super::cases::folder;
use super::replay::Outcome;

fn path(area: &Area, who: &str) -> PathBuf {
    folder().join(&area.name).with_extension(who)
}

fn blessing() -> bool {
    std::env::var_os("TIDEGATE_BLESS").is_some()
}

/// The outcomes that are written down.
fn read(area: &Area, who: &str) -> Vec<Outcome> {
    let text = fs::read_to_string(path(area, who)).unwrap_or_default();
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

fn write(area: &Area, who: &str, outcomes: &[Outcome]) {
    let sections = outcomes
        .iter()
        .map(|Outcome { case, text }| format!("== {case}\n{text}"));
    let sections: Vec<String> = sections.collect();
    let path = path(area, who);
    if sections.is_empty() {
        fs::remove_file(path).ok();
    } else {
        fs::write(path, sections.join("\n")).expect("writable");
    }
}

fn outcome<'a>(all: &'a [Outcome], case: &str) -> &'a str {
    let found = all.iter().find(|one| one.case == case);
    found.map_or("", |one| one.text.as_str())
}

/// Compares what Envoy did with what is written down of it.
#[track_caller]
pub(crate) fn envoy(area: &Area, found: &[Outcome]) {
    if blessing() {
        write(area, "envoy", found);
    }
    let written = read(area, "envoy");
    let mut faults = String::new();
    for Outcome { case, text } in found {
        faults.push_str(&compare(case, outcome(&written, case), text));
    }
    assert!(faults.is_empty(), "envoy is not as written down:{faults}");
    let names =
        |all: &[Outcome]| -> Vec<String> { all.iter().map(|one| one.case.clone()).collect() };
    assert_eq!(names(&written), names(found));
}

/// Compares what Tidegate did with what is written down of Envoy, or of Tidegate where that differs.
#[track_caller]
pub(crate) fn tidegate(area: &Area, found: &[Outcome]) {
    let differing = |one: &&Outcome| {
        let mut cases = area.cases.iter();
        cases.any(|case| case.name == one.case && case.differs.is_some())
    };
    if blessing() {
        let own: Vec<Outcome> = found.iter().filter(differing).cloned().collect();
        write(area, "tidegate", &own);
    }
    let (envoy, own) = (read(area, "envoy"), read(area, "tidegate"));
    let mut faults = String::new();
    for one in found {
        let Outcome { case, text } = one;
        if !differing(&one) {
            faults.push_str(&compare(case, outcome(&envoy, case), text));
            continue;
        }
        faults.push_str(&compare(case, outcome(&own, case), text));
        if outcome(&envoy, case) == text {
            write!(faults, "\n== {case}\nit no longer differs from Envoy\n").ok();
        }
    }
    assert!(faults.is_empty(), "not as on envoy:{faults}");
    let strays = own.iter().filter(|one| !differing(one));
    let strays: Vec<&str> = strays.map(|one| one.case.as_str()).collect();
    assert_eq!(
        strays, [""; 0],
        "cases in {}.tidegate without a difference",
        area.name
    );
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
