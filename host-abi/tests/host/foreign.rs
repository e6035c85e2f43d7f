//! Foreign functions: Envoy's messages, bounds, and what there is not.

use std::time::Duration;

use tidegate_host_abi::{
    AttemptFault, Crypto, CryptoError, FOREIGN_FUNCTIONS, FaultKind, Hash, JwsAlgorithm, JwsKey,
    Limits, Outage, PluginSpec, SetupState,
};

use super::support::{Run, at_headers, filter, on_headers, on_tick, said_at_headers, spec};

/// Bytes as the inside of a WAT string.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// Calls a foreign function and says status and result.
fn call(name: &str, args: &[u8]) -> String {
    format!(
        r#"(call $num (call $proxy_call_foreign_function @"{name}" @"{}" @out)) (call $got)"#,
        hex(args)
    )
}

/// A message of bytes fields.
fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, bytes) in fields {
        out.extend([number << 3 | 2, u8::try_from(bytes.len()).unwrap()]);
        out.extend_from_slice(bytes);
    }
    out
}

#[test]
fn what_is_compressed_is_zlib_and_comes_back() {
    let said = said_at_headers(
        &format!(
            r#"(drop (call $proxy_call_foreign_function @"compress" @"{}" @out))
               (i32.store (i32.const 4000) (i32.load (i32.const 3000)))
               (call $num (i32.load8_u (i32.load (i32.const 3000))))
               (call $num (i32.lt_u (i32.load (i32.const 3004)) (i32.const 40)))
               (call $num (call $proxy_call_foreign_function @"uncompress"
                   (i32.load (i32.const 4000)) (i32.load (i32.const 3004)) @out))
               (call $got)"#,
            "ab".repeat(100)
        ),
        |_| (),
    );
    assert_eq!(said, ["120", "1", "0", "ab".repeat(100).as_str()]);
}

#[test]
fn what_is_no_zlib_stream_or_cut_is_a_serialization_failure_with_no_result() {
    let hello = b"\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15";
    let said = said_at_headers(
        &format!(
            "{} {} {} {} {}",
            call("uncompress", hello),
            call(
                "uncompress",
                b"\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15more"
            ),
            call("uncompress", &hello[..9]),
            call("uncompress", b"hello"),
            call("uncompress", b""),
        ),
        |_| (),
    );
    assert_eq!(
        said,
        ["0", "hello", "0", "hello", "3", "", "3", "", "3", ""]
    );
}

/// Compresses so many zero bytes of the guest's memory and says the status.
fn deflate_zeros(bytes: u32) -> String {
    format!(
        r#"(drop (memory.grow (i32.const 100)))
           (call $num (call $proxy_call_foreign_function @"compress"
               (i32.const 262144) (i32.const {bytes}) @out))
           (call $num (call $proxy_call_foreign_function @"uncompress"
               (i32.load (i32.const 3000)) (i32.load (i32.const 3004)) (i32.const 0) (i32.const 0)))"#
    )
}

#[test]
fn a_small_input_that_becomes_large_is_refused_at_the_plugins_limit() {
    let guest = at_headers(&deflate_zeros(1 << 20));
    let limits = |buffered_bytes| Limits {
        buffered_bytes,
        call_timeout: Duration::from_secs(10),
        ..Limits::default()
    };
    for (limit, expected) in [(1 << 20, "0"), ((1 << 20) - 1, "3")] {
        let limits = limits(limit);
        let mut run = Run::with(&guest, PluginSpec { limits, ..spec() });
        let context = run.stream();
        run.headers(context).unwrap();
        assert_eq!(run.said(), ["0", expected]);
    }
}

#[test]
fn compressing_counts_as_the_guests_own_time() {
    let loops = format!("(loop $again {} (br $again))", deflate_zeros(4 << 20));
    let limits = Limits {
        call_timeout: Duration::from_millis(20),
        memory_bytes: 1 << 30,
        ..Limits::default()
    };
    let mut run = Run::with(&at_headers(&loops), PluginSpec { limits, ..spec() });
    let context = run.stream();
    let fault = run.headers(context).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Deadline);
    assert_eq!(
        run.said(),
        Vec::<String>::new(),
        "it ended in the first call"
    );
}

