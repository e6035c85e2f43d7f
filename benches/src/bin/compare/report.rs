//! The report: a table, the figures to reach, and under which circumstances all that was measured.

use std::process::Command;

use tidegate_benches::{places, proc_files};

use crate::contestant::Proxy;
use crate::rounds::Series;
use crate::scenario::{Figure, Scenario, Unit};
use crate::statistics::{Summary, ratio, summary};
use crate::{Cli, Outcome};

/// The whole report as Markdown.
pub(crate) fn markdown(
    cli: &Cli,
    all: &[Series],
    failed: &[String],
    versions: &[String],
) -> String {
    let mut lines = vec![
        "# CPU time, side by side".to_owned(),
        String::new(),
        format!(
            "{} rounds of {} s in turns, {} connections where nothing else is said, one worker per \
             proxy, all proxies on one core, the load and the origin on another.",
            cli.rounds, cli.seconds, cli.connections
        ),
        "CPU time is user and system time of the proxy's processes. Ratios are medians of the \
         ratios within a round; the spread is from the least to the most."
            .to_owned(),
        String::new(),
    ];
    for scenario in Scenario::ALL {
        let series = |bytes: u32| {
            let own = all.iter();
            own.filter(move |it| it.scenario == scenario && it.bytes == bytes)
        };
        for bytes in cli.sizes(scenario) {
            let series: Vec<&Series> = series(bytes).collect();
            if series.is_empty() {
                continue;
            }
            lines.push(format!("## {scenario}: {bytes} bytes\n"));
            lines.push(format!("{}.\n", scenario.what()));
            lines.extend(table(&series, scenario.unit()));
            lines.extend(filter_costs(&series));
            lines.push(String::new());
        }
    }
    lines.push("## Figures to reach\n".to_owned());
    lines.extend(figures(cli, all).into_iter().map(|(line, _)| line));
    lines.extend(failed.iter().map(|what| format!("- FAILED: {what}")));
    lines.push("\n## Circumstances\n".to_owned());
    lines.extend(
        circumstances()
            .into_iter()
            .chain(versions.iter().cloned())
            .map(bullet),
    );
    lines.push(String::new());
    lines.join("\n")
}

/// Whether every figure that was measured is reached.
pub(crate) fn outcome(cli: &Cli, all: &[Series]) -> Outcome {
    let missed = figures(cli, all)
        .iter()
        .any(|(_, outcome)| *outcome == Some(Outcome::Missed));
    if missed {
        Outcome::Missed
    } else {
        Outcome::Reached
    }
}

fn figures(cli: &Cli, all: &[Series]) -> Vec<(String, Option<Outcome>)> {
    let of = |scenario: &Scenario| {
        let bytes = cli.sizes(*scenario).first().copied();
        let series: Vec<&Series> = all
            .iter()
            .filter(|it| it.scenario == *scenario && Some(it.bytes) == bytes)
            .collect();
        let figures = scenario.figures().into_iter();
        figures.map(move |figure| judge(&figure, &series))
    };
    cli.scenario.iter().flat_map(of).collect()
}

fn judge(figure: &Figure, series: &[&Series]) -> (String, Option<Outcome>) {
    let Figure {
        what,
        ours,
        theirs,
        most,
    } = figure;
    match compared(series, *ours, *theirs) {
        None => (format!("- not measured: {what}: at most {most}"), None),
        Some(Summary { median, .. }) if median <= *most => (
            format!("- PASS: {what}: {median:.2}, at most {most}"),
            Some(Outcome::Reached),
        ),
        Some(Summary { median, .. }) => (
            format!("- MISS: {what}: {median:.2}, at most {most}"),
            Some(Outcome::Missed),
        ),
    }
}

