//! The memory of a module: an allocator that is small, and fast for what filters do.
//!
//! Every free block is in a list of blocks of about its size, and a bitmap says which lists have
//! one: to find a block, to cut it and to merge it with its neighbours takes the same few steps
//! however many there are (Masmano and others, "TLSF", 2004). Small blocks are first kept as they
//! are, some of each size, for the next request of that size. Nothing is ever given back to the
//! host: a module cannot.

#![expect(unsafe_code, reason = "an allocator hands out raw memory")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::allow_attributes,
    reason = "one comment for all: blocks are those of this heap, whose headers only it writes; \
              classes are below CLASSES by their computation"
)]

mod block;

#[cfg(test)]
mod tests;

use core::alloc::Layout;
use core::ptr;

use block::{Block, CLASSES, FREE, GRANULE, SMALL, class, rounded};

/// Blocks of one small size that are kept as they are.
const KEPT: usize = 64;
/// How much more memory is asked for at least, and a divisor of how much.
pub(crate) const PAGE: usize = 65_536;

/// Where a heap gets its memory from.
pub(crate) trait Memory {
    /// `bytes` more, which are a multiple of [`PAGE`]: where they begin, aligned to 16, or null.
    fn more(&mut self, bytes: usize) -> *mut u8;
}

/// What a list has at `index`. A panic would allocate in the middle of an allocation: there is none.
///
/// # Safety
/// The list has so many items. Classes are below [`CLASSES`], and words below as many as they take.
#[inline(always)]
unsafe fn at<T: Copy>(list: &[T], index: usize) -> T {
    debug_assert!(index < list.len());
    unsafe { *list.get_unchecked(index) }
}

/// As [`at`], to change it.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn at_mut<T>(list: &mut [T], index: usize) -> &mut T {
    debug_assert!(index < list.len());
    unsafe { list.get_unchecked_mut(index) }
}

/// The blocks of a module.
pub(crate) struct Heap<M> {
    memory: M,
    /// Bit by word of `filled`: it has one.
    words: u32,
    /// Bit by class: it has a free block.
    filled: [u32; CLASSES.div_ceil(32)],
    free: [*mut Block; CLASSES],
    /// Small blocks that are free and look used, linked by `next`.
    kept: [*mut Block; SMALL],
    kept_count: [usize; SMALL],
    /// The header behind the last block, which is used and has no content.
    end: *mut Block,
}

impl<M: core::fmt::Debug> core::fmt::Debug for Heap<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let memory = &self.memory;
        f.debug_struct("Heap")
            .field("memory", memory)
            .finish_non_exhaustive()
    }
}

impl<M: Memory> Heap<M> {
    /// A heap without memory.
    pub(crate) const fn new(memory: M) -> Self {
        Self {
            memory,
            words: 0,
            filled: [0; CLASSES.div_ceil(32)],
            free: [ptr::null_mut(); CLASSES],
            kept: [ptr::null_mut(); SMALL],
            kept_count: [0; SMALL],
            end: ptr::null_mut(),
        }
    }

    /// Memory for `layout`, or null if there is none.
    #[inline]
    pub(crate) fn allocate(&mut self, layout: Layout) -> *mut u8 {
        if layout.align() > GRANULE {
            return self.allocate_aligned(layout);
        }
        let size = rounded(layout.size());
        if let Some(block) = self.take_kept(class(size)) {
            // SAFETY: a block of this heap.
            return unsafe { Block::content(block) };
        }
        self.find(size)
    }

    /// Takes memory back.
    ///
    /// # Safety
    /// `content` is what [`allocate`](Self::allocate) or [`reallocate`](Self::reallocate) gave,
    /// and nobody uses it any more.
    #[inline]
    pub(crate) unsafe fn free(&mut self, content: *mut u8) {
        unsafe {
            let block = Block::of(content);
            let class = class(Block::size(block));
            if let Some(kept) = self.kept.get_mut(class)
                && let Some(count) = self.kept_count.get_mut(class)
                && *count < KEPT
            {
                (*block).next = *kept;
                *kept = block;
                *count += 1;
            } else {
                self.release(block);
            }
        }
    }

    /// Memory for `size` bytes with what `content` has, in its place if it can be; or null, and
    /// `content` stays as it is.
    ///
    /// # Safety
    /// As for [`free`](Self::free). `layout` is what it was allocated for, or less.
    pub(crate) unsafe fn reallocate(
        &mut self,
        content: *mut u8,
        layout: Layout,
        size: usize,
    ) -> *mut u8 {
        unsafe {
            let block = Block::of(content);
            let needed = rounded(size);
            let has = Block::size(block);
            if needed > has {
                let after = Block::after(block);
                if !Block::is_free(after) || has + GRANULE + Block::size(after) < needed {
                    return self.relocate(content, layout, size);
                }
                self.unlink(after);
                Block::merge(block, after);
            }
            if let Some(rest) = Block::cut(block, needed) {
                self.release(rest);
            }
            content
        }
    }

