//! Drives fuzz targets under plain `cargo test`, on the stable compiler.
//!
//! A target is a closure that takes bytes, panics when a property does not hold, and returns in a
//! word what became of the input. Each run takes the kept corpus, then inputs made from it by
//! [`mutate()`]. An input with an outcome nobody has seen joins the pool that further inputs are made
//! from, so the search goes where the code behaves differently without any instrumentation.
//!
//! `cargo test` runs a fixed number of rounds from a fixed seed: the same inputs everywhere.
//! `DKHOST_FUZZ_SECONDS` runs each target for so long instead, from a seed that is printed
//! (`DKHOST_FUZZ_SEED` sets it). What breaks a property is made small, written to `found/TARGET/`
//! and printed: move it to `corpus/TARGET/`, where every run will try it, and mend the product.
//!
//! Why not a framework: bolero's engine for `cargo test` makes random bytes only, from a seed of its
//! own each time, and never changes the corpus; its other engines need tools that a clone does not
//! have.

mod corpus;
mod dice;
mod mutate;
mod shrink;
mod watch;

use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use dice::Dice;
pub use mutate::{INPUT_MAX, mutate};
pub use shrink::shrink;

/// Inputs to make new ones from, at most.
const POOL_MAX: usize = 4_000;
/// The seed of `cargo test`.
const SEED: u64 = 7;

/// A fuzz target.
#[derive(Debug, Clone)]
pub struct Fuzz {
    name: &'static str,
    rounds: usize,
    words: Vec<&'static str>,
    seeds: Vec<Vec<u8>>,
}

impl Fuzz {
    /// The target `name`, whose corpus lies in `corpus/NAME`.
    pub fn target(name: &'static str) -> Fuzz {
        Fuzz {
            name,
            rounds: 1_000,
            words: Vec::new(),
            seeds: Vec::new(),
        }
    }

    /// How many inputs `cargo test` makes beside the corpus.
    #[must_use]
    pub fn rounds(mut self, rounds: usize) -> Fuzz {
        self.rounds = rounds;
        self
    }

    /// What the format is made of: inserted now and then.
    #[must_use]
    pub fn words(mut self, words: &[&'static str]) -> Fuzz {
        self.words.extend(words);
        self
    }

    /// An input to begin with, beside the corpus.
    #[must_use]
    pub fn seed(mut self, input: impl Into<Vec<u8>>) -> Fuzz {
        self.seeds.push(input.into());
        self
    }

    /// Runs the target.
    ///
    /// *Errors* – panics with the input that broke a property, made small.
    pub fn run(self, target: impl Fn(&[u8]) -> String) {
        let kept = corpus::read(&corpus::kept(self.name));
        assert!(
            !kept.is_empty() || !self.seeds.is_empty(),
            "fuzz target `{}` has no corpus: it looks in {}",
            self.name,
            corpus::kept(self.name).display()
        );
        let mut session = Session {
            name: self.name,
            watch: watch::Watch::new(self.name),
            seen: HashSet::new(),
            pool: Vec::new(),
            target,
        };
        for (name, input) in kept {
            session.take(input, &format!("corpus/{}/{name}", self.name));
        }
        for seed in self.seeds.iter().cloned() {
            session.take(seed, "a seed of the target");
        }
        let until = Until::of(self.rounds);
        let mut dice = Dice::new(until.seed);
        let (began, mut rounds) = (Instant::now(), 0);
        while until.goes_on(began, rounds) {
            rounds += 1;
            // What was found last is the most promising.
            let recent = session.pool.len().min(32);
            let from = match dice.once_in(3) {
                true => session.pool.len() - 1 - dice.below(recent),
                false => dice.below(session.pool.len()),
            };
            let mut input = session.pool[from].clone();
            mutate(&mut input, &self.words, &session.pool, &mut dice);
            session.take(input, &format!("round {rounds} of seed {}", until.seed));
        }
        session.report(rounds, began, until.seed);
    }
}

/// When a target has been run enough.
struct Until {
    rounds: usize,
    time: Option<Duration>,
    seed: u64,
}

impl Until {
    fn of(rounds: usize) -> Until {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let time = number("DKHOST_FUZZ_SECONDS").map(Duration::from_secs);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let fresh = now.map_or(SEED, |now| now.as_nanos() as u64);
        let seed = if time.is_some() { fresh } else { SEED };
        Until {
            rounds,
            time,
            seed: number("DKHOST_FUZZ_SEED").unwrap_or(seed),
        }
    }