#[test]
fn filter_state_that_envoy_knows_is_set_and_other_keys_are_not_found() {
    let known = message(&[(1, b"envoy.tcp_proxy.cluster"), (2, b"blue")]);
    let unknown = message(&[(1, b"my.own"), (2, b"x")]);
    let said = said_at_headers(
        &format!(
            "{} {} {} {}
             (call $num (call $proxy_get_property @\"envoy.tcp_proxy.cluster\" @out)) (call $got)",
            call("set_envoy_filter_state", &known),
            call("set_envoy_filter_state", &unknown),
            call("set_envoy_filter_state", b"\x0a\x7fx"),
            call("set_envoy_filter_state", &message(&[(1, b"\xff")])),
        ),
        |_| (),
    );
    assert_eq!(said, ["0", "", "1", "", "2", "", "2", "", "0", "blue"]);
}

#[test]
fn a_declared_read_only_property_is_set_once_in_a_stream() {
    let mut args = message(&[(1, b"mine")]);
    args.extend([0x10, 1]);
    let set = r#"(call $num (call $proxy_set_property @"mine" @"v"))
                 (call $num (call $proxy_set_property @"other" @"v"))"#;
    let mut run = Run::new(&filter(&format!(
        "{} {}",
        on_tick(&format!(
            "{} {} {}",
            call("declare_property", &args),
            call("declare_property", &args),
            call("declare_property", b"\x0a")
        )),
        on_headers(&format!("{set} {set}"))
    )));
    run.tick().unwrap();
    assert_eq!(run.said(), ["0", "", "2", "", "2", ""]);
    for _ in 0..2 {
        let context = run.stream();
        run.headers(context).unwrap();
        assert_eq!(run.said(), ["0", "0", "2", "0"]);
    }
}

#[test]
fn declarations_are_bounded() {
    let name = "n".repeat(5000);
    let mut long = vec![0x0a, 0x88, 0x27];
    long.extend_from_slice(name.as_bytes());
    let mut all = String::new();
    for number in 0..257 {
        let name = format!("p{number}");
        all += &format!(
            r#"(drop (call $proxy_call_foreign_function @"declare_property" @"{}"
                (i32.const 0) (i32.const 0)))"#,
            hex(&message(&[(1, name.as_bytes())]))
        );
    }
    let mut run = Run::new(&filter(&on_tick(&format!(
        "{} {all} {}",
        call("declare_property", &long),
        call("declare_property", &message(&[(1, b"one more")])),
    ))));
    run.tick().unwrap();
    assert_eq!(run.said(), ["10", "", "10", ""]);
}

/// Signs by reversing.
#[derive(Debug)]
pub(super) struct Reversing;

impl Crypto for Reversing {
    fn verify(
        &self,
        hash: Hash,
        key: &[u8],
        signature: &[u8],
        text: &[u8],
    ) -> Result<(), CryptoError> {
        let expected = self.sign(hash, key, text)?;
        if signature == expected {
            Ok(())
        } else {
            Err(CryptoError::Mismatch)
        }
    }

    fn sign(&self, hash: Hash, key: &[u8], text: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match (hash, key) {
            (_, b"bad") => Err(CryptoError::Key),
            (Hash::Sha512, _) => Err(CryptoError::Unsupported),
            _ => Ok(text.iter().rev().copied().collect()),
        }
    }

    fn verify_jws(
        &self,
        algorithm: JwsAlgorithm,
        key: JwsKey<'_>,
        signature: &[u8],
        text: &[u8],
    ) -> Result<(), CryptoError> {
        match (algorithm, key) {
            (JwsAlgorithm::EdDsa, JwsKey::Ed25519(key)) if key == [0; 32] => Err(CryptoError::Key),
            (JwsAlgorithm::Hs512, _) => Err(CryptoError::Unsupported),
            (JwsAlgorithm::Hs384, _) => Err(CryptoError::Failed),
            _ => self.verify(Hash::Sha256, b"k", signature, text),
        }
    }
}

#[test]
fn a_signature_is_made_and_verified_by_the_embedders_cryptography() {
    let sign = |hash: &[u8], key: &[u8]| message(&[(1, hash), (2, key), (3, b"abc")]);
    let verify = |hash: &[u8], signature: &[u8]| {
        message(&[(1, hash), (2, b"k"), (3, signature), (4, b"abc")])
    };
    let said = said_at_headers(
        &format!(
            "{} {} {} {} {} {}",
            call("sign", &sign(b"SHA256", b"k")),
            call("sign", &sign(b"sha512", b"k")),
            call("sign", &sign(b"sha1", b"bad")),
            call("verify_signature", &verify(b"sha256", b"cba")),
            call("verify_signature", &verify(b"sha256", b"abc")),
            call("verify_signature", &verify(b"md5", b"abc")),
        ),
        |_| (),
    );
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let expected = [
        ("0", text(b"\x08\x01\x12\x03cba")),
        ("0", text(b"\x1a\x18sha512 is not supported.")),
        (
            "0",
            text(b"\x1a\x3dInvalid key type: private key required for signing operation."),
        ),
        ("0", text(b"\x08\x01")),
        ("0", text(b"\x12\x26Failed to verify digest. Error code: 0")),
        ("0", text(b"\x12\x15md5 is not supported.")),
    ];
    let expected: Vec<&str> = expected
        .iter()
        .flat_map(|(status, result)| [*status, result.as_str()])
        .collect();
    assert_eq!(said, expected);
}