    #[cold]
    unsafe fn relocate(&mut self, content: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe {
            let Ok(wanted) = Layout::from_size_align(size, layout.align()) else {
                return ptr::null_mut();
            };
            let moved = self.allocate(wanted);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(content, moved, layout.size().min(size));
                self.free(content);
            }
            moved
        }
    }

    /// Memory whose address is a multiple of more than contents usually have.
    #[cold]
    fn allocate_aligned(&mut self, layout: Layout) -> *mut u8 {
        let size = rounded(layout.size());
        let content = self.find(rounded(size + layout.align() + GRANULE));
        if content.is_null() {
            return content;
        }
        unsafe {
            let mut block = Block::of(content);
            let beyond = content.addr() & (layout.align() - 1);
            if beyond != 0 {
                // There is room for a block before the place: both are multiples of a granule.
                let before = match layout.align() - beyond {
                    GRANULE => layout.align(),
                    room => room - GRANULE,
                };
                if let Some(rest) = Block::cut(block, before) {
                    self.release(block);
                    block = rest;
                }
            }
            if let Some(rest) = Block::cut(block, size) {
                self.release(rest);
            }
            Block::content(block)
        }
    }

    /// A content of `size` bytes, which are rounded, from the free blocks or from new memory.
    fn find(&mut self, size: usize) -> *mut u8 {
        loop {
            if let Some(block) = self.first_of(class(size)) {
                unsafe {
                    self.unlink(block);
                    if let Some(rest) = Block::cut(block, size) {
                        self.link(rest);
                    }
                    return Block::content(block);
                }
            }
            if !self.grow(size) && !self.release_kept() {
                return ptr::null_mut();
            }
        }
    }

    /// Makes blocks that are kept free as others are; false if there were none.
    #[cold]
    fn release_kept(&mut self) -> bool {
        let mut had = false;
        for class in 0..SMALL {
            while let Some(block) = self.take_kept(class) {
                // SAFETY: it was free all the time.
                unsafe { self.release(block) };
                had = true;
            }
        }
        had
    }

    #[inline(always)]
    fn take_kept(&mut self, class: usize) -> Option<*mut Block> {
        let kept = self.kept.get_mut(class)?;
        let block = *kept;
        if block.is_null() {
            return None;
        }
        // It links to the next one of its size, and both lists have the class.
        unsafe {
            *kept = (*block).next;
            *at_mut(&mut self.kept_count, class) -= 1;
        }
        Some(block)
    }

    /// The first free block of this class or of the next that has one.
    fn first_of(&self, class: usize) -> Option<*mut Block> {
        let mut word = class / 32;
        let mut bits = unsafe { at(&self.filled, word) } & (u32::MAX << (class % 32));
        if bits == 0 {
            let words = self.words & (u32::MAX - 1) << word;
            if words == 0 {
                return None;
            }
            word = words.trailing_zeros() as usize;
            bits = unsafe { at(&self.filled, word) };
        }
        let class = word * 32 + bits.trailing_zeros() as usize;
        Some(unsafe { at(&self.free, class) })
    }

    /// Puts a used block into its list, as free.
    unsafe fn link(&mut self, block: *mut Block) {
        unsafe {
            let class = class(Block::size(block));
            let next = at(&self.free, class);
            (*block).tag |= FREE;
            (*block).next = next;
            (*block).previous = ptr::null_mut();
            if !next.is_null() {
                (*next).previous = block;
            }
            *at_mut(&mut self.free, class) = block;
            *at_mut(&mut self.filled, class / 32) |= 1 << (class % 32);
            self.words |= 1 << (class / 32);
        }
    }

    /// Takes a free block out of its list, as used.
    unsafe fn unlink(&mut self, block: *mut Block) {
        unsafe {
            let class = class(Block::size(block));
            (*block).tag &= !FREE;
            let (next, previous) = ((*block).next, (*block).previous);
            if !next.is_null() {
                (*next).previous = previous;
            }
            if !previous.is_null() {
                (*previous).next = next;
                return;
            }
            *at_mut(&mut self.free, class) = next;
            if next.is_null() {
                let word = at_mut(&mut self.filled, class / 32);
                *word &= !(1 << (class % 32));
                if *word == 0 {
                    self.words &= !(1 << (class / 32));
                }
            }
        }
    }

    /// Makes a used block free, together with its free neighbours.
    unsafe fn release(&mut self, mut block: *mut Block) {
        unsafe {
            let after = Block::after(block);
            if Block::is_free(after) {
                self.unlink(after);
                Block::merge(block, after);
            }
            let before = (*block).before;
            if !before.is_null() && Block::is_free(before) {
                self.unlink(before);
                Block::merge(before, block);
                block = before;
            }
            self.link(block);
        }
    }

    /// Gets memory for a block of `size` bytes at least; false if there is none.
    #[cold]
    fn grow(&mut self, size: usize) -> bool {
        let Some(bytes) = size
            .checked_add(2 * GRANULE)
            .and_then(|it| it.checked_next_multiple_of(PAGE))
        else {
            return false;
        };
        let start = self.memory.more(bytes);
        if start.is_null() {
            return false;
        }
        unsafe {
            let mut block: *mut Block = start.cast();
            let mut content = bytes - 2 * GRANULE;
            let mut before = ptr::null_mut();
            if !self.end.is_null() && ptr::eq(Block::content(self.end), start) {
                // It goes on where the last of it ended: so does the last block.
                block = self.end;
                before = (*block).before;
                content = bytes - GRANULE;
            }
            Block::write(block, before, content);
            self.end = Block::after(block);
            Block::write(self.end, block, 0);
            self.release(block);
        }
        true
    }
}
