//! What a measurement ran on.

use serde::Serialize;

/// The machine of the client, which for a local cluster is that of the server too.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
}

impl Machine {
    /// Reads procfs; what is not to be found out is called `unknown`.
    pub(super) fn this() -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| cpu_model(&text));
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned());
        let unknown = || "unknown".to_owned();
        Self {
            cpu: cpu.unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: kernel.unwrap_or_else(unknown),
        }
    }
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, model)| model.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_of_the_first_core() {
        let cpuinfo = "processor\t: 0\nmodel name\t: A CPU @ 2: fast\nmodel name\t: another\n";
        assert_eq!(cpu_model(cpuinfo).as_deref(), Some("A CPU @ 2: fast"));
        assert_eq!(cpu_model("Hardware : board"), None);
        assert!(Machine::this().cores > 0);
    }
}
