//! Real programs as clients of TLS.
