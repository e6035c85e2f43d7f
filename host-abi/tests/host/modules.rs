//! What can be wrong with a module.

use std::sync::Arc;

use tidegate_host_abi::{
    AbiVersion, Callback, CompileOptions, Engine, EngineConfig, FaultKind, GuestUsage,
    ImportProblem, ImportVerdict, Module, ModuleError, Plugin, PluginSpec, Survey, UnknownImports,
    guest_functions, host_functions,
};

use super::support::{Run, at_headers, engine, filter, module, old_filter, raw, spec};

fn refused(bytes: &[u8]) -> ModuleError {
    Module::compile(engine(), "test", bytes).unwrap_err()
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn bytes_of_something_else_are_named() {
    assert_eq!(
        refused(b"#!/bin/sh").to_string(),
        "not a WebAssembly module: it begins with \"#!/bin/s\""
    );
    assert_eq!(
        refused(&[0x1f, 0x8b, 8]).to_string(),
        "not a WebAssembly module: it begins with a gzip header; unpack it first"
    );
    assert_eq!(
        refused(b"").to_string(),
        "not a WebAssembly module: it begins with nothing, it is empty"
    );
}

#[test]
fn a_truncated_module_says_where_it_ends() {
    let mut bytes = at_headers("");
    bytes.truncate(bytes.len() / 2);
    let ModuleError::Invalid { offset, .. } = refused(&bytes) else {
        panic!()
    };
    assert!(offset > 8 && offset <= bytes.len() as u64, "{offset}");
    assert!(matches!(refused(b"\0asm\x01"), ModuleError::Invalid { .. }));
}

#[test]
fn an_invalid_module_says_where_and_what() {
    let bytes = wat(r#"(module (func (export "f") (result i32) unreachable))"#);
    let mut bytes = bytes;
    let last = bytes.len() - 2;
    bytes[last] = 0x6a;
    let error = refused(&bytes);
    let ModuleError::Invalid { offset, message } = &error else {
        panic!("{error}")
    };
    assert_eq!(*offset, last as u64);
    assert!(message.contains("type mismatch"), "{message}");
}

#[test]
fn a_component_is_told_apart() {
    assert_eq!(refused(&wat("(component)")), ModuleError::Component);
    assert_eq!(
        ModuleError::Component.to_string(),
        "a WebAssembly component; Proxy-Wasm filters are core modules"
    );
}

#[test]
fn a_module_without_a_marker_is_no_filter() {
    assert_eq!(
        refused(&wat("(module)")).to_string(),
        "not a Proxy-Wasm filter: it exports none of proxy_abi_version_0_1_0, \
         proxy_abi_version_0_2_0, proxy_abi_version_0_2_1, proxy_abi_version_0_2_100"
    );
}

#[test]
fn an_unknown_version_is_named() {
    let error = refused(&wat(
        r#"(module (func (export "proxy_abi_version_0_9_9")))"#,
    ));
    assert_eq!(
        error,
        ModuleError::NoAbi {
            found: vec!["proxy_abi_version_0_9_9".to_owned()]
        }
    );
    assert!(
        error
            .to_string()
            .starts_with("speaks only proxy_abi_version_0_9_9; known are ")
    );
}

#[test]
fn memory_and_an_allocator_must_be_exported() {
    let marker = r#"(func (export "proxy_abi_version_0_2_1"))"#;
    assert_eq!(
        refused(&wat(&format!("(module {marker})"))),
        ModuleError::NoMemory
    );
    assert_eq!(refused(&raw(marker)), ModuleError::NoAllocator);
}

#[test]
fn every_import_that_cannot_be_given_is_listed() {
    let bytes = wat(r#"(module
            (import "env" "proxy_log" (func (param i32 i32) (result i32)))
            (import "env" "proxy_rewind" (func (param i64)))
            (import "elsewhere" "proxy_log" (func))
            (import "env" "proxy_done" (func (result i32)))
            (import "env" "table" (table 1 funcref))
            (memory (export "memory") 1)
            (func (export "malloc") (param i32) (result i32) i32.const 0)
            (func (export "proxy_abi_version_0_2_0")))"#);
    let problem = |import: &str, expected: Option<&str>, found: &str| ImportProblem {
        import: import.to_owned(),
        expected: expected.map(str::to_owned),
        found: found.to_owned(),
        is_function: found.starts_with('('),
    };
    assert_eq!(
        refused(&bytes),
        ModuleError::Imports(vec![
            problem(
                "env.proxy_log",
                Some("(i32,i32,i32)->i32"),
                "(i32,i32)->i32"
            ),
            problem("env.proxy_rewind", None, "(i64)"),
            problem("elsewhere.proxy_log", None, "()"),
            problem("env.table", None, "a table"),
        ])
    );
    assert!(
        refused(&bytes).to_string().starts_with(
            "imports what this host cannot give: env.proxy_log: expected (i32,i32,i32)->i32, \
             found (i32,i32)->i32; env.proxy_rewind: unknown, wanted as (i64); "
        ),
        "{}",
        refused(&bytes)
    );
}

#[test]
fn a_callback_with_other_types_is_refused() {
    let error = refused(&filter(r#"(func (export "proxy_on_log") (param i32 i32))"#));
    assert_eq!(
        error.to_string(),
        "export proxy_on_log: expected (i32), found (i32,i32)"
    );
}

#[test]
fn header_callbacks_are_measured_by_the_modules_own_version() {
    let two =
        r#"(func (export "proxy_on_request_headers") (param i32 i32) (result i32) i32.const 0)"#;
    assert!(matches!(refused(&filter(two)), ModuleError::Export { .. }));
    assert!(
        module(&old_filter(two))
            .callbacks()
            .has(Callback::RequestHeaders)
    );
    assert!(matches!(
        refused(&old_filter(&super::support::on_headers(""))),
        ModuleError::Export { .. }
    ));
}

#[test]
fn callbacks_that_are_never_called_may_be_anything() {
    module(&filter(
        r#"(func (export "proxy_on_foreign_function") (param i64))"#,
    ));
}

#[test]
fn the_newest_known_version_counts() {
    let both = filter(r#"(func (export "proxy_abi_version_0_2_100"))"#);
    assert_eq!(module(&both).abi_version(), AbiVersion::Higress);
    assert_eq!(module(&filter("")).abi_version(), AbiVersion::V0_2_1);
    assert_eq!(module(&old_filter("")).abi_version(), AbiVersion::V0_1_0);
    let plugin = Plugin::new(module(&both), spec());
    assert!(plugin.stop_iteration());
}

#[test]
fn a_module_says_whether_it_can_edit_bodies() {
    assert!(!module(&at_headers("")).may_edit_bodies());
    let edits = at_headers(
        "(drop (call $proxy_set_buffer_bytes (i32.const 0) (i32.const 0) (i32.const 0) @\"x\"))",
    );
    assert!(module(&edits).may_edit_bodies());
}

#[test]
fn imports_that_envoy_would_refuse_are_known() {
    let old = old_filter(&super::support::on_tick(
        "(drop (call $proxy_continue_stream (i32.const 0)))",
    ));
    assert_eq!(
        module(&old).unportable_imports(),
        ["env.proxy_continue_stream"]
    );
    assert_eq!(
        module(&at_headers("")).unportable_imports(),
        Vec::<String>::new()
    );
}

#[test]
fn the_digest_is_that_of_the_bytes() {
    let (one, two) = (module(&filter("")), module(&at_headers("")));
    assert_eq!(one.digest(), module(&filter("")).digest());
    assert_ne!(one.digest(), two.digest());
}

#[test]
fn plugins_share_an_instance_only_if_a_guest_could_not_tell() {
    let module = module(&filter(""));
    let key = |spec: PluginSpec| Plugin::new(Arc::clone(&module), spec).vm_key();
    let base = key(spec());
    let same = PluginSpec {
        name: "other".into(),
        root_id: "r".into(),
        config: "c".into(),
        ..spec()
    };
    assert_eq!(key(same), base);
    let different = [
        PluginSpec {
            namespace: "n".into(),
            ..spec()
        },
        PluginSpec {
            vm_id: "v".into(),
            ..spec()
        },
        PluginSpec {
            vm_config: "v".into(),
            ..spec()
        },
        PluginSpec {
            env: vec![("A".into(), "B".into())],
            ..spec()
        },
        PluginSpec {
            env: vec![("AB".into(), String::new())],
            ..spec()
        },
        PluginSpec {
            failure_policy: tidegate_host_abi::FailurePolicy::FailOpen,
            ..spec()
        },
        PluginSpec {
            allowed: Some(Vec::new()),
            ..spec()
        },
        PluginSpec {
            allowed: Some(vec!["proxy_log".into()]),
            ..spec()
        },
        PluginSpec {
            stop_iteration: Some(true),
            ..spec()
        },
        PluginSpec {
            strict: true,
            ..spec()
        },
        PluginSpec {
            limits: tidegate_host_abi::Limits {
                open_calls: 1,
                ..Default::default()
            },
            ..spec()
        },
    ];
    let mut keys: Vec<String> = different.map(|spec| key(spec).to_string()).into();
    keys.push(base.to_string());
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count);
}

#[test]
fn an_engine_whose_pool_cannot_be_reserved_makes_instances_one_by_one() {
    let config = EngineConfig {
        instances: 40_000_000,
        ..EngineConfig::default()
    };
    let engine = Engine::new(config).unwrap();
    assert!(!engine.is_pooled());
    assert!(super::support::engine().is_pooled());
    Module::compile(&engine, "test", &filter("")).unwrap();
}

/// A filter that calls a function no host has if it is a stream's second header callback.
fn with_unknown_import() -> Vec<u8> {
    wat(r#"(module
        (import "env" "proxy_rewind" (func $rewind (param i64) (result i32)))
        (import "env" "proxy_redis_call" (func (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "malloc") (param i32) (result i32) i32.const 0)
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (call $rewind (i64.const 1)))
        (func (export "proxy_abi_version_0_2_0")))"#)
}

#[test]
fn an_import_nobody_has_may_be_left_to_trap_when_it_is_called() {
    let bytes = with_unknown_import();
    assert!(matches!(refused(&bytes), ModuleError::Imports(_)));
    let options = CompileOptions {
        unknown_imports: UnknownImports::TrapWhenCalled,
        cache: None,
    };
    let module = Module::compile_with(engine(), "test", &bytes, options).unwrap();
    let missing = module.missing_imports();
    assert!(
        missing.contains(&"env.proxy_rewind".to_owned()),
        "{missing:?}"
    );
    let plugin = Arc::new(Plugin::new(Arc::new(module), spec()));
    let mut run = Run::start(&[plugin], Arc::default()).unwrap();
    let context = run.stream();
    let fault = run.headers(context).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.message.contains("proxy_rewind"), "{}", fault.message);
}

#[test]
fn an_import_with_other_types_is_refused_also_where_unknown_ones_may_trap() {
    let bytes = wat(r#"(module
        (import "env" "proxy_rewind" (func))
        (import "env" "proxy_log" (func (param i32)))
        (memory (export "memory") 1)
        (func (export "malloc") (param i32) (result i32) i32.const 0)
        (func (export "proxy_abi_version_0_2_0")))"#);
    let options = CompileOptions {
        unknown_imports: UnknownImports::TrapWhenCalled,
        cache: None,
    };
    let error = Module::compile_with(engine(), "test", &bytes, options).unwrap_err();
    assert!(
        error.to_string().contains("env.proxy_log: expected"),
        "{error}"
    );
}

#[test]
fn the_abi_table_can_be_read_from_outside() {
    let dns = host_functions().find(|row| row.name == "envoy_resolve_dns");
    let dns = dns.unwrap();
    assert_eq!(
        (dns.modules, dns.params, dns.result),
        (&["env"][..], "iii", "i")
    );
    let clock = host_functions()
        .find(|row| row.name == "clock_time_get")
        .unwrap();
    assert!(clock.wasi && clock.modules.contains(&"wasi_unstable"));
    let headers = guest_functions().find(|row| row.name == "proxy_on_request_headers");
    let headers = headers.unwrap();
    assert_eq!((headers.params, headers.params_0_1), ("iii", "ii"));
    assert_eq!(headers.usage, GuestUsage::Callback);
}

#[test]
fn a_survey_says_what_becomes_of_each_import_also_if_the_module_is_refused() {
    let bytes = wat(r#"(module
        (import "env" "proxy_log" (func (param i32)))
        (import "env" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_redis_call" (func))
        (import "env" "proxy_done" (func (result i32)))
        (memory (export "memory") 3 5)
        (func (export "malloc") (param i32) (result i32) i32.const 0)
        (func (export "proxy_abi_version_0_2_0")))"#);
    let survey = Survey::of(&bytes).unwrap();
    assert_eq!(survey.abi, Some(AbiVersion::V0_2_0));
    let memory = survey.memory.unwrap();
    assert_eq!((memory.initial_pages, memory.maximum_pages), (3, Some(5)));
    let [log, write, redis, done] = survey.imports.as_slice() else {
        panic!("{survey:?}");
    };
    let ImportVerdict::Differs { expected, found } = &log.here else {
        panic!("{log:?}");
    };
    assert_eq!(
        (expected.as_str(), found.as_str()),
        ("(i32,i32,i32)->i32", "(i32)")
    );
    assert_eq!(write.here, ImportVerdict::Missing);
    assert_eq!(write.is_found_in(), Some("wasi_snapshot_preview1"));
    assert!(matches!(redis.here, ImportVerdict::Differs { .. }) && !redis.in_envoy);
    assert_eq!((&done.here, done.in_envoy), (&ImportVerdict::Given, true));
    assert_eq!(survey.exports, ["malloc", "proxy_abi_version_0_2_0"]);
    assert_eq!(survey.refusal, Some(refused(&bytes)));
}

#[test]
fn a_survey_of_what_is_no_filter_says_so_and_of_what_is_no_module_is_an_error() {
    let survey = Survey::of(&wat("(module)")).unwrap();
    assert_eq!((survey.abi, survey.memory), (None, None));
    assert!(matches!(survey.refusal, Some(ModuleError::NoAbi { .. })));
    assert_eq!(Survey::of(b"hello").unwrap_err(), refused(b"hello"));
}
