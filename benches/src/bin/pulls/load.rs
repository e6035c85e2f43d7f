//! What traffic notices of pulls: clients that ask at a fixed rate, without them, with them and beside a
//! download by another program, in turns.
//!
//! A latency counts from when a request was due, so that one that holds up others counts for them too.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use tidegate_benches::places;
use tidegate_benches::process::{Core, output, pinned};
use tidegate_benches::program::{median, p99};
use tidegate_benches::wait;

use crate::Cli;
use crate::images::{Images, module};
use crate::site::Site;

/// Connections, each with its share of the rate.
const CLIENTS: u32 = 8;
/// How long clients ask before they are watched: connecting is no part of it.
const SETTLING: Duration = Duration::from_millis(100);
/// How long traffic is watched at a time.
const TURN: Duration = Duration::from_secs(1);
/// How long a pull may take.
const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "moving";

/// What was found: medians of the turns' 99th percentiles, and of the ratios of neighbours.
pub(crate) struct Found {
    pub(crate) steady: Duration,
    pub(crate) pulling: Duration,
    pub(crate) ratio: f64,
    /// The same with curl in place of the gateway's pull, in the time that others leave.
    pub(crate) beside_curl: f64,
    pub(crate) pulls: usize,
}

pub(crate) fn measure(
    images: &Images,
    bytes: usize,
    cli: &Cli,
    (measured, load): (Core, Core),
) -> Result<Found> {
    let moving = Moving::new(images, bytes);
    let (says, image) = moving.put(0)?;
    moving.release(&image);
    let site = Site::new(&[images.0.reference("moving:1")], load)?;
    let gateway = site.start(measured)?;
    wait::until("the first version serves", PATIENCE, || {
        Ok((site.says().as_deref() == Some(says.as_str())).then_some(()))
    })?;
    let turn = |during: &dyn Fn(&Clients) -> Result<()>| {
        let clients = Clients::start(site.address, cli.rate, load)?;
        wait::pass(SETTLING)?;
        let begin = Instant::now();
        during(&clients)?;
        wait::pass(TURN.saturating_sub(begin.elapsed()))?;
        clients.end()
    };
    let (mut steady, mut pulling) = (Vec::new(), Vec::new());
    let (mut ratios, mut beside_curl) = (Vec::new(), Vec::new());
    let mut pulls = 0;
    for _ in 0..cli.seconds.max(1) {
        // What it takes to make them is no part of a turn.
        let versions = (0..cli.pulls).map(|_| {
            pulls += 1;
            moving.put(pulls)
        });
        let versions = versions.collect::<Result<Vec<_>>>()?;
        let without = turn(&|_| Ok(()))?;
        let with = turn(&|clients| {
            for (says, image) in &versions {
                moving.release(image);
                site.reload()?;
                let serves = wait::until("a new version serves", PATIENCE, || {
                    Ok(clients.hear(says).then_some(()))
                });
                serves.with_context(|| format!("the gateway printed:\n{}", gateway.printed()))?;
            }
            Ok(())
        })?;
        let url = images.url(NAME, &moving.module(pulls)?);
        let curl = turn(&|_| (0..cli.pulls).try_for_each(|_| fetch(&url, measured)))?;
        ratios.push(with.as_secs_f64() / without.as_secs_f64());
        beside_curl.push(curl.as_secs_f64() / without.as_secs_f64());
        steady.push(without);
        pulling.push(with);
    }
    Ok(Found {
        steady: median(steady)?,
        pulling: median(pulling)?,
        ratio: median(ratios)?,
        beside_curl: median(beside_curl)?,
        pulls,
    })
}

/// An image whose tag moves.
struct Moving<'a> {
    images: &'a Images,
    versions: [(String, Vec<u8>); 2],
}

impl<'a> Moving<'a> {
    fn new(images: &'a Images, bytes: usize) -> Self {
        Self {
            images,
            versions: ["a", "b"].map(|says| (says.to_owned(), module(says, bytes))),
        }
    }

