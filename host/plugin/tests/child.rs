//! Compiling in a limited child, and the cache: the child is this very program, started again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// Without the usual harness this file speaks and fails for itself.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use dkhost_plugin::build::componentize;
use dkhost_plugin::{
    CompileIn, CompileLimits, Component, LoadOptions, SUBCOMMAND, WIT_V0_1, compile_child,
};

use rustix::process::{Resource, getrlimit};

#[path = "../../../tests/guests/mod.rs"]
mod guests;

/// What this program is told to be the parent of a compiler that takes its time.
const COMPILE_SLOWLY: &str = "compile-slowly";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, cache] = arguments.as_slice()
        && word == COMPILE_SLOWLY
    {
        let bytes = guests::guest("slow_to_compile");
        drop(Component::from_bytes(
            "slow.wasm",
            &bytes,
            &options(Path::new(cache)),
        ));
        return;
    }
    if let [_, command, input, output] = arguments.as_slice()
        && command == SUBCOMMAND
    {
        return child(Path::new(input), Path::new(output));
    }
    a_component_is_compiled_in_a_child_once_and_then_cached();
    a_damaged_cache_entry_is_compiled_again();
    a_cache_that_others_may_write_to_is_refused();
    a_child_that_dies_is_a_named_error();
    runs_that_fill_the_cache_at_once_do_not_disturb_each_other();
    compiling_that_takes_minutes_ends_with_its_processor_time();
    compiling_that_takes_minutes_ends_with_its_wall_clock();
    compiling_that_takes_gigabytes_ends_with_its_memory();
    machine_code_that_fills_the_disk_is_not_written();
    the_child_lowers_its_own_limits();
    a_child_ends_with_its_parent();
    what_a_killed_process_left_in_the_cache_is_swept();
    println!("test result: ok. 12 passed");
}

fn child(input: &Path, output: &Path) {
    if fs::read(input).is_ok_and(|bytes| bytes.ends_with(b"die")) {
        std::process::abort();
    }
    if fs::read(input).is_ok_and(|bytes| bytes.ends_with(b"nap")) {
        std::thread::sleep(Duration::from_secs(600));
    }
    if let Err(error) = compile_child(input, output) {
        eprintln!("{}", error.chain());
        std::process::exit(1);
    }
    if fs::read(input).is_ok_and(|bytes| bytes.ends_with(b"lim")) {
        let limit = |of| getrlimit(of).current.unwrap_or(u64::MAX);
        let all = [
            Resource::As,
            Resource::Data,
            Resource::Cpu,
            Resource::Fsize,
            Resource::Core,
        ];
        println!("{:?}", all.map(limit));
    }
}

/// The smallest plugin there is: it describes none, so loading ends with that.
fn smallest() -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("plugin.wit", WIT_V0_1).unwrap();
    let world = resolve
        .select_world(&[package], Some("transformer"))
        .unwrap();
    let wat = r#"
        (module
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
            (func (export "dkhost:plugin/plugin@0.1.0#describe") (result i32) i32.const 8)
            (func (export "dkhost:plugin/transform@0.1.0#open")
                (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
            (func (export "dkhost:plugin/transform@0.1.0#apply") (param i32 i32 i32) (result i32) unreachable)
        )"#;
    let mut module = wat::parse_str(wat).unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    componentize("smallest", &module).unwrap()
}

fn options(cache: &Path) -> LoadOptions {
    LoadOptions::new(cache, CompileIn::Child(std::env::current_exe().unwrap()))
}

fn load(options: &LoadOptions) -> String {
    let error = Component::from_bytes("smallest.wasm", &smallest(), options)
        .err()
        .unwrap();
    format!("{}: {}", error.code(), error.chain())
}

fn entries(cache: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

const DESCRIBES_NONE: &str =
    "plugin::bad_output: `smallest.wasm` describes its plugins wrongly: it names 0 plugins";

fn a_component_is_compiled_in_a_child_once_and_then_cached() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    assert_eq!(load(&options(&cache)), DESCRIBES_NONE);
    let [entry] = &entries(&cache)[..] else {
        panic!("{:?}", entries(&cache))
    };
    assert_eq!(
        fs::metadata(entry).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        fs::metadata(&cache).unwrap().permissions().mode() & 0o777,
        0o700
    );
    // No compiler is needed any more.
    let without = LoadOptions::new(&cache, CompileIn::Child("/nowhere/dkhost".into()));
    assert_eq!(load(&without), DESCRIBES_NONE);
}

fn a_damaged_cache_entry_is_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    load(&options(folder.path()));
    let entry = entries(folder.path()).pop().unwrap();
    let intact = fs::read(&entry).unwrap();
    let mut damaged = intact.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&entry, &damaged).unwrap();
    let without = LoadOptions::new(folder.path(), CompileIn::Child("/nowhere/dkhost".into()));
    assert!(
        load(&without).starts_with("io::not_found"),
        "a damaged entry was executed"
    );
    assert_eq!(load(&options(folder.path())), DESCRIBES_NONE);
    assert_eq!(fs::read(&entry).unwrap(), intact);
}

fn a_cache_that_others_may_write_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(load(&options(folder.path())).starts_with("plugin::cache_unsafe"));
}

