//! A name server that says what it is told to, right or wrong, over UDP and TCP on one port.
//!
//! It is written by hand, without the gateway's resolver.

use std::collections::HashMap;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use crate::LIMIT;

/// The type of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An IPv4 address.
    A = 1,
    /// An IPv6 address.
    Aaaa = 28,
    /// A service.
    Srv = 33,
}

/// What the server says to a question.
#[derive(Debug, Clone)]
pub enum Says {
    /// These addresses of the kind that is asked for, good for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// These addresses to questions about IPv4; nothing at all to others.
    OnlyV4(Vec<IpAddr>, u32),
    /// These services: priority, weight, port, host; good for so many seconds.
    Services(Vec<(u16, u16, u16, String)>, u32),
    /// There is no such name; the zone's SOA minimum is so many seconds.
    NoName(u32),
    /// The name has no such records; as above.
    NoRecords(u32),
    /// SERVFAIL.
    Failure,
    /// Nothing.
    Silence,
}

/// A name server; ends when dropped.
#[derive(Debug)]
pub struct Dns {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Zone {
    says: HashMap<String, Says>,
    asked: Vec<Asked>,
}

/// A question that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The name, in lower case, without the last dot.
    pub name: String,
    /// The number of the type of record.
    pub kind: u16,
    /// Whether it came over TCP.
    pub over_tcp: bool,
}

/// The code of an answer without records.
const NO_ERROR: u8 = 0;
const SERVER_FAILURE: u8 = 2;
const NO_NAME: u8 = 3;

impl Dns {
    /// Starts one that knows nothing: every name does not exist.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    #[track_caller]
    pub fn start() -> Self {
        let (udp, tcp) = bind().expect("a port that is free for both");
        let address = udp.local_addr().expect("it is bound");
        let zone = Arc::<Mutex<Zone>>::default();
        let ended = Arc::<AtomicBool>::default();
        let serve_udp = {
            let (zone, ended) = (Arc::clone(&zone), Arc::clone(&ended));
            std::thread::spawn(move || serve_udp(&udp, &zone, &ended))
        };
        let serve_tcp = {
            let (zone, ended) = (Arc::clone(&zone), Arc::clone(&ended));
            std::thread::spawn(move || serve_tcp(&tcp, &zone, &ended))
        };
        Self {
            address,
            zone,
            ended,
            threads: vec![serve_udp, serve_tcp],
        }
    }

    /// Where it listens, for both.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it says this to questions about a name, of every kind that fits.
    pub fn says(&self, name: &str, says: Says) {
        lock(&self.zone).says.insert(name.to_owned(), says);
    }

    /// From now on the name has these addresses, for so many seconds.
    pub fn addresses(&self, name: &str, addresses: &[IpAddr], ttl: u32) {
        self.says(name, Says::Addresses(addresses.to_vec(), ttl));
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.zone).asked.clone()
    }

    /// How often it was asked about a name.
    pub fn count(&self, name: &str, kind: Kind) -> usize {
        let zone = lock(&self.zone);
        let is_it = |one: &&Asked| one.name == name && one.kind == kind as u16;
        zone.asked.iter().filter(is_it).count()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Whatever wakes them.
        if let Ok(socket) = UdpSocket::bind("127.0.0.1:0") {
            socket.send_to(b"", self.address).ok();
        }
        TcpStream::connect(self.address).ok();
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

fn bind() -> io::Result<(UdpSocket, TcpListener)> {
    for _ in 0..100 {
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr()?) {
            return Ok((udp, tcp));
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

fn serve_udp(socket: &UdpSocket, zone: &Mutex<Zone>, ended: &AtomicBool) {
    let mut buffer = [0; 4096];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
        if ended.load(Ordering::SeqCst) {
            return;
        }
        if let Some(answer) = answer(&buffer[..length], zone, false) {
            socket.send_to(&answer, peer).ok();
        }
    }
}

fn serve_tcp(listener: &TcpListener, zone: &Arc<Mutex<Zone>>, ended: &AtomicBool) {
    while let Ok((stream, _)) = listener.accept() {
        if ended.load(Ordering::SeqCst) {
            return;
        }
        let zone = Arc::clone(zone);
        // Ends with the connection, which has a limit.
        std::thread::spawn(move || serve_connection(stream, &zone));
    }
}

fn serve_connection(mut stream: TcpStream, zone: &Mutex<Zone>) -> io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query)?;
        if let Some(answer) = answer(&query, zone, true) {
            let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
            stream.write_all(&length.to_be_bytes())?;
            stream.write_all(&answer)?;
        }
    }
}

