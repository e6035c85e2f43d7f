//! What the probe knows between callbacks: contexts, scripts, kept values and the report.
//!
//! Nothing of it is borrowed during a call of the host, which may enter the allocator.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::script::Run;
use crate::script::Statement;

thread_local! {
    static NOTES: RefCell<Notes> = RefCell::default();
}

/// All of it.
#[derive(Default)]
struct Notes {
    report: String,
    contexts: HashMap<u32, Context>,
    /// The scripts of root contexts.
    configured: HashMap<u32, Vec<Statement>>,
    /// The script of the latest request that had one.
    latest: Vec<Statement>,
    kept: HashMap<String, i64>,
    streams: u32,
    /// No stream but that of a report has begun since the last one.
    reporting: bool,
}

/// A context of the guest.
#[derive(Clone, Default)]
pub(crate) struct Context {
    /// Its root context, which may be itself.
    root: u32,
    plugin: String,
    label: String,
    /// It only fetches the report, and is in none.
    pub(crate) silent: bool,
    script: Option<Vec<Statement>>,
    runs: HashMap<&'static str, u32>,
}

fn notes<T>(look: impl FnOnce(&mut Notes) -> T) -> Option<T> {
    NOTES.with(|notes| {
        notes
            .try_borrow_mut()
            .ok()
            .map(|mut notes| look(&mut notes))
    })
}

/// Adds a line to the report.
pub(crate) fn line(text: &str) {
    notes(|notes| {
        notes.report.push_str(text);
        notes.report.push('\n');
    });
}

/// The report so far; the next one begins.
pub(crate) fn take() -> String {
    notes(|notes| {
        notes.streams = 0;
        notes.reporting = true;
        std::mem::take(&mut notes.report)
    })
    .unwrap_or_default()
}

/// Notes a root context, by the name of its plugin.
pub(crate) fn create_root(id: u32, plugin: String) {
    notes(|notes| {
        let context = Context {
            root: id,
            plugin,
            label: "root".to_owned(),
            ..Context::default()
        };
        notes.contexts.insert(id, context);
    });
}

/// Notes a stream context.
pub(crate) fn create_stream(id: u32, root: u32) {
    notes(|notes| {
        // The context of another plugin in a request for a report may come after it.
        let silent = notes.reporting;
        if !silent {
            notes.streams += 1;
        }
        let plugin = notes.contexts.get(&root).map(|root| root.plugin.clone());
        let context = Context {
            root,
            plugin: plugin.unwrap_or_else(|| format!("unknown-root-{root}")),
            label: format!("s{}", notes.streams),
            silent,
            ..Context::default()
        };
        notes.contexts.insert(id, context);
    });
}

/// A context becomes one that only fetches the report.
pub(crate) fn silence(id: u32) {
    notes(|notes| {
        let Some(context) = notes.contexts.get_mut(&id) else {
            return;
        };
        if !std::mem::replace(&mut context.silent, true) {
            notes.streams = notes.streams.saturating_sub(1);
        }
    });
}

/// A context has seen a request that is none for a report.
pub(crate) fn begin(id: u32) {
    notes(|notes| {
        if std::mem::take(&mut notes.reporting) {
            notes.latest.clear();
            for (id, context) in &mut notes.contexts {
                if context.root == *id {
                    context.runs.clear();
                }
            }
        }
        let Some(context) = notes.contexts.get_mut(&id) else {
            return;
        };
        if std::mem::take(&mut context.silent) {
            notes.streams += 1;
            context.label = format!("s{}", notes.streams);
        }
    });
}

/// Forgets a context.
pub(crate) fn delete(id: u32) {
    notes(|notes| notes.contexts.remove(&id));
}

/// Gives a root context its script.
pub(crate) fn configure(root: u32, script: Vec<Statement>) {
    notes(|notes| notes.configured.entry(root).or_default().extend(script));
}

/// Gives a stream its script.
pub(crate) fn direct(stream: u32, script: &[Statement]) {
    notes(|notes| {
        notes.latest = script.to_vec();
        if let Some(context) = notes.contexts.get_mut(&stream) {
            context.script = Some(script.to_vec());
        }
    });
}

/// Whether callbacks of a context are reported.
pub(crate) fn is_silent(id: u32) -> bool {
    notes(|notes| notes.contexts.get(&id).is_some_and(|it| it.silent)).unwrap_or_default()
}

/// The plugin and the label of a context.
pub(crate) fn name(id: u32) -> String {
    let name = |notes: &mut Notes| {
        let context = notes.contexts.get(&id)?;
        Some(format!("{} {}", context.plugin, context.label))
    };
    notes(name)
        .flatten()
        .unwrap_or_else(|| format!("unknown-{id}"))
}

/// What to do in a run of a callback.
pub(crate) fn statements(id: u32, callback: &'static str, end: bool) -> Vec<Statement> {
    let find = |notes: &mut Notes| {
        let context = notes.contexts.get_mut(&id)?;
        let run = context.runs.entry(callback).or_default();
        *run += 1;
        let run = *run;
        let context = context.clone();
        let configured = notes.configured.get(&context.root);
        let own = match &context.script {
            Some(script) => script.as_slice(),
            // What concerns no stream is done for the latest.
            None if context.root == id => notes.latest.as_slice(),
            None => &[],
        };
        let all = configured.into_iter().flatten().chain(own);
        let wanted = all.filter(|it| {
            it.callback == callback
                && it
                    .plugin
                    .as_ref()
                    .is_none_or(|plugin| *plugin == context.plugin)
                && match it.run {
                    Run::Any => true,
                    Run::Number(number) => number == run,
                    Run::End => end,
                }
        });
        Some(wanted.cloned().collect())
    };
    notes(find).flatten().unwrap_or_default()
}

/// Keeps a value for later statements.
pub(crate) fn keep(name: &str, value: i64) {
    notes(|notes| notes.kept.insert(name.to_owned(), value));
}

/// A kept value, or a context: `self`, `root`, a plugin's root as `a.root`, its latest stream as
/// `a.stream`. Zero if there is none.
pub(crate) fn kept(context: u32, name: &str) -> i64 {
    let find = |notes: &mut Notes| {
        if let Some(value) = notes.kept.get(name) {
            return Some(*value);
        }
        let own = notes.contexts.get(&context);
        let id = match name.split_once('.') {
            None if name == "self" => context,
            None if name == "root" => own?.root,
            Some((plugin, which)) => {
                let of_plugin = notes.contexts.iter().filter(|(id, it)| {
                    it.plugin == plugin && !it.silent && (it.root == **id) == (which == "root")
                });
                of_plugin.map(|(id, _)| *id).max()?
            }
            None => return None,
        };
        Some(i64::from(id))
    };
    notes(find).flatten().unwrap_or_default()
}
