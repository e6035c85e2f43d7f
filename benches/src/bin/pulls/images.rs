//! The registry, and the modules in it: small filters that say who they are, and as large as wanted.

use std::thread;

use anyhow::{Result, anyhow};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tidegate_benches::process::{Core, pinned};
use tidegate_testkit::{Registry, Wasm};

/// A registry that has what the others on its core leave (`SCHED_IDLE`): elsewhere it has a machine of its own.
pub(crate) struct Images(pub(crate) Registry);

impl Images {
    /// One on this core.
    pub(crate) fn start(core: Core) -> Result<Self> {
        // Threads inherit both from the one that starts them.
        let started = pinned(core, || {
            let thread = thread::spawn(|| {
                let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
                set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy)
                    .map_err(|err| anyhow!("be idle: {err}"))?;
                anyhow::Ok(Registry::start())
            });
            thread.join()
        });
        let started = started?.map_err(|_| anyhow!("the registry does not start"))?;
        Ok(Self(started?))
    }

    /// The address of the largest blob of an image, for curl.
    pub(crate) fn url(&self, name: &str, module: &[u8]) -> String {
        let digest = tidegate_testkit::registry::digest(module);
        format!("http://{}/v2/{name}/blobs/{digest}", self.0.address())
    }
}

/// A filter that says `says` in the response header `x-by`, of so many bytes at least, with content of its own.
pub(crate) fn module(says: &str, bytes: usize) -> Vec<u8> {
    let wasm = Wasm::wat(
        "by",
        r#"(import "env" "proxy_add_header_map_value"
            (func $add (param i32 i32 i32 i32 i32) (result i32)))"#,
        &format!(
            r#"(data (i32.const 16) "x-by") (data (i32.const 32) "{says}")
            (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
                (drop (call $add (i32.const 2) (i32.const 16) (i32.const 4) (i32.const 32) (i32.const {})))
                (i32.const 0))"#,
            says.len()
        ),
    );
    let mut module = wasm.module().to_vec();
    // A custom section without a name, of bytes that nothing compresses.
    let mut section = vec![0];
    let mut state = says.bytes().fold(1_u64, |state, byte| {
        state.wrapping_mul(131).wrapping_add(u64::from(byte))
    });
    while section.len() < bytes {
        // Xorshift: quick, and as good as random here.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        section.extend(state.to_le_bytes());
    }
    module.push(0);
    let mut left = section.len();
    loop {
        let low = u8::try_from(left & 0x7f).unwrap_or_default();
        left >>= 7;
        module.push(if left > 0 { low | 0x80 } else { low });
        if left == 0 {
            break;
        }
    }
    module.extend(section);
    module
}
