//! What the kernel says about a process: CPU time and memory.
//!
//! Reads `/proc` of Linux. A process is counted with its children, because nginx works in them.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// The fields of `/proc/PID/stat` behind the program's name that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// User and system time in clock ticks.
    ticks: u64,
}

/// A line of `/proc/PID/status` about memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// What is resident now.
    Resident,
    /// The most that ever was.
    Peak,
}

/// CPU time that a process and its children have used so far.
///
/// # Errors
/// If the process is gone.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let own = stat(pid).with_context(|| format!("process {pid} is gone"))?;
    let children = children(pid)?.into_iter().filter_map(stat);
    let ticks: u64 = own.ticks + children.map(|child| child.ticks).sum::<u64>();
    let nanos = ticks.saturating_mul(1_000_000_000) / rustix::param::clock_ticks_per_second();
    Ok(Duration::from_nanos(nanos))
}

/// Memory of a process and its children, in bytes.
///
/// # Errors
/// If the process is gone.
pub fn memory(pid: u32, which: Memory) -> Result<u64> {
    let own = memory_of(pid, which).with_context(|| format!("process {pid} is gone"))?;
    let children = children(pid)?
        .into_iter()
        .filter_map(|child| memory_of(child, which));
    Ok(own + children.sum::<u64>())
}

/// Bytes of memory that this process alone holds and has written to: what would be free without it.
///
/// # Errors
/// If the kernel does not say.
pub fn private_dirty() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/smaps_rollup").context("read the memory map")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Private_Dirty:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.context("find private memory in the map")?.parse()?;
    Ok(kib * 1024)
}

/// Makes the peak start again from what is resident now.
///
/// # Errors
/// If the process is gone or is somebody else's.
pub fn reset_peak(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("reset the peak of memory")
}

/// The processor's name.
#[must_use]
pub fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    line.map_or_else(
        || "unknown CPU".into(),
        |rest| rest.trim_start_matches([' ', '\t', ':']).into(),
    )
}

/// The kernel's version.
#[must_use]
pub fn kernel() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", text.trim())
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let all = fs::read_dir("/proc").context("read /proc")?;
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Ok(pids
        .filter(|other| stat(*other).is_some_and(|stat| stat.parent == pid))
        .collect())
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name is in parentheses and may hold anything, also spaces and parentheses.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let user: u64 = fields.nth(9)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Stat {
        parent,
        ticks: user + system,
    })
}

fn memory_of(pid: u32, which: Memory) -> Option<u64> {
    parse_memory(
        &fs::read_to_string(format!("/proc/{pid}/status")).ok()?,
        which,
    )
}

fn parse_memory(status: &str, which: Memory) -> Option<u64> {
    let name = match which {
        Memory::Resident => "VmRSS:",
        Memory::Peak => "VmHWM:",
    };
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = rest.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_is_skipped() {
        let text = "12 (a) b (c) S 7 2 3 4 5 6 7 8 9 10 200 30 0 0 20 0 1 0 277247";
        assert_eq!(
            parse_stat(text),
            Some(Stat {
                parent: 7,
                ticks: 230
            })
        );
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2132 kB\nVmRSS:\t      12 kB\n";
        assert_eq!(parse_memory(status, Memory::Peak), Some(2132 * 1024));
        assert_eq!(parse_memory(status, Memory::Resident), Some(12 * 1024));
    }

    #[test]
    fn this_process_uses_memory() {
        let pid = std::process::id();
        // Without children: other tests start some at the same time.
        let resident = memory_of(pid, Memory::Resident).unwrap();
        assert!(resident > 0);
        assert!(memory_of(pid, Memory::Peak).unwrap() >= resident);
        assert!(private_dirty().unwrap() > 0);
        assert!(memory(pid, Memory::Peak).is_ok());
        assert!(cpu_time(pid).is_ok());
    }
}
