//! What traffic notices of pulls: clients that ask at a fixed rate, with and without them in turns.
//!
//! A latency counts from when a request was due, so that one that holds up others counts for them too.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use tidegate_benches::process::{Core, pinned};
use tidegate_benches::wait;

use crate::images::{Images, module};
use crate::site::Site;
use crate::{Cli, median};

/// Connections, each with its share of the rate.
const CLIENTS: u32 = 8;
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
    pub(crate) pulls: usize,
}

pub(crate) fn measure(
    images: &Images,
    bytes: usize,
    cli: &Cli,
    (measured, load): (Core, Core),
) -> Result<Found> {
    let versions: Vec<(String, Vec<u8>)> = ["a", "b"]
        .map(|says| (says.to_owned(), module(says, bytes)))
        .into();
    let put = |number: usize| {
        let (says, module) = versions.get(number % 2).context("there are two")?;
        // Another image each time: what is in the cache would not be pulled.
        let mut module = module.clone();
        module.extend([0, 9, 0]);
        module.extend((number as u64).to_le_bytes());
        images.0.put(NAME, "1", &module);
        anyhow::Ok(says.clone())
    };
    put(0)?;
    let site = Site::new(&[images.0.reference("moving:1")], load)?;
    let gateway = site.start(measured)?;
    let serves = |says: &str| {
        let what = format!("{says} serves; the gateway printed:\n{}", gateway.printed());
        wait::until(&what, PATIENCE, || {
            Ok((site.says().as_deref() == Some(says)).then_some(()))
        })
    };
    serves("a")?;
    let (mut steady, mut pulling, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut pulls = 0;
    for _ in 0..cli.seconds.max(1) {
        let clients = Clients::start(site.address, cli.rate, load)?;
        wait::pass(TURN)?;
        let without = clients.end()?;
        let clients = Clients::start(site.address, cli.rate, load)?;
        let begin = Instant::now();
        while begin.elapsed() < TURN {
            pulls += 1;
            let says = put(pulls)?;
            site.reload()?;
            serves(&says)?;
        }
        let with = clients.end()?;
        ratios.push(with.as_secs_f64() / without.as_secs_f64());
        steady.push(without);
        pulling.push(with);
    }
    Ok(Found {
        steady: median(steady)?,
        pulling: median(pulling)?,
        ratio: median(ratios)?,
        pulls,
    })
}

/// Threads that ask at a fixed rate together.
struct Clients {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Vec<Duration>>>>,
}

impl Clients {
    fn start(address: SocketAddr, rate: u64, core: Core) -> Result<Self> {
        let over = Arc::<AtomicBool>::default();
        let pause = Duration::from_secs(1) * CLIENTS / u32::try_from(rate.max(1))?;
        let threads = (0..CLIENTS).map(|number| {
            let over = Arc::clone(&over);
            let begin = Instant::now() + pause * number / CLIENTS;
            pinned(core, || {
                thread::spawn(move || ask(address, begin, pause, &over))
            })
        });
        Ok(Self {
            threads: threads.collect::<Result<_>>()?,
            over,
        })
    }

    /// The 99th percentile.
    fn end(self) -> Result<Duration> {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for thread in self.threads {
            let latencies = thread.join().map_err(|_| anyhow!("a client failed"))?;
            all.extend(latencies?);
        }
        all.sort();
        let at = all.len() * 99 / 100;
        all.get(at).copied().context("nothing was asked")
    }
}

fn ask(
    address: SocketAddr,
    begin: Instant,
    pause: Duration,
    over: &AtomicBool,
) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET /100 HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let mut latencies = Vec::new();
    let mut due = begin;
    while !over.load(Ordering::Relaxed) {
        while let Some(early) = due.checked_duration_since(Instant::now()) {
            thread::park_timeout(early);
        }
        stream.write_all(request.as_bytes())?;
        read(&mut stream)?;
        latencies.push(due.elapsed());
        due += pause;
    }
    Ok(latencies)
}

/// One answer with its body of 100 bytes.
fn read(stream: &mut TcpStream) -> Result<()> {
    let mut answer = Vec::new();
    let mut some = [0; 4096];
    loop {
        let count = stream.read(&mut some)?;
        ensure!(count > 0, "the connection was closed");
        answer.extend(some.iter().take(count));
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        if end.is_some_and(|end| answer.len() >= end + 4 + 100) {
            ensure!(answer.starts_with(b"HTTP/1.1 200 "), "a request failed");
            return Ok(());
        }
    }
}
