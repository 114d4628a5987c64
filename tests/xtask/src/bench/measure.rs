//! Runs one program and reads from the kernel what it cost: wall time, CPU time, peak memory.
//!
//! `wait4` answers for exactly the process that ended, its own waited-for children included, so
//! that the plugin compiler dkhost starts is on dkhost's bill.

use std::mem::MaybeUninit;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::shell::{self, Outcome};

/// What one run cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// From start to end.
    pub wall: Duration,
    /// User and system time of all its threads and children.
    pub cpu: Duration,
    /// Peak resident memory in bytes.
    pub memory_bytes: u64,
    /// What it made a server spend meanwhile, where there is one.
    pub server: Option<Duration>,
}

/// Runs the command, which must end with exit code 0.
pub fn run(command: &mut Command) -> Outcome<Usage> {
    let started = Instant::now();
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| shell::cannot_start(command, &cause))?;
    // Nothing we measure writes more to stderr than a pipe holds; it is read after the end.
    let (status, usage) = wait(child.id()).map_err(|cause| format!("cannot wait: {cause}"))?;
    let wall = started.elapsed();
    if status != 0 {
        let mut said = String::new();
        if let Some(mut errors) = child.stderr {
            let _ = std::io::Read::read_to_string(&mut errors, &mut said);
        }
        return Err(format!(
            "`{}` failed (wait status {status})\n{said}",
            shell::shown(command)
        ));
    }
    let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
    // Linux counts kibibytes here, macOS bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    Ok(Usage {
        wall,
        cpu,
        memory_bytes: usage.ru_maxrss as u64 * unit,
        server: None,
    })
}

#[allow(unsafe_code)]
fn wait(pid: u32) -> std::io::Result<(i32, libc::rusage)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `pid` is a child of ours that nobody has waited for, and both pointers are valid for
    // the call. All zeroes is a valid `rusage`, should the kernel leave any of it unwritten.
    let (answer, usage) = unsafe {
        let answer = libc::wait4(pid as libc::pid_t, &raw mut status, 0, usage.as_mut_ptr());
        (answer, usage.assume_init())
    };
    if answer < 0 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok((status, usage))
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    #[test]
    fn a_busy_program_costs_cpu_and_a_failing_one_is_an_error() {
        let busy = super::run(
            Command::new("sh").args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"]),
        );
        let busy = busy.unwrap();
        assert!(
            busy.cpu.as_micros() > 0 && busy.memory_bytes > 0,
            "{busy:?}"
        );
        let failed = super::run(Command::new("sh").args(["-c", "echo why >&2; exit 3"]));
        assert!(failed.unwrap_err().contains("why"));
    }
}