#[test]
fn a_key_comes_in_der_or_in_pem_and_never_in_both() {
    let pem = b"-----BEGIN PRIVATE KEY-----\naw==\n-----END PRIVATE KEY-----\n";
    let said = said_at_headers(
        &format!(
            "{} {} {} {}",
            call("sign", &message(&[(1, b"sha1"), (3, b"ab"), (4, pem)])),
            call(
                "sign",
                &message(&[(1, b"sha1"), (2, b"k"), (3, b"ab"), (4, pem)])
            ),
            call("sign", &message(&[(1, b"sha1"), (3, b"ab")])),
            call("sign", &message(&[(1, b"sha1"), (4, b"no pem")])),
        ),
        |_| (),
    );
    assert_eq!(
        said,
        ["0", "\u{8}\u{1}\u{12}\u{2}ba", "2", "", "2", "", "2", ""]
    );
}

#[test]
fn text_that_is_longer_than_a_body_may_be_is_neither_signed_nor_verified() {
    let text = |len: usize| vec![b'a'; len];
    let both = |len: usize| {
        let (sign, verify) = (
            message(&[(1, b"sha1"), (2, b"k"), (3, &text(len))]),
            message(&[(1, b"sha1"), (2, b"k"), (3, &text(len)), (4, &text(len))]),
        );
        format!(
            "{} {}",
            call("sign", &sign),
            call("verify_signature", &verify)
        )
    };
    let mut spec = spec();
    spec.limits.buffered_bytes = 100;
    let mut run = Run::with(&at_headers(&format!("{} {}", both(100), both(101))), spec);
    let context = run.stream();
    run.headers(context).unwrap();
    let said = run.said();
    let statuses: Vec<&str> = said.iter().step_by(2).map(String::as_str).collect();
    assert_eq!(statuses, ["0", "0", "2", "2"]);
    assert_eq!(said[3], "\u{8}\u{1}");
}

/// Arguments of `tidegate.limit`: limits of so many in a window of a second, and what is asked for.
fn limits(mode: u8, asks: &[(&[u8], u64, u64)]) -> Vec<u8> {
    let mut args = vec![1, mode, u8::try_from(asks.len()).unwrap(), 0];
    for (key, requests, cost) in asks {
        for number in [*requests, 1_000_000_000, *requests, *cost] {
            args.extend(number.to_le_bytes());
        }
        args.extend(u32::try_from(key.len()).unwrap().to_le_bytes());
        args.extend_from_slice(key);
    }
    args
}

#[test]
fn limits_admit_all_of_a_request_or_none_of_it_and_refuse_what_is_no_limit() {
    let both: &[(&[u8], u64, u64)] = &[(b"wide", 9, 1), (b"narrow", 1, 1)];
    // The status, and which limits admit it.
    let first = |args: &[u8]| {
        format!(
            r#"{} (call $num (i32.load8_u (i32.load (i32.const 3000))))
               (call $num (i32.load8_u (i32.add (i32.load (i32.const 3000)) (i32.const 32))))
               (call $num (i32.load8_u (i32.add (i32.load (i32.const 3000)) (i32.const 8))))"#,
            format_args!(
                r#"(call $num (call $proxy_call_foreign_function @"tidegate.limit" @"{}" @out))"#,
                hex(args)
            )
        )
    };
    let said = said_at_headers(
        &[
            first(&limits(0, both)),
            first(&limits(0, both)),
            first(&limits(1, both)),
            first(&limits(3, &[(b"narrow", 1, 1), (b"wide", 9, 0)])),
            first(&limits(0, both)),
        ]
        .concat(),
        |_| (),
    );
    assert_eq!(
        said,
        [
            ["0", "1", "1", "8"],
            // What is wide admits it, and keeps what it has.
            ["0", "1", "0", "8"],
            ["0", "1", "0", "8"],
            // One is given back.
            ["0", "1", "1", "1"],
            ["0", "1", "1", "7"],
        ]
        .concat()
    );

    let mut wrong = vec![
        Vec::new(),
        limits(4, both),
        limits(0, &[]),
        limits(0, &[(b"none", 0, 1)]),
        limits(0, &[(&[b'k'; 200][..], 1, 1); 17]),
        [limits(0, both), vec![0]].concat(),
    ];
    let whole = limits(0, both);
    wrong.extend((0..whole.len()).step_by(7).map(|len| whole[..len].to_vec()));
    let calls: String = wrong
        .iter()
        .map(|args| call("tidegate.limit", args))
        .collect();
    let said = said_at_headers(&calls, |_| ());
    assert_eq!(said, ["2", ""].repeat(wrong.len()));
}

