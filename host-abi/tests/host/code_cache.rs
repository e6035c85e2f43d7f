//! Compiled code that is kept.

#![expect(unsafe_code, reason = "a cache promises that its code is its own")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tidegate_host_abi::{Callback, CodeCache, CompileOptions, Module, ModuleError, Plugin};

use super::support::{Run, at_headers, engine, filter, raw, spec};

/// A cache in memory that counts.
#[derive(Debug, Default)]
struct Kept {
    code: Mutex<HashMap<String, Vec<u8>>>,
    discarded: Mutex<Vec<String>>,
}

// SAFETY: What is in the map was put there by `save` or, in one test, is no code at all, which
// wasmtime refuses by its header.
unsafe impl CodeCache for Kept {
    fn load(&self, key: &str) -> Option<Vec<u8>> {
        self.code.lock().unwrap().get(key).cloned()
    }

    fn save(&self, key: &str, code: &[u8]) {
        self.code
            .lock()
            .unwrap()
            .insert(key.to_owned(), code.to_vec());
    }

    fn discard(&self, key: &str) {
        self.code.lock().unwrap().remove(key);
        self.discarded.lock().unwrap().push(key.to_owned());
    }
}

fn compile(kept: &Kept, bytes: &[u8]) -> Result<Module, ModuleError> {
    let options = CompileOptions {
        cache: Some(kept),
        ..CompileOptions::default()
    };
    Module::compile_with(engine(), "test", bytes, options)
}

fn keys(kept: &Kept) -> Vec<String> {
    let mut keys: Vec<String> = kept.code.lock().unwrap().keys().cloned().collect();
    keys.sort();
    keys
}

#[test]
fn kept_code_runs_as_compiled_code_does_and_knows_the_same_of_itself() {
    let kept = Kept::default();
    let guest = at_headers(r#"(call $say @"here")"#);
    let first = compile(&kept, &guest).unwrap();
    assert_eq!(keys(&kept).len(), 1);
    let again = compile(&kept, &guest).unwrap();
    assert_eq!(keys(&kept).len(), 1);
    assert_eq!(first.callbacks(), again.callbacks());
    assert!(again.callbacks().has(Callback::RequestHeaders));
    assert_eq!(first.abi_version(), again.abi_version());
    assert_eq!(first.digest(), again.digest());
    let plugin = Arc::new(Plugin::new(Arc::new(again), spec()));
    let mut run = Run::start(&[plugin], Arc::default()).unwrap();
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["here"]);
}

#[test]
fn what_was_kept_and_cannot_be_used_is_discarded_and_compiled_anew() {
    let kept = Kept::default();
    let guest = filter("");
    compile(&kept, &guest).unwrap();
    let key = keys(&kept).remove(0);
    kept.save(&key, b"no code");
    compile(&kept, &guest).unwrap();
    assert_eq!(*kept.discarded.lock().unwrap(), std::slice::from_ref(&key));
    let code = kept.load(&key).unwrap();
    assert!(code.len() > 100, "it was kept again");
}

#[test]
fn a_module_that_is_refused_is_not_kept() {
    let kept = Kept::default();
    assert!(compile(&kept, &raw("")).is_err());
    assert!(keys(&kept).is_empty());
}

#[test]
fn another_module_has_another_key() {
    let kept = Kept::default();
    compile(&kept, &filter("")).unwrap();
    compile(&kept, &filter("(func)")).unwrap();
    assert_eq!(keys(&kept).len(), 2);
}
