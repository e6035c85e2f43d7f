//! Guest memory: the only place that turns numbers of a guest into slices.
//!
//! Owns the bounds checks and little-endian writes at any alignment. It never calls the guest; its
//! allocator is called by `host_calls::guest`.
//!
//! Invariant: a slice is used up before the guest may run again, because the guest may grow its
//! memory; the borrow checker sees to that.

use crate::kinds::Status;

/// A range of guest memory that the guest named.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Region {
    ptr: u32,
    len: u32,
}

impl Region {
    pub(crate) const fn new(ptr: u32, len: u32) -> Self {
        Self { ptr, len }
    }

    pub(crate) const fn len(self) -> u32 {
        self.len
    }

    /// The bytes, if the guest has them all. An empty region may point anywhere: Rust guests send 1.
    pub(crate) fn read(self, memory: &[u8]) -> Result<&[u8], Status> {
        if self.len == 0 {
            return Ok(&[]);
        }
        let start = u64::from(self.ptr);
        let end = start + u64::from(self.len);
        range(start, end)
            .and_then(|range| memory.get(range))
            .ok_or(Status::InvalidMemoryAccess)
    }

    /// The bytes for writing, if the guest really has them all.
    pub(crate) fn get_mut(self, memory: &mut [u8]) -> Result<&mut [u8], Status> {
        if self.len == 0 {
            return Ok(&mut []);
        }
        let start = u64::from(self.ptr);
        let end = start + u64::from(self.len);
        range(start, end)
            .and_then(|range| memory.get_mut(range))
            .ok_or(Status::InvalidMemoryAccess)
    }

    /// Fills the region with as many bytes as it is long.
    pub(crate) fn fill(self, memory: &mut [u8], bytes: &[u8]) -> Result<(), Status> {
        let place = self.get_mut(memory)?;
        if place.len() != bytes.len() {
            return Err(Status::InternalFailure);
        }
        place.copy_from_slice(bytes);
        Ok(())
    }
}

/// An address where the guest wants a number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    /// Refuses an address that cannot take `width` bytes, before anything has been done.
    pub(crate) fn check(self, memory: &[u8], width: u32) -> Result<(), Status> {
        Region::new(self.0, width).read(memory).map(|_| ())
    }

    pub(crate) fn write_u32(self, memory: &mut [u8], value: u32) -> Result<(), Status> {
        Region::new(self.0, 4).fill(memory, &value.to_le_bytes())
    }

    pub(crate) fn write_u64(self, memory: &mut [u8], value: u64) -> Result<(), Status> {
        Region::new(self.0, 8).fill(memory, &value.to_le_bytes())
    }

    /// The slot `bytes` behind this one; over the end of memory it is refused when used.
    pub(crate) const fn plus(self, bytes: u32) -> Self {
        Self(self.0.saturating_add(bytes))
    }
}

/// Where the guest wants the address and the length of what the host allocates for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutBytes {
    pub(crate) ptr: Slot,
    pub(crate) len: Slot,
}

impl OutBytes {
    pub(crate) const fn new(ptr: u32, len: u32) -> Self {
        Self {
            ptr: Slot(ptr),
            len: Slot(len),
        }
    }

    pub(crate) fn check(self, memory: &[u8]) -> Result<(), Status> {
        self.ptr.check(memory, 4)?;
        self.len.check(memory, 4)
    }

    pub(crate) fn write(self, memory: &mut [u8], ptr: u32, len: u32) -> Result<(), Status> {
        self.ptr.write_u32(memory, ptr)?;
        self.len.write_u32(memory, len)
    }
}

/// Addresses are added in 64 bits, so that a sum over 4 GiB is out of bounds and not small again.
fn range(start: u64, end: u64) -> Option<std::ops::Range<usize>> {
    Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_must_lie_in_memory_to_its_last_byte() {
        let memory = [7; 8];
        assert_eq!(Region::new(4, 4).read(&memory), Ok(&[7; 4][..]));
        assert_eq!(
            Region::new(5, 4).read(&memory),
            Err(Status::InvalidMemoryAccess)
        );
        assert_eq!(
            Region::new(u32::MAX, 2).read(&memory),
            Err(Status::InvalidMemoryAccess)
        );
        assert_eq!(
            Region::new(u32::MAX, u32::MAX).read(&memory),
            Err(Status::InvalidMemoryAccess)
        );
    }

    #[test]
    fn an_empty_region_may_point_anywhere() {
        assert_eq!(Region::new(u32::MAX, 0).read(&[]), Ok(&[][..]));
    }

    #[test]
    fn numbers_are_written_at_any_alignment() {
        let mut memory = [0; 8];
        Slot(3).write_u32(&mut memory, 0x0403_0201).unwrap();
        assert_eq!(memory, [0, 0, 0, 1, 2, 3, 4, 0]);
        assert_eq!(
            Slot(5).write_u32(&mut memory, 1),
            Err(Status::InvalidMemoryAccess)
        );
        assert_eq!(
            Slot(1).write_u64(&mut memory, 1),
            Err(Status::InvalidMemoryAccess)
        );
    }
}