#[test]
fn a_backend_is_selected_by_its_place_or_name_and_anything_else_is_refused() {
    let place = |kind: u8, place: u32| [&[1, kind][..], &place.to_le_bytes()].concat();
    let named = |name: &[u8]| [&[1, 2][..], name].concat();
    let good = [place(0, 0), place(1, 258), named("größe".as_bytes())];
    let wrong = [
        Vec::new(),
        vec![1],
        vec![1, 0],
        [&[2, 0][..], &[0; 4]].concat(),
        place(3, 0),
        place(0, 0)[..5].to_vec(),
        [place(1, 0), vec![0]].concat(),
        named(b"\xff"),
        named(&[b'n'; 513]),
        // The rule has no such backend, and the time for that is over.
        place(0, 9),
        place(0, 10),
    ];
    let calls = good.iter().chain(&wrong);
    let calls: String = calls
        .map(|args| call("tidegate.select_backend", args))
        .collect();
    let mut run = Run::new(&at_headers(&calls));
    let context = run.stream();
    run.headers(context).unwrap();
    let expected = [["0", ""].repeat(good.len()), ["2", ""].repeat(wrong.len())];
    assert_eq!(run.said(), expected.concat());
    assert_eq!(
        run.streams.get(context).done,
        [
            "select FromFront(0)",
            "select FromBack(258)",
            "select Named(\"größe\")"
        ]
    );
}

/// Arguments of `tidegate.fail_attempt`.
fn wish(kind: u8, status: u16, attempts: u32, delay: Duration) -> Vec<u8> {
    let delay = u64::try_from(delay.as_nanos()).unwrap().to_le_bytes();
    let (status, attempts) = (status.to_le_bytes(), attempts.to_le_bytes());
    [&[1, kind][..], &status, &attempts, &delay].concat()
}

#[test]
fn a_wish_for_failing_attempts_reaches_the_stream_and_what_is_none_does_not() {
    let (none, hour) = (Duration::ZERO, Duration::from_secs(3600));
    let good = [
        (wish(0, 0, 1, hour), (None, hour, 1)),
        (wish(1, 200, 2, none), (Some(Outage::Http(200)), none, 2)),
        (wish(1, 599, 0, none), (Some(Outage::Http(599)), none, 0)),
        (
            wish(2, 16, u32::MAX, none),
            (Some(Outage::Grpc(16)), none, u32::MAX),
        ),
        (wish(3, 0, 1, none), (Some(Outage::Reset), none, 1)),
        (wish(4, 0, 1, none), (Some(Outage::Unreachable), none, 1)),
    ];
    let mut wrong = vec![
        Vec::new(),
        wish(5, 0, 1, none),
        wish(0, 1, 1, none),
        wish(1, 199, 1, none),
        wish(1, 600, 1, none),
        wish(2, 17, 1, none),
        wish(3, 1, 1, none),
        wish(0, 0, 1, hour + Duration::from_nanos(1)),
        [wish(3, 0, 1, none), vec![0]].concat(),
        [&[2][..], &wish(3, 0, 1, none)[1..]].concat(),
    ];
    let whole = wish(1, 503, 1, none);
    wrong.extend((0..whole.len()).map(|len| whole[..len].to_vec()));
    let args = good.iter().map(|(args, _)| args).chain(&wrong);
    let calls: String = args
        .map(|args| call("tidegate.fail_attempt", args))
        .collect();
    let mut run = Run::with(&at_headers(&calls), spec());
    let context = run.stream();
    run.headers(context).unwrap();
    let mut expected = ["0", ""].repeat(good.len());
    expected.extend(["2", ""].repeat(wrong.len()));
    assert_eq!(run.said(), expected);
    let expected =
        good.map(|(_, (outage, delay, attempts))| (AttemptFault { outage, delay }, attempts));
    assert_eq!(run.streams.get(context).faults, expected);

    // A request that has left has no attempts to come.
    let mut run = Run::with(&at_headers(&call("tidegate.fail_attempt", &whole)), spec());
    let context = run.stream();
    run.streams.get(context).sent = true;
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["2", ""]);
    // Outside of streams there are none.
    let mut run = Run::new(&filter(&on_tick(&call("tidegate.fail_attempt", &whole))));
    run.tick().unwrap();
    assert_eq!(run.said(), ["2", ""]);
}

