//! The gateway that is abused, somebody who asks it in good order meanwhile, and many sockets at once.

use std::io::ErrorKind;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use tidegate_testkit::Client;
use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::backend;
use crate::process::memory;
use crate::process::reset_peak;
use crate::process::route;

/// The path by which the bystander asks.
const FINE: &str = "/fine";

/// The longest that anybody else waits for an answer: an unoptimised gateway on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time-outs that tests can wait for.
const SHORT: &str = "
apiVersion: tidegate.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: short }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }]
  timeouts: { headerRead: 1s, streamIdle: 2s, writeStall: 1s, keepAlive: 2s }
";

/// Where `/flood` leads, but for the address.
const FLOOD: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: flood }
spec:
  parentRefs: [{ name: edge }]
  rules:
    - matches: [{ path: { type: PathPrefix, value: /flood } }]
      backendRefs: [{ group: tidegate.dev, kind: Backend, name: flood }]
---
apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: { name: flood }
";

/// A gateway in a process of its own, with a client that asks all the time.
#[derive(Debug)]
pub(super) struct Victim {
    gateway: Running,
    address: SocketAddr,
    before: u64,
    over: Arc<AtomicBool>,
    bystander: Option<JoinHandle<Duration>>,
    _files: Folder,
}

impl Victim {
    /// In front of an origin, warm.
    pub(super) fn start(origin: &Origin) -> Self {
        Self::with(origin, &[])
    }

    /// The same, with an origin of HTTP/2 beside it, where `/flood` leads.
    pub(super) fn start_beside(origin: &Origin, other: SocketAddr) -> Self {
        let other = format!(
            "{FLOOD}spec: {{ protocol: Http2, endpoints: [{{ address: \"{other}\" }}] }}\n"
        );
        Self::with(origin, &[("flood.yaml", &other)])
    }

    fn with(origin: &Origin, more: &[(&str, &str)]) -> Self {
        let files = Folder::of(&[
            ("gateway.yaml", GATEWAY),
            ("route.yaml", &route("all")),
            ("backend.yaml", &backend("all", origin.address())),
            ("policy.yaml", SHORT),
        ]);
        for (name, text) in more {
            files.write(name, text.as_bytes());
        }
        let gateway = Running::start(&files, &["--access-log", "off"]);
        let address = gateway.address().expect("it listens");
        for _ in 0..50 {
            assert_eq!(Client::connect(address).get(FINE).status(), 200);
        }
        reset_peak(gateway.id());
        let before = memory(gateway.id(), "VmRSS:");
        let over: Arc<AtomicBool> = Arc::default();
        let end = Arc::clone(&over);
        let bystander = std::thread::spawn(move || stand_by(address, &end));
        Self {
            gateway,
            address,
            before,
            over,
            bystander: Some(bystander),
            _files: files,
        }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection.
    pub(super) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// How many exchanges ended with this flag.
    fn flagged(&self, flag: &str) -> f64 {
        let name = format!("tidegate_request_flags_total{{flag=\"{flag}\"}}");
        self.gateway.metric(&name).unwrap_or_default()
    }

    /// Waits until so many exchanges ended with one of these flags.
    #[track_caller]
    pub(super) fn counts(&self, flags: &[&str], least: u32) {
        eventually(&format!("{least} of {flags:?}"), || {
            let sum: f64 = flags.iter().map(|flag| self.flagged(flag)).sum();
            (sum >= f64::from(least)).then_some(())
        });
    }

    /// How many connections its clients have now.
    pub(super) fn open_connections(&self) -> f64 {
        let open = self.gateway.metric("tidegate_open_connections");
        open.expect("a number")
    }

    /// Ends the bystander, who must have been served all the time; the most memory that was resident since
    /// the start may be so many MiB more than before.
    #[track_caller]
    pub(super) fn stays_well(mut self, most: u64) {
        self.over.store(true, Ordering::SeqCst);
        let bystander = self.bystander.take().expect("it stands by");
        let slowest = bystander.join().expect("somebody else was not served");
        assert!(slowest < PATIENCE, "somebody else waited for {slowest:?}");
        let peak = memory(self.gateway.id(), "VmHWM:");
        let grown = peak.saturating_sub(self.before) >> 10;
        eprintln!("grown by {grown} MiB of at most {most}; slowest other answer {slowest:?}");
        assert!(
            grown <= most,
            "grown by {grown} MiB, and {most} are allowed"
        );
        assert_eq!(Client::connect(self.address).get(FINE).status(), 200);
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// Asks until told to stop; returns the longest that an answer took.
fn stand_by(address: SocketAddr, over: &AtomicBool) -> Duration {
    let mut slowest = Duration::ZERO;
    while !over.load(Ordering::SeqCst) {
        let mut client = Client::connect(address);
        for _ in 0..20 {
            let start = Instant::now();
            assert_eq!(client.get(FINE).status(), 200);
            slowest = slowest.max(start.elapsed());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
    slowest
}

/// Many connections of one kind.
#[derive(Debug)]
pub(super) struct Crowd {
    members: Vec<Member>,
}

/// One of them.
#[derive(Debug)]
struct Member {
    stream: TcpStream,
    heard: Vec<u8>,
    ended: bool,
}

impl Crowd {
    /// So many connections that have sent this.
    pub(super) fn gather(address: SocketAddr, count: usize, first: &[u8]) -> Self {
        let member = |_| {
            let mut stream = TcpStream::connect(address).expect("it accepts");
            stream.write_all(first).expect("it takes bytes");
            stream.set_nonblocking(true).expect("a socket");
            Member {
                stream,
                heard: Vec::new(),
                ended: false,
            }
        };
        Self {
            members: (0..count).map(member).collect(),
        }
    }

    /// Everybody who is still there sends this.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        for member in self.members.iter_mut().filter(|it| !it.ended) {
            // A full socket or a closed one: the next look tells.
            member.stream.write_all(bytes).ok();
        }
    }

    /// Reads what came; returns how many are still connected.
    pub(super) fn listen(&mut self) -> usize {
        let mut bytes = [0; 4096];
        for member in self.members.iter_mut().filter(|it| !it.ended) {
            loop {
                match member.stream.read(&mut bytes) {
                    Ok(0) => member.ended = true,
                    Ok(count) => {
                        let came = bytes.get(..count).unwrap_or_default();
                        member.heard.extend_from_slice(came);
                        continue;
                    }
                    Err(err) => member.ended = err.kind() != ErrorKind::WouldBlock,
                }
                break;
            }
        }
        self.members.iter().filter(|it| !it.ended).count()
    }

    /// Sends this again and again until nobody is connected.
    #[track_caller]
    pub(super) fn drip_until_closed(&mut self, drop: &[u8]) {
        eventually("all of them to be closed", || {
            self.send(drop);
            (self.listen() == 0).then_some(())
        });
    }

    /// How many heard a response that begins so.
    pub(super) fn heard(&self, begin: &str) -> usize {
        let members = self.members.iter();
        members
            .filter(|it| it.heard.starts_with(begin.as_bytes()))
            .count()
    }

    /// How many there are in all.
    pub(super) fn size(&self) -> usize {
        self.members.len()
    }
}
