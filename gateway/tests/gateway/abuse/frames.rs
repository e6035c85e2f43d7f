//! What is no HTTP/2: a corpus of malformed frames, one a connection.

use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::frames::DATA;
use tidegate_testkit::frames::GOAWAY;
use tidegate_testkit::frames::HEADERS;
use tidegate_testkit::frames::PREFACE;
use tidegate_testkit::frames::RST_STREAM;
use tidegate_testkit::frames::SETTINGS;
use tidegate_testkit::frames::frame;
use tidegate_testkit::frames::frames;
use tidegate_testkit::frames::goaway;
use tidegate_testkit::http2;
use tidegate_testkit::http2::get;

#[test]
fn what_is_no_frame_of_http2_ends_its_connection_and_no_other() {
    let origin = Origin::answers(200, "x");
    let gateway = Gateway::to(origin.address()).start();
    let corpus = include_str!("frames.txt");
    let cases: Vec<_> = corpus
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert!(cases.len() > 25, "{}", cases.len());
    for case in cases {
        let (name, hex) = case.split_once(": ").expect("a name and bytes");
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let bytes = digits.chunks(2).map(|two| {
            let two = std::str::from_utf8(two).unwrap();
            u8::from_str_radix(two, 16).unwrap()
        });
        let mut client = gateway.client();
        let settings = frame(SETTINGS, 0, 0, &[]);
        client.send([PREFACE, &settings, &bytes.collect::<Vec<_>>()].concat());
        let mut bytes = Vec::new();
        let seen = loop {
            let more = client.read_some();
            bytes.extend_from_slice(&more);
            let seen = frames(&bytes);
            let is_last = |kind| matches!(kind, RST_STREAM | GOAWAY);
            if more.is_empty() || seen.iter().any(|frame| is_last(frame.kind)) {
                break seen;
            }
        };
        let has = |kinds: &[u8]| seen.iter().any(|frame| kinds.contains(&frame.kind));
        let stops = goaway(&seen).is_some_and(|reason| reason > 0);
        let refused = stops || has(&[RST_STREAM]);
        assert!(refused && !has(&[DATA, HEADERS]), "{name}: {seen:02x?}");
    }
    assert_eq!(gateway.get("/").status(), 200);
    http2::client(gateway.address(), async |mut client| {
        assert_eq!(get(&mut client, "/").await.expect("an answer").status, 200);
    });
    assert_eq!(origin.requests().len(), 2, "none of it is a request");
}
