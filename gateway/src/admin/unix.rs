//! The Unix socket of the admin API: for this user alone, and never taken from a running gateway.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::Mode;

/// A bound socket; its file goes with it.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    listener: UnixListener,
    _file: SocketFile,
}

#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

impl UnixSocket {
    /// Binds the path. A socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    ///
    /// The system's; `AddrInUse` if somebody listens there or it is something else than a socket.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        if let Ok(found) = std::fs::symlink_metadata(path) {
            let taken = |why| Err(io::Error::new(io::ErrorKind::AddrInUse, why));
            if !found.file_type().is_socket() {
                return taken("there is a file that is not a socket");
            }
            match UnixStream::connect(path) {
                Ok(_) => return taken("another process listens on it"),
                Err(err) if err.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path)?;
                }
                Err(err) => return Err(err),
            }
        }
        // The mode must be right from the first moment: what others connect to before it is
        // changed stays connected.
        let before = rustix::process::umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
        let bound = UnixListener::bind(path);
        rustix::process::umask(before);
        let listener = bound?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            _file: SocketFile(path.to_owned()),
        })
    }

    /// The listener, for the runtime of this thread.
    pub(crate) fn listener(&self) -> io::Result<tokio::net::UnixListener> {
        tokio::net::UnixListener::from_std(self.listener.try_clone()?)
    }
}