    /// Content that no other version has: what is in the cache would not be pulled.
    fn module(&self, number: usize) -> Result<Vec<u8>> {
        let (_, module) = self.version(number)?;
        let mut module = module.clone();
        module.extend([0, 9, 0]);
        module.extend((number as u64).to_le_bytes());
        Ok(module)
    }

    fn version(&self, number: usize) -> Result<&(String, Vec<u8>)> {
        self.versions.get(number % 2).context("there are two")
    }

    /// Puts a version in the registry; what it says of itself, and the digest of its image.
    fn put(&self, number: usize) -> Result<(String, String)> {
        let module = self.module(number)?;
        let image = self.images.0.put(NAME, &format!("v{number}"), &module);
        Ok((self.version(number)?.0.clone(), image))
    }

    /// Moves the tag to an image.
    fn release(&self, image: &str) {
        self.images.0.tag(NAME, "1", image);
    }
}

/// What a pull is at the least: as many bytes to that core, in the time that others leave.
fn fetch(url: &str, core: Core) -> Result<()> {
    let mut curl = Command::new(places::installed("chrt")?);
    curl.args(["--idle", "0"]).arg(places::installed("curl")?);
    curl.args(["-sSf", url, "-m", "60", "-o", "/dev/null"]);
    output(&mut curl, core, PATIENCE).map(drop)
}

/// Threads that ask at a fixed rate together.
struct Clients {
    over: Arc<AtomicBool>,
    /// What the filter that answered last says of itself: the first letter.
    says: Arc<AtomicU8>,
    threads: Vec<JoinHandle<Result<Vec<Duration>>>>,
}

impl Clients {
    fn start(address: SocketAddr, rate: u64, core: Core) -> Result<Self> {
        let over = Arc::<AtomicBool>::default();
        let says = Arc::<AtomicU8>::default();
        let pause = Duration::from_secs(1) * CLIENTS / u32::try_from(rate.max(1))?;
        let threads = (0..CLIENTS).map(|number| {
            let (over, says) = (Arc::clone(&over), Arc::clone(&says));
            let begin = Instant::now() + pause * number / CLIENTS;
            pinned(core, || {
                thread::spawn(move || ask(address, (begin, pause), &over, &says))
            })
        });
        Ok(Self {
            threads: threads.collect::<Result<_>>()?,
            over,
            says,
        })
    }

    /// Whether the last answer is of the filter that says so.
    fn hear(&self, says: &str) -> bool {
        says.bytes().next() == Some(self.says.load(Ordering::Relaxed))
    }

    /// The 99th percentile.
    fn end(self) -> Result<Duration> {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for thread in self.threads {
            let latencies = thread.join().map_err(|_| anyhow!("a client failed"))?;
            all.extend(latencies?);
        }
        p99(all)
    }
}

fn ask(
    address: SocketAddr,
    (begin, pause): (Instant, Duration),
    over: &AtomicBool,
    says: &AtomicU8,
) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET /100 HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let mut latencies = Vec::new();
    let watched = begin + SETTLING;
    let mut due = begin;
    while !over.load(Ordering::Relaxed) {
        while let Some(early) = due.checked_duration_since(Instant::now()) {
            thread::park_timeout(early);
        }
        stream.write_all(request.as_bytes())?;
        says.store(read(&mut stream)?, Ordering::Relaxed);
        if due >= watched {
            latencies.push(due.elapsed());
        }
        due += pause;
    }
    Ok(latencies)
}

/// One answer with its body of 100 bytes; the first letter of what its filter says.
fn read(stream: &mut TcpStream) -> Result<u8> {
    let mut answer = Vec::new();
    let mut some = [0; 4096];
    loop {
        let count = stream.read(&mut some)?;
        ensure!(count > 0, "the connection was closed");
        answer.extend(some.iter().take(count));
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        if end.is_some_and(|end| answer.len() >= end + 4 + 100) {
            ensure!(answer.starts_with(b"HTTP/1.1 200 "), "a request failed");
            let field = b"x-by: ";
            let at = answer.windows(field.len()).position(|it| it == field);
            let said = at.and_then(|at| answer.get(at + field.len()));
            return said.copied().context("no filter has seen an answer");
        }
    }
}
