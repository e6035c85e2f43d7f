//! The gateway as a whole, over real sockets.
