//! The kernel's word on another process.

/// How many ticks of processor time the kernel counts in a second, on every Linux there is.
const TICKS: f64 = 100.0;

/// A process that runs.
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn of(pid: u32) -> Self {
        Self(pid)
    }

    /// The processor time that it has used so far, in seconds.
    pub(crate) fn busy(&self) -> f64 {
        let text = self.read("stat");
        // The name, which may hold anything, ends with the last parenthesis.
        let (_, fields) = text.rsplit_once(')').expect("a name in parentheses");
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks = ticks.filter_map(|it| it.parse::<u32>().ok());
        ticks.map(f64::from).sum::<f64>() / TICKS
    }

    /// What it has in memory now, in MiB.
    pub(crate) fn resident(&self) -> f64 {
        self.size("VmRSS:")
    }

    /// That without what is only read from the program's file, in MiB.
    pub(crate) fn anonymous(&self) -> f64 {
        self.size("RssAnon:")
    }

    /// What it had in memory at most, in MiB.
    pub(crate) fn peak(&self) -> f64 {
        self.size("VmHWM:")
    }

    fn size(&self, name: &str) -> f64 {
        let text = self.read("status");
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let size = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        size.expect("the kernel says it in kB") / 1024.0
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0)).expect("the process runs")
    }
}
