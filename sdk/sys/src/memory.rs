//! Memory that the host asks for to hand us what a call gives.
//!
//! The host calls `proxy_on_memory_allocate` while one of our host calls runs, writes there, and
//! answers with the address and a length: the bytes are ours from then on.

#![expect(
    unsafe_code,
    reason = "the ABI passes owned memory as an address and a length"
)]

use core::mem::ManuallyDrop;

/// Memory of `size` bytes for the host to write to. It is freed by [`adopt`].
#[must_use]
pub fn allocate(size: usize) -> *mut u8 {
    // Zeroed, so that the bytes are defined whatever the host writes.
    let mut bytes = ManuallyDrop::new(vec![0_u8; size]);
    bytes.as_mut_ptr()
}

/// The bytes that a host call has left at `address`.
///
/// # Safety
/// `address` and `size` are what a host call gave: null or 0 for nothing, or else memory of
/// exactly `size` bytes from [`allocate`] that nobody has adopted yet.
pub(crate) unsafe fn adopt(address: *mut u8, size: usize) -> Vec<u8> {
    if address.is_null() || size == 0 {
        return Vec::new();
    }
    // SAFETY: by contract `allocate` made it as a vector of `size` bytes, all of them initialised.
    unsafe { Vec::from_raw_parts(address, size, size) }
}
