//! One statement: its arguments in memory, the call, and what came of it in words.

use crate::abi;
use crate::notes;
use crate::script::Out;
use crate::script::Statement;
use crate::script::Word;

/// What places for results hold until the host writes them.
const UNWRITTEN: u8 = 0xAA;
/// Bytes longer than this are reported by their length.
const SHOWN: usize = 200;
/// Fields that each proxy adds in its own way; the report leaves them out.
const HIDDEN: &[&[u8]] = &[
    b"x-request-id",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
    b"x-envoy-expected-rq-timeout-ms",
    b"x-envoy-upstream-service-time",
    b"x-probe",
    b"server",
    b"via",
    b"date",
];

/// Runs a statement in the callback of a context; some says what the callback returns.
pub(crate) fn run(context: u32, statement: &Statement) -> Option<i32> {
    let (name, rest) = match statement.words.split_first() {
        Some((Word::Name(name), rest)) => (name.as_str(), rest),
        _ => ("", &[][..]),
    };
    match (name, rest) {
        ("return", [Word::Number(number)]) => return i32::try_from(*number).ok(),
        ("trap", []) => abi::trap(),
        ("spin", []) => loop {
            core::hint::spin_loop();
        },
        ("grow", [Word::Number(pages)]) => {
            let before = abi::grow(usize::try_from(*pages).unwrap_or(usize::MAX));
            let grown = if before == usize::MAX { "no" } else { "yes" };
            notes::line(&format!("  {} -> {grown}", statement.source));
        }
        ("peek", [Word::Number(address), Word::Number(len)]) => {
            let narrow = |number: &i64| u32::try_from(*number).unwrap_or(u32::MAX);
            let bytes = abi::read(narrow(address), narrow(len)).unwrap_or_default();
            notes::line(&format!("  {} -> {}", statement.source, text(&bytes)));
        }
        ("say", [Word::Bytes(text)]) => notes::line(&format!("  {}", text.escape_ascii())),
        _ => call(context, name, rest, &statement.source),
    }
    None
}

fn call(context: u32, name: &str, words: &[Word], source: &str) {
    let mut places = vec![UNWRITTEN; words.len() * 8];
    let mut args = Vec::new();
    let base = abi::address(&places);
    for (at, word) in words.iter().enumerate() {
        let place = base + i64::try_from(at * 8).unwrap_or_default();
        match word {
            Word::Number(number) => args.push(*number),
            Word::Bytes(bytes) => {
                args.push(abi::address(bytes));
                args.push(i64::try_from(bytes.len()).unwrap_or_default());
            }
            Word::Out(Out::U32 | Out::U64 | Out::Written(_), _) => args.push(place),
            Word::Out(..) => args.extend([place, place + 4]),
            Word::Kept(name) => args.push(notes::kept(context, name)),
            Word::Name(name) => {
                notes::line(&format!("  {source} -> {name} is no argument"));
                return;
            }
        }
    }
    let status = match abi::call(name, &args) {
        Ok(Some(status)) => status.to_string(),
        Ok(None) => "nothing".to_owned(),
        Err(problem) => problem,
    };
    // What the host wrote, as the compiler cannot know that it did.
    let address = u32::try_from(abi::address(&places)).unwrap_or_default();
    let len = u32::try_from(places.len()).unwrap_or_default();
    places = abi::read(address, len).unwrap_or_default();
    let mut line = format!("  {source} -> {status}");
    for (word, place) in words.iter().zip(places.chunks(8)) {
        if let Word::Out(out, name) = word {
            let number = number(place, if *out == Out::U64 { 8 } else { 4 });
            if let Some(name) = name {
                notes::keep(name, number.cast_signed());
            }
            line.push(' ');
            line.push_str(&show(*out, place));
        }
    }
    notes::line(&line);
}

