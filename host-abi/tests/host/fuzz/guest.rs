//! A guest made of bytes: which functions it calls, with what, and what its allocator gives.
//!
//! Every function of the ABI table is imported, so that one that is added is fuzzed from then on.
//! Arguments are mostly such that a call gets past its first checks: addresses of texts with their
//! lengths, places for results; and now and then anything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_host_abi::{
    CallResponse, ContextId, FOREIGN_FUNCTIONS, Fault, FaultKind, GrpcCommand, GrpcEvent,
    HostFunction, Limits, MapKind, Module, Plugin, PluginSpec, guest_functions, host_functions,
};
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, ImportSection, MemorySection, MemoryType, TypeSection, ValType,
};

use super::super::support::{FakeStream, Run, body, engine, spec};

/// Texts that mean something to some function.
const TEXTS: &[&str] = &[
    "x-a",
    ":path",
    ":status",
    "web",
    "plugin_name",
    "request\0path",
    "wasm_need_rebuild",
    "true",
    "filter_state\0wasm.x",
    "queue",
    "a metric",
    "\u{1}\0\0\0\u{1}\0\0\0\u{1}\0\0\0a\0b\0",
    "*1\r\n$4\r\nPING\r\n",
    "web?db=1",
    "\n\u{5}\n\u{3}web",
    "\u{1}\u{b}\0\0\u{1}\0\0\0\u{1}\0\0\0\u{1}\0\0\0kst",
];
/// Where texts lie, each in a place of its own.
const TEXTS_AT: u32 = 8192;
const TEXT_SIZE: u32 = 64;
/// Where results go.
const OUT: u32 = 4096;
/// Memory in pages.
const PAGES: u64 = 2;
/// Calls of one callback.
const MOST_CALLS: usize = 24;

/// The longest that one input may take: several callbacks that each use up their time, on a machine
/// that does other things too.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads decisions from the input; at its end all are 0.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn next(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn number(&mut self) -> u32 {
        match self.next() % 8 {
            0 => u32::from(self.next() % 16),
            1 => u32::MAX - u32::from(self.next() % 16),
            2 => u32::from(self.next()) << 8,
            3 => OUT + u32::from(self.next()) * 4,
            4 => 65_536 * 2 - u32::from(self.next() % 16),
            5 => 1 << (self.next() % 32),
            6 => u32::from_le_bytes([self.next(), self.next(), self.next(), self.next()]),
            _ => 1,
        }
    }
}

/// All texts: those above and the names of foreign functions.
fn texts() -> Vec<&'static str> {
    TEXTS.iter().chain(FOREIGN_FUNCTIONS).copied().collect()
}

/// Calls one function with arguments that the script says.
fn call(script: &mut Script<'_>, at: usize, function: &HostFunction, code: &mut Function) {
    let texts = texts();
    let mut params = function.params.chars().peekable();
    while let Some(letter) = params.next() {
        if letter == 'I' {
            let number = i64::from(script.number().cast_signed());
            code.instructions().i64_const(number);
            continue;
        }
        let choice = script.next();
        if choice.is_multiple_of(4) && params.peek() == Some(&'i') {
            params.next();
            let text = usize::from(script.next()) % texts.len();
            let place = TEXTS_AT + TEXT_SIZE * u32::try_from(text).unwrap();
            let len = i32::try_from(texts[text].len()).unwrap();
            code.instructions()
                .i32_const(place.cast_signed())
                .i32_const(len);
        } else if choice % 4 == 1 {
            let place = OUT + u32::from(script.next() % 16) * 4;
            code.instructions().i32_const(place.cast_signed());
        } else {
            let number = script.number().cast_signed();
            code.instructions().i32_const(number);
        }
    }
    code.instructions().call(u32::try_from(at).unwrap());
    if !function.result.is_empty() {
        code.instructions().drop();
    }
}

