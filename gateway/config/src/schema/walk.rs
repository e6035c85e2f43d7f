//! Walks a tree along its rules and collects everything that breaks one.

use std::fmt;

use super::Finding;
use super::describe;
use super::rule::FieldsRule;
use super::rule::IntRule;
use super::rule::Length;
use super::rule::Rule;
use super::rule::TextRule;
use super::shorten;
use super::words::Name;
use super::words::hint;
use super::words::names;
use super::words::one_of;
use super::words::quoted;
use super::words::wanted;
use crate::place::Span;
use crate::suggest::did_you_mean;
use crate::suggest::nearest;
use crate::tree::Key;
use crate::tree::Node;
use crate::tree::Value;

/// Collects findings, up to a limit.
pub(super) struct Walk<'a> {
    pub(super) findings: &'a mut Vec<Finding>,
    /// How many findings are kept.
    pub(super) most: usize,
    /// Whether values may not be shown.
    pub(super) secret: bool,
    /// How many findings went beyond the limit, and where the first of them is.
    pub(super) left_out: Option<(usize, Span)>,
}

impl Walk<'_> {
    fn add(&mut self, finding: Finding) {
        if !self.is_full() {
            self.findings.push(finding);
            return;
        }
        let (count, span) = self.left_out.unwrap_or((0, finding.span));
        self.left_out = Some((count + 1, span));
    }

    /// Whether further findings are only counted, so that hints for them are not worth their time.
    fn is_full(&self) -> bool {
        self.findings.len() >= self.most
    }

    /// Applies a rule to a value. `here` is where a missing field is reported: the key of the value, or
    /// the value if it has none.
    pub(super) fn check(&mut self, rule: &Rule, node: &Node, name: Name<'_>, here: Span) {
        match (rule, &node.value) {
            (Rule::Any, _) => self.check_json(node),
            (Rule::Int(rule), Value::Int(value)) => self.check_int(rule, *value, node, name),
            (Rule::Number { min, max }, Value::Int(_) | Value::Float(_)) => {
                self.check_number(*min, *max, node, name);
            }
            (Rule::Text(rule), Value::Str(text)) => self.check_text(rule, text, node, name),
            (Rule::Bool, Value::Bool(_)) | (Rule::IntOrText, Value::Int(_) | Value::Str(_)) => {}
            (Rule::Seq { item, length }, Value::Seq(items)) => {
                self.check_length(*length, items.len(), "item", node.span, name);
                for (index, node) in items.iter().enumerate() {
                    self.check(item, node, Name::Item(&name, index), node.span);
                }
            }
            (Rule::Map { value, length }, Value::Map(entries)) => {
                self.check_length(*length, entries.len(), "entry", node.span, name);
                for (key, node) in entries {
                    self.check(value, node, Name::Field(&key.name), key.span);
                }
            }
            (Rule::Fields(rule), Value::Map(entries)) => {
                self.check_fields(rule, entries, name, here, &[]);
            }
            (_, Value::Null) => self.add(
                Finding::new(here, format!("`{name}` has no value"))
                    .hint(format!("expected {}", wanted(rule))),
            ),
            (_, _) => self.mismatch(rule, node, name),
        }
    }

    /// Applies a rule to fields, `skip` aside.
    pub(super) fn check_fields(
        &mut self,
        rule: &FieldsRule,
        entries: &[(Key, Node)],
        name: Name<'_>,
        here: Span,
        skip: &[&str],
    ) {
        let mut given = 0;
        for (key, value) in entries {
            if skip.contains(&&*key.name) {
                continue;
            }
            let Some(field) = rule.field(&key.name) else {
                if !rule.open {
                    self.unknown(rule, key, name, skip);
                }
                continue;
            };
            if value.value == Value::Null && !field.required {
                // As an API server does: a field without value is not there.
                if !matches!(field.rule, Rule::Any) || field.unsupported.is_some() {
                    continue;
                }
            }
            given += 1;
            if let Some(why) = &field.unsupported {
                let message = format!("`{}` is not supported yet: {why}", field.name);
                self.add(Finding::new(key.span, message).hint("remove the field"));
            } else if rule.exactly_one && given > 1 {
                let message = format!("only one of {} may be given", names(&rule.fields));
                self.add(Finding::new(key.span, message).hint("remove all but one"));
            } else {
                let secret = self.secret;
                self.secret |= field.hidden;
                self.check(&field.rule, value, Name::Field(&field.name), key.span);
                self.secret = secret;
            }
        }
        if rule.exactly_one && given == 0 {
            let message = format!("`{name}` needs one of {}", names(&rule.fields));
            self.add(Finding::new(here, message));
        }
        self.missing(rule, entries, name, here, skip);
    }

    fn missing(
        &mut self,
        rule: &FieldsRule,
        entries: &[(Key, Node)],
        name: Name<'_>,
        here: Span,
        also: &[&str],
    ) {
        let required = rule.fields.iter().filter(|field| field.required);
        for field in required {
            if entries.iter().any(|(key, _)| key.name == field.name) {
                continue;
            }
            // The hint at a misspelt name says already what is wanted.
            let is_misspelt = |key: &Key| {
                !rule.open
                    && !also.contains(&&*key.name)
                    && rule.field(&key.name).is_none()
                    && nearest(&key.name, candidates(rule, also)) == Some(&*field.name)
            };
            if !self.is_full() && entries.iter().any(|(key, _)| is_misspelt(key)) {
                continue;
            }
            let message = match name {
                Name::Root => format!("the field `{}` is missing", field.name),
                _ => format!("the field `{}` is missing in `{name}`", field.name),
            };
            let hint = format!("expected {}", wanted(&field.rule));
            self.add(Finding::new(here, message).hint(hint));
        }
    }

    fn unknown(&mut self, rule: &FieldsRule, key: &Key, name: Name<'_>, also: &[&str]) {
        const FEW: usize = 12;
        if self.is_full() {
            return self.add(Finding::new(key.span, "unknown field"));
        }
        let hint = did_you_mean(&key.name, candidates(rule, also)).or_else(|| {
            let count = candidates(rule, &[]).count();
            (1..=FEW).contains(&count).then(|| {
                let all: Vec<String> = candidates(rule, &[])
                    .map(|name| format!("`{name}`"))
                    .collect();
                format!("its fields are {}", all.join(", "))
            })
        });
        let message = match name {
            Name::Root => format!("unknown field {}", quoted(&key.name)),
            _ => format!("`{name}` has no field {}", quoted(&key.name)),
        };
        self.add(Finding {
            hint,
            ..Finding::new(key.span, message)
        });
    }

    fn check_int(&mut self, rule: &IntRule, value: i128, node: &Node, name: Name<'_>) {
        let IntRule { min, max, choices } = rule;
        if !choices.is_empty() && !choices.contains(&value) {
            let all: Vec<String> = choices.iter().map(ToString::to_string).collect();
            let message = format!("`{name}` must be one of {}; got {value}", all.join(", "));
            return self.add(Finding::new(node.span, message));
        }
        let (low, high) = (
            min.is_some_and(|min| value < min),
            max.is_some_and(|max| value > max),
        );
        if low || high {
            self.out_of_range(*min, *max, node, name);
        }
    }

    fn check_number(&mut self, min: Option<f64>, max: Option<f64>, node: &Node, name: Name<'_>) {
        let value = match node.value {
            Value::Float(value) => value,
            // Only compared with limits, which are small.
            Value::Int(value) => value.to_string().parse().unwrap_or(f64::INFINITY),
            _ => return,
        };
        let low = min.is_some_and(|min| value < min);
        let high = max.is_some_and(|max| value > max);
        if low || high || !value.is_finite() {
            self.out_of_range(min, max, node, name);
        }
    }

    fn out_of_range<N: fmt::Display>(
        &mut self,
        min: Option<N>,
        max: Option<N>,
        node: &Node,
        name: Name<'_>,
    ) {
        let range = match (min, max) {
            (Some(min), Some(max)) => format!("from {min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => "a finite number".to_owned(),
        };
        let got = self.describe(node);
        self.add(Finding::new(
            node.span,
            format!("`{name}` must be {range}; got {got}"),
        ));
    }

    fn check_text(&mut self, rule: &TextRule, text: &str, node: &Node, name: Name<'_>) {
        let TextRule {
            choices,
            pattern,
            words,
            length,
        } = rule;
        if !choices.is_empty() {
            if !choices.iter().any(|choice| **choice == *text) {
                self.not_a_choice(choices, text, node, name);
            }
            return;
        }
        let count = if text.len() > length.min {
            text.chars().count()
        } else {
            text.len()
        };
        if !self.check_length(*length, count, "character", node.span, name) {
            return;
        }
        let Some(pattern) = pattern else {
            return;
        };
        if !pattern.is_match(text) {
            let got = self.text(text);
            let finding = match words {
                Some(words) => {
                    Finding::new(node.span, format!("`{name}` must be {words}; got {got}"))
                }
                None => Finding::new(
                    node.span,
                    format!("`{name}` must match {pattern}; got {got}"),
                ),
            };
            self.add(finding);
        }
    }

    fn not_a_choice(&mut self, choices: &[Box<str>], text: &str, node: &Node, name: Name<'_>) {
        let got = self.text(text);
        let message = format!("`{name}` must be {}; got {got}", one_of(choices));
        if self.is_full() {
            return self.add(Finding::new(node.span, message));
        }
        let hint = did_you_mean(text, choices.iter().map(AsRef::as_ref));
        self.add(Finding {
            hint,
            ..Finding::new(node.span, message)
        });
    }

    /// Whether a length is within limits.
    fn check_length(
        &mut self,
        length: Length,
        count: usize,
        what: &str,
        span: Span,
        name: Name<'_>,
    ) -> bool {
        let plural = |count: usize| match (count, what) {
            (1, _) => format!("1 {what}"),
            (_, "entry") => format!("{count} entries"),
            (_, _) => format!("{count} {what}s"),
        };
        let limit = match length {
            Length { min, .. } if count < min && count == 0 => {
                self.add(Finding::new(span, format!("`{name}` must not be empty")));
                return false;
            }
            Length { min, .. } if count < min => format!("at least {}", plural(min)),
            Length { max: Some(max), .. } if count > max => format!("at most {}", plural(max)),
            Length { .. } => return true,
        };
        self.add(Finding::new(
            span,
            format!("`{name}` may have {limit}; got {count}"),
        ));
        false
    }

    /// Numbers that JSON has no notation for.
    fn check_json(&mut self, node: &Node) {
        match &node.value {
            Value::Float(value) if !value.is_finite() => {
                self.add(Finding::new(
                    node.span,
                    format!("{value} cannot be written as JSON"),
                ));
            }
            Value::Int(value)
                if i64::try_from(*value).is_err() && u64::try_from(*value).is_err() =>
            {
                self.add(
                    Finding::new(node.span, "the number has more than 64 bits")
                        .hint("put it into quotes"),
                );
            }
            Value::Seq(items) => items.iter().for_each(|item| self.check_json(item)),
            Value::Map(entries) => entries.iter().for_each(|(_, value)| self.check_json(value)),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => {}
        }
    }

    fn mismatch(&mut self, rule: &Rule, node: &Node, name: Name<'_>) {
        let secret = self.secret;
        self.secret |= rule.hides();
        let got = self.describe(node);
        self.secret = secret;
        let message = format!("`{name}` must be {}; got {got}", wanted(rule));
        self.add(Finding {
            hint: hint(rule, node),
            ..Finding::new(node.span, message)
        });
    }

    fn describe(&self, node: &Node) -> String {
        match (self.secret, &node.value) {
            (false, _) | (true, Value::Null | Value::Seq(_) | Value::Map(_)) => describe(node),
            (true, Value::Str(_)) => "a string".to_owned(),
            (true, Value::Bool(_)) => "a boolean".to_owned(),
            (true, Value::Int(_) | Value::Float(_)) => "a number".to_owned(),
        }
    }

    fn text(&self, text: &str) -> String {
        if self.secret {
            "another text".to_owned()
        } else {
            shorten(text)
        }
    }
}

/// The fields that a name may be meant as: what is supported, and `also`.
fn candidates<'a>(rule: &'a FieldsRule, also: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let supported = rule.fields.iter();
    let supported = supported.filter(|field| field.unsupported.is_none());
    supported
        .map(|field| &*field.name)
        .chain(also.iter().copied())
}
