//! Data that all instances of a plugin share: between workers, and with plugins of the same
//! `vmId`. It is bounded by the host and may be evicted.

use tidegate_sdk_sys::{Host as _, Status, host};

use crate::error::{Error, Result};

/// How often [`Shared::update`] tries before it gives up.
const ATTEMPTS: usize = 64;

/// One key of the shared data.
#[derive(Debug, Clone)]
pub struct Shared {
    key: String,
}

impl Shared {
    pub(crate) fn new(key: &str) -> Self {
        Self {
            key: String::from(key),
        }
    }

    /// The value, if there is one.
    ///
    /// # Errors
    /// If the host refuses it.
    pub fn get(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.read()?.map(|(value, _)| value))
    }

    /// Sets the value, whatever it was.
    ///
    /// # Errors
    /// If the host refuses it: a key or value may be too large.
    pub fn set(&self, value: &[u8]) -> Result<()> {
        self.write(value, 0).map_err(refused)
    }

    /// Sets the value to what `change` makes of it, and tries again if somebody else set it
    /// meanwhile. `None` from `change` leaves it. Returns what the value is then.
    ///
    /// # Errors
    /// If the host refuses it, or others set it 64 times meanwhile.
    pub fn update(
        &self,
        mut change: impl FnMut(Option<&[u8]>) -> Option<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>> {
        for _ in 0..ATTEMPTS {
            let found = self.read()?;
            let old = found.as_ref().map(|(value, _)| &value[..]);
            let Some(new) = change(old) else {
                return Ok(found.map(|(value, _)| value));
            };
            // A key that is not there has no version to compare with: the first writer may lose
            // to another that begins at the same moment.
            let version = found.map_or(0, |(_, version)| version);
            match self.write(&new, version) {
                Ok(()) => return Ok(Some(new)),
                Err(Status::CAS_MISMATCH) => {}
                Err(status) => return Err(refused(status)),
            }
        }
        Err(Error::new(
            ["shared data changes all the time: ", &self.key].concat(),
        ))
    }

    fn read(&self) -> Result<Option<(Vec<u8>, u32)>> {
        host()
            .shared_data(self.key.as_bytes())
            .map_err(|status| Error::host("read shared data", status))
    }

    fn write(&self, value: &[u8], version: u32) -> std::result::Result<(), Status> {
        host().set_shared_data(self.key.as_bytes(), value, version)
    }
}

fn refused(status: Status) -> Error {
    Error::host("write shared data", status)
}
