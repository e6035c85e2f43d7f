//! Files and functions that grew long. These are questions to the author, never errors.

use super::code;
use super::files::Text;

/// Lines of a file, tests left out: worth a look, and worth splitting.
const FILE_LINES: (usize, usize) = (300, 600);

/// Lines of a function, its signature included.
const FUNCTION_LINES: usize = 60;

/// Everything in this file that is longer than it should be.
pub(super) fn check(file: &Text) -> Vec<String> {
    let path = file.path.display();
    if is_test(file) {
        return Vec::new();
    }
    let code = code::without_text(&file.text);
    let code = code::without_tests(&code);
    let mut warnings = Vec::new();
    let lines = code.lines().count();
    if lines > FILE_LINES.1 {
        warnings.push(format!(
            "{path}: {lines} lines, more than {}; split it",
            FILE_LINES.1
        ));
    } else if lines > FILE_LINES.0 {
        warnings.push(format!("{path}: {lines} lines, more than {}", FILE_LINES.0));
    }
    for (name, line, length) in functions(code) {
        if length > FUNCTION_LINES {
            warnings.push(format!(
                "{path}:{line}: {name} has {length} lines, more than {FUNCTION_LINES}"
            ));
        }
    }
    warnings
}

fn is_test(file: &Text) -> bool {
    let inside = |name: &str| file.path.components().any(|it| it.as_os_str() == name);
    inside("tests") || inside("benches") || file.path.ends_with("tests.rs")
}

/// Name, first line and length of each function with a body.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let starts = lines.iter().enumerate();
    starts
        .filter_map(|(at, line)| {
            let name = function_name(line)?;
            let length = body_length(lines.get(at..)?)?;
            Some((name.to_owned(), at + 1, length))
        })
        .collect()
}

/// The name, if a function is declared on this line.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    loop {
        match words.next()? {
            "fn" => break,
            "async" | "const" | "extern" | "unsafe" => {}
            word if word.starts_with("pub") => {}
            _ => return None,
        }
    }
    words.next()?.split(['(', '<']).next()
}

/// Lines until the brace that opens first is closed; `None` for a declaration without body.
fn body_length(lines: &[&str]) -> Option<usize> {
    let mut braces = 0_usize;
    let mut brackets = 0_usize;
    for (number, line) in lines.iter().enumerate() {
        for byte in line.bytes() {
            match byte {
                b'(' | b'[' => brackets += 1,
                b')' | b']' => brackets = brackets.saturating_sub(1),
                b'{' => braces += 1,
                b'}' => braces = braces.saturating_sub(1),
                b';' if braces == 0 && brackets == 0 => return None,
                _ => continue,
            }
            if byte == b'}' && braces == 0 {
                return Some(number + 1);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: String) -> Text {
        Text {
            path: path.into(),
            text,
        }
    }

    #[test]
    fn functions_are_found_with_their_lengths() {
        let code = "pub(crate) async fn a<T>(\n    b: [u8; 2],\n) {\n    if c {\n    }\n}\n\
                    trait D {\n    fn e(&self);\n}\n";
        assert_eq!(functions(code), [("a".to_owned(), 1, 6)]);
    }

    #[test]
    fn a_long_function_is_a_warning() {
        let text = format!("fn long() {{\n{}}}\n", "    a();\n".repeat(59));
        let expected = ["a.rs:1: long has 61 lines, more than 60"];
        assert_eq!(check(&file("src/../a.rs", text.clone())).len(), 1);
        assert_eq!(check(&file("a.rs", text)), expected);
    }

    #[test]
    fn tests_do_not_count() {
        let lines = "a();\n".repeat(301);
        assert_eq!(
            check(&file("a.rs", lines.clone())),
            ["a.rs: 301 lines, more than 300"]
        );
        assert_eq!(check(&file("tests/a.rs", lines.clone())), [""; 0]);
        let text = format!("//! A.\n#[cfg(test)]\nmod tests {{\n{lines}}}\n");
        assert_eq!(check(&file("a.rs", text)), [""; 0]);
    }
}
