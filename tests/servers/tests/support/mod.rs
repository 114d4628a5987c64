//! Whether something is gone, and a test that is its own victim.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Set for the child that is to be killed: where it says what it has started.
const NOTE: &str = "DKHOST_TEST_WAITS";

/// Whether the process is there.
pub fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Runs the test `name`, which calls this, once more in a child; there `start` starts a server and
/// says its process and folder. The child is killed, and both must go.
pub fn goes_with_its_process<S>(name: &str, start: impl FnOnce() -> (S, u32, String)) {
    if let Some(note) = std::env::var_os(NOTE) {
        let (server, pid, folder) = start();
        std::fs::write(note, format!("{pid} {folder}")).unwrap();
        println!("ready");
        std::thread::sleep(Duration::from_secs(240));
        drop(server);
        return;
    }
    let note = std::env::temp_dir().join(format!("dkhost-orphan-{name}-{}", std::process::id()));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(NOTE, &note)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("ready")));
    let said = std::fs::read_to_string(&note).unwrap();
    std::fs::remove_file(&note).unwrap();
    let (pid, folder) = said.split_once(' ').unwrap();
    let pid = pid.parse().unwrap();
    assert!(runs(pid) && Path::new(folder).exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let began = Instant::now();
    while runs(pid) || Path::new(folder).exists() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{said} is still there"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
