//! Regular expressions that operators write.
//!
//! Owns their syntax and bounds: RE2's, as the Gateway API's implementations have it. Matching is
//! linear in the input and a pattern's compiled size is limited, so that no pattern can exhaust us.
//!
//! Literal bytes at the start are compared as they are; the rest of a pattern becomes a table that
//! is walked once a byte, without lock, cache or allocation. The few
//! whose table would be large run on the library's engine, which keeps a small cache a thread.
//! Values are compared byte by byte: `.` is one byte and `\w`, `\d`, `\s`, `(?i)` are about ASCII.

use std::fmt;
use std::sync::Arc;

use regex_automata::Anchored;
use regex_automata::Input;
use regex_automata::dfa::Automaton;
use regex_automata::dfa::StartKind;
use regex_automata::dfa::dense;
use regex_automata::meta;
use regex_automata::nfa::thompson;
use regex_automata::nfa::thompson::NFA;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;
use regex_syntax::hir::Look;

mod literal;

/// The longest pattern in bytes; the Gateway API allows no longer path, and values of fields of
/// this length are no patterns people can read.
pub const MAX_PATTERN_BYTES: usize = 1024;

/// How much of [`Pattern::beginning`] is shown: more tells patterns hardly better apart.
pub const MAX_BEGINNING_BYTES: usize = 63;

/// Compiled size that a pattern may reach: far more than any pattern that was written by hand, and
/// little enough to be refused within milliseconds (`(a{1000}){1000}`).
const MAX_PROGRAM_BYTES: usize = 64 * 1024;

/// A table above this is not worth its memory; such a pattern runs on the engine.
const MAX_TABLE_BYTES: usize = 16 * 1024;

/// What building a table may use; a pattern whose table explodes is noticed by this.
const MAX_TABLE_SCRATCH_BYTES: usize = 256 * 1024;

/// What the engine may remember of a large pattern, per thread.
const ENGINE_CACHE_BYTES: usize = 128 * 1024;

/// Groups in groups that a pattern may have.
const MAX_NESTING: u32 = 64;

/// A compiled regular expression that is compared with whole values. Clones share it.
#[derive(Clone)]
pub struct Pattern(Arc<Compiled>);

struct Compiled {
    text: Box<str>,
    /// Every match begins with it.
    beginning: Box<[u8]>,
    /// For what follows the beginning, to the end of the value.
    machine: Machine,
}

#[expect(clippy::large_enum_variant, reason = "nearly all are tables")]
enum Machine {
    Table(dense::DFA<Vec<u32>>),
    Engine(meta::Regex),
}

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It is too long.
    #[error("the pattern has {0} bytes; at most {MAX_PATTERN_BYTES} are allowed")]
    TooLong(usize),
    /// It is not a regular expression.
    #[error("{reason}, at character {character} of the pattern")]
    Syntax {
        /// Which character, counted from 1.
        character: usize,
        /// What is wrong there.
        reason: Box<str>,
    },
    /// It is small to write and large to run.
    #[error("the pattern is too large once its repetitions are written out; use smaller counts")]
    TooLarge,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// [`PatternError`]: it is not a regular expression, or a larger one than is allowed. RE2's
    /// syntax has neither look-around nor references to groups.
    pub fn compile(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong(text.len()));
        }
        let parsed = ParserBuilder::new()
            .unicode(false)
            .utf8(false)
            .nest_limit(MAX_NESTING)
            .build()
            .parse(text)
            .map_err(|err| syntax_error(text, &err))?;
        let (beginning, rest) = literal::split(parsed);
        let to_the_end = Hir::concat(vec![rest, Hir::look(Look::End)]);
        let machine = build(&to_the_end).ok_or(PatternError::TooLarge)?;
        Ok(Self(Arc::new(Compiled {
            text: text.into(),
            beginning,
            machine,
        })))
    }

    /// Whether the whole of `value` matches.
    pub fn matches(&self, value: &[u8]) -> bool {
        let Self(compiled) = self;
        if !value.starts_with(&compiled.beginning) {
            return false;
        }
        let input = Input::new(value)
            .range(compiled.beginning.len()..)
            .anchored(Anchored::Yes)
            .earliest(true);
        match &compiled.machine {
            Machine::Table(table) => matches!(table.try_search_fwd(&input), Ok(Some(_))),
            Machine::Engine(engine) => engine.is_match(input),
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// What every value that matches begins with: at most [`MAX_BEGINNING_BYTES`], often all up to
    /// the first character with a meaning.
    pub fn beginning(&self) -> &[u8] {
        let all = &self.0.beginning;
        all.get(..MAX_BEGINNING_BYTES).unwrap_or(all)
    }

    /// Bytes of memory that it keeps, caches of single threads aside.
    pub fn memory_bytes(&self) -> usize {
        let machine = match &self.0.machine {
            Machine::Table(table) => table.memory_usage(),
            Machine::Engine(engine) => engine.memory_usage(),
        };
        size_of::<Compiled>() + self.0.text.len() + self.0.beginning.len() + machine
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Pattern").field(&self.0.text).finish()
    }
}

fn build(pattern: &Hir) -> Option<Machine> {
    let program = program(pattern)?;
    let config = dense::Config::new()
        .start_kind(StartKind::Anchored)
        .accelerate(false)
        .dfa_size_limit(Some(MAX_TABLE_BYTES))
        .determinize_size_limit(Some(MAX_TABLE_SCRATCH_BYTES));
    let table = dense::Builder::new()
        .configure(config)
        .build_from_nfa(&program);
    match table {
        Ok(table) => Some(Machine::Table(table)),
        Err(_) => engine(pattern).map(Machine::Engine),
    }
}

fn program(pattern: &Hir) -> Option<NFA> {
    let config = thompson::Config::new()
        .utf8(false)
        .nfa_size_limit(Some(MAX_PROGRAM_BYTES))
        .which_captures(WhichCaptures::None);
    thompson::Compiler::new()
        .configure(config)
        .build_from_hir(pattern)
        .ok()
}

fn engine(pattern: &Hir) -> Option<meta::Regex> {
    let config = meta::Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(MAX_PROGRAM_BYTES))
        .which_captures(WhichCaptures::None)
        .hybrid_cache_capacity(ENGINE_CACHE_BYTES)
        .onepass(false)
        .dfa(false);
    meta::Builder::new()
        .configure(config)
        .build_from_hir(pattern)
        .ok()
}

fn syntax_error(text: &str, err: &regex_syntax::Error) -> PatternError {
    let (byte, reason) = match err {
        regex_syntax::Error::Parse(err) => (err.span().start.offset, err.kind().to_string()),
        regex_syntax::Error::Translate(err) => (err.span().start.offset, err.kind().to_string()),
        // The library may learn new kinds of errors.
        other => (0, other.to_string()),
    };
    let before = text.char_indices().take_while(|(at, _)| *at < byte).count();
    PatternError::Syntax {
        character: before + 1,
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests;
