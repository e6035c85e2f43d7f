//! The functions of WASI that a filter imports: a clock and random bytes.

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    pub(super) fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
    pub(super) fn random_get(bytes: *mut u8, size: usize) -> u32;
}
