//! What is allocated is kept apart and intact, and what is free is found again as a whole.

use core::alloc::Layout;
use core::ptr;

use super::block::{Block, CLASSES, GRANULE, class, rounded};
use super::{Heap, Memory, PAGE};

/// Memory in one piece, given out part by part; after each part a `gap` may be left.
struct Arena {
    bytes: Vec<u128>,
    given: usize,
    gap: usize,
}

impl Arena {
    fn new(pages: usize, gap: usize) -> Self {
        Self {
            bytes: vec![0; pages * PAGE / 16],
            given: 0,
            gap,
        }
    }
}

impl Memory for Arena {
    fn more(&mut self, bytes: usize) -> *mut u8 {
        if self.given + bytes > self.bytes.len() * 16 {
            return ptr::null_mut();
        }
        let start = self
            .bytes
            .as_mut_ptr()
            .cast::<u8>()
            .wrapping_add(self.given);
        self.given += bytes + self.gap;
        start
    }
}

/// What somebody has: an address, how it was asked for, and the byte that fills it.
struct Held {
    content: *mut u8,
    layout: Layout,
    byte: u8,
}

impl Held {
    fn fill(&self) {
        // SAFETY: so many bytes are ours.
        unsafe { self.content.write_bytes(self.byte, self.layout.size()) };
    }

    fn check(&self, size: usize) {
        for at in 0..size {
            // SAFETY: so many bytes are ours.
            let byte = unsafe { *self.content.add(at) };
            assert_eq!(byte, self.byte, "byte {at} of {:?}", self.layout);
        }
    }
}

/// Every block is linked to its neighbours, and no two free ones are.
fn walk(heap: &Heap<Arena>) {
    let mut block = heap.end;
    // SAFETY: blocks of this heap, which nobody changes meanwhile.
    unsafe {
        while !block.is_null() {
            let before = (*block).before;
            if !before.is_null() {
                assert_eq!(Block::after(before), block);
                assert!(!(Block::is_free(before) && Block::is_free(block)));
            }
            block = before;
        }
    }
}

fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 33).unwrap()
}

fn size(state: &mut u64) -> usize {
    let most = [16, 64, 500, 5_000, 60_000][random(state) % 5];
    1 + random(state) % most
}

fn exercise(gap: usize, seed: u64) {
    let mut state = seed;
    let mut heap = Heap::new(Arena::new(64, gap));
    let mut all: Vec<Held> = Vec::new();
    for turn in 0..6_000 {
        let choice = random(&mut state) % 8;
        if choice < 4 {
            let align = 1 << (random(&mut state) % if choice == 0 { 9 } else { 4 });
            let layout = Layout::from_size_align(size(&mut state), align).unwrap();
            let content = heap.allocate(layout);
            if content.is_null() {
                continue;
            }
            assert_eq!(content.addr() % align, 0);
            let byte = u8::try_from(turn % 251).unwrap();
            let held = Held {
                content,
                layout,
                byte,
            };
            held.fill();
            all.push(held);
        } else if !all.is_empty() {
            let at = random(&mut state) % all.len();
            let held = all.swap_remove(at);
            held.check(held.layout.size());
            if choice < 6 {
                // SAFETY: it is from this heap, and forgotten.
                unsafe { heap.free(held.content) };
                continue;
            }
            let size = size(&mut state);
            // SAFETY: it is from this heap, and forgotten unless it stays as it is.
            let content = unsafe { heap.reallocate(held.content, held.layout, size) };
            if content.is_null() {
                all.push(held);
                continue;
            }
            let layout = Layout::from_size_align(size, held.layout.align()).unwrap();
            assert_eq!(content.addr() % layout.align(), 0);
            let moved = Held {
                content,
                layout,
                ..held
            };
            moved.check(size.min(held.layout.size()));
            moved.fill();
            all.push(moved);
        }
        if turn % 64 == 0 {
            walk(&heap);
        }
    }
    for held in all {
        held.check(held.layout.size());
        // SAFETY: it is from this heap, and forgotten.
        unsafe { heap.free(held.content) };
    }
    walk(&heap);
}

