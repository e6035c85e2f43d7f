//! The language in which a test says what to call when.
//!
//! A script is statements with `;` between them: `callback: function argument …`. `callback#2:` is
//! only for its second run in a stream, `callback#end:` only for the one with the end of the
//! stream, `b/callback:` only for the plugin named `b`. Instead of a function there may be
//! `return NUMBER`, `trap`, `spin`, `grow PAGES`, `peek ADDRESS LENGTH` or
//! `say 'text'`.
//!
//! Arguments: numbers (`-1`, `0x10`); `'bytes'` with escapes, and `['key','value',…]` as pairs, both
//! passed as address and length; `*N` behind either repeats it; `.request.path` is a property path;
//! `>4 >8 >b >p >P >i` are places for results (see [`Out`]); `$name` is a value kept by `>4=name`.

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The plugin it is for, if not for all.
    pub plugin: Option<String>,
    /// The callback it runs in.
    pub callback: String,
    /// In which run of the callback.
    pub run: Run,
    /// What to do.
    pub words: Vec<Word>,
    /// The text of `words`, for the report.
    pub source: String,
}

/// Which run of a callback a statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Every one.
    Any,
    /// That one, counted from 1.
    Number(u32),
    /// The one that ends the stream.
    End,
}

/// A word of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// A name: the function.
    Name(String),
    /// A number as it is.
    Number(i64),
    /// Bytes in guest memory: address and length.
    Bytes(Vec<u8>),
    /// A place for a result.
    Out(Out, Option<String>),
    /// A value that was kept before.
    Kept(String),
}

/// A place for a result, and how it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Out {
    /// `>4`: a u32.
    U32,
    /// `>8`: a u64.
    U64,
    /// `>4?`, `>8?`: of four or eight bytes, only whether it was written.
    Written(u32),
    /// `>b`: address and length, reported as text.
    Bytes,
    /// `>b#`: the same, only the length.
    Length,
    /// `>b?`: the same, only whether there are any.
    Some,
    /// `>p`: the same, read as pairs, sorted by key.
    Pairs,
    /// `>P`: the same, in their order.
    Ordered,
    /// `>i`: the same, read as an i64.
    Int,
    /// `>i+`: the same, only whether the i64 is positive.
    Positive,
}

/// Reads a script.
///
/// # Errors
///
/// What cannot be read, in words.
pub fn parse(text: &str) -> Result<Vec<Statement>, String> {
    let mut reader = Reader { rest: text };
    let mut statements = Vec::new();
    loop {
        while reader.eat(';') {}
        if reader.rest.is_empty() {
            return Ok(statements);
        }
        statements.push(reader.statement()?);
    }
}

/// The wire form of pairs.
#[must_use]
pub fn pairs(texts: &[Vec<u8>]) -> Vec<u8> {
    let number = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    let mut wire = number(texts.len() / 2).to_vec();
    for text in texts {
        wire.extend_from_slice(&number(text.len()));
    }
    for text in texts {
        wire.extend_from_slice(text);
        wire.push(0);
    }
    wire
}

/// What is left of a script.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        if self.peek() != Some(wanted) {
            return false;
        }
        self.rest = self.rest.get(wanted.len_utf8()..).unwrap_or_default();
        true
    }

    /// Everything up to a character that stops it.
    fn until(&mut self, stops: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(stops).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn statement(&mut self) -> Result<Statement, String> {
        self.peek();
        let place = self.until(|it| it == ':' || it == ';').trim();
        if !self.eat(':') {
            return Err(format!("`{place}` names no callback"));
        }
        let (plugin, place) = match place.split_once('/') {
            Some((plugin, place)) => (Some(plugin.to_owned()), place),
            None => (None, place),
        };
        let (callback, run) = match place.split_once('#') {
            None => (place, Run::Any),
            Some((callback, "end")) => (callback, Run::End),
            Some((callback, number)) => {
                let number = number.parse();
                (callback, Run::Number(number.map_err(|_| bad(place))?))
            }
        };
        self.peek();
        let from = self.rest;
        let mut words = Vec::new();
        while self.peek().is_some_and(|next| next != ';') {
            words.push(self.word()?);
        }
        let source = from.len() - self.rest.len();
        Ok(Statement {
            plugin,
            callback: callback.to_owned(),
            run,
            words,
            source: from.get(..source).unwrap_or_default().trim().to_owned(),
        })
    }

    fn word(&mut self) -> Result<Word, String> {
        if self.peek() == Some('\'') {
            let bytes = self.quoted()?;
            return Ok(Word::Bytes(self.repeated(&bytes)?));
        }
        if self.eat('[') {
            let mut texts = Vec::new();
            while !self.eat(']') {
                texts.push(self.quoted()?);
                self.eat(',');
            }
            return Ok(Word::Bytes(pairs(&self.repeated(&texts)?)));
        }
        let word = self.until(|it| it.is_whitespace() || it == ';');
        plain(word).ok_or_else(|| bad(word))
    }

    fn repeated<T: Clone>(&mut self, once: &[T]) -> Result<Vec<T>, String> {
        if !self.rest.starts_with('*') {
            return Ok(once.to_vec());
        }
        let times = self.until(|it| it.is_whitespace() || it == ';');
        let number = times.trim_start_matches('*').parse::<usize>();
        let number = number.map_err(|_| bad(times))?;
        Ok(std::iter::repeat_n(once, number)
            .flatten()
            .cloned()
            .collect())
    }

    fn quoted(&mut self) -> Result<Vec<u8>, String> {
        if !self.eat('\'') {
            return Err(format!("a text begins with ': {}", self.rest));
        }
        let mut bytes = Vec::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '\'' => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(bytes);
                }
                '\\' => bytes.push(escape(&mut chars).ok_or("an escape is not known")?),
                char => bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Err("a text does not end".to_owned())
    }
}