fn a_child_that_dies_is_a_named_error() {
    let folder = tempfile::tempdir().unwrap();
    stopped(&told_to(b"die"), &options(folder.path()));
}

/// A component with a custom section that tells the child above what to do.
fn told_to(word: &[u8; 3]) -> Vec<u8> {
    let mut bytes = smallest();
    bytes.extend([0, 5, 1, b'x']);
    bytes.extend(word);
    bytes
}

/// Compiling `bytes` is stopped, and nothing of it stays.
fn stopped(bytes: &[u8], options: &LoadOptions) -> Duration {
    let began = Instant::now();
    let error = Component::from_bytes("fatal.wasm", bytes, options)
        .err()
        .unwrap();
    assert_eq!(error.code(), "plugin::compile_limit", "{}", error.chain());
    assert!(error.help_text().is_some());
    assert!(entries(&options.cache_dir).is_empty(), "something was left");
    began.elapsed()
}

fn limited(cache: &Path, limit: impl FnOnce(&mut CompileLimits)) -> LoadOptions {
    let mut options = options(cache);
    limit(&mut options.compile_limits);
    options
}

fn compiling_that_takes_minutes_ends_with_its_processor_time() {
    let folder = tempfile::tempdir().unwrap();
    let options = limited(folder.path(), |limits| limits.cpu_seconds = 1);
    stopped(&guests::guest("slow_to_compile"), &options);
}

fn compiling_that_takes_minutes_ends_with_its_wall_clock() {
    let folder = tempfile::tempdir().unwrap();
    let options = limited(folder.path(), |limits| {
        limits.wall = Duration::from_millis(300);
    });
    let took = stopped(&told_to(b"nap"), &options);
    assert!(took >= Duration::from_millis(300), "{took:?}");
    stopped(&guests::guest("slow_to_compile"), &options);
}

fn compiling_that_takes_gigabytes_ends_with_its_memory() {
    let folder = tempfile::tempdir().unwrap();
    let options = limited(folder.path(), |limits| limits.memory_bytes = 100 << 20);
    stopped(&guests::guest("slow_to_compile"), &options);
}

fn the_child_lowers_its_own_limits() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.wasm");
    fs::write(&input, told_to(b"lim")).unwrap();
    let ended = Command::new(std::env::current_exe().unwrap())
        .arg(SUBCOMMAND)
        .args([&input, &folder.path().join("out.cwasm")])
        .output()
        .unwrap();
    let limits = CompileLimits::default();
    let expected = [
        6 << 30,
        limits.memory_bytes,
        limits.cpu_seconds,
        limits.output_bytes,
        0,
    ];
    assert_eq!(
        String::from_utf8(ended.stdout).unwrap().trim(),
        format!("{expected:?}")
    );
}

/// Processes that compile in `cache`, by their command line.
fn compiling(cache: &Path) -> usize {
    let inside = cache.to_str().unwrap().as_bytes();
    let compiles = |command: &[u8]| {
        let mut words = command.split(|byte| *byte == 0).skip(1);
        words.next() == Some(SUBCOMMAND.as_bytes())
            && words.next().is_some_and(|input| input.starts_with(inside))
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .filter(|command| compiles(command))
        .count()
}

fn wait_for(compilers: usize, cache: &Path) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while compiling(cache) != compilers {
        assert!(Instant::now() < deadline, "not {compilers} compilers");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn a_child_ends_with_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args([COMPILE_SLOWLY, folder.path().to_str().unwrap()])
        .spawn()
        .unwrap();
    wait_for(1, folder.path());
    // It asks for this as the first thing it does.
    std::thread::sleep(Duration::from_secs(1));
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_for(0, folder.path());
}

fn what_a_killed_process_left_in_the_cache_is_swept() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    load(&options(&cache));
    let kept = entries(&cache);
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 3600);
    for (name, age) in [("compile-old", Some(long_ago)), ("compile-new", None)] {
        fs::create_dir(cache.join(name)).unwrap();
        fs::write(cache.join(name).join("in.wasm"), "left").unwrap();
        if let Some(then) = age {
            let folder = fs::File::open(cache.join(name)).unwrap();
            folder.set_modified(then).unwrap();
        }
    }
    let part = fs::File::create(cache.join("part-old")).unwrap();
    part.set_modified(long_ago).unwrap();
    // What compiles sweeps.
    drop(Component::from_bytes("good.wasm", &guests::good(), &options(&cache)).unwrap());
    let left = entries(&cache);
    assert!(kept.iter().all(|entry| left.contains(entry)), "{left:?}");
    assert!(left.contains(&cache.join("compile-new")), "{left:?}");
    assert_eq!(left.len(), kept.len() + 2, "{left:?}");
}

fn machine_code_that_fills_the_disk_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let options = limited(folder.path(), |limits| limits.output_bytes = 1000);
    stopped(&guests::good(), &options);
}

fn runs_that_fill_the_cache_at_once_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let options = LoadOptions::new(folder.path(), CompileIn::InProcess);
            scope.spawn(move || assert_eq!(load(&options), DESCRIBES_NONE));
        }
    });
    assert_eq!(entries(folder.path()).len(), 1);
}
