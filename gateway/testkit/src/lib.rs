//! The harness of the tests: Gateway, Origin, Client.
