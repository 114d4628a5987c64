//! Servers that no distribution packages: fetched or built once through a registry's own client,
//! and kept in a cache folder outside the checkout.
//!
//! A thing is made under another name and renamed when it is whole, so that one which is there is
//! whole: what was killed while it was made is made again. Processes that find out at once that
//! something is missing wait for one of them, by a lock on a file beside it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How often a download is tried; registries fail now and then.
const TRIES: u32 = 3;

/// The folder for tools that outlive a checkout.
///
/// *Errors* – a sentence, if nothing says where that is.
pub fn cache() -> Result<PathBuf, String> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .ok_or("there is no home folder to keep tools in; set XDG_CACHE_HOME")?;
    Ok(cache.join("dkhost/tools"))
}

/// The folder `name` of the cache; where there is none, `make` fills it. Its name has the version
/// in it.
///
/// *Errors* – a sentence; what `make` says, when it has failed as often as it may.
pub(crate) fn kept(
    name: &str,
    make: impl Fn(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    kept_in(&cache()?, name, TRIES, make)
}

fn kept_in(
    cache: &Path,
    name: &str,
    tries: u32,
    make: impl Fn(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let whole = cache.join(name);
    if whole.is_dir() {
        return Ok(whole);
    }
    let failed = |cause: std::io::Error| format!("cannot make {}: {cause}", whole.display());
    std::fs::create_dir_all(cache).map_err(failed)?;
    let lock = File::create(cache.join(format!("{name}.lock"))).map_err(failed)?;
    lock.lock().map_err(failed)?;
    // Another process may have made it while this one waited.
    let mut tried = 0;
    while !whole.is_dir() {
        let part = cache.join(format!("{name}.part"));
        let _ = std::fs::remove_dir_all(&part);
        std::fs::create_dir(&part).map_err(failed)?;
        match make(&part) {
            Ok(()) => std::fs::rename(&part, &whole).map_err(failed)?,
            Err(why) => {
                let _ = std::fs::remove_dir_all(&part);
                tried += 1;
                if tried >= tries {
                    return Err(why);
                }
                std::thread::sleep(Duration::from_secs(2));
            }
        }
    }
    Ok(whole)
}

/// Runs a client to its end.
///
/// *Errors* – a sentence: `help`, if there is no such program, or the end of what it said.
pub(crate) fn run(command: &mut Command, help: &str) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output =
        output.map_err(|cause| format!("cannot start `{program}`: {cause}\n  help: {help}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(15)..].join("\n");
    let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
    Err(format!(
        "`{program} {}` ended with {}:\n{last}\n  help: {help}",
        arguments.join(" "),
        output.status
    ))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::kept_in;

    fn empty(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("dkhost-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn what_was_killed_half_made_is_made_again() {
        let cache = empty("half");
        std::fs::create_dir_all(cache.join("tool-1.part/old")).unwrap();
        let made = kept_in(&cache, "tool-1", 1, |part| {
            std::fs::write(part.join("new"), "").map_err(|e| e.to_string())
        });
        let made = made.unwrap();
        assert!(made.join("new").exists() && !made.join("old").exists());
        std::fs::remove_dir_all(&cache).unwrap();
    }

    #[test]
    fn a_download_that_fails_is_tried_again_but_not_for_ever() {
        let cache = empty("tries");
        let tried = AtomicU32::new(0);
        let fails = |times: u32| {
            tried.store(0, Ordering::Relaxed);
            kept_in(&cache, "tool", 2, |_| {
                match tried.fetch_add(1, Ordering::Relaxed) < times {
                    true => Err("no answer".to_owned()),
                    false => Ok(()),
                }
            })
        };
        assert_eq!(fails(2), Err("no answer".to_owned()));
        assert!(fails(1).unwrap().is_dir());
        std::fs::remove_dir_all(&cache).unwrap();
    }

    #[test]
    fn many_who_miss_it_at_once_make_it_once() {
        let cache = empty("once");
        let made = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    kept_in(&cache, "tool", 1, |_| {
                        made.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        Ok(())
                    })
                    .unwrap()
                });
            }
        });
        assert_eq!(made.load(Ordering::Relaxed), 1);
        std::fs::remove_dir_all(&cache).unwrap();
    }
}
