//! Every callback of the ABI: it is noted, then the script has its say.

#![expect(unsafe_code, reason = "exports have fixed names")]

use crate::abi;
use crate::call;
use crate::notes;
use crate::script;
use crate::script::Word;

/// Asks for the report.
const REPORT: &str = "x-probe-report";
/// Has the script.
const SCRIPT: &str = "x-probe";

/// Notes a callback, runs its statements, and says what to return.
fn on(context: u32, callback: &'static str, said: &str, end: bool, otherwise: i32) -> i32 {
    if notes::is_silent(context) {
        return otherwise;
    }
    notes::line(&format!("{} {callback}{said}", notes::name(context)));
    let mut answer = otherwise;
    for statement in notes::statements(context, callback, end) {
        answer = call::run(context, &statement).unwrap_or(answer);
    }
    answer
}

/// Whether a number of fields is that of the map; a wrong one is said.
fn fields(number: u32, map: i64) -> String {
    match call::count(map) {
        Some(count) if count == u64::from(number) => String::new(),
        Some(count) => format!(" {number} fields of {count}"),
        None => format!(" {number} fields of an unreadable map"),
    }
}

/// Reads a script; one that cannot be read is in the report.
fn read(text: &[u8]) -> Vec<script::Statement> {
    script::parse(&String::from_utf8_lossy(text)).unwrap_or_else(|problem| {
        notes::line(&format!("script: {problem}"));
        Vec::new()
    })
}

fn header(name: &str) -> Option<Vec<u8>> {
    let args = [Word::Number(0), Word::Bytes(name.as_bytes().to_vec())];
    // ABI 0.1.0 has no other word for a header that is not there.
    call::fetch("get_header_map_value", &args).filter(|value| !value.is_empty())
}

fn configuration(buffer: i64) -> Vec<u8> {
    if cfg!(feature = "abi-0-1") {
        return call::fetch("get_configuration", &[]).unwrap_or_default();
    }
    let args = [Word::Number(buffer), Word::Number(0), Word::Number(-1)];
    call::fetch("get_buffer_bytes", &args).unwrap_or_default()
}

/// Answers with the report.
fn report(context: u32) {
    notes::silence(context);
    let body = notes::take();
    let nothing = script::pairs(&[]);
    let place = |bytes: &[u8]| [abi::address(bytes), i64::try_from(bytes.len()).unwrap_or(0)];
    let mut args = vec![200];
    for part in [&b""[..], body.as_bytes(), nothing.as_slice()] {
        args.extend(place(part));
    }
    args.push(-1);
    if abi::call("send_local_response", &args) != Ok(Some(0)) {
        notes::line("the report was refused");
    }
}

fn request_headers(context: u32, number: u32, said: &str, end: bool) -> i32 {
    if header(REPORT).is_some() {
        report(context);
        return 1;
    }
    notes::begin(context);
    if let Some(text) = header(SCRIPT) {
        notes::direct(context, &read(&text));
    }
    let said = format!("{}{said}", fields(number, 0));
    on(context, "request_headers", &said, end, 0)
}

fn body(context: u32, callback: &'static str, buffer: i64, size: u32, end: bool) -> i32 {
    let args = [Word::Number(buffer), Word::Number(0), Word::Number(-1)];
    let held = call::fetch("get_buffer_bytes", &args).map(|bytes| bytes.len());
    let right = held == usize::try_from(size).ok();
    let wrong = if right {
        String::new()
    } else {
        format!(" {size} bytes of {held:?}")
    };
    on(context, callback, &format!("{wrong} end={end}"), end, 0)
}

#[cfg(feature = "abi-0-1")]
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_1_0() {}

