//! A filter that does nothing: what the way into a guest and back costs.

/// The functions with their types: parameters, and the result if there is one. All are i32.
const FUNCTIONS: [(&str, usize, Option<u8>); 10] = [
    ("proxy_abi_version_0_2_1", 0, None),
    ("proxy_on_memory_allocate", 1, Some(0)),
    ("proxy_on_context_create", 2, None),
    ("proxy_on_request_headers", 3, Some(0)),
    ("proxy_on_request_body", 3, Some(0)),
    ("proxy_on_response_headers", 3, Some(0)),
    ("proxy_on_response_body", 3, Some(0)),
    ("proxy_on_done", 1, Some(1)),
    ("proxy_on_log", 1, None),
    ("proxy_on_delete", 1, None),
];

const I32: u8 = 0x7f;
const I32_CONST: u8 = 0x41;
const END: u8 = 0x0b;

/// Its module (WebAssembly core, "Binary Format"). Every length in it is below 128, and so one byte;
/// that of the exports takes two.
pub(super) fn module() -> Vec<u8> {
    let mut types = Vec::new();
    let mut functions = Vec::new();
    let mut exports = Vec::new();
    let mut bodies = Vec::new();
    for ((name, params, result), index) in FUNCTIONS.into_iter().zip(0..) {
        types.extend(
            [
                vec![0x60],
                list(&vec![I32; params]),
                list(&vec![I32; result.iter().count()]),
            ]
            .concat(),
        );
        functions.push(index);
        exports.extend([list(name.as_bytes()), vec![0, index]].concat());
        let body = match result {
            Some(value) => vec![0, I32_CONST, value, END],
            None => vec![0, END],
        };
        bodies.extend(list(&body));
    }
    exports.extend([list(b"memory"), vec![2, 0]].concat());
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    let count = u8::try_from(FUNCTIONS.len()).unwrap_or(u8::MAX);
    for (id, items, body) in [
        (1, count, types),
        (3, count, functions),
        (5, 1, vec![0, 1]),
        (7, count + 1, exports),
        (10, count, bodies),
    ] {
        let length = body.len() + 1;
        module.push(id);
        module.extend(leb128(length));
        module.push(items);
        module.extend(body);
    }
    module
}

/// Bytes with their number before them.
fn list(bytes: &[u8]) -> Vec<u8> {
    [leb128(bytes.len()), bytes.to_vec()].concat()
}

/// An unsigned number.
fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use tidegate_host_abi::Survey;

    #[test]
    fn the_empty_filter_is_a_filter() {
        let survey = Survey::of(&super::module()).expect("a module");
        assert_eq!(survey.refusal, None);
        assert_eq!(survey.imports, []);
        assert_eq!(survey.exports.len(), super::FUNCTIONS.len());
    }
}
