//! The kernel's word on this process's memory.

/// The memory at one moment, in KiB.
pub(crate) struct Memory(f64);

impl Memory {
    /// What is in memory now; the high-water mark is set back to it.
    pub(crate) fn now() -> Self {
        std::fs::write("/proc/self/clear_refs", "5").expect("the kernel lets us");
        Self(read("VmRSS:"))
    }

    /// How far the high-water mark has risen since, in MiB.
    pub(crate) fn risen_by(&self) -> f64 {
        (read("VmHWM:") - self.0) / 1024.0
    }
}

fn read(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let figure = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    figure.expect("the kernel says it in kB")
}
