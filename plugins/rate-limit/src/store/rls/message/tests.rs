//! The messages as bytes, written by hand: good ones, odd ones, and any bytes at all.

use super::*;

fn entries(pairs: &[(&str, &str)]) -> Vec<Entry> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| Entry {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        })
        .collect()
}

#[test]
fn a_request_has_its_descriptors_and_says_hits_where_all_services_read_them() {
    let (one, two) = (entries(&[("a", "1"), ("b", "")]), entries(&[("c", "3")]));
    let ask = |hits: [u64; 2]| {
        let descriptors = [(&one, hits[0]), (&two, hits[1])];
        let descriptors = descriptors.map(|(entries, hits)| Descriptor { entries, hits });
        request("d", &descriptors)
    };
    let first = b"\x0a\x06\x0a\x01a\x12\x011\x0a\x03\x0a\x01b";
    let second = b"\x0a\x06\x0a\x01c\x12\x013";
    let plain = [b"\x0a\x01d\x12\x0d", &first[..], b"\x12\x08", second].concat();
    assert_eq!(ask([1, 1]), plain);
    assert_eq!(ask([300, 300]), [&plain[..], b"\x18\xac\x02"].concat());
    let each = |one: u8, two: u8| {
        let hits = |hits: u8| [b"\x1a\x02\x08", &[hits][..]].concat();
        let first = [b"\x12\x11", &first[..], &hits(one)].concat();
        [b"\x0a\x01d", &first[..], b"\x12\x0c", second, &hits(two)].concat()
    };
    assert_eq!(ask([2, 3]), each(2, 3));
    let none = b"\x0a\x01d\x12\x0f\x0a\x06\x0a\x01a\x12\x011\x0a\x03\x0a\x01b\x1a\x00\x12\x0a";
    assert_eq!(ask([0, 0]), [&none[..], second, b"\x1a\x00"].concat());
}

#[test]
fn an_answer_is_read_with_all_that_it_says() {
    // OVER_LIMIT; a status with 10 a minute called "x", 3 left, 2.5 s; a header each way; a body.
    let mut message = b"\x08\x02".to_vec();
    put_bytes(
        &mut message,
        2,
        b"\x08\x02\x12\x07\x08\x0a\x10\x02\x1a\x01x\x18\x03\x22\x08\x08\x02\x10\x80\xca\xb5\xee\x01",
    );
    put_bytes(&mut message, 3, b"\x0a\x03X-A\x12\x011");
    put_bytes(&mut message, 3, b"\x0a\x05:path\x12\x011");
    put_bytes(&mut message, 3, b"\x0a\x04host\x12\x011");
    put_bytes(&mut message, 4, b"\x0a\x03x-b\x1a\x012");
    put_bytes(&mut message, 5, b"slow");
    put_bytes(&mut message, 15, b"newer");
    let read = response(&message, 1).unwrap();
    assert_eq!((read.code, &*read.body), (2, &b"slow"[..]));
    let header = |name, value: &str| vec![(HeaderName::known(name), value.to_owned())];
    assert_eq!(read.to_response, header("x-a", "1"));
    assert_eq!(read.to_request, header("x-b", "2"));
    let status = read.statuses.first().unwrap();
    assert_eq!((status.code, status.name.as_deref()), (2, Some("x")));
    let standing = status.standing.unwrap();
    assert_eq!(standing.rate.requests, 10);
    assert_eq!(standing.rate.window, Duration::from_secs(60));
    assert_eq!(
        (standing.remaining, standing.full),
        (3, Duration::from_millis(2500))
    );
    assert_eq!(response(&message, 0).unwrap().statuses, []);
    for end in 0..message.len() {
        let _cut = response(&message[..end], 1);
    }
}

#[test]
fn any_bytes_are_an_answer_or_none() {
    let mut good = b"\x08\x02".to_vec();
    put_bytes(
        &mut good,
        2,
        b"\x08\x02\x12\x07\x08\x0a\x10\x02\x1a\x01x\x18\x03\x22\x02\x08\x02",
    );
    put_bytes(&mut good, 3, b"\x0a\x03x-a\x12\x011");
    let mut random = 7_u64;
    let mut next = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        random.to_le_bytes()[6]
    };
    let mut read = 0;
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..1 + next() % 3 {
            let at = usize::from(next()) % bytes.len();
            bytes[at] = next();
        }
        read += usize::from(response(&bytes, 2).is_ok());
    }
    assert!((1_000..19_000).contains(&read), "{read}");
}

#[test]
fn names_are_what_headers_can_have() {
    let mut limit = b"\x08\x05\x10\x01".to_vec();
    put_bytes(&mut limit, 3, "a\"b\\c\r\nd\u{e9} 7".as_bytes());
    let (name, rate) = current_limit(&limit).unwrap();
    assert_eq!(
        (name.as_deref(), rate.unwrap().requests),
        (Some("abcd 7"), 5)
    );
    put_bytes(&mut limit, 3, b"\xff\n");
    assert_eq!(current_limit(&limit).unwrap().0, None);
}

#[test]
fn odd_times_and_units_are_no_standing_or_a_harmless_one() {
    let of = |one: &[u8]| {
        let mut message = Vec::new();
        put_bytes(&mut message, 2, one);
        let mut statuses = response(&message, 1).unwrap().statuses;
        statuses.remove(0).standing
    };
    assert_eq!(of(b"\x08\x01"), None);
    assert_eq!(of(b"\x12\x04\x08\x05\x10\x63"), None);
    let hour = of(b"\x12\x04\x08\x05\x10\x03").unwrap();
    assert_eq!(hour.full, Duration::from_secs(3600));
    let below = b"\x12\x04\x08\x05\x10\x03\x22\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    assert_eq!(of(below).unwrap().full, Duration::ZERO);
}
