//! Rust source without its comments and literals, and without its tests.
//!
//! Not a parser: every byte of a comment, string or character is replaced by a space, so that
//! lines and braces can be counted in what is left.

/// The source with comments and literals blanked out, line for line.
pub(super) fn without_text(source: &str) -> String {
    let mut rest = source.as_bytes();
    let mut kept = Vec::with_capacity(rest.len());
    while let Some(first) = rest.first() {
        let after_word = kept.last().is_some_and(is_word);
        let blank = text_length(rest, after_word).unwrap_or(0).min(rest.len());
        let (blanked, behind) = rest.split_at(blank);
        kept.extend(
            blanked
                .iter()
                .map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }),
        );
        rest = behind;
        if blank == 0 {
            kept.push(*first);
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// The code up to its test module, which by habit comes last.
pub(super) fn without_tests(code: &str) -> &str {
    let mut end = 0;
    let mut lines = code.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let opens = |next: &&str| next.starts_with("mod ") && next.contains('{');
        if line.trim() == "#[cfg(test)]" && lines.peek().is_some_and(opens) {
            break;
        }
        end += line.len();
    }
    code.get(..end).unwrap_or(code)
}

/// How long the comment or literal is that starts here, if one does.
fn text_length(rest: &[u8], after_word: bool) -> Option<usize> {
    match rest {
        [b'/', b'/', ..] => Some(find(rest, b"\n", 0)),
        [b'/', b'*', ..] => Some(block_comment(rest)),
        [b'"', ..] => Some(string(rest)),
        [b'b', b'r', behind @ ..] if !after_word => Some(raw_string(behind)? + 2),
        [b'r', behind @ ..] if !after_word => Some(raw_string(behind)? + 1),
        [b'\'', b'\\', _, ..] => Some(find(rest, b"'", 3) + 1),
        [b'\'', first, ..] => character(rest, *first),
        _ => None,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(pair) = rest.get(at..at + 2) {
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string(rest: &[u8]) -> usize {
    let mut escaped = false;
    let inside = rest.iter().skip(1);
    let end = inside.enumerate().find(|(_, byte)| {
        let closes = **byte == b'"' && !escaped;
        escaped = **byte == b'\\' && !escaped;
        closes
    });
    end.map_or(rest.len(), |(at, _)| at + 2)
}

/// A raw string from behind its `r`.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'"'];
    end.resize(hashes + 1, b'#');
    Some(find(rest, &end, hashes + 1) + end.len())
}

/// A character such as `'a'`; a lifetime has no quote behind it.
fn character(rest: &[u8], first: u8) -> Option<usize> {
    let width = match first {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0.. => 4,
    };
    (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
}

/// Where the text starts that is looked for, or the end.
fn find(within: &[u8], wanted: &[u8], from: usize) -> usize {
    let windows = within.windows(wanted.len()).enumerate().skip(from);
    windows
        .into_iter()
        .find(|(_, it)| *it == wanted)
        .map_or(within.len(), |(at, _)| at)
}

fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &str) {
        assert_eq!(without_text(source), expected, "{source}");
    }

    #[test]
    fn comments_are_blanked_and_lines_kept() {
        check("a // {\nb", "a     \nb");
        check("a /* { /* } */\n */ b", "a             \n    b");
        check("a /* open", "a        ");
    }

    #[test]
    fn literals_are_blanked() {
        check(r#"f("{\"", x)"#, "f(     , x)");
        check(r##"f(r#"{"}"#)"##, "f(        )");
        check(r##"f(br#"{"#)"##, "f(       )");
        check(
            "f('{', '\\'', '\\u{7d}', 'é')",
            "f(   ,     ,         ,     )",
        );
    }

    #[test]
    fn lifetimes_and_names_are_code() {
        check("fn f<'a>(it: &'a str) {}", "fn f<'a>(it: &'a str) {}");
        check("for_r(b)", "for_r(b)");
    }

    #[test]
    fn a_test_module_in_the_file_is_left_out() {
        assert_eq!(without_tests("a\n#[cfg(test)]\nmod tests {\nb\n}\n"), "a\n");
        assert_eq!(
            without_tests("a\n#[cfg(test)]\nmod tests;\nb\n"),
            "a\n#[cfg(test)]\nmod tests;\nb\n"
        );
    }
}
