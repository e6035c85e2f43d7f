//! The memory of a module: its allocator, and what the host asks for to hand us what a call gives.
//!
//! The host calls `proxy_on_memory_allocate` while one of our host calls runs, writes there, and
//! answers with the address and a length: the bytes are ours from then on.

#![expect(
    unsafe_code,
    reason = "allocators are, and the ABI passes owned memory as an address and a length"
)]

use core::mem::ManuallyDrop;

#[cfg(all(feature = "heap", not(target_feature = "atomics")))]
mod global {
    use core::alloc::{GlobalAlloc, Layout};
    use core::arch::wasm32::memory_grow;
    use core::cell::UnsafeCell;
    use core::ptr;

    use crate::heap::{Heap, Memory, PAGE};

    #[global_allocator]
    static GLOBAL: Global = Global(UnsafeCell::new(Heap::new(Linear)));

    /// The heap of the module's only thread.
    struct Global(UnsafeCell<Heap<Linear>>);

    // SAFETY: without atomics a module has one thread.
    unsafe impl Sync for Global {}

    /// The module's linear memory.
    #[derive(Debug)]
    struct Linear;

    impl Memory for Linear {
        fn more(&mut self, bytes: usize) -> *mut u8 {
            match memory_grow::<0>(bytes / PAGE) {
                usize::MAX => ptr::null_mut(),
                before => ptr::with_exposed_provenance_mut(before * PAGE),
            }
        }
    }

    // SAFETY: the heap gives blocks of at least the size and alignment that are asked for, of
    // which no two overlap. There is one thread, and nothing in the heap calls back.
    unsafe impl GlobalAlloc for Global {
        #[inline]
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: nobody else has a reference, see above.
            unsafe { &mut *self.0.get() }.allocate(layout)
        }

        #[inline]
        unsafe fn dealloc(&self, content: *mut u8, _layout: Layout) {
            // SAFETY: as above.
            let heap = unsafe { &mut *self.0.get() };
            // SAFETY: the caller says what `free` wants.
            unsafe { heap.free(content) }
        }

        #[inline]
        unsafe fn realloc(&self, content: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            // SAFETY: as above.
            let heap = unsafe { &mut *self.0.get() };
            // SAFETY: the caller says what `reallocate` wants.
            unsafe { heap.reallocate(content, layout, size) }
        }
    }
}

/// Memory of `size` bytes for the host to write to. It is freed by [`adopt`].
#[must_use]
pub fn allocate(size: usize) -> *mut u8 {
    let mut bytes = ManuallyDrop::new(Vec::with_capacity(size));
    bytes.as_mut_ptr()
}

/// The bytes that a host call has left at `address`.
///
/// # Safety
/// `address` and `size` are what a host call gave: null or 0 for nothing, or else memory of
/// exactly `size` bytes from [`allocate`] that the host has written and nobody has adopted yet.
pub(crate) unsafe fn adopt(address: *mut u8, size: usize) -> Vec<u8> {
    if address.is_null() || size == 0 {
        return Vec::new();
    }
    // SAFETY: by contract `allocate` made it as a vector with room for `size` bytes, and the host,
    // which may write any byte of our memory at any call, has written them.
    unsafe { Vec::from_raw_parts(address, size, size) }
}
