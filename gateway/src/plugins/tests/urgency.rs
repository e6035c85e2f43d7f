//! What stays urgent beside what compiles plugins in the time that is left.

use std::sync::Arc;

use tidegate_config::draft::PluginDecl;
use tidegate_config::draft::PluginSource;

use super::Folder;
use super::decl;
use super::plugin;
use crate::plugins::Resolver;
use crate::pulls::Pulls;
use crate::pulls::tests::Fake;
use crate::pulls::tests::source;

/// How low the priority of the threads of that name is (`nice`), of all tests together.
fn nice_of(name: &str) -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux tells");
    let stats =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let found = stats.filter_map(|stat| {
        let (before, after) = stat.rsplit_once(") ")?;
        let is_it = before.ends_with(&format!("({name}"));
        // proc_pid_stat(5): field 19; the third comes after the name.
        let nice = after.split(' ').nth(16)?.parse().ok()?;
        is_it.then_some(nice)
    });
    found.collect()
}

#[test]
fn what_ends_calls_in_time_is_as_urgent_as_ever_also_if_the_first_plugin_comes_late() {
    let folder = Folder::new();
    let mut resolver = Resolver::default();
    resolver.resolve(&[], None);
    resolver.commit();
    let resolved = resolver.resolve(&[decl("a", &folder.file, "{}")], None);
    plugin(&resolved);
    let own = rustix::process::getpriority_process(None).expect("everybody may ask");
    let tickers = nice_of("wasm-ticker");
    assert!(!tickers.is_empty());
    assert!(tickers.iter().all(|nice| *nice == own), "{tickers:?}");
}

#[test]
fn what_waits_for_pulls_is_as_urgent_as_ever_also_if_the_first_image_comes_late() {
    let folder = Folder::new();
    let mut resolver = Resolver::default();
    resolver.set_pulls(Pulls::new(Arc::new(Fake::default()), || {}));
    let local = decl("a", &folder.file, "{}");
    plugin(&resolver.resolve(std::slice::from_ref(&local), None));
    resolver.commit();
    let remote = PluginDecl {
        source: PluginSource::Remote(source("registry.test/b:1")),
        ..decl("b", &folder.file, "{}")
    };
    resolver.resolve(&[local, remote], None);
    let own = rustix::process::getpriority_process(None).expect("everybody may ask");
    let threads = nice_of("plugin-pulls");
    assert!(!threads.is_empty());
    assert!(threads.iter().all(|nice| *nice == own), "{threads:?}");
}