/// A little-endian number at the start of `bytes`.
fn number(bytes: &[u8], width: usize) -> u64 {
    let bytes = bytes.iter().take(width).rev();
    bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn show(out: Out, place: &[u8]) -> String {
    let width = match out {
        Out::U32 | Out::Written(4) => 4,
        _ => 8,
    };
    if place.iter().take(width).all(|byte| *byte == UNWRITTEN) {
        return "unwritten".to_owned();
    }
    let (low, high) = place.split_at(4.min(place.len()));
    let (address, len) = (number(low, 4), number(high, 4));
    match out {
        Out::U32 => return address.to_string(),
        Out::U64 => return number(place, 8).to_string(),
        Out::Written(_) => return "written".to_owned(),
        _ => {}
    }
    let half = |bytes: &[u8]| bytes.iter().all(|byte| *byte == UNWRITTEN);
    if half(low) || half(high) {
        return "half written".to_owned();
    }
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let Some(bytes) = abi::read(narrow(address), narrow(len)) else {
        return "outside of memory".to_owned();
    };
    match (out, bytes.is_empty()) {
        (_, true) if address == 0 => "null".to_owned(),
        (_, true) => "empty, not null".to_owned(),
        (Out::Length, _) => format!("{} bytes", bytes.len()),
        (Out::Some, _) => "some bytes".to_owned(),
        (Out::Pairs | Out::Ordered, _) => pairs(&bytes, out == Out::Pairs)
            .unwrap_or_else(|| format!("no pairs: {}", text(&bytes))),
        (Out::Int | Out::Positive, _) if bytes.len() != 8 => {
            format!("{} bytes are no i64", bytes.len())
        }
        (Out::Int, _) => number(&bytes, 8).cast_signed().to_string(),
        (Out::Positive, _) if number(&bytes, 8).cast_signed() > 0 => "positive".to_owned(),
        (Out::Positive, _) => format!("{}, not positive", number(&bytes, 8).cast_signed()),
        _ => text(&bytes),
    }
}

fn text(bytes: &[u8]) -> String {
    if bytes.len() > SHOWN {
        return format!("{} bytes", bytes.len());
    }
    format!("\"{}\"", bytes.escape_ascii())
}

/// Pairs in words; none if they are not what the specification says, byte for byte.
fn pairs(bytes: &[u8], sorted: bool) -> Option<String> {
    let count = usize::try_from(number(bytes.get(..4)?, 4)).ok()?;
    let lens = bytes.get(4..4 + count * 8)?;
    let mut rest = bytes.get(4 + count * 8..)?;
    let mut next = |len: &[u8]| {
        let len = usize::try_from(number(len, 4)).ok()?;
        let text = rest.get(..len)?;
        let behind = rest.get(len..)?.strip_prefix(b"\0")?;
        rest = behind;
        Some(text)
    };
    let mut shown = Vec::new();
    for len in lens.chunks(8) {
        let (key, value) = (next(len.get(..4)?)?, next(len.get(4..)?)?);
        if !HIDDEN.contains(&key) {
            shown.push((
                key,
                format!("{}={}", key.escape_ascii(), value.escape_ascii()),
            ));
        }
    }
    if sorted {
        shown.sort_by_key(|(key, _)| *key);
    }
    let shown: Vec<String> = shown.into_iter().map(|(_, pair)| pair).collect();
    rest.is_empty().then(|| format!("[{}]", shown.join(", ")))
}

/// The number of pairs in a map, to compare with what a callback was told.
pub(crate) fn count(map: i64) -> Option<u64> {
    let places = [UNWRITTEN; 8];
    let place = abi::address(&places);
    if abi::call("get_header_map_pairs", &[map, place, place + 4]) != Ok(Some(0)) {
        return None;
    }
    let places = abi::read(u32::try_from(place).ok()?, 8)?;
    let (address, len) = places.split_at(4);
    let wire = abi::read(
        u32::try_from(number(address, 4)).ok()?,
        u32::try_from(number(len, 4)).ok()?,
    )?;
    Some(number(&wire, 4))
}

/// The bytes that a host function with two places at its end gives.
pub(crate) fn fetch(name: &str, args: &[Word]) -> Option<Vec<u8>> {
    let places = [UNWRITTEN; 8];
    let place = abi::address(&places);
    let mut numbers = Vec::new();
    for word in args {
        match word {
            Word::Number(number) => numbers.push(*number),
            Word::Bytes(bytes) => {
                numbers.push(abi::address(bytes));
                numbers.push(i64::try_from(bytes.len()).ok()?);
            }
            _ => return None,
        }
    }
    numbers.extend([place, place + 4]);
    if abi::call(name, &numbers) != Ok(Some(0)) {
        return None;
    }
    let places = abi::read(u32::try_from(place).ok()?, 8)?;
    let (address, len) = places.split_at(4);
    abi::read(
        u32::try_from(number(address, 4)).ok()?,
        u32::try_from(number(len, 4)).ok()?,
    )
}
