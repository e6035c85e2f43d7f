//! One test for each rule: what breaks it, and what does not.

mod calls;
mod filters;
mod others;
mod route;
mod tls;

use std::path::Path;
use std::sync::Arc;

use super::check;
use crate::document::Document;
use crate::kinds;
use crate::parse::parse;

/// What is said about a resource, its problems of schema included.
fn findings(kind: &str, spec: &str) -> Vec<String> {
    let version = kinds::ALL
        .iter()
        .find(|(name, _)| *name == kind)
        .map(|(_, versions)| versions[0])
        .expect("a kind");
    let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{ name: a }}\n{spec}\n");
    let file: Arc<Path> = Path::new("a.yaml").into();
    let mut problems = Vec::new();
    let parsed = parse(&Document::new(&file, 1, text), &mut problems);
    let read = kinds::read(&parsed[0], &mut problems).expect("a kind");
    let mut found: Vec<String> = problems.into_iter().map(|one| one.message).collect();
    let body = read.body.as_ref();
    found.extend(
        body.map(check)
            .unwrap_or_default()
            .into_iter()
            .map(|one| one.message),
    );
    found
}

#[track_caller]
fn refused(kind: &str, spec: &str, message: &str) {
    assert_eq!(findings(kind, spec), [message], "{spec}");
}

#[track_caller]
fn accepted(kind: &str, spec: &str) {
    assert_eq!(findings(kind, spec), [] as [String; 0], "{spec}");
}

/// A route with one rule.
fn rule(rule: &str) -> String {
    format!("spec: {{ rules: [{{ {rule} }}] }}")
}

fn filters(filters: &str) -> String {
    rule(&format!("filters: [{filters}]"))
}

fn path(kind: &str, value: &str) -> String {
    rule(&format!(
        "matches: [{{ path: {{ type: {kind}, value: {value:?} }} }}]"
    ))
}
