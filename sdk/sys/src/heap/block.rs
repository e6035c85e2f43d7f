//! One block of the heap: its header, and how its size makes a class.

#![expect(unsafe_code, reason = "headers are in raw memory")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::allow_attributes,
    reason = "one comment for all: whoever has a block knows that it is one of the heap"
)]

/// Sizes and addresses of contents are multiples of it; a header is as long.
pub(super) const GRANULE: usize = 2 * size_of::<usize>();
/// Sizes below this many granules have a class of their own, of which some blocks are kept.
pub(super) const SMALL: usize = 32;
/// Classes between a power of two and the next.
pub(super) const STEPS: usize = 16;
pub(super) const CLASSES: usize =
    SMALL + (usize::BITS - GRANULE.ilog2() - SMALL.ilog2()) as usize * STEPS;
/// The bit of a size that says that the block is free.
pub(super) const FREE: usize = 1;
/// What is before the content of each block, and the links of a free one in its content.
#[repr(C)]
pub(super) struct Block {
    /// The block before it in memory, or null.
    pub(super) before: *mut Self,
    /// Bytes of its content, and [`FREE`].
    pub(super) tag: usize,
    pub(super) next: *mut Self,
    pub(super) previous: *mut Self,
}

/// The bytes of a content for `size`: all blocks of a class above the small ones have at least
/// what its least one has, so that sizes are rounded up to that.
#[inline(always)]
pub(super) const fn rounded(size: usize) -> usize {
    let granules = size.div_ceil(GRANULE);
    if granules < SMALL {
        return if granules == 0 {
            GRANULE
        } else {
            granules * GRANULE
        };
    }
    let step = (1 << granules.ilog2()) / STEPS;
    granules.next_multiple_of(step) * GRANULE
}

/// The class of blocks whose content has `size` bytes.
#[inline(always)]
pub(super) const fn class(size: usize) -> usize {
    let granules = size / GRANULE;
    if granules < SMALL {
        return granules;
    }
    let log = granules.ilog2();
    let step = granules >> (log - STEPS.ilog2());
    SMALL + (log - SMALL.ilog2()) as usize * STEPS + step - STEPS
}

impl Block {
    pub(super) unsafe fn size(this: *mut Self) -> usize {
        unsafe { (*this).tag & !FREE }
    }

    pub(super) unsafe fn is_free(this: *mut Self) -> bool {
        unsafe { (*this).tag & FREE != 0 }
    }

    pub(super) unsafe fn content(this: *mut Self) -> *mut u8 {
        unsafe { this.cast::<u8>().add(GRANULE) }
    }

    pub(super) unsafe fn of(content: *mut u8) -> *mut Self {
        unsafe { content.sub(GRANULE).cast() }
    }

    /// The block behind it in memory.
    pub(super) unsafe fn after(this: *mut Self) -> *mut Self {
        unsafe { Self::content(this).add(Self::size(this)).cast() }
    }

    /// Makes a used block with `size` bytes of content.
    pub(super) unsafe fn write(this: *mut Self, before: *mut Self, size: usize) {
        unsafe {
            (*this).before = before;
            (*this).tag = size;
        }
    }

    /// Cuts a used block: it keeps `size` bytes. Gives the rest as a used block, if it is large
    /// enough to be one.
    pub(super) unsafe fn cut(this: *mut Self, size: usize) -> Option<*mut Self> {
        unsafe {
            let whole = Self::size(this);
            if whole < size + 2 * GRANULE {
                return None;
            }
            let after = Self::after(this);
            (*this).tag = size;
            let rest = Self::after(this);
            Self::write(rest, this, whole - size - GRANULE);
            (*after).before = rest;
            Some(rest)
        }
    }

    /// Makes the block behind a used one, which is in no list, a part of it.
    pub(super) unsafe fn merge(this: *mut Self, after: *mut Self) {
        unsafe {
            (*this).tag = Self::size(this) + GRANULE + Self::size(after);
            (*Self::after(this)).before = this;
        }
    }
}
