//! What a plugin may use: memory, time, output, size. Every limit has a name a job can write.

use std::time::Duration;

/// The limits of one plugin; every call is held to them.
///
/// *Units* – bytes and rows as the names say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance (`limits.memory`). 64 MiB fits plugins in Rust and C;
    /// languages with a runtime need more.
    pub memory_bytes: usize,
    /// Wall clock of one call (`limits.call_timeout_ms`).
    pub call_timeout: Duration,
    /// What one call may hand to the host, all buffers and texts together.
    pub output_bytes: usize,
    /// Rows one call may return.
    pub output_rows: usize,
    /// Columns a plugin may promise.
    pub output_fields: usize,
    /// Size of the component itself.
    pub component_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes: 64 << 20,
            call_timeout: Duration::from_millis(5000),
            output_bytes: 128 << 20,
            output_rows: 4 << 20,
            output_fields: 4096,
            component_bytes: 64 << 20,
        }
    }
}

impl Limits {
    /// The limits as the plan prints them, a line each, in the words of the job file.
    pub fn lines(&self) -> Vec<String> {
        vec![
            format!("memory {}", size(self.memory_bytes as u64)),
            format!("call_timeout_ms {}", self.call_timeout.as_millis()),
        ]
    }
}

/// Bytes for people: `64 MiB`, `59 KiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match value {
        v if unit == 0 || v >= 100.0 || v.fract() == 0.0 => format!("{v:.0} {}", UNITS[unit]),
        v => format!("{v:.1} {}", UNITS[unit]),
    }
}
