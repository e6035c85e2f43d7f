//! `pattern = "^[a-z]+$"`: what of regular expressions means the same to everybody who reads it.
//!
//! Gateways and editors compare patterns with their own engines. So there is no `\d` or `\w`, which
//! are not the same everywhere, and a pattern always means the whole text.

use proc_macro2::TokenStream;
use quote::quote;

/// Most times that can be asked for by number.
const MOST_TIMES: u16 = 1_000;
/// Deepest nesting of groups.
const DEEPEST: usize = 16;
/// What has a meaning of its own, and stands for itself after a backslash.
const SPECIAL: &str = "^$\\.*+?()[]{}|/-";

/// A part of a pattern.
#[derive(Debug, PartialEq, Eq)]
enum Node {
    One(Vec<(char, char)>, Negated),
    Seq(Vec<Self>),
    OneOf(Vec<Self>),
    /// The most is `u16::MAX` for any number.
    Repeat(Box<Self>, u16, u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Negated {
    Yes,
    No,
}

/// Reads a pattern; an expression of the SDK's `Node`.
///
/// # Errors
///
/// What it has that cannot be there.
pub(crate) fn tokens(text: &str) -> Result<TokenStream, String> {
    let inner = text
        .strip_prefix('^')
        .and_then(|text| text.strip_suffix('$'))
        .ok_or("a pattern means the whole text: write ^ before it and $ after it")?;
    let mut reader = Reader {
        rest: inner.chars().collect::<Vec<_>>().into_iter().peekable(),
        depth: 0,
    };
    let mut all = reader.alternatives()?;
    match reader.rest.next() {
        Some(_) => Err("a ) without its (".to_owned()),
        None if all.len() > 1 => {
            Err("put alternatives into a group: ^(a|b)$; ^ and $ belong to one of them else".into())
        }
        None => Ok(all.pop().unwrap_or(Node::Seq(Vec::new())).tokens()),
    }
}

impl Node {
    fn tokens(&self) -> TokenStream {
        let path = quote!(::tidegate_sdk::config::PatternNode);
        match self {
            Self::One(ranges, negated) => {
                let negated = *negated == Negated::Yes;
                let ranges = ranges.iter().map(|(first, last)| quote!((#first, #last)));
                quote!(#path::One { ranges: &[#(#ranges),*], negated: #negated })
            }
            Self::Seq(nodes) => {
                let nodes = nodes.iter().map(Self::tokens);
                quote!(#path::Seq(&[#(#nodes),*]))
            }
            Self::OneOf(nodes) => {
                let nodes = nodes.iter().map(Self::tokens);
                quote!(#path::OneOf(&[#(#nodes),*]))
            }
            Self::Repeat(node, min, max) => {
                let node = node.tokens();
                quote!(#path::Repeat { node: &#node, min: #min, max: #max })
            }
        }
    }
}

struct Reader {
    rest: std::iter::Peekable<std::vec::IntoIter<char>>,
    depth: usize,
}

impl Reader {
    /// Up to a `)` or the end.
    fn alternatives(&mut self) -> Result<Vec<Node>, String> {
        let mut all = Vec::new();
        let mut seq = Vec::new();
        while let Some(character) = self.rest.next_if(|it| *it != ')') {
            if character == '|' {
                all.push(Node::Seq(std::mem::take(&mut seq)));
                continue;
            }
            let node = self.one(character)?;
            seq.push(self.repeated(node)?);
        }
        all.push(Node::Seq(seq));
        Ok(all)
    }

    fn one(&mut self, character: char) -> Result<Node, String> {
        let one = |character| Node::One(vec![(character, character)], Negated::No);
        Ok(match character {
            '.' => Node::One(vec![('\n', '\n')], Negated::Yes),
            '[' => self.class()?,
            '(' => self.group()?,
            '\\' => one(self.escaped()?),
            '^' | '$' => {
                return Err(format!(
                    "{character} stands only at the ends; else \\{character}"
                ));
            }
            '*' | '+' | '?' | '{' => {
                return Err(format!(
                    "nothing stands before {character} that it could repeat"
                ));
            }
            ']' | '}' => return Err(format!("{character} for itself is \\{character}")),
            _ => one(character),
        })
    }

    fn escaped(&mut self) -> Result<char, String> {
        match self.rest.next() {
            Some(character) if SPECIAL.contains(character) => Ok(character),
            Some('d') => Err("\\d is not the same everywhere; write [0-9]".to_owned()),
            Some('w') => Err("\\w is not the same everywhere; write [A-Za-z0-9_]".to_owned()),
            Some(character) => Err(format!(
                "\\{character} is not known here; \\ stands before {SPECIAL}"
            )),
            None => Err("nothing stands after \\".to_owned()),
        }
    }

    /// After `(`.
    fn group(&mut self) -> Result<Node, String> {
        if self.depth == DEEPEST {
            return Err(format!("groups are nested at most {DEEPEST} deep"));
        }
        if self.rest.next_if_eq(&'?').is_some() && self.rest.next_if_eq(&':').is_none() {
            return Err("groups are ( ) and (?: )".to_owned());
        }
        self.depth += 1;
        let all = self.alternatives()?;
        self.depth -= 1;
        match self.rest.next() {
            Some(_) => Ok(Node::OneOf(all)),
            None => Err("a ( without its )".to_owned()),
        }
    }

    /// After `[`.
    fn class(&mut self) -> Result<Node, String> {
        let negated = match self.rest.next_if_eq(&'^') {
            Some(_) => Negated::Yes,
            None => Negated::No,
        };
        let mut ranges = Vec::new();
        loop {
            let first = match self.rest.next() {
                None => return Err("a [ without its ]".to_owned()),
                Some(']') if ranges.is_empty() => {
                    return Err("an empty [ ]; ] for itself is \\]".to_owned());
                }
                Some(']') => return Ok(Node::One(ranges, negated)),
                // At its end it stands for itself.
                Some('-') if self.rest.peek() == Some(&']') => '-',
                Some(character) => self.of_class(character)?,
            };
            let is_range = self.rest.peek() == Some(&'-') && {
                let mut after = self.rest.clone();
                after.next();
                after.peek() != Some(&']')
            };
            if !is_range {
                ranges.push((first, first));
                continue;
            }
            self.rest.next();
            let last = match self.rest.next() {
                None => return Err("a [ without its ]".to_owned()),
                Some(character) => self.of_class(character)?,
            };
            if last < first {
                return Err(format!("{first}-{last} has no characters"));
            }
            ranges.push((first, last));
        }
    }

    fn of_class(&mut self, character: char) -> Result<char, String> {
        match character {
            '\\' => self.escaped(),
            '[' | '-' => Err(format!("{character} for itself in [ ] is \\{character}")),
            // An operator to some engines.
            '&' | '~' if self.rest.peek() == Some(&character) => Err(format!(
                "{character}{character} in [ ] is not the same everywhere"
            )),
            _ => Ok(character),
        }
    }

    fn repeated(&mut self, node: Node) -> Result<Node, String> {
        let sign = self.rest.next_if(|it| matches!(it, '*' | '+' | '?' | '{'));
        let (min, max) = match sign {
            None => return Ok(node),
            Some('*') => (0, u16::MAX),
            Some('+') => (1, u16::MAX),
            Some('?') => (0, 1),
            Some(_) => self.times()?,
        };
        if let Some(again) = self.rest.next_if(|it| matches!(it, '*' | '+' | '?' | '{')) {
            return Err(format!(
                "{again} after a repetition; put the repetition into a group"
            ));
        }
        Ok(Node::Repeat(Box::new(node), min, max))
    }

    /// After `{`.
    fn times(&mut self) -> Result<(u16, u16), String> {
        let mut text = String::new();
        loop {
            match self.rest.next() {
                Some('}') => break,
                Some(character) => text.push(character),
                None => return Err("a { without its }".to_owned()),
            }
        }
        let number = |text: &str| {
            let number = text.parse::<u16>().ok();
            let number = number.filter(|number| *number <= MOST_TIMES);
            number.ok_or_else(|| format!("{{{text}}}: expected a number of at most {MOST_TIMES}"))
        };
        let (min, max) = match text.split_once(',') {
            None => (number(&text)?, number(&text)?),
            Some((min, "")) => (number(min)?, u16::MAX),
            Some((min, max)) => (number(min)?, number(max)?),
        };
        if max < min {
            return Err(format!("{{{text}}}: the first number is above the second"));
        }
        Ok((min, max))
    }
}

#[cfg(test)]
mod tests {
    use super::tokens;

    #[test]
    fn what_is_not_the_same_everywhere_is_refused_with_what_to_write() {
        let refused = |pattern: &str| tokens(pattern).expect_err(pattern);
        for (pattern, why) in [
            ("abc", "write ^ before it and $ after it"),
            ("^a|b$", "put alternatives into a group"),
            (r"^\d$", "write [0-9]"),
            (r"^\w$", "write [A-Za-z0-9_]"),
            (r"^\<$", r"\< is not known here"),
            ("^(a$", "a ( without its )"),
            ("^a)$", "a ) without its ("),
            ("^[a$", "a [ without its ]"),
            ("^[]$", "an empty [ ]"),
            ("^[z-a]$", "z-a has no characters"),
            ("^[-a]$", r"- for itself in [ ] is \-"),
            ("^[a&&b]$", "&& in [ ] is not the same everywhere"),
            ("^*$", "nothing stands before *"),
            ("^a*?$", "? after a repetition"),
            ("^a{2$", "a { without its }"),
            ("^a{3,2}$", "the first number is above the second"),
            ("^a{1001}$", "at most 1000"),
            ("^(?=a)$", "groups are ( ) and (?: )"),
            ("^a^b$", "^ stands only at the ends"),
            ("^a}$", r"} for itself is \}"),
            (r"^a\$", "nothing stands after"),
        ] {
            let said = refused(pattern);
            assert!(said.contains(why), "{pattern}: {said}");
        }
        let deep = format!("^{}{}$", "(".repeat(17), ")".repeat(17));
        assert!(refused(&deep).contains("nested at most 16"));
    }
}
