//! Who gets the canary.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use proptest::prelude::any;
use proptest::prelude::proptest;

use crate::rollout::counts::Histogram;
use crate::rollout::split::BUCKETS;
use crate::rollout::split::Key;
use crate::rollout::split::Share;
use crate::rollout::split::Split;
use crate::rollout::split::Version;

const CLIENT: &str = "192.0.2.7";

fn header(key: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-user", HeaderValue::from_str(key).unwrap());
    headers
}

fn bucket(split: &Split, headers: &HeaderMap, client: &str, draw: u64) -> u16 {
    let client: IpAddr = client.parse().unwrap();
    split.bucket(headers, client, draw).number()
}

#[test]
fn buckets_are_those_that_the_filter_canary_publishes() {
    let by_user = || Some(Key::Header("x-user".parse().unwrap()));
    for (salt, key, expected) in [
        ("", "alice", 6_726),
        ("", "bob", 1_787),
        ("", "42", 8_546),
        ("checkout-v2", "alice", 2_750),
        ("checkout-v2", "bob", 2_844),
    ] {
        let split = Split::new(salt, by_user());
        assert_eq!(
            bucket(&split, &header(key), CLIENT, 0),
            expected,
            "{salt} {key}"
        );
    }
    let split = Split::new("", Some(Key::ClientIp));
    let none = HeaderMap::new();
    assert_eq!(bucket(&split, &none, "2001:db8:1:2:3:4:5:6", 0), 4_388);
    let of_ipv4 = bucket(&split, &none, CLIENT, 0);
    for same in ["::ffff:192.0.2.7", "64:ff9b::192.0.2.7"] {
        assert_eq!(bucket(&split, &none, same, 1), of_ipv4, "{same}");
    }
    assert_ne!(bucket(&split, &none, "64:ff9b::1:c000:207", 1), of_ipv4);
}

#[test]
fn a_stream_without_the_key_is_dealt_by_chance() {
    let split = Split::new("", Some(Key::Header("x-user".parse().unwrap())));
    for headers in [HeaderMap::new(), header("")] {
        assert_eq!(bucket(&split, &headers, CLIENT, 4_999), 4_999);
        assert_eq!(bucket(&split, &headers, CLIENT, 10_001), 1);
    }
    let split = Split::new("", None);
    assert_eq!(bucket(&split, &header("alice"), CLIENT, 17), 17);
}

#[test]
fn a_cookie_is_found_among_others() {
    let split = Split::new("", Some(Key::Cookie("user".into())));
    let of = |fields: &[&str]| {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append("cookie", HeaderValue::from_str(field).unwrap());
        }
        bucket(&split, &headers, CLIENT, 77)
    };
    for fields in [
        &["user=alice"][..],
        &["a=b; user=alice; user=bob"],
        &["a=b;user=alice"],
        &["a=b", "user=alice"],
        &["user= alice "],
    ] {
        assert_eq!(of(fields), 6_726, "{fields:?}");
    }
    for fields in [
        &["xuser=alice"][..],
        &["user"],
        &["user="],
        &["; ;=;user"],
        &[],
    ] {
        assert_eq!(of(fields), 77, "{fields:?}");
    }
}

#[test]
fn shares_are_written_as_percentages() {
    for (buckets, expected) in [
        (0, "0 %"),
        (1, "0.01 %"),
        (50, "0.5 %"),
        (500, "5 %"),
        (3_333, "33.33 %"),
        (10_000, "100 %"),
    ] {
        assert_eq!(Share::of_buckets(buckets).unwrap().to_string(), expected);
    }
    assert_eq!(Share::of_buckets(10_001), None);
    assert_eq!(Share::percent(25).buckets(), 2_500);
    assert_eq!(Share::percent(200), Share::ALL);
}

proptest! {
    #[test]
    fn raising_the_share_moves_nobody_back(
        draw in any::<u64>(), lower in 0..=BUCKETS, higher in 0..=BUCKETS,
    ) {
        let (lower, higher) = (lower.min(higher), lower.max(higher));
        let share = |buckets| Share::of_buckets(buckets).unwrap();
        let client = CLIENT.parse().unwrap();
        let bucket = Split::new("", None).bucket(&HeaderMap::new(), client, draw);
        if bucket.version(share(lower)) == Version::Canary {
            assert_eq!(bucket.version(share(higher)), Version::Canary);
        }
        assert_eq!(bucket.version(Share::ALL), Version::Canary);
        assert_eq!(bucket.version(Share::NONE), Version::Stable);
    }

    #[test]
    fn times_are_told_apart_to_a_sixteenth(micros in 0_u64..60_000_000) {
        let time = Duration::from_micros(micros);
        let mut histogram = Histogram::default();
        histogram.add(time, 1);
        let end = histogram.quantile(990).unwrap();
        assert!(end > time, "{end:?}");
        assert!(end <= time + time / 16 + Duration::from_micros(1), "{end:?} of {time:?}");
        assert_eq!(histogram.over(end), 0);
        assert_eq!(Histogram::rounded_up(end), Some(end));
        let up = Histogram::rounded_up(time).unwrap();
        assert!(up >= time && up <= end, "{up:?}");
    }
}

#[test]
fn a_quantile_is_where_it_should_be() {
    let mut histogram = Histogram::default();
    assert_eq!(histogram.quantile(990), None);
    for micros in 1..=1_000 {
        histogram.add(Duration::from_micros(micros), 1);
    }
    assert_eq!(histogram.count(), 1_000);
    let end = histogram.quantile(990).unwrap();
    assert_eq!(
        end,
        Duration::from_micros(992),
        "where the place of 990 ends"
    );
    assert_eq!(histogram.over(end), 9);
    histogram.add(Duration::from_secs(1_000), 1);
    assert_eq!(
        histogram.over(end),
        10,
        "what is longer than can be told counts"
    );
    histogram.halve();
    assert_eq!(histogram.count(), 484, "each place on its own");
}
