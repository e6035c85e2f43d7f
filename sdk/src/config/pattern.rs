//! What text has to look like: `#[config(pattern = "^[a-z]+$")]`.
//!
//! The derive reads the pattern; here it is only compared with text, by the positions that can be
//! reached: in a time that grows with the product of both, whatever they are. A module that has no
//! patterns has nothing of this.

/// A pattern, and the code that compares it.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Pattern {
    /// As it was written, for messages and the schema.
    pub text: &'static str,
    /// What it means.
    node: &'static Node,
    /// A function by its address, so that nothing else refers to it.
    matches: fn(&Node, &str) -> bool,
}

/// A part of a pattern.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub enum Node {
    /// One character in these ranges, or in none of them.
    One {
        /// The first and the last of each.
        ranges: &'static [(char, char)],
        /// Whether it is in none.
        negated: bool,
    },
    /// One after the other.
    Seq(&'static [Self]),
    /// One of them.
    OneOf(&'static [Self]),
    /// The same several times.
    Repeat {
        /// It.
        node: &'static Self,
        /// The fewest times.
        min: u16,
        /// The most times; the largest number stands for any.
        max: u16,
    },
}

impl Pattern {
    pub(super) const fn new(text: &'static str, node: &'static Node) -> Self {
        Self {
            text,
            node,
            matches,
        }
    }

    /// Whether the whole of a text is as it says.
    pub(super) fn accepts(&self, text: &str) -> bool {
        (self.matches)(self.node, text)
    }
}

fn matches(node: &Node, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut start = vec![false; text.len() + 1];
    if let Some(first) = start.first_mut() {
        *first = true;
    }
    ends(node, &text, start).last() == Some(&true)
}

/// Where a node can end that begins at one of these positions.
fn ends(node: &Node, text: &[char], from: Vec<bool>) -> Vec<bool> {
    match *node {
        Node::One { ranges, negated } => {
            let mut to = vec![false; from.len()];
            for ((begins, character), to) in from.iter().zip(text).zip(to.iter_mut().skip(1)) {
                let mut ranges = ranges.iter();
                let is_in = ranges.any(|(first, last)| character >= first && character <= last);
                *to = *begins && is_in != negated;
            }
            to
        }
        Node::Seq(nodes) => nodes.iter().fold(from, |from, node| ends(node, text, from)),
        Node::OneOf(nodes) => {
            let mut to = vec![false; from.len()];
            for node in nodes {
                add(&mut to, &ends(node, text, from.clone()));
            }
            to
        }
        Node::Repeat { node, min, max } => repeated(node, min, max, text, from),
    }
}

fn repeated(node: &Node, min: u16, max: u16, text: &[char], mut at: Vec<bool>) -> Vec<bool> {
    for _ in 0..min {
        let next = ends(node, text, at.clone());
        if next == at {
            break;
        }
        at = next;
    }
    let mut all = at.clone();
    let mut times = min;
    // A position that was reached before has more times left than now.
    while (times < max || max == u16::MAX) && at.contains(&true) {
        at = ends(node, text, at);
        for (at, all) in at.iter_mut().zip(&all) {
            *at &= !all;
        }
        add(&mut all, &at);
        times = times.saturating_add(1);
    }
    all
}

fn add(all: &mut [bool], more: &[bool]) {
    for (all, more) in all.iter_mut().zip(more) {
        *all |= more;
    }
}
