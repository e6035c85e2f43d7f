//! The arguments of `tidegate.verify`, byte by byte.

use proptest::prelude::*;

use super::*;

fn arguments(algorithm: u8, key: &[u8], signature: &[u8], text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![VERSION, algorithm, 0, 0];
    for part in [key, signature, text] {
        bytes.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
    }
    [&bytes[..], key, signature, text].concat()
}

fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let len = u32::try_from(modulus.len()).unwrap().to_le_bytes();
    [&len, modulus, exponent].concat()
}

/// A modulus of so many bits.
fn modulus(bits: usize) -> Vec<u8> {
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    modulus[0] >>= (8 - bits % 8) % 8;
    modulus
}

fn point_of(coordinate: usize) -> Vec<u8> {
    [vec![4], vec![7; 2 * coordinate]].concat()
}

/// A key of the right shape for each number of an algorithm.
fn key_of(algorithm: u8) -> Vec<u8> {
    match algorithm {
        1..=6 => rsa_key(&modulus(2048), &[1, 0, 1]),
        7 => point_of(32),
        8 => point_of(48),
        9 => point_of(66),
        10 => vec![9; 32],
        _ => b"secret".to_vec(),
    }
}

fn accepts(algorithm: u8, key: &[u8]) -> bool {
    Arguments::read(&arguments(algorithm, key, b"sig", b"text")).is_some()
}

#[test]
fn the_parts_are_what_was_put_in() {
    let bytes = arguments(11, b"secret", b"sig", b"text");
    let expected = Arguments {
        algorithm: JwsAlgorithm::Hs256,
        key: JwsKey::Secret(b"secret"),
        signature: b"sig",
        text: b"text",
    };
    assert_eq!(Arguments::read(&bytes), Some(expected));
    let empty = arguments(11, b"s", b"", b"");
    let empty = Arguments::read(&empty).expect("signature and text may be empty");
    assert_eq!((empty.signature, empty.text), (&b""[..], &b""[..]));
}

#[test]
fn every_algorithm_takes_keys_of_its_shape_and_of_no_other() {
    for algorithm in 1..=10 {
        for other in 1..=10 {
            let fits = key_of(algorithm).len() == key_of(other).len();
            assert_eq!(
                accepts(algorithm, &key_of(other)),
                fits,
                "{algorithm} {other}"
            );
        }
        assert!(!accepts(algorithm, b""), "{algorithm}");
    }
    for algorithm in 11..=13 {
        assert!(accepts(algorithm, b"s"));
        assert!(!accepts(algorithm, b""));
    }
    for unknown in [0, 14, 255] {
        assert!(!accepts(unknown, b"secret"), "{unknown}");
    }
}

#[test]
fn other_versions_and_lengths_are_refused() {
    let good = arguments(11, b"secret", b"sig", b"text");
    assert!(Arguments::read(&good).is_some());
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    for (at, byte) in [(0, 0), (0, 2), (2, 1), (3, 1), (4, 7), (8, 4), (12, 3)] {
        assert_eq!(Arguments::read(&with(at, byte)), None, "{at} {byte}");
    }
    for at in [7, 11, 15] {
        assert_eq!(Arguments::read(&with(at, 0xff)), None, "{at}");
    }
    for len in 0..good.len() {
        assert_eq!(Arguments::read(&good[..len]), None, "{len}");
    }
    assert_eq!(Arguments::read(&[&good[..], b"x"].concat()), None);
}

#[test]
fn an_rsa_key_has_2048_to_8192_bits_and_is_odd() {
    let rsa = |modulus: &[u8], exponent: &[u8]| accepts(1, &rsa_key(modulus, exponent));
    for (bits, good) in [
        (1024, false),
        (2047, false),
        (2048, true),
        (2049, true),
        (8192, true),
        (8193, false),
    ] {
        assert_eq!(rsa(&modulus(bits), &[3]), good, "{bits}");
    }
    let mut even = modulus(2048);
    even[255] = 0xfe;
    assert!(!rsa(&even, &[3]));
    assert!(!rsa(&[], &[3]));
    assert!(!rsa(&[0; 256], &[3]));
}

#[test]
fn zeros_in_front_of_a_number_do_not_count() {
    let padded = [&[0, 0][..], &modulus(2048)].concat();
    let bytes = arguments(1, &rsa_key(&padded, &[0, 1, 0, 1]), b"", b"");
    let expected = JwsKey::Rsa {
        modulus: &modulus(2048),
        exponent: &[1, 0, 1],
    };
    assert_eq!(Arguments::read(&bytes).expect("read").key, expected);
    let small = [&[0; 200][..], &modulus(1024)].concat();
    assert!(!accepts(1, &rsa_key(&small, &[3])));
}

#[test]
fn an_exponent_is_odd_and_from_3_to_2_to_the_32() {
    let exponent = |exponent: &[u8]| accepts(1, &rsa_key(&modulus(2048), exponent));
    for good in [&[3][..], &[1, 0, 1], &[0, 0, 0, 0, 3], &[0xff; 4]] {
        assert!(exponent(good), "{good:?}");
    }
    for bad in [
        &[][..],
        &[0],
        &[1],
        &[2],
        &[0, 1],
        &[1, 0, 0],
        &[1, 0, 0, 0, 1],
    ] {
        assert!(!exponent(bad), "{bad:?}");
    }
}

#[test]
fn a_point_is_uncompressed() {
    for form in [0, 2, 3, 5, 6] {
        let mut point = point_of(32);
        point[0] = form;
        assert!(!accepts(7, &point), "{form}");
    }
    assert!(!accepts(7, &[2; 33]), "compressed");
}

#[test]
fn a_key_that_would_cost_too_much_is_refused() {
    assert!(accepts(11, &[1; MAX_KEY_BYTES]));
    assert!(!accepts(11, &[1; MAX_KEY_BYTES + 1]));
}

#[test]
fn what_is_printed_of_a_key_is_its_kind_only() {
    let secret = JwsKey::Secret(b"secret");
    assert_eq!(format!("{secret:?}"), "Secret");
}

proptest! {
    #[test]
    fn any_bytes_are_read_in_full_or_refused(
        head in prop_oneof![Just([1, 0, 0, 0]), any::<[u8; 4]>()],
        algorithm in any::<u8>(),
        bytes in proptest::collection::vec(prop_oneof![0..16_u8, any::<u8>()], 0..600),
    ) {
        let mut bytes = [&head[..], &bytes].concat();
        bytes[1] = algorithm % 16;
        if let Some(read) = Arguments::read(&bytes) {
            prop_assert!(bytes.ends_with(read.text));
            prop_assert!(bytes.len() > 16 + read.signature.len() + read.text.len());
        }
    }
}
