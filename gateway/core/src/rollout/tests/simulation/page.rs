//! The table in `docs/rollouts.md`, and the trials that it is made of.
//!
//! `rates.txt` has a line for each cell: how many trials of how many were aborted, after how many
//! looks half of those were, and how the first trial ended. Running all of them takes minutes; the
//! first ones are run by every test, and tell whether the rest is still true.

use std::fmt::Write;
use std::path::PathBuf;

use super::LOOK;
use super::SCENARIOS;
use super::Scenario;
use super::Trial;
use super::VOLUMES;
use super::seed;
use super::trial;

const BEGIN: &str = "<!-- rates: written by a test -->\n";
const END: &str = "<!-- end of rates -->";

/// How many rollouts a cell of the table is made of.
fn trials(scenario: &Scenario) -> u32 {
    if scenario.keeps_limits { 400 } else { 100 }
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    aborted: u32,
    trials: u32,
    /// After how many looks half of the aborted ones were.
    median: u32,
    first: String,
}

fn cells() -> impl Iterator<Item = (usize, usize)> {
    let scenarios = 0..SCENARIOS.len();
    scenarios.flat_map(|scenario| (0..VOLUMES.len()).map(move |volume| (scenario, volume)))
}

fn run((scenario, volume): (usize, usize), number: u32) -> Trial {
    let seed = seed(scenario, volume, number);
    trial(&SCENARIOS[scenario], VOLUMES[volume], seed)
}

/// How a trial ended, on one line.
fn told(trial: Trial) -> String {
    let end = trial.aborted_by.map_or("promoted", |it| it.name());
    format!("{end}@{}", trial.looks)
}

/// All trials of a cell.
fn cell(at: (usize, usize)) -> Cell {
    let trials = trials(&SCENARIOS[at.0]);
    let all: Vec<Trial> = (0..trials).map(|number| run(at, number)).collect();
    let aborted = all.iter().filter(|trial| trial.aborted_by.is_some());
    let mut looks: Vec<u32> = aborted.map(|trial| trial.looks).collect();
    looks.sort_unstable();
    Cell {
        aborted: u32::try_from(looks.len()).unwrap(),
        trials,
        median: looks.get(looks.len() / 2).copied().unwrap_or(0),
        first: told(all[0]),
    }
}

fn written(cells: &[Cell]) -> String {
    let mut text = String::new();
    for cell in cells {
        let Cell {
            aborted,
            trials,
            median,
            first,
        } = cell;
        writeln!(text, "{aborted} {trials} {median} {first}").unwrap();
    }
    text
}

fn read(text: &str) -> Vec<Cell> {
    let line = |line: &str| {
        let mut parts = line.split(' ');
        let mut number = || parts.next()?.parse().ok();
        let (aborted, trials, median) = (number()?, number()?, number()?);
        let first = parts.next()?.to_owned();
        Some(Cell {
            aborted,
            trials,
            median,
            first,
        })
    };
    text.lines().map(|text| line(text).unwrap()).collect()
}

fn table(rates: &[Cell]) -> String {
    let mut text =
        String::from("| canary | 1 a second | 10 a second | 100 a second | 1,000 a second |\n");
    text.push_str("|---|---|---|---|---|\n");
    for (scenario, cells) in SCENARIOS.iter().zip(rates.chunks(VOLUMES.len())) {
        write!(text, "| {}", scenario.name).unwrap();
        for cell in cells {
            let share = f64::from(cell.aborted) / f64::from(cell.trials) * 100.0;
            let seconds = LOOK.as_secs() * u64::from(cell.median);
            let after = match seconds {
                0..120 => format!("{seconds} s"),
                _ => format!("{} min", seconds / 60),
            };
            match (scenario.keeps_limits, cell.aborted) {
                (true, _) => write!(text, " | {} of {} aborted", cell.aborted, cell.trials),
                (false, 0) => write!(text, " | 100 % missed"),
                (false, _) => write!(text, " | {:.0} % missed; {after}", 100.0 - share),
            }
            .unwrap();
        }
        text.push_str(" |\n");
    }
    text
}

fn path(below: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(below)
}

#[test]
fn rollouts_err_as_rarely_as_the_page_says() {
    let (rates, page) = (
        path("src/rollout/tests/simulation/rates.txt"),
        path("../../docs/rollouts.md"),
    );
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    if bless && !cfg!(debug_assertions) {
        let cells: Vec<Cell> = cells().map(cell).collect();
        std::fs::write(&rates, written(&cells)).unwrap();
    }
    let cells_known = read(&std::fs::read_to_string(&rates).unwrap());
    assert_eq!(cells_known.len(), SCENARIOS.len() * VOLUMES.len());

    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let now = [before, BEGIN, &table(&cells_known), END, after].concat();
    if bless {
        std::fs::write(&page, &now).unwrap();
    } else {
        assert_eq!(now, text, "`TIDEGATE_BLESS=1` writes the page anew");
    }

    for (at, known) in cells().zip(&cells_known) {
        let scenario = &SCENARIOS[at.0];
        if scenario.keeps_limits {
            let rate = f64::from(known.aborted) / f64::from(known.trials);
            assert!(rate <= 0.01, "{}: {known:?}", scenario.name);
        }
        // One of each row, each time the same; the first columns take long.
        if at.1 == 1 + at.0 % (VOLUMES.len() - 1) {
            assert_eq!(
                told(run(at, 0)),
                known.first,
                "{}: {}",
                scenario.name,
                VOLUMES[at.1]
            );
        }
    }
}