fn table(all: &[&Series], unit: Unit) -> Vec<String> {
    let Unit { one, many } = unit;
    let mut lines = vec![
        format!(
            "| proxy | filters | µs a {one} | spread | {many}/s | busy | memory | of the floor | \
             × HAProxy | × Envoy |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    for series in all {
        let own = (series.contestant.proxy, series.contestant.filters);
        let cell = |theirs| compared(all, own, theirs).map_or("–".into(), |it| two(it.median));
        let floor = compared(all, (Proxy::Floor, 0), own);
        let floor = floor.map_or("–".into(), |it| percent(it.median));
        let of =
            |value: fn(&crate::rounds::Sample) -> f64| summary(series.samples.iter().map(value));
        let (Some(cost), Some(rate), Some(busy)) =
            (of(|it| it.micros), of(|it| it.rate), of(|it| it.busy))
        else {
            continue;
        };
        lines.push(format!(
            "| {} | {} | {:.2} | {:.2}–{:.2} | {:.0} | {} | {} MiB | {floor} | {} | {} |",
            own.0,
            own.1,
            cost.median,
            cost.least,
            cost.most,
            rate.median,
            percent(busy.median),
            series.memory >> 20,
            cell((Proxy::Haproxy, 0)),
            cell((Proxy::Envoy, own.1)),
        ));
    }
    lines
}

/// What one more filter costs: the slope between the fewest and the most. Without any counts for
/// policies only: elsewhere the first filter brings more along.
fn filter_costs(all: &[&Series]) -> Vec<String> {
    let cost = |proxy: Proxy| {
        let mut own: Vec<&&Series> = all
            .iter()
            .filter(|it| it.contestant.proxy == proxy)
            .filter(|it| it.contestant.filters > 0 || it.scenario.has_policy())
            .collect();
        own.sort_by_key(|it| it.contestant.filters);
        let (few, many) = (own.first()?, own.last()?);
        let more = many
            .contestant
            .filters
            .checked_sub(few.contestant.filters)?;
        if more == 0 {
            return None;
        }
        let steps = micros(few).into_iter().zip(micros(many));
        let slope = summary(steps.map(|(few, many)| (many - few) / f64::from(more)))?;
        Some(format!(
            "One more filter costs {proxy} {:.2} µs.",
            slope.median
        ))
    };
    let costs: Vec<String> = [Proxy::Tidegate, Proxy::Envoy]
        .into_iter()
        .filter_map(cost)
        .collect();
    if costs.is_empty() {
        costs
    } else {
        vec![String::new(), costs.join("\n")]
    }
}

fn compared(all: &[&Series], ours: (Proxy, u32), theirs: (Proxy, u32)) -> Option<Summary> {
    let find = |(proxy, filters)| {
        all.iter()
            .find(|it| it.contestant.proxy == proxy && it.contestant.filters == filters)
    };
    ratio(&micros(find(ours)?), &micros(find(theirs)?))
}

fn micros(series: &Series) -> Vec<f64> {
    series.samples.iter().map(|it| it.micros).collect()
}

fn circumstances() -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    vec![
        // The gateway may have been built from another state; its path and version are below.
        format!("working tree: {}", commit()),
        format!(
            "machine: {}, {cores} cores, {}",
            proc_files::cpu_model(),
            proc_files::kernel()
        ),
    ]
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .current_dir(places::root())
            .args(arguments)
            .output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain"]).is_some_and(|it| !it.is_empty());
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "none".into());
    if changed {
        format!("{commit}, with changes")
    } else {
        commit
    }
}

fn bullet(line: String) -> String {
    format!("- {line}")
}

fn two(number: f64) -> String {
    format!("{number:.2}")
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::contestant::Contestant;
    use crate::rounds::Sample;

    fn series(proxy: Proxy, filters: u32, micros: [f64; 2]) -> Series {
        let sample = |micros| Sample {
            micros,
            rate: 50_000.0,
            busy: 0.9,
        };
        Series {
            contestant: Contestant { proxy, filters },
            scenario: Scenario::Http,
            bytes: 100,
            samples: micros.map(sample).to_vec(),
            memory: 9 << 20,
        }
    }

    #[test]
    fn a_row_compares_with_the_floor_haproxy_and_envoy() {
        let all = [
            series(Proxy::Floor, 0, [5.0, 10.0]),
            series(Proxy::Haproxy, 0, [8.0, 16.0]),
            series(Proxy::Envoy, 1, [40.0, 80.0]),
            series(Proxy::Tidegate, 1, [10.0, 20.0]),
        ];
        let all: Vec<&Series> = all.iter().collect();
        assert_eq!(
            table(&all, Scenario::Http.unit()).last().unwrap(),
            "| tidegate | 1 | 15.00 | 10.00–20.00 | 50000 | 90 % | 9 MiB | 50 % | 1.25 | 0.25 |"
        );
    }

    #[test]
    fn figures_pass_miss_or_are_not_measured() {
        let cli = Cli::parse_from(["compare", "--scenario", "http"]);
        let all = [
            series(Proxy::Haproxy, 0, [8.0, 8.0]),
            series(Proxy::Envoy, 0, [40.0, 40.0]),
            series(Proxy::Tidegate, 0, [20.0, 20.0]),
        ];
        let lines: Vec<_> = figures(&cli, &all)
            .into_iter()
            .map(|(line, _)| line)
            .collect();
        assert_eq!(
            lines,
            [
                "- MISS: no filter, × HAProxy: 2.50, at most 1.25",
                "- MISS: no filter, × Envoy: 0.50, at most 0.45",
                "- not measured: 3 filters, × Envoy with the same: at most 0.45",
            ]
        );
        assert_eq!(outcome(&cli, &all), Outcome::Missed);
    }

    #[test]
    fn one_more_filter_is_the_slope() {
        let all = [
            series(Proxy::Tidegate, 1, [10.0, 11.0]),
            series(Proxy::Tidegate, 3, [12.0, 13.0]),
        ];
        let all: Vec<&Series> = all.iter().collect();
        assert_eq!(
            filter_costs(&all),
            ["", "One more filter costs tidegate 1.00 µs."]
        );
    }
}