    fn goes_on(&self, began: Instant, rounds: usize) -> bool {
        match self.time {
            Some(time) => began.elapsed() < time,
            None => rounds < self.rounds,
        }
    }
}

struct Session<T> {
    name: &'static str,
    watch: watch::Watch,
    seen: HashSet<String>,
    pool: Vec<Vec<u8>>,
    target: T,
}

impl<T: Fn(&[u8]) -> String> Session<T> {
    /// Tries an input; one with a new outcome joins the pool.
    fn take(&mut self, input: Vec<u8>, origin: &str) {
        self.watch.begin(&input);
        let outcome = quietly(|| (self.target)(&input));
        self.watch.end();
        match outcome {
            Ok(outcome) => {
                let is_new = self.seen.insert(outcome);
                if self.pool.is_empty() || is_new && self.pool.len() < POOL_MAX {
                    self.pool.push(input);
                }
            }
            Err(why) => self.broken(&input, &why, origin),
        }
    }

    fn broken(&self, input: &[u8], why: &str, origin: &str) {
        // The same complaint, not any: a smaller input may break something else.
        let kind = |why: &str| why.split(['\n', ':']).next().unwrap_or_default().to_owned();
        let small = shrink(input, |smaller| {
            self.watch.begin(smaller);
            quietly(|| (self.target)(smaller)).is_err_and(|other| kind(&other) == kind(why))
        });
        self.watch.end();
        let why = quietly(|| (self.target)(&small))
            .err()
            .unwrap_or_else(|| why.to_owned());
        let kept = corpus::keep(&corpus::found(self.name), &small);
        #[allow(clippy::panic)] // A failing test is a panic.
        {
            panic!(
                "fuzz target `{}`, {origin}: {why}\ninput ({} bytes): {}\nkept at {kept:?}; move it to corpus/{}/ and mend the product",
                self.name,
                small.len(),
                small.escape_ascii(),
                self.name,
            );
        }
    }

    fn report(&self, rounds: usize, began: Instant, seed: u64) {
        #[allow(clippy::print_stdout)] // Shown with `--nocapture`, or when the test fails.
        {
            println!(
                "fuzz target `{}`: {rounds} rounds in {:.1} s, {} outcomes, seed {seed}",
                self.name,
                began.elapsed().as_secs_f64(),
                self.seen.len(),
            );
        }
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What a closure returns, or what it panicked with; nothing is printed.
fn quietly<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match QUIET.get() {
            true => LAST.set(Some(format!(
                "{} ({})",
                panic.payload_as_str().unwrap_or("a panic without words"),
                panic.location().map_or(String::new(), ToString::to_string),
            ))),
            false => before(panic),
        }));
    });
    let before = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    QUIET.set(before);
    result.map_err(|_| {
        LAST.take()
            .unwrap_or_else(|| "a panic without words".to_owned())
    })
}

thread_local! {
    static LAST: Cell<Option<String>> = const { Cell::new(None) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_property_is_found_and_made_small() {
        let fuzz = Fuzz::target("of-this-test")
            .seed("12 is a number")
            .words(&["bug"]);
        let broken = quietly(|| {
            fuzz.rounds(5_000).run(|input| {
                assert!(!input.windows(3).any(|w| w == b"bug"), "a bug");
                input.len().to_string()
            })
        });
        let why = broken.expect_err("the bug was not found");
        assert!(why.contains("input (3 bytes): bug"), "{why}");
    }

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        let made = |seed| {
            let (mut dice, mut input) = (Dice::new(seed), b"{\"a\": 1}\n".to_vec());
            for _ in 0..20 {
                mutate(&mut input, &["null"], &[b"other".to_vec()], &mut dice);
            }
            input
        };
        assert_eq!(made(3), made(3));
        assert_ne!(made(3), made(4));
    }

    #[test]
    fn what_nothing_breaks_ends_after_its_rounds() {
        let rounds = Cell::new(0);
        Fuzz::target("of-this-test").seed("x").rounds(50).run(|_| {
            rounds.set(rounds.get() + 1);
            String::new()
        });
        assert!(rounds.get() >= 51);
    }
}
