//! The page as a strict reader sees it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use tidegate_proxy::GuestMetric;
use tidegate_proxy::GuestMetricValue;
use tidegate_proxy::Metrics;

use super::text;
use crate::status::PluginStatus;
use crate::status::Status;

/// A sample: its name, labels and value.
type Sample = (String, BTreeMap<String, String>, f64);

/// Reads the text format as its documentation has it, and nothing else.
fn parse(page: &str) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut families = BTreeSet::new();
    let mut family: Option<(String, String)> = None;
    assert!(page.ends_with('\n'), "the last line ends");
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a name and a help text");
            assert!(!help.is_empty(), "{line}");
            assert!(families.insert(name.to_owned()), "{name} comes twice");
            family = Some((name.to_owned(), String::new()));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            let (current, of) = family.as_mut().expect("help comes first");
            assert_eq!(current, name);
            kind.clone_into(of);
        } else {
            let sample = sample(line);
            let (current, kind) = family.as_ref().expect("a family comes first");
            let suffix = sample.0.strip_prefix(current.as_str());
            let allowed: &[&str] = if kind == "histogram" {
                &["_bucket", "_sum", "_count"]
            } else {
                &[""]
            };
            assert!(suffix.is_some_and(|it| allowed.contains(&it)), "{line}");
            let key = (&sample.0, &sample.1);
            let known = samples.iter().any(|(a, b, _): &Sample| (a, b) == key);
            assert!(!known, "twice: {line}");
            samples.push(sample);
        }
    }
    samples
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).expect("a name");
    let (name, mut rest) = line.split_at(end);
    let valid = |name: &str| {
        let mut bytes = name.bytes();
        let first = bytes.next().expect("a name");
        (first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    assert!(valid(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let (label, after) = inside.split_once("=\"").expect("a label");
            assert!(valid(label), "{line}");
            let mut value = String::new();
            let mut characters = after.char_indices();
            let end = loop {
                match characters.next().expect("a closing quote") {
                    (at, '"') => break at,
                    (_, '\\') => match characters.next().expect("an escape").1 {
                        'n' => value.push('\n'),
                        other @ ('\\' | '"') => value.push(other),
                        other => panic!("escape {other:?} in {line}"),
                    },
                    (_, other) => value.push(other),
                }
            };
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            let after = after.get(end + 1..).expect("a boundary");
            if let Some(after) = after.strip_prefix('}') {
                rest = after;
                break;
            }
            inside = after.strip_prefix(',').expect("a comma or the end");
        }
    }
    let value = rest.strip_prefix(' ').expect("a space before the value");
    (name.to_owned(), labels, value.parse().expect("a number"))
}

fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted: BTreeMap<String, String> = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let found = samples
        .iter()
        .find(|(one, labels, _)| one == name && *labels == wanted);
    found
        .unwrap_or_else(|| panic!("no {name} {labels:?} in {samples:?}"))
        .2
}

#[test]
fn the_page_is_valid_whatever_names_hold() {
    let odd = "a\"b\\c\nd,e}";
    let status = Status {
        generation: 7,
        plugins: [PluginStatus {
            name: odd.to_owned(),
            digest: Some("00ff".to_owned()),
            fails_open: false,
            kind: "Http",
            is_shadow: true,
            isolation: "Worker",
            source: None,
            is_awaited: false,
        }]
        .into(),
        ..Status::default()
    };
    let guest = |name: &[u8], value| GuestMetric {
        plugin: odd.to_owned(),
        name: name.to_vec(),
        value,
    };
    let mut counts = vec![0; tidegate_host_abi::BUCKETS.len() + 1];
    counts[0] = 2;
    counts[tidegate_host_abi::BUCKETS.len()] = 3;
    let proxy = Metrics {
        requests: vec![(200, 5), (503, 1)],
        limited_keys: [(odd.into(), 3)].into(),
        guests: vec![
            guest(b"c\xff\"", GuestMetricValue::Counter(1)),
            guest(b"g", GuestMetricValue::Gauge(-4)),
            guest(b"h", GuestMetricValue::Histogram { counts, sum: 99 }),
        ],
        ..Metrics::default()
    };
    let samples = parse(&text(&status, &proxy, None));
    assert_eq!(value(&samples, "tidegate_config_generation", &[]), 7.0);
    let labels = [("plugin", odd), ("digest", "00ff")];
    assert_eq!(value(&samples, "tidegate_plugin_info", &labels), 1.0);
    let ok = [("status", "200")];
    assert_eq!(value(&samples, "tidegate_requests_total", &ok), 5.0);
    let space = [("space", odd)];
    assert_eq!(value(&samples, "tidegate_plugin_limited_keys", &space), 3.0);
    let counter = [("plugin", odd), ("metric", "c\\xff\\\"")];
    assert_eq!(
        value(&samples, "tidegate_plugin_counter_total", &counter),
        1.0
    );
    let gauge = [("plugin", odd), ("metric", "g")];
    assert_eq!(value(&samples, "tidegate_plugin_gauge", &gauge), -4.0);
    for (bound, count) in [("1", 2.0), ("3600000", 2.0), ("+Inf", 5.0)] {
        let labels = [("plugin", odd), ("metric", "h"), ("le", bound)];
        let found = value(&samples, "tidegate_plugin_histogram_bucket", &labels);
        assert_eq!(found, count, "{bound}");
    }
    let histogram = [("plugin", odd), ("metric", "h")];
    let total = value(&samples, "tidegate_plugin_histogram_count", &histogram);
    assert_eq!(total, 5.0);
    assert!(value(&samples, "process_resident_memory_bytes", &[]) > 0.0);
    assert!(value(&samples, "process_start_time_seconds", &[]) > 1e9);
}
