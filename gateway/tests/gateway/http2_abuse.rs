//! HTTP/2 clients that cost more than they should.
