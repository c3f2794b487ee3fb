//! What the process itself uses, read from `/proc/self` when somebody scrapes.

use std::fs;

use super::Metrics;

/// Sets the gauges of memory and file descriptors. Where `/proc` is not to be had they keep their last values.
pub(super) fn observe(metrics: &Metrics) {
    if let Some(kib) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident_kib) {
        metrics.resident_memory_bytes.set(kib.saturating_mul(1_024));
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // One of them is the folder being read.
        metrics.open_fds.set(i64::try_from(entries.count()).unwrap_or(i64::MAX).saturating_sub(1));
    }
}

/// `VmRSS:     12345 kB`
fn resident_kib(status: &str) -> Option<i64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_form() {
        assert_eq!(resident_kib("VmPeak:\t   90 kB\nVmRSS:\t   12345 kB\n"), Some(12_345));
        assert_eq!(resident_kib("VmPeak:\t   90 kB\n"), None);
    }

    #[test]
    fn counts_open_files() {
        let metrics = Metrics::default();
        observe(&metrics);
        let before = metrics.open_fds.get();
        let files: Vec<_> = (0..50).map(|_| fs::File::open("/proc/self/status").unwrap()).collect();
        observe(&metrics);
        // Other tests open and close files meanwhile, but not fifty.
        assert!(metrics.open_fds.get() > before + 10, "{} after {before}", metrics.open_fds.get());
        assert!(metrics.resident_memory_bytes.get() > 0);
        drop(files);
    }
}
