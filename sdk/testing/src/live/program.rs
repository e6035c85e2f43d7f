//! The program under test, as the driver needs it: Tidegate or Envoy.

use std::net::SocketAddr;
use std::time::Duration;

/// A running program.
pub(super) trait Program {
    /// Where clients connect.
    fn address(&self) -> SocketAddr;
    /// How many exchanges it has under way.
    ///
    /// # Errors
    /// If it cannot be asked.
    fn open(&mut self) -> Result<usize, String>;
    /// Lets time go on; see [`crate::driver::Driver::advance`]. True if its time is virtual.
    ///
    /// # Errors
    /// If that takes too long.
    fn advance(&mut self, time: Duration) -> Result<bool, String>;
    /// See [`crate::driver::Driver::metric`].
    ///
    /// # Errors
    /// If it cannot be read.
    fn metric(&mut self, name: &str) -> Result<Option<u64>, String>;
    /// See [`crate::driver::Driver::shared`].
    ///
    /// # Errors
    /// If it cannot be read.
    fn shared(&mut self, key: &str) -> Result<Option<Vec<u8>>, String>;
    /// See [`crate::driver::Driver::set_property`].
    ///
    /// # Errors
    /// If it cannot be set.
    fn set_property(&mut self, path: &[&str], value: &[u8]) -> Result<(), String>;
    /// Headers that requests need beside their own.
    fn more_headers(&self) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }
    /// Ends it.
    ///
    /// # Errors
    /// If it does not end well.
    fn stop(&mut self) -> Result<(), String>;
}
