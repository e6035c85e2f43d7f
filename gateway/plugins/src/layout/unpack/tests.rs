//! Layers with random damage. What whole ones come to is tested over sockets, in `tests/`.

use std::io;
use std::io::Write;

use proptest::prelude::ProptestConfig;
use proptest::prelude::any;
use proptest::proptest;
use proptest::sample::Index;

use super::Output;
use super::unpack;

/// More than this never comes out.
const LIMIT: u64 = 100_000;

#[derive(Default)]
struct Sink(Vec<u8>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Sink {
    fn restart(&mut self) -> io::Result<()> {
        self.0.clear();
        Ok(())
    }
}

fn module() -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.extend((0..20_000_u32).flat_map(|at| (at % 251).to_be_bytes()));
    module
}

/// An archive with the module, as we push it, and as it is and compressed in both ways.
fn layers() -> [Vec<u8>; 4] {
    let tar = crate::push::tests::tar(&module());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let zstd = ruzstd::encoding::compress_to_vec(tar.as_slice(), level);
    [module(), gzip.finish().unwrap(), zstd, tar]
}

#[test]
fn whole_layers_have_the_module() {
    for layer in layers() {
        let mut sink = Sink::default();
        unpack(layer.as_slice(), &mut sink, LIMIT).expect("it is whole");
        assert!(sink.0 == module());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_never_panics_and_never_lets_more_out(
        which in 0..4_usize,
        places in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..8),
        cut in any::<Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut layer = layers()[which].clone();
        for (place, value) in places {
            // Damage is where the structure is, or anywhere.
            let near = if value % 2 == 0 { 600 } else { layer.len() };
            let at = place.index(near.min(layer.len()));
            layer[at] = value;
        }
        if is_cut {
            layer.truncate(cut.index(layer.len()));
        }
        let mut sink = Sink::default();
        // It may still be fine: damage may be in the module itself.
        drop(unpack(layer.as_slice(), &mut sink, LIMIT));
        assert!(sink.0.len() as u64 <= LIMIT);
    }
}
