//! Files that hold values of Plugins' configurations (`valueFrom: { file: … }`).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::Input;
use super::texts::Texts;
use crate::compile::Version;
use crate::compile::beside;
use crate::kinds::Body;
use crate::problem::Problem;
use crate::value_from;

/// Largest file, in bytes; the same as of a whole configuration.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads the files that a Plugin's configuration names. One that cannot be used refuses the Plugin.
pub(super) fn read(
    input: &mut Input,
    texts: &mut Texts,
    watch: &mut BTreeSet<PathBuf>,
    problems: &mut Vec<Problem>,
) {
    let Some(current) = &input.current else {
        return;
    };
    let Body::Plugin(plugin) = &current.content.body else {
        return;
    };
    let canary = plugin.spec.rollout.as_ref();
    let canary = canary.and_then(|rollout| rollout.canary.config.as_ref());
    let configs = plugin.spec.config.iter().chain(canary);
    let sources: Vec<_> = configs.flat_map(value_from::sources).collect();
    let mut files: Vec<(String, Arc<str>)> = Vec::new();
    let known = problems.len();
    for file in sources.into_iter().filter_map(|one| one.file) {
        let path = beside(&current.origin.file, &file);
        watch.insert(path.clone());
        match texts.text(&path, MAX_FILE_BYTES) {
            Ok(_) if files.iter().any(|known| known.0 == *file) => {}
            Ok(text) => files.push((file.value, text)),
            Err(reason) => {
                let message = format!("cannot read `{}`: {reason}", path.display());
                let place = current.origin.place(file.span);
                let problem = Problem::error(place, message).about(input.id.clone());
                problems.push(problem.reason("ConfigNotReadable"));
            }
        }
    }
    if problems.len() > known {
        // What it is for is known: its requests are refused if nothing served before.
        input.salvaged = input.current.take();
    } else if !files.is_empty() {
        input.current = Some(Arc::new(Version {
            content: Arc::clone(&current.content),
            origin: current.origin.clone(),
            text: Arc::clone(&current.text),
            endpoints: None,
            values: files,
        }));
    }
}