/// The answer to a query; over UDP with the mark of truncation if it does not fit.
fn answer(query: &[u8], zone: &Mutex<Zone>, over_tcp: bool) -> Option<Vec<u8>> {
    let (name, end) = read_name(query, 12)?;
    let kind = u16::from_be_bytes(query.get(end..end + 2)?.try_into().ok()?);
    let question = query.get(12..end + 4)?;
    let says = {
        let mut zone = lock(zone);
        zone.asked.push(Asked {
            name: name.clone(),
            kind,
            over_tcp,
        });
        zone.says.get(&name).cloned().unwrap_or(Says::NoName(1))
    };
    let (code, records, negative) = match says {
        Says::Silence => return None,
        Says::OnlyV4(..) if kind != Kind::A as u16 => return None,
        Says::Failure => (SERVER_FAILURE, Vec::new(), None),
        Says::NoName(minimum) => (NO_NAME, Vec::new(), Some(minimum)),
        Says::NoRecords(minimum) => (NO_ERROR, Vec::new(), Some(minimum)),
        Says::Addresses(addresses, ttl) | Says::OnlyV4(addresses, ttl) => {
            let data: Vec<Vec<u8>> = addresses
                .iter()
                .filter_map(|address| match address {
                    IpAddr::V4(ip) if kind == Kind::A as u16 => Some(ip.octets().to_vec()),
                    IpAddr::V6(ip) if kind == Kind::Aaaa as u16 => Some(ip.octets().to_vec()),
                    _ => None,
                })
                .collect();
            let negative = data.is_empty().then_some(1);
            (NO_ERROR, records(kind, ttl, &data), negative)
        }
        Says::Services(services, ttl) if kind == Kind::Srv as u16 => {
            let data = services.iter().map(|(priority, weight, port, host)| {
                let numbers = [priority, weight, port].into_iter();
                let mut data: Vec<u8> = numbers.flat_map(|one| one.to_be_bytes()).collect();
                write_name(host, &mut data);
                data
            });
            let data: Vec<Vec<u8>> = data.collect();
            (NO_ERROR, records(kind, ttl, &data), None)
        }
        Says::Services(..) => (NO_ERROR, Vec::new(), Some(1)),
    };
    let size: usize = records.iter().map(Vec::len).sum();
    let truncated = !over_tcp && size > 1000;
    let mut out = query.get(..2)?.to_vec();
    out.extend([0x84 | u8::from(truncated) << 1, 0x80 | code]);
    let count = if truncated { 0 } else { records.len() };
    out.extend(1_u16.to_be_bytes());
    out.extend(u16::try_from(count).ok()?.to_be_bytes());
    out.extend(u16::from(negative.is_some()).to_be_bytes());
    out.extend(0_u16.to_be_bytes());
    out.extend(question);
    if !truncated {
        out.extend(records.concat());
    }
    if let Some(minimum) = negative {
        out.extend(soa(minimum));
    }
    Some(out)
}

fn records(kind: u16, ttl: u32, data: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let record = |data: &Vec<u8>| {
        // The name is the question's.
        let mut out = vec![0xc0, 12];
        out.extend(kind.to_be_bytes());
        out.extend(1_u16.to_be_bytes());
        out.extend(ttl.to_be_bytes());
        out.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
        out.extend(data);
        out
    };
    data.iter().map(record).collect()
}

/// The record that says for how long there is nothing.
fn soa(minimum: u32) -> Vec<u8> {
    let mut data = vec![0, 0]; // The root, as server and as mailbox.
    for number in [1, 3600, 600, 86_400, minimum] {
        data.extend(number.to_be_bytes());
    }
    let mut out = vec![0]; // The root's.
    out.extend(6_u16.to_be_bytes());
    out.extend(1_u16.to_be_bytes());
    out.extend(3600_u32.to_be_bytes());
    out.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
    out.extend(data);
    out
}

/// The name at a place, and where it ends.
fn read_name(query: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        let label = query.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        at += length;
    }
}

fn write_name(name: &str, out: &mut Vec<u8>) {
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).unwrap_or(0));
        out.extend(label.as_bytes());
    }
    out.push(0);
}

fn lock(zone: &Mutex<Zone>) -> MutexGuard<'_, Zone> {
    zone.lock().unwrap_or_else(PoisonError::into_inner)
}
