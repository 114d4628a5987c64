//! What the figures were measured on: without it they mean nothing to anybody else.

use super::json::Json;
use crate::shell;

/// The machine as the kernel describes it; what it does not tell is left empty.
pub fn description() -> Json {
    Json::Object(vec![
        ("model", Json::Text(model())),
        ("cores", Json::Number(cores() as f64)),
        ("memory_mib", Json::Number(memory_mib())),
        ("system", Json::Text(said("uname", &["-s", "-r", "-m"]))),
    ])
}

/// How many there are for us; 0 where the system does not tell.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

/// The processor's name.
pub fn model() -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = told.lines().find(|line| line.starts_with("model name"));
    match line.and_then(|line| line.split_once(':')) {
        Some((_, name)) => name.trim().to_owned(),
        None => said("sysctl", &["-n", "machdep.cpu.brand_string"]),
    }
}

fn memory_mib() -> f64 {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = told.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| (kib / 1024.0).round())
}

fn said(program: &str, arguments: &[&str]) -> String {
    let said = shell::output(shell::command(program).args(arguments));
    said.map(|text| text.trim().to_owned()).unwrap_or_default()
}
