//! Endpoints from names: the thread that looks them up for all workers.
//!
//! Owns which sources are followed. One thread serves the process, started with the first source; it
//! tells workers what has changed, by messages. What is made of answers is `core::dns`'s.

mod board;
mod follow;
mod lookup;

use std::collections::HashMap;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use tidegate_core::backend::BackendName;
use tidegate_core::dns::DnsSource;
use tidegate_core::snapshot::Backends;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::mpsc::unbounded_channel;

pub(crate) use crate::resolver::board::Board;
pub use crate::resolver::board::LookedUp;
pub use crate::resolver::board::Lookups;
use crate::resolver::follow::Followed;
use crate::resolver::follow::Followers;

/// How long a generation waits for the first answers about its names. After that it serves, and its
/// backends have no endpoints until the answers come.
const FIRST_ANSWERS: Duration = Duration::from_secs(2);

/// Looks up the names of backends.
#[derive(Debug)]
pub(crate) struct Resolver {
    /// Who is asked; the system's servers if nobody is named.
    servers: Vec<SocketAddr>,
    board: Arc<Board>,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Thread {
    orders: UnboundedSender<Order>,
    handle: JoinHandle<()>,
}

/// A source with the backends that have it.
#[derive(Debug)]
struct Wanted {
    source: Arc<DnsSource>,
    backends: Vec<BackendName>,
}

/// What the thread is told.
#[derive(Debug)]
enum Order {
    /// To follow these too; `first` is dropped when all of them have a first answer.
    Follow {
        wanted: Vec<Wanted>,
        first: mpsc::Sender<()>,
    },
    /// To follow these and no others.
    Only(Vec<Wanted>),
}

impl Resolver {
    pub(crate) fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            board: Arc::default(),
            thread: None,
        }
    }

    /// What is known of all names.
    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Follows the names of these backends too. First answers are to be waited for a moment.
    ///
    /// # Errors
    ///
    /// The system's, if it gives no thread.
    pub(crate) fn follow(&mut self, backends: &Backends) -> std::io::Result<FirstAnswers> {
        let wanted = wanted(backends);
        let (first, answered) = mpsc::channel();
        let answers = FirstAnswers {
            answered,
            until: Instant::now() + FIRST_ANSWERS,
            board: Arc::clone(&self.board),
        };
        if wanted.is_empty() {
            return Ok(answers);
        }
        let thread = match self.thread.take() {
            Some(thread) => thread,
            None => start(self.servers.clone(), Arc::clone(&self.board))?,
        };
        thread.orders.send(Order::Follow { wanted, first }).ok();
        self.thread = Some(thread);
        Ok(answers)
    }

    /// Follows the names of these backends only, from now on.
    pub(crate) fn only(&self, backends: &Backends) {
        if let Some(thread) = &self.thread {
            thread.orders.send(Order::Only(wanted(backends))).ok();
        }
    }
}

/// First answers about names that are new.
#[derive(Debug)]
pub(crate) struct FirstAnswers {
    /// Its other end is dropped when all are here.
    answered: mpsc::Receiver<()>,
    until: Instant,
    board: Arc<Board>,
}

impl FirstAnswers {
    /// Waits for them, not for long.
    pub(crate) fn wait(&self) {
        while self.are_here_within(FIRST_ANSWERS).is_none() {}
    }

    /// Waits for them at most so long; `None` if they are to be waited for longer.
    pub(crate) fn are_here_within(&self, patience: Duration) -> Option<()> {
        let left = self.until.saturating_duration_since(Instant::now());
        let ended = self.answered.recv_timeout(patience.min(left));
        if ended != Err(mpsc::RecvTimeoutError::Timeout) {
            return Some(());
        }
        if patience < left {
            return None;
        }
        let names = self.board.unanswered();
        tracing::warn!(
            "no answer about {} yet: their backends have no endpoints until it comes",
            names.join(", ")
        );
        Some(())
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        if let Some(Thread { orders, handle }) = self.thread.take() {
            drop(orders);
            handle.join().ok();
        }
    }
}

/// The sources of these backends, each once.
fn wanted(backends: &Backends) -> Vec<Wanted> {
    let mut places: HashMap<&Arc<DnsSource>, usize> = HashMap::new();
    let mut all: Vec<Wanted> = Vec::new();
    for backend in backends.iter() {
        let Some(source) = &backend.dns else {
            continue;
        };
        let place = *places.entry(source).or_insert_with(|| {
            all.push(Wanted {
                source: Arc::clone(source),
                backends: Vec::new(),
            });
            all.len() - 1
        });
        if let Some(wanted) = all.get_mut(place) {
            wanted.backends.push(backend.name.clone());
        }
    }
    all
}

fn start(servers: Vec<SocketAddr>, board: Arc<Board>) -> std::io::Result<Thread> {
    let (orders, inbox) = unbounded_channel();
    let handle = std::thread::Builder::new()
        .name("resolver".to_owned())
        .spawn(move || run(servers, board, inbox))?;
    Ok(Thread { orders, handle })
}

fn run(servers: Vec<SocketAddr>, board: Arc<Board>, inbox: UnboundedReceiver<Order>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default());
    match runtime {
        Ok(runtime) => {
            runtime.block_on(obey(servers, board, inbox));
            // Lookups that are under way must not hold up the end.
            runtime.shutdown_background();
        }
        Err(err) => tracing::error!(%err, "names are not looked up"),
    }
}

async fn obey(servers: Vec<SocketAddr>, board: Arc<Board>, mut inbox: UnboundedReceiver<Order>) {
    let followers = Rc::new(Followers::new(servers, board));
    let mut followed: HashMap<Arc<DnsSource>, Followed> = HashMap::new();
    while let Some(order) = inbox.recv().await {
        match order {
            Order::Follow { wanted, first } => {
                for Wanted { source, backends } in wanted {
                    followers.board.name(&source, backends);
                    let one = followed
                        .entry(Arc::clone(&source))
                        .or_insert_with(|| Followed::start(&followers, source));
                    one.tell_first(&first);
                }
            }
            Order::Only(wanted) => {
                let wanted: HashSet<Arc<DnsSource>> = names(wanted, &followers.board);
                followed.retain(|source, _| wanted.contains(source));
            }
        }
    }
}

/// Makes these all that the board knows.
fn names(wanted: Vec<Wanted>, board: &Board) -> HashSet<Arc<DnsSource>> {
    let mut sources = HashSet::new();
    for Wanted { source, backends } in wanted {
        board.name(&source, backends);
        sources.insert(source);
    }
    board.retain(&sources);
    sources
}
