//! New connections: accepting them, sharing them out, leaving.
//!
//! Owns the accept loop of one listener on one worker. `SO_REUSEPORT` spreads connections by hash;
//! with few of them that is uneven, so a worker that has clearly more than another hands over.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::mpsc::error::SendError;

use crate::listener::AcceptError;
use crate::listener::PRESSURE_PAUSE;
use crate::listener::classify;
use crate::listener::refuse_new;
use crate::worker::Connection;
use crate::worker::Door;
use crate::worker::Message;
use crate::worker::Worker;
use crate::worker::arrival::Arrival;

/// A connection is handed over if the receiver then still has fewer than we have.
const SKEW: usize = 2;
/// How long a draining listener accepts what the kernel has completed already.
const LAST_ACCEPTS: Duration = Duration::from_millis(100);

/// Accepts until the door closes, then takes what is still queued and closes.
pub(super) async fn accept_loop(worker: Rc<Worker>, socket: TcpListener, door: Rc<Door>) {
    while !door.is_closed() {
        tokio::select! {
            biased;
            () = door.until_closed() => {}
            accepted = socket.accept() => take(&worker, accepted, &door).await,
        }
    }
    refuse_new(&socket);
    let rest = async {
        loop {
            take(&worker, socket.accept().await, &door).await;
        }
    };
    // Ends by the limit: there is no moment at which nothing more can come.
    tokio::time::timeout(LAST_ACCEPTS, rest).await.ok();
}

async fn take(
    worker: &Rc<Worker>,
    accepted: std::io::Result<(TcpStream, SocketAddr)>,
    door: &Rc<Door>,
) {
    match accepted {
        Ok((stream, peer)) => {
            if let Some(stream) = hand_over(worker, stream, peer, door) {
                adopt(worker, stream, peer, door);
            }
        }
        Err(err) => match classify(&err) {
            AcceptError::ThatConnection => {}
            AcceptError::Pressure => {
                let scene = door.scene(worker);
                let listener = scene.as_ref().map_or("", |scene| &*scene.bind().name);
                tracing::warn!(listener, %err, "cannot accept connections");
                tokio::time::sleep(PRESSURE_PAUSE).await;
            }
        },
    }
}

/// Gives the connection to the worker with the fewest, if that has clearly fewer.
fn hand_over(
    worker: &Worker,
    stream: TcpStream,
    peer: SocketAddr,
    door: &Door,
) -> Option<TcpStream> {
    if door.is_closed() {
        return Some(stream); // The other one may have ended.
    }
    let count = worker.peers.loads.len();
    let least = (0..count).min_by_key(|index| worker.load(*index))?;
    if least == worker.index || worker.load(worker.index) < worker.load(least) + SKEW {
        return Some(stream);
    }
    let inbox = worker.peers.inboxes.get(least)?;
    match stream.into_std() {
        Ok(stream) => {
            let bind = door.id;
            let sent = inbox.send(Message::Connection { stream, peer, bind });
            if let Err(SendError(Message::Connection { stream, .. })) = sent {
                return TcpStream::from_std(stream).ok(); // That worker has ended.
            }
        }
        Err(err) => tracing::warn!(%err, "a connection was lost on its way to another worker"),
    }
    None
}

/// Starts serving a connection.
pub(super) fn adopt(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, door: &Rc<Door>) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // An IPv4 client of an IPv6 socket is an IPv4 client.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    // Small writes must not wait for acknowledgements; a socket without the option still works.
    stream.set_nodelay(true).ok();
    let deadline = worker.wheel.deadline();
    let idle = Rc::new(Cell::new(false));
    let id = worker.next_connection.get();
    worker.next_connection.set(id + 1);
    worker.counters.connection();
    let key = worker.connections.borrow_mut().insert(Connection {
        bind: door.id,
        idle: Rc::clone(&idle),
        hurrier: deadline.hurrier(),
        task: None,
    });
    let arrival = Arrival {
        stream,
        worker: Rc::clone(worker),
        door: Rc::clone(door),
        peer,
        local,
        id,
        open: Open {
            worker: Rc::clone(worker),
            key,
        },
        idle,
        deadline,
    };
    if let Some(load) = worker.peers.loads.get(worker.index) {
        load.fetch_add(1, Ordering::Relaxed);
    }
    // The worker's runtime owns the task; it ends with the connection.
    let task = tokio::task::spawn_local(arrival.serve());
    if let Some(connection) = worker.connections.borrow_mut().get_mut(key) {
        connection.task = Some(task.abort_handle());
    }
}

/// Counts a connection until it is dropped.
#[derive(Debug)]
pub(crate) struct Open {
    worker: Rc<Worker>,
    key: usize,
}

impl Drop for Open {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a connection's task panicked; other connections are not affected");
        }
        self.worker.connections.borrow_mut().try_remove(self.key);
        if let Some(load) = self.worker.peers.loads.get(self.worker.index) {
            load.fetch_sub(1, Ordering::Relaxed);
        }
        self.worker.connection_ended.notify_one();
    }
}