/// The body of a callback.
fn callback(script: &mut Script<'_>, functions: &[HostFunction], result: &str) -> Function {
    let mut code = Function::new([]);
    for _ in 0..usize::from(script.next()) % MOST_CALLS {
        let at = usize::from(script.next()) % functions.len();
        let function = &functions[at];
        // These end the guest: rarely, or nothing else would be seen.
        let ends = matches!(function.name, "proc_exit" | "abort");
        if !ends || script.next() == 0 {
            call(script, at, function, &mut code);
        }
    }
    match script.next() {
        255 => code
            .instructions()
            .loop_(wasm_encoder::BlockType::Empty)
            .br(0)
            .end(),
        254 => code.instructions().unreachable(),
        253 => code.instructions().i32_const(1).memory_grow(0).drop(),
        _ => code.instructions().nop(),
    };
    if !result.is_empty() {
        let action = i32::from(script.next() % 6);
        // Starts mostly agree.
        code.instructions().i32_const(action);
    }
    code.instructions().end();
    code
}

/// The allocator: mostly a good one.
fn allocator(script: &mut Script<'_>) -> Function {
    let mut code = Function::new([]);
    match script.next() {
        0..=220 => {
            // The second page, again and again: what the host wrote is not read.
            code.instructions().i32_const(65_536);
        }
        221..=235 => {
            code.instructions().i32_const(0);
        }
        236..=250 => {
            let at = script.number().cast_signed();
            code.instructions().i32_const(at);
        }
        _ => {
            code.instructions().unreachable();
        }
    }
    code.instructions().end();
    code
}

/// The letters of the ABI table as types.
fn types(letters: &str) -> Vec<ValType> {
    let ty = |letter| match letter {
        'I' => ValType::I64,
        _ => ValType::I32,
    };
    letters.chars().map(ty).collect()
}

/// The module that the bytes mean.
fn module(bytes: &[u8]) -> Vec<u8> {
    let mut script = Script(bytes);
    let functions: Vec<HostFunction> = host_functions().collect();
    let (mut kinds, mut imports) = (TypeSection::new(), ImportSection::new());
    for (kind, function) in (0..).zip(&functions) {
        kinds
            .ty()
            .function(types(function.params), types(function.result));
        imports.import(
            function.modules[0],
            function.name,
            EntityType::Function(kind),
        );
    }
    let mut next = u32::try_from(functions.len()).unwrap();
    let (mut bodies, mut exports) = (CodeSection::new(), ExportSection::new());
    let mut functions_of = FunctionSection::new();
    let mut add = |name: &str, params: &str, result: &str, code: &Function| {
        kinds.ty().function(types(params), types(result));
        functions_of.function(next);
        bodies.function(code);
        exports.export(name, ExportKind::Func, next);
        next += 1;
    };
    let mut empty = Function::new([]);
    empty.instructions().end();
    add("proxy_abi_version_0_2_1", "", "", &empty);
    add(
        "proxy_on_memory_allocate",
        "i",
        "i",
        &allocator(&mut script),
    );
    for export in guest_functions() {
        if !export.name.contains("_on_") || export.name == "proxy_on_memory_allocate" {
            continue;
        }
        let code = callback(&mut script, &functions, export.result);
        add(export.name, export.params, export.result, &code);
    }
    exports.export("memory", ExportKind::Memory, 0);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: PAGES,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut data = DataSection::new();
    for (place, text) in (0..).zip(texts()) {
        let at = ConstExpr::i32_const((TEXTS_AT + TEXT_SIZE * place).cast_signed());
        data.active(0, &at, text.bytes());
    }
    let mut module = wasm_encoder::Module::new();
    module
        .section(&kinds)
        .section(&imports)
        .section(&functions_of)
        .section(&memories)
        .section(&exports)
        .section(&bodies)
        .section(&data);
    module.finish()
}

