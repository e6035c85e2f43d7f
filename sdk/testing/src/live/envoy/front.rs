//! A filter in front of the one under test: it sets properties, as another filter of a chain would.
//!
//! Envoy lets nobody else set what filters share. So this is a module, written here byte by byte
//! (WebAssembly 1.0, 5): for each property there is a header, whose value it takes, and takes away.
//! The host has no context of it to count: it exports no callbacks for those.

/// Where the module keeps names; the first bytes are for answers of the host.
const NAMES: usize = 1024;
/// Where the host puts values.
const HEAP: i32 = 64 * 1024;
/// Pages of 64 KiB.
const MEMORY: usize = 16;

/// The value is a number of 32 bits, in every signature.
const I32: u8 = 0x7f;
const BLOCK_WITHOUT_RESULT: u8 = 0x40;

const CALL: u8 = 0x10;
const DROP: u8 = 0x1a;
const END: u8 = 0x0b;
const GET_GLOBAL: u8 = 0x23;
const SET_GLOBAL: u8 = 0x24;
const LOCAL: u8 = 0x20;
const IF: u8 = 0x04;
const LOAD: [u8; 3] = [0x28, 2, 0];
const EQZ: u8 = 0x45;
const NE: u8 = 0x47;
const ADD: u8 = 0x6a;
const AND: u8 = 0x71;

/// The functions that it imports, and their numbers; signatures have the same ones.
const IMPORTS: [(&str, u8); 3] = [
    ("proxy_get_header_map_value", 5),
    ("proxy_set_property", 4),
    ("proxy_remove_header_map_value", 3),
];
const GET: u8 = 0;
const SET: u8 = 1;
const REMOVE: u8 = 2;

/// The header whose value becomes the property of a number.
pub(super) fn header(number: usize) -> String {
    format!("x-tidegate-testing-property-{number}")
}

/// The module that sets these properties, of one part each.
pub(super) fn module(properties: &[String]) -> Vec<u8> {
    let mut names = Vec::new();
    let mut callback = [constant(HEAP), vec![SET_GLOBAL, 0]].concat();
    for (number, property) in properties.iter().enumerate() {
        let header = place(&mut names, &header(number));
        let property = place(&mut names, property);
        callback.extend(one(&header, &property));
    }
    callback.extend(constant(0));
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.extend(section(1, &signatures()));
    module.extend(section(2, &imports()));
    // Of each own function, its signature.
    module.extend(section(3, &list(&[vec![3], vec![4], vec![2]])));
    module.extend(section(5, &list(&[[vec![0], number(MEMORY)].concat()])));
    let heap = [vec![I32, 1], constant(HEAP), vec![END]].concat();
    module.extend(section(6, &list(&[heap])));
    module.extend(section(7, &exports()));
    let allocate = [GET_GLOBAL, 0, GET_GLOBAL, 0, LOCAL, 0, ADD, SET_GLOBAL, 0].to_vec();
    let bodies = [Vec::new(), allocate, callback].map(|code| {
        let body = [vec![0], code, vec![END]].concat();
        sized(&body)
    });
    module.extend(section(10, &list(&bodies)));
    let at = i32::try_from(NAMES).unwrap_or_default();
    let data = [vec![0], constant(at), vec![END], sized(&names)].concat();
    module.extend(section(11, &list(&[data])));
    module
}

/// Sets one property if its header is there and not empty.
fn one(header: &[u8], property: &[u8]) -> Vec<u8> {
    let (answer, length) = (constant(0), constant(4));
    let request = constant(0);
    [
        &request[..],
        header,
        &answer,
        &length,
        &[CALL, GET, EQZ],
        &length,
        &LOAD,
        &constant(0),
        &[NE, AND, IF, BLOCK_WITHOUT_RESULT],
        property,
        &answer,
        &LOAD,
        &length,
        &LOAD,
        &[CALL, SET, DROP],
        &request,
        header,
        &[CALL, REMOVE, DROP, END],
    ]
    .concat()
}

/// Keeps a name; the code that says where it is and how long.
fn place(names: &mut Vec<u8>, name: &str) -> Vec<u8> {
    let at = NAMES + names.len();
    names.extend_from_slice(name.as_bytes());
    let constants = [at, name.len()].map(|it| constant(i32::try_from(it).unwrap_or_default()));
    constants.concat()
}

fn signatures() -> Vec<u8> {
    let with_answer = |count: u8| {
        let parameters = vec![I32; usize::from(count)];
        [vec![0x60, count], parameters, vec![1, I32]].concat()
    };
    let mut all: Vec<Vec<u8>> = IMPORTS.iter().map(|(_, it)| with_answer(*it)).collect();
    all.push(vec![0x60, 0, 0]);
    all.push(with_answer(1));
    list(&all)
}

fn imports() -> Vec<u8> {
    let all = IMPORTS.iter().zip(0..);
    let all: Vec<Vec<u8>> = all
        .map(|((name, _), signature)| {
            [sized(b"env"), sized(name.as_bytes()), vec![0, signature]].concat()
        })
        .collect();
    list(&all)
}

fn exports() -> Vec<u8> {
    let function = |name: &str, number: u8| [sized(name.as_bytes()), vec![0, number]].concat();
    list(&[
        [sized(b"memory"), vec![2, 0]].concat(),
        function("proxy_abi_version_0_2_1", 3),
        function("proxy_on_memory_allocate", 4),
        function("proxy_on_request_headers", 5),
    ])
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], sized(content)].concat()
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    [number(items.len()), items.concat()].concat()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&number(bytes.len()), bytes].concat()
}

/// LEB128 without a sign.
fn number(mut value: usize) -> Vec<u8> {
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

/// An instruction: a constant that is not negative, in LEB128 with a sign.
fn constant(value: i32) -> Vec<u8> {
    let mut bytes = vec![0x41];
    let mut left = value;
    loop {
        let low = u8::try_from(left & 0x7f).unwrap_or_default();
        left >>= 7;
        if left == 0 && low & 0x40 == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_short_as_they_can_be() {
        assert_eq!(number(0), [0]);
        assert_eq!(number(127), [127]);
        assert_eq!(number(128), [0x80, 1]);
        assert_eq!(constant(0), [0x41, 0]);
        assert_eq!(constant(63), [0x41, 63]);
        assert_eq!(constant(64), [0x41, 0xc0, 0]);
        assert_eq!(constant(65536), [0x41, 0x80, 0x80, 4]);
    }
}
