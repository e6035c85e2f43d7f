//! Replacing values in the text of a file, and nothing else of it.
//!
//! Owns the care: a value is replaced only if it stands there as it was read, in one line, plain or in
//! quotes. Comments, order, line ends and everything else stay.

/// A value that is to become another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    /// Its line, from 1.
    pub(super) line: u32,
    /// Its column, from 1, in characters; that of the quote if it has one.
    pub(super) column: u32,
    pub(super) old: String,
    pub(super) new: String,
}

/// The text with all values replaced.
///
/// # Errors
///
/// The edit whose value does not stand where it should.
pub(super) fn apply<'e>(text: &str, edits: &'e [Edit]) -> Result<String, &'e Edit> {
    let mut places = Vec::new();
    for edit in edits {
        let at = offset(text, edit.line, edit.column).ok_or(edit)?;
        let rest = text.get(at..).ok_or(edit)?;
        let quote = rest.chars().next().filter(|one| matches!(one, '"' | '\''));
        let begin = at + quote.map_or(0, char::len_utf8);
        let after = text
            .get(begin..)
            .and_then(|rest| rest.strip_prefix(edit.old.as_str()))
            .ok_or(edit)?;
        let ends = match quote {
            Some(quote) => after.starts_with(quote),
            // A plain value goes on until something ends it.
            None => after
                .chars()
                .next()
                .is_none_or(|next| next.is_whitespace() || matches!(next, ',' | '}' | ']')),
        };
        if !ends {
            return Err(edit);
        }
        places.push((begin, edit));
    }
    places.sort_by_key(|(begin, _)| *begin);
    places.dedup_by_key(|(begin, _)| *begin);
    let mut edited = text.to_owned();
    for (begin, edit) in places.into_iter().rev() {
        edited.replace_range(begin..begin + edit.old.len(), &edit.new);
    }
    Ok(edited)
}

/// Where a line and a column are in a text.
fn offset(text: &str, line: u32, column: u32) -> Option<usize> {
    let mut start = 0;
    for _ in 1..line {
        start += text.get(start..)?.find('\n')? + 1;
    }
    let rest = text.get(start..)?;
    let rest = rest.split('\n').next()?;
    let column = usize::try_from(column.checked_sub(1)?).ok()?;
    let (at, _) = rest.char_indices().nth(column)?;
    Some(start + at)
}

#[cfg(test)]
mod tests {
    use super::Edit;
    use super::apply;

    fn edit(line: u32, column: u32, old: &str, new: &str) -> Edit {
        Edit {
            line,
            column,
            old: old.to_owned(),
            new: new.to_owned(),
        }
    }

    #[test]
    fn values_are_replaced_and_everything_else_stays() {
        let text = "# päper\r\nsource: { oci: \"a:1\" } # why\nplain:  a:1 # 2\nsingle: 'a:1'\n";
        let edits = [
            edit(2, 16, "a:1", "a:1@x"),
            edit(3, 9, "a:1", "a:1@yy"),
            edit(4, 9, "a:1", "a:1@z"),
        ];
        assert_eq!(
            apply(text, &edits),
            Ok(
                "# päper\r\nsource: { oci: \"a:1@x\" } # why\nplain:  a:1@yy # 2\nsingle: 'a:1@z'\n"
                    .to_owned()
            )
        );
    }

    #[test]
    fn columns_count_characters_and_a_place_is_edited_once() {
        let text = "ü: {oci: a:1}";
        let one = edit(1, 10, "a:1", "b:2");
        assert_eq!(
            apply(text, &[one.clone(), one]),
            Ok("ü: {oci: b:2}".to_owned())
        );
    }

    #[test]
    fn what_stands_there_otherwise_is_left_alone() {
        for (text, line, column) in [
            ("a:1", 2, 1),
            ("a:1", 1, 9),
            ("a:12", 1, 1),
            ("\"a:1", 1, 1),
            ("\"a\\u003a1\"", 1, 1),
            ("|\n  a:1", 1, 1),
            ("*alias", 1, 1),
        ] {
            let edits = [edit(line, column, "a:1", "b")];
            assert_eq!(apply(text, &edits), Err(&edits[0]), "{text:?}");
        }
    }
}