#[cfg(not(feature = "abi-0-1"))]
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(len: usize) -> *mut u8 {
    abi::allocate(len)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    if parent == 0 {
        let path = [Word::Bytes(b"plugin_name".to_vec())];
        let plugin = call::fetch("get_property", &path).unwrap_or_default();
        notes::create_root(context, String::from_utf8_lossy(&plugin).into_owned());
    } else {
        notes::create_stream(context, parent);
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_vm_start(context: u32, size: u32) -> i32 {
    let text = configuration(6);
    notes::configure(context, read(&text));
    let wrong = if usize::try_from(size) == Ok(text.len()) {
        ""
    } else {
        " with a wrong size"
    };
    on(context, "vm_start", wrong, false, 1)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(context: u32, size: u32) -> i32 {
    let text = configuration(7);
    notes::configure(context, read(&text));
    let wrong = if usize::try_from(size) == Ok(text.len()) {
        ""
    } else {
        " with a wrong size"
    };
    on(context, "configure", wrong, false, 1)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(context: u32) {
    on(context, "tick", "", false, 0);
}

#[cfg(not(feature = "abi-0-1"))]
#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, number: u32, end: u32) -> i32 {
    request_headers(context, number, &format!(" end={}", end != 0), end != 0)
}

#[cfg(feature = "abi-0-1")]
#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, number: u32) -> i32 {
    request_headers(context, number, "", false)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(context: u32, size: u32, end: u32) -> i32 {
    if notes::is_silent(context) {
        return 0;
    }
    body(context, "request_body", 0, size, end != 0)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(context: u32, number: u32) -> i32 {
    on(context, "request_trailers", &fields(number, 1), true, 0)
}

#[cfg(not(feature = "abi-0-1"))]
#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, number: u32, end: u32) -> i32 {
    let said = format!("{} end={}", fields(number, 2), end != 0);
    on(context, "response_headers", &said, end != 0, 0)
}

#[cfg(feature = "abi-0-1")]
#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, number: u32) -> i32 {
    on(context, "response_headers", &fields(number, 2), false, 0)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(context: u32, size: u32, end: u32) -> i32 {
    if notes::is_silent(context) {
        return 0;
    }
    body(context, "response_body", 1, size, end != 0)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_trailers(context: u32, number: u32) -> i32 {
    on(context, "response_trailers", &fields(number, 3), true, 0)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(
    context: u32,
    token: u32,
    headers: u32,
    size: u32,
    trailers: u32,
) {
    // Every proxy adds fields of its own: whether there are any is what filters look at.
    let [headers, size] = [headers, size].map(|it| if it == 0 { "no" } else { "some" });
    let said = format!(" token={token} {headers} fields, {size} bytes, {trailers} trailers");
    on(context, "http_call_response", &said, true, 0);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_receive_initial_metadata(context: u32, token: u32, _number: u32) {
    on(
        context,
        "grpc_receive_initial_metadata",
        &format!(" token={token}"),
        false,
        0,
    );
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_receive(context: u32, token: u32, size: u32) {
    on(
        context,
        "grpc_receive",
        &format!(" token={token} {size} bytes"),
        false,
        0,
    );
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_receive_trailing_metadata(context: u32, token: u32, _number: u32) {
    on(
        context,
        "grpc_receive_trailing_metadata",
        &format!(" token={token}"),
        false,
        0,
    );
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_close(context: u32, token: u32, status: u32) {
    on(
        context,
        "grpc_close",
        &format!(" token={token} status={status}"),
        true,
        0,
    );
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_queue_ready(context: u32, _queue: u32) {
    on(context, "queue_ready", "", false, 0);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_foreign_function(context: u32, function: u32, size: u32) {
    on(
        context,
        "foreign_function",
        &format!(" {function} {size} bytes"),
        false,
        0,
    );
}

#[unsafe(no_mangle)]
extern "C" fn envoy_on_resolve_dns(context: u32, _token: u32, size: u32) {
    let size = if size == 0 { "no" } else { "some" };
    on(context, "resolve_dns", &format!(" {size} bytes"), false, 0);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_done(context: u32) -> i32 {
    on(context, "done", "", true, 1)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(context: u32) {
    on(context, "log", "", true, 0);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    on(context, "delete", "", true, 0);
    notes::delete(context);
}
