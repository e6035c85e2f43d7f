//! What runs a filter for a test: the simulator, a gateway, or Envoy.

use std::time::Duration;

use crate::fields::Fields;
use crate::request::Request;

/// The part of a harness that differs between modes.
pub(crate) trait Driver {
    /// Sends the headers of a request, and what is given of its body.
    fn begin(&mut self, exchange: u32, request: &Request, chunks: Vec<Vec<u8>>);
    /// Connects to a network filter.
    fn connect(&mut self, exchange: u32);
    /// Sends more of a request's body, or on a connection.
    fn chunk(&mut self, exchange: u32, bytes: &[u8]);
    /// Ends a request's body, or what a client sends on a connection.
    fn end(&mut self, exchange: u32, trailers: &Fields);
    /// The client goes away.
    fn disconnect(&mut self, exchange: u32);
    /// Waits for something to happen: says whether it is worth looking again. Virtual time goes on
    /// to the next thing that happens, if there is one.
    fn wait(&mut self) -> Waited;
    /// Lets what is under way come to rest, without time going on.
    fn settle(&mut self);
    /// An exchange has its whole answer: the filter's last callbacks about it have been, too.
    ///
    /// # Errors
    /// If they do not come.
    fn ended(&mut self, exchange: u32) -> Result<(), String>;
    /// Lets time go on.
    ///
    /// # Errors
    /// If that takes too long here.
    fn advance(&mut self, time: Duration) -> Result<(), String>;
    /// How long ago 1970 began, on the filter's clock.
    fn unix_time(&mut self) -> Duration;
    /// The value of a counter or gauge, or the number of values of a histogram.
    ///
    /// # Errors
    /// If it cannot be read.
    fn metric(&mut self, name: &str) -> Result<Option<u64>, String>;
    /// The value of a key of the shared data.
    ///
    /// # Errors
    /// If it cannot be read here.
    fn shared(&mut self, key: &str) -> Result<Option<Vec<u8>>, String>;
    /// Sets a property of the exchanges that follow.
    ///
    /// # Errors
    /// If that cannot be done here.
    fn set_property(&mut self, path: &[&str], value: &[u8]) -> Result<(), String>;
    /// Answers an exchange as another filter or a time-out would.
    ///
    /// # Errors
    /// If that cannot be done here.
    fn answer_elsewhere(&mut self, exchange: u32, status: u16) -> Result<(), String>;
    /// Ends the plugin; `open` exchanges were never finished by the test.
    ///
    /// # Errors
    /// What is left that should not be.
    fn stop(&mut self) -> Result<(), String>;
}

/// What came of a wait.
pub(crate) enum Waited {
    /// Something may have happened.
    Look,
    /// Nothing will: why.
    InVain(String),
}