#[test]
fn what_is_allocated_is_apart_aligned_and_intact_whatever_comes_and_goes() {
    for seed in 1..6 {
        exercise(0, seed * 7_919);
        // Somebody else asks for memory in between: parts do not touch.
        exercise(PAGE, seed * 104_729);
    }
}

#[test]
fn memory_of_freed_blocks_is_one_piece_again() {
    for size in [16, 100, 400, 1_000] {
        one_piece_again(size);
    }
}

fn one_piece_again(size: usize) {
    let mut heap = Heap::new(Arena::new(64, 0));
    let layout = Layout::from_size_align(size, 8).unwrap();
    let all: Vec<_> = (0..900_000 / size).map(|_| heap.allocate(layout)).collect();
    assert!(all.iter().all(|it| !it.is_null()));
    for order in [0, 1] {
        for content in all.iter().skip(order).step_by(2) {
            // SAFETY: each is freed once.
            unsafe { heap.free(*content) };
        }
    }
    walk(&heap);
    // There is no more: it has to come from them.
    heap.memory.given = usize::MAX / 2;
    let whole = Layout::from_size_align(800_000, 8).unwrap();
    assert!(!heap.allocate(whole).is_null());
}

#[test]
fn requests_of_one_size_again_and_again_take_no_more_memory() {
    for size in [1, 24, 100, 600, 5_001, 70_000, 300_000] {
        let mut heap = Heap::new(Arena::new(64, 0));
        let layout = Layout::from_size_align(size, 8).unwrap();
        let mut given = 0;
        for turn in 0..200 {
            let three = [(); 3].map(|()| heap.allocate(layout));
            for content in three {
                assert!(!content.is_null());
                // SAFETY: each is freed once.
                unsafe { heap.free(content) };
            }
            if turn == 0 {
                given = heap.memory.given;
            }
        }
        assert_eq!(heap.memory.given, given, "size {size}");
    }
}

#[test]
fn what_grows_into_free_memory_behind_it_stays_where_it_is() {
    let mut heap = Heap::new(Arena::new(64, 0));
    let layout = Layout::from_size_align(1_000, 1).unwrap();
    let content = heap.allocate(layout);
    // SAFETY: it is from this heap.
    let grown = unsafe { heap.reallocate(content, layout, 50_000) };
    assert_eq!(grown, content);
}

#[test]
fn memory_that_the_host_refuses_is_a_null_pointer_and_changes_nothing() {
    let mut heap = Heap::new(Arena::new(2, 0));
    let small = Layout::from_size_align(100, 8).unwrap();
    let content = heap.allocate(small);
    let huge = Layout::from_size_align(10 * PAGE, 8).unwrap();
    assert!(heap.allocate(huge).is_null());
    let most = Layout::from_size_align(isize::MAX.unsigned_abs() - 511, 512).unwrap();
    assert!(heap.allocate(most).is_null());
    // SAFETY: it is from this heap, and stays as it is.
    assert!(unsafe { heap.reallocate(content, small, 10 * PAGE) }.is_null());
    assert!(!heap.allocate(small).is_null());
    walk(&heap);
}

#[test]
fn sizes_are_rounded_up_by_a_sixteenth_at_most_to_the_least_of_their_class() {
    let mut last = 0;
    for size in (1..200_000).chain([1 << 28, (1 << 31) - 1]) {
        let content = rounded(size);
        assert!(content >= size && content.is_multiple_of(GRANULE));
        assert!(content <= size + GRANULE.max(size / 16 + GRANULE));
        assert!(class(content) >= last && class(content) < CLASSES);
        assert!(class(content - GRANULE) < class(content) || content == GRANULE);
        last = class(content);
    }
}