/// Starts the guest that the bytes mean and shows it a stream and everything else there is.
pub(super) fn run(bytes: &[u8]) {
    let began = Instant::now();
    let module = Module::compile(engine(), "fuzz", &module(bytes)).unwrap();
    let spec = PluginSpec {
        config: "configuration".into(),
        vm_config: "x".into(),
        limits: Limits {
            memory_bytes: 1 << 20,
            call_timeout: Duration::from_millis(5),
            start_timeout: Duration::from_millis(50),
            open_calls: 16,
            buffered_bytes: 1 << 20,
            ..Limits::default()
        },
        ..spec()
    };
    let plugin = Arc::new(Plugin::new(Arc::new(module), spec));
    if let Ok(mut run) = Run::start(&[plugin], Arc::default()) {
        if let Err(fault) = life(&mut run) {
            assert_ne!(fault.kind, FaultKind::Host, "{fault}");
        }
        run.instance.shutdown(&mut run.streams);
    }
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

/// The callbacks of two streams and of their root, in an order that a gateway could have.
fn life(run: &mut Run) -> Result<(), Fault> {
    let root = run.root();
    let streams = [stream(run)?, stream(run)?];
    for context in streams {
        let lent = &mut run.streams;
        run.instance.on_request_headers(lent, context, 3, false)?;
        lent.get(context).request_body = body(&["a body", " in two"]);
        run.instance.on_request_body(lent, context, 13, true)?;
        run.instance.on_request_trailers(lent, context, 1)?;
        answer(run, root)?;
    }
    run.tick()?;
    run.instance.on_queue_ready(&mut run.streams, root, 1)?;
    for context in streams {
        let lent = &mut run.streams;
        lent.get(context)
            .map(MapKind::ResponseHeaders, &[(":status", "200")]);
        run.instance.on_response_headers(lent, context, 1, false)?;
        lent.get(context).response_body = body(&["answer"]);
        run.instance.on_response_body(lent, context, 6, true)?;
        answer(run, root)?;
        run.instance.finish_stream(&mut run.streams, context)?;
        run.streams.0.remove(&context);
    }
    Ok(())
}

fn stream(run: &mut Run) -> Result<ContextId, Fault> {
    let root = run.root();
    let context = run.instance.create_stream(&mut run.streams, root)?;
    let mut stream = FakeStream::default();
    let fields = [(":method", "GET"), (":path", "/"), ("x-a", "b")];
    stream.map(MapKind::RequestHeaders, &fields);
    run.streams.0.insert(context, stream);
    Ok(context)
}

/// Answers everything that the guest asked for.
fn answer(run: &mut Run, root: ContextId) -> Result<(), Fault> {
    let response = CallResponse {
        headers: vec![(Bytes::from(":status"), Bytes::from("200"))],
        body: Bytes::from("answer"),
        ..CallResponse::default()
    };
    for call in run.instance.take_http_calls() {
        let lent = &mut run.streams;
        run.instance
            .on_http_call_response(lent, root, call.token, &response)?;
    }
    for lookup in run.instance.take_dns_lookups() {
        let lent = &mut run.streams;
        run.instance
            .on_resolve_dns(lent, root, lookup.token, None)?;
    }
    answer_grpc(run)?;
    for call in run.instance.take_redis_calls() {
        let lent = &mut run.streams;
        let reply = Ok(Bytes::from("+OK\r\n"));
        run.instance
            .on_redis_call_response(lent, call.token, reply)?;
    }
    drop(run.instance.take_queue_events());
    // What was said is not looked at, and must not gather.
    drop((run.said(), run.notes()));
    Ok(())
}

/// Lets every gRPC call and stream that was begun pass through all that may come of it.
fn answer_grpc(run: &mut Run) -> Result<(), Fault> {
    for command in run.instance.take_grpc_commands() {
        let GrpcCommand::Start(start) = command else {
            continue;
        };
        let pairs = vec![(Bytes::from("k"), Bytes::from("v"))];
        for event in [
            GrpcEvent::InitialMetadata(pairs.clone()),
            GrpcEvent::Message(Bytes::from("message")),
            GrpcEvent::TrailingMetadata(pairs),
            GrpcEvent::Close {
                status: 0,
                message: Bytes::from("closed"),
            },
        ] {
            let lent = &mut run.streams;
            run.instance.on_grpc_event(lent, start.token, event)?;
        }
    }
    Ok(())
}