fn escape(chars: &mut std::str::CharIndices<'_>) -> Option<u8> {
    Some(match chars.next()?.1 {
        '0' => 0,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'x' => {
            let mut digit = || u8::try_from(chars.next()?.1.to_digit(16)?).ok();
            digit()? << 4 | digit()?
        }
        other => u8::try_from(other).ok()?,
    })
}

fn bad(word: &str) -> String {
    format!("`{word}` is not understood")
}

/// A word without quotes.
fn plain(word: &str) -> Option<Word> {
    if let Some(place) = word.strip_prefix('>') {
        let (kind, name) = match place.split_once('=') {
            Some((kind, name)) => (kind, Some(name.to_owned())),
            None => (place, None),
        };
        let out = match kind {
            "4" => Out::U32,
            "8" => Out::U64,
            "4?" => Out::Written(4),
            "8?" => Out::Written(8),
            "b" => Out::Bytes,
            "b#" => Out::Length,
            "b?" => Out::Some,
            "p" => Out::Pairs,
            "P" => Out::Ordered,
            "i" => Out::Int,
            "i+" => Out::Positive,
            _ => return None,
        };
        return Some(Word::Out(out, name));
    }
    if let Some(name) = word.strip_prefix('$') {
        return Some(Word::Kept(name.to_owned()));
    }
    if let Some(path) = word.strip_prefix('.') {
        return Some(Word::Bytes(path.replace('.', "\0").into_bytes()));
    }
    if let Some(digits) = word.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok().map(Word::Number);
    }
    if word.starts_with(|it: char| it.is_ascii_digit() || it == '-') {
        return word.parse().ok().map(Word::Number);
    }
    (!word.is_empty()).then(|| Word::Name(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_word_by_word() {
        let script =
            parse("a/request_body#end: log -1 0x10 'a;\\x00b' .x.y >b#=n $n ;; done: trap");
        let script = script.unwrap();
        let words = [
            Word::Name("log".into()),
            Word::Number(-1),
            Word::Number(16),
            Word::Bytes(b"a;\0b".to_vec()),
            Word::Bytes(b"x\0y".to_vec()),
            Word::Out(Out::Length, Some("n".into())),
            Word::Kept("n".into()),
        ];
        assert_eq!(script[0].words, words);
        assert_eq!(script[0].plugin.as_deref(), Some("a"));
        assert_eq!(
            (script[0].callback.as_str(), script[0].run),
            ("request_body", Run::End)
        );
        assert_eq!(script[0].source, "log -1 0x10 'a;\\x00b' .x.y >b#=n $n");
        assert_eq!(script[1].callback, "done");
        assert_eq!(script.len(), 2);
    }

    #[test]
    fn pairs_and_repetitions_become_bytes() {
        let script = parse("tick: f ['a','b'] ['k','']*2 'xy'*3").unwrap();
        let words = [
            Word::Name("f".into()),
            Word::Bytes(b"\x01\0\0\0\x01\0\0\0\x01\0\0\0a\0b\0".to_vec()),
            Word::Bytes(pairs(&[b"k".into(), b"".into(), b"k".into(), b"".into()])),
            Word::Bytes(b"xyxyxy".to_vec()),
        ];
        assert_eq!(script[0].words, words);
    }

    #[test]
    fn what_is_no_script_is_said() {
        for (text, problem) in [
            ("nothing", "`nothing` names no callback"),
            ("a: 'b", "a text does not end"),
            ("a: >9", "`>9` is not understood"),
            ("a#b: x", "`a#b` is not understood"),
        ] {
            let found = parse(text).err().unwrap_or_default();
            assert_eq!(found, problem, "{text}");
        }
    }
}