/// Arguments of `tidegate.verify`.
fn jws(algorithm: u8, key: &[u8], signature: &[u8], text: &[u8]) -> Vec<u8> {
    let mut args = vec![1, algorithm, 0, 0];
    for part in [key, signature, text] {
        args.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
    }
    [&args[..], key, signature, text].concat()
}

#[test]
fn a_json_web_signature_is_verified_by_the_embedders_cryptography() {
    let mut args = Vec::new();
    for (args_of_one, expected) in [
        (jws(11, b"k", b"cba", b"abc"), ["0", "\u{1}"]),
        (jws(11, b"k", b"abc", b"abc"), ["0", "\0"]),
        (jws(10, &[1; 32], b"cba", b"abc"), ["0", "\u{1}"]),
        // A key that the library refuses, an algorithm it lacks, and a failure of its own.
        (jws(10, &[0; 32], b"cba", b"abc"), ["2", ""]),
        (jws(13, b"k", b"cba", b"abc"), ["1", ""]),
        (jws(12, b"k", b"cba", b"abc"), ["10", ""]),
        // Arguments that never get there.
        (jws(7, &[1; 32], b"cba", b"abc"), ["2", ""]),
        (jws(14, b"k", b"cba", b"abc"), ["2", ""]),
        (Vec::new(), ["2", ""]),
    ] {
        args.push((call("tidegate.verify", &args_of_one), expected));
    }
    let calls: String = args.iter().map(|(call, _)| call.as_str()).collect();
    let said = said_at_headers(&calls, |_| ());
    let expected: Vec<&str> = args.iter().flat_map(|(_, expected)| *expected).collect();
    assert_eq!(said, expected);
}

#[test]
fn a_text_that_is_longer_than_a_body_may_be_has_no_json_web_signature() {
    let calls = [100, 101].map(|len| {
        call(
            "tidegate.verify",
            &jws(11, b"k", &vec![b'a'; len], &vec![b'a'; len]),
        )
    });
    let mut spec = spec();
    spec.limits.buffered_bytes = 100;
    let mut run = Run::with(&at_headers(&calls.concat()), spec);
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0", "\u{1}", "2", ""]);
}

#[test]
fn every_listed_foreign_function_is_there_and_cel_is_not() {
    for name in FOREIGN_FUNCTIONS {
        // No message, or an empty one.
        let said = said_at_headers(&call(name, b"\x0a"), |_| ());
        assert_ne!(said[0], "1", "{name}");
    }
    assert_eq!(
        said_at_headers(&call("expr_create", b"1"), |_| ()),
        ["1", ""]
    );
}

#[test]
fn a_plugin_is_waited_for_until_it_says_how_its_setup_ended() {
    let guest = |said: &str| {
        filter(&format!(
            r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
                {} (i32.const 1))
            (func (export "proxy_on_tick") (param i32) {} {} {})"#,
            call("tidegate.setup_pending", b""),
            call("tidegate.setup_done", said.as_bytes()),
            call("tidegate.setup_done", b""),
            call("tidegate.setup_pending", b""),
        ))
    };
    let mut run = Run::new(&guest(""));
    assert_eq!(run.instance.setup(), SetupState::Pending);
    run.tick().unwrap();
    assert_eq!(run.instance.setup(), SetupState::Done);
    assert!(run.instance.take_setup_end() && !run.instance.take_setup_end());
    // It ends once, and is announced while a plugin starts only.
    assert_eq!(run.said(), ["0", "", "0", "", "2", "", "2", ""]);

    let mut run = Run::new(&guest("no keys"));
    run.tick().unwrap();
    let failed = SetupState::Failed {
        place: 0,
        reason: "no keys",
    };
    assert_eq!(run.instance.setup(), failed);
}
