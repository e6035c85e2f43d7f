//! Guests and bytes that nobody would write: the host must neither panic nor hang nor grow.
//!
//! Each target runs the files of its corpus and then changes of them, by default a few. For longer:
//! `TIDEGATE_FUZZ_SECONDS=1800 cargo test -p tidegate-host-abi --test host fuzz -- --nocapture`. An
//! input that breaks something is written to a file whose name is printed; it belongs into the corpus.

mod guest;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tidegate_host_abi::{Module, Property, pairs};

use super::support::{at_headers, engine};

/// Inputs of an ordinary test run, besides the corpus.
const FEW: u64 = 150;
/// The longest input.
const MOST_BYTES: usize = 4096;
/// What the process may grow by, whatever guests do.
const MOST_GROWTH: u64 = 1 << 30;

/// Random numbers that are the same in every run (SplitMix64).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// Runs a target with its corpus, and with changes of it for as long as was said.
fn fuzz(target: &str, seed: u64, run: impl Fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut corpus: Vec<Vec<u8>> = Vec::new();
    for entry in std::fs::read_dir(folder.join(target)).unwrap() {
        corpus.push(std::fs::read(entry.unwrap().path()).unwrap());
    }
    assert!(!corpus.is_empty(), "{target} has a corpus");
    // The order of a folder is not that of another.
    corpus.sort();
    for input in &corpus {
        attempt(target, input, &run);
    }
    let seconds = std::env::var("TIDEGATE_FUZZ_SECONDS").ok();
    let seconds = seconds.map(|text| Duration::from_secs(text.parse().expect("seconds")));
    // A long run begins where no other did.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let start = seconds.map_or(seed, |_| now.unwrap().as_secs() << 8 | seed);
    let mut random = Random(start);
    let (began, before) = (Instant::now(), resident());
    let (mut count, mut longest) = (0, Duration::ZERO);
    while seconds.map_or(count < FEW, |limit| began.elapsed() < limit) {
        let first = &corpus[random.below(corpus.len())];
        let second = &corpus[random.below(corpus.len())];
        let input = changed(first, second, &mut random);
        let at = Instant::now();
        attempt(target, &input, &run);
        longest = longest.max(at.elapsed());
        count += 1;
    }
    let growth = resident().saturating_sub(before);
    println!(
        "{target}: {count} inputs from seed {start}, the longest took {longest:?}, grew by {growth} bytes"
    );
    assert!(growth < MOST_GROWTH, "{growth} bytes");
}

/// Runs one input; one that breaks something is kept.
fn attempt(target: &str, input: &[u8], run: &impl Fn(&[u8])) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(input))) {
        let file = std::env::temp_dir().join(format!("tidegate-fuzz-{target}"));
        std::fs::write(&file, input).unwrap();
        println!("{target} broke on {}", file.display());
        resume_unwind(panic);
    }
}

/// One input made of two.
fn changed(first: &[u8], second: &[u8], random: &mut Random) -> Vec<u8> {
    const ODD: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, 0x20, b'\n', 3];

    let mut input = first.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(input.len() + 1);
        match random.below(7) {
            0 => input.insert(at, random.byte()),
            1 => input.truncate(at),
            2 => {
                let from = random.below(second.len() + 1);
                let rest = second.get(from..).unwrap_or_default();
                input.truncate(at);
                input.extend_from_slice(rest);
            }
            3 => input.extend((0..random.below(64)).map(|_| random.byte())),
            change => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = match change {
                        4 => random.byte(),
                        5 => *byte ^ 1 << random.below(8),
                        _ => ODD[random.below(ODD.len())],
                    };
                }
            }
        }
    }
    input.truncate(MOST_BYTES);
    input
}

/// Bytes of memory that the process has now.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    kilobytes.unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn any_bytes_are_pairs_or_nothing_and_pairs_come_back_as_they_were() {
    fuzz("pairs", 1, |bytes| {
        let decoded = pairs::decode(bytes);
        assert!(decoded.len() <= 1024);
        if decoded.is_empty() {
            return;
        }
        let mut wire = Vec::new();
        pairs::encode(&mut wire, &mut |visit| {
            for (name, value) in &decoded {
                visit(name, value);
            }
        });
        assert_eq!(wire, bytes);
    });
}

#[test]
fn any_path_is_a_property_the_same_with_a_nul_at_its_end() {
    fuzz("properties", 2, |path| {
        let with_nul = [path, b"\0"].concat();
        // An empty path is a group; one of an empty part is a name that nothing has.
        if !path.is_empty() && !path.ends_with(b"\0") {
            assert_eq!(Property::parse(path), Property::parse(&with_nul));
        }
    });
}

#[test]
fn any_bytes_are_a_module_or_refused() {
    fuzz("modules", 3, |bytes| {
        if let Err(error) = Module::compile(engine(), "fuzz", bytes) {
            assert!(error.to_string().len() < 1 << 20);
        }
    });
}

#[test]
fn a_guest_may_call_anything_with_any_arguments() {
    fuzz("guests", 4, guest::run);
}

/// Writes the first corpus of modules and guests; run by hand when the table of functions grows.
#[test]
fn the_corpus_has_a_module_of_every_kind() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        std::fs::write(folder.join("modules/filter"), at_headers("")).unwrap();
        let rich = at_headers(r#"(call $say @"hi") (drop (call $proxy_get_property @"x" @out))"#);
        std::fs::write(folder.join("modules/imports"), rich).unwrap();
        for seed in 0..12 {
            let mut random = Random(seed);
            let bytes: Vec<u8> = (0..256).map(|_| random.byte()).collect();
            std::fs::write(folder.join(format!("guests/seed-{seed}")), bytes).unwrap();
        }
        let headers = pairs::encode_list(&[("a", "b"), (":path", "/"), ("", "")]);
        std::fs::write(folder.join("pairs/headers"), headers).unwrap();
        std::fs::write(folder.join("pairs/none"), [0; 4]).unwrap();
        for path in [
            "request.headers.x-a",
            "filter_state.wasm.x",
            "node",
            "xds.route_name",
        ] {
            let wire = path.replace('.', "\0");
            std::fs::write(folder.join("properties").join(path), wire).unwrap();
        }
    }
    let valid = std::fs::read(folder.join("modules/filter")).unwrap();
    Module::compile(engine(), "corpus", &valid).unwrap();
}
