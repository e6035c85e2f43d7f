//! Properties of the simulated host: those that a test set, those that the filter set, and those of
//! the exchange.

use crate::fields::text;
use crate::native::state::{ROOT, Side, State};

/// Where clients are unless a test says otherwise.
const CLIENT: &str = "127.0.0.1:40000";

/// The value of a property; parts of a path are separated by zero bytes.
pub(super) fn read(state: &mut State, path: &[u8]) -> Option<Vec<u8>> {
    if let Some(value) = state.properties.get(path) {
        return Some(value.clone());
    }
    let path_text = text(path);
    let parts: Vec<&str> = path_text.split('\0').collect();
    match parts.as_slice() {
        ["plugin_name"] => return Some(state.name.as_bytes().to_vec()),
        ["plugin_root_id" | "plugin_vm_id"] => return Some(Vec::new()),
        _ => {}
    }
    if state.effective == ROOT {
        return None;
    }
    let stream = state.stream()?;
    if let Some(value) = stream.properties.get(path) {
        return Some(value.clone());
    }
    let text = match parts.as_slice() {
        ["request", name] => request(&stream.request, name)?,
        ["request", "headers", name] => joined(&stream.request, name)?,
        ["response", "headers", name] => joined(&stream.response, name)?,
        ["response", "code"] => {
            let code: i64 = stream.response.text(":status").parse().ok()?;
            return Some(code.to_le_bytes().to_vec());
        }
        ["source", "address"] | ["filter_state", "tidegate.peer_address"] => CLIENT.to_owned(),
        ["source", "port"] => return Some(40_000_i64.to_le_bytes().to_vec()),
        _ => return None,
    };
    Some(text.into_bytes())
}

fn request(request: &Side, name: &str) -> Option<String> {
    let path = request.text(":path");
    let (url_path, query) = path.split_once('?').unwrap_or((&path, ""));
    Some(match name {
        "path" => path,
        "url_path" => url_path.to_owned(),
        "query" => query.to_owned(),
        "method" => request.text(":method"),
        "host" => request.text(":authority"),
        "scheme" => request.text(":scheme"),
        "protocol" => "HTTP/1.1".to_owned(),
        "id" => optional(request, "x-request-id")?,
        "useragent" => optional(request, "user-agent")?,
        "referer" => optional(request, "referer")?,
        _ => return None,
    })
}

fn optional(side: &Side, name: &str) -> Option<String> {
    side.header(name.as_bytes()).map(text)
}

/// All values of a header, as one.
fn joined(side: &Side, name: &str) -> Option<String> {
    let named = side.headers.iter();
    let values: Vec<String> = named
        .filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| text(value))
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}
