//! What text must be: lengths, patterns, formats, and names of backends.

use serde_json::Value as Json;

use super::formats;
use super::formats::Format;
use super::walk::At;
use super::walk::Keywords;
use super::walk::Walk;
use super::words::got;
use crate::suggest::did_you_mean;
use crate::tree::Node;

impl<'s> Walk<'s> {
    pub(super) fn text(&mut self, of: &'s Keywords, text: &str, node: &Node, at: At<'_>) {
        if let Some(format) = formats::of(of) {
            if !format.accepts(of, text) {
                self.mismatch(of, node, at, node.span);
            } else if format == Format::Backend {
                self.backend(text, node, at);
            }
            return;
        }
        let before = self.findings.len();
        let count = text.chars().count();
        self.count(of, ["minLength", "maxLength"], count, node.span, at);
        let pattern = of.get("pattern").and_then(Json::as_str);
        if let (Some(pattern), true) = (pattern, self.findings.len() == before)
            && let Some(regex) = self.pattern(pattern)
            && !regex.is_match(text)
        {
            let got = got(self, of, node);
            let message = format!("`{at}` must match {pattern}; got {got}");
            self.add(node.span, message, None);
        }
    }

    /// A backend that the module names must be one that it may call.
    fn backend(&mut self, name: &str, node: &Node, at: At<'_>) {
        let Some(decl) = self.decl else {
            return;
        };
        let in_namespace = format!("{}/{name}", decl.resource.namespace);
        if decl
            .backends
            .iter()
            .any(|allowed| **allowed == *name || **allowed == *in_namespace)
        {
            return;
        }
        let own = format!("{}/", decl.resource.namespace);
        let allowed = decl.backends.iter();
        let allowed = allowed.map(|name| name.strip_prefix(&*own).unwrap_or(name));
        let hint = did_you_mean(name, allowed)
            .unwrap_or_else(|| format!("add `allow: {{ backends: [{name}] }}`"));
        if self.hidden.contains(&node.span) {
            let message = format!("`{at}` names a backend that `allow.backends` does not");
            return self.add(node.span, message, None);
        }
        let message = format!("`{at}` names the backend `{name}`, and `allow.backends` does not");
        self.add(node.span, message, Some(hint));
    }
}
