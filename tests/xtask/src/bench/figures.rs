//! From usages to figures: medians over rounds, and ratios taken within each round.

use super::measure::Usage;

/// What one contender cost on one route: a usage for each round.
pub type Rounds = Vec<Usage>;

/// The middle one, or the mean of the two in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}

/// CPU seconds. A small job may cost less than the clock can tell.
pub fn cpu(usage: &Usage) -> f64 {
    usage.cpu.as_secs_f64().max(0.001)
}

/// Seconds on the wall.
pub fn wall(usage: &Usage) -> f64 {
    usage.wall.as_secs_f64()
}

/// CPU seconds of the server; not a number where none was watched.
pub fn server(usage: &Usage) -> f64 {
    usage.server.map_or(f64::NAN, |time| time.as_secs_f64())
}

/// Peak memory in MiB.
pub fn mib(usage: &Usage) -> f64 {
    usage.memory_bytes as f64 / f64::from(1 << 20)
}

/// The median of the rounds' ratios, not the ratio of medians: both sides of a ratio then come
/// from the same minute of the machine.
pub fn ratio(of: &[Usage], to: &[Usage], quantity: fn(&Usage) -> f64) -> f64 {
    median(
        of.iter()
            .zip(to)
            .map(|(of, to)| quantity(of) / quantity(to)),
    )
}

/// Nanoseconds of CPU by which each of `rows` records costs more in `of` than in `than`.
pub fn extra_ns(of: &[Usage], than: &[Usage], rows: u64) -> f64 {
    let each = of.iter().zip(than).map(|(of, than)| cpu(of) - cpu(than));
    median(each) * 1e9 / rows as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn usage(cpu_ms: u64) -> Usage {
        Usage {
            wall: Duration::ZERO,
            cpu: Duration::from_millis(cpu_ms),
            memory_bytes: 3 << 20,
            server: None,
        }
    }

    #[test]
    fn the_median_ignores_a_slow_round() {
        assert_eq!(median([3.0, 1.0, 90.0]), 3.0);
        assert_eq!(median([4.0, 2.0]), 3.0);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let ours = [usage(200), usage(2_000), usage(220)];
        let others = [usage(100), usage(1_000), usage(110)];
        assert_eq!(ratio(&ours, &others, cpu), 2.0);
        assert_eq!(ratio(&ours, &others, mib), 1.0);
    }

    #[test]
    fn what_a_plugin_adds_is_told_per_record() {
        let with = [usage(300), usage(310), usage(900)];
        let without = [usage(200), usage(200), usage(200)];
        assert_eq!(extra_ns(&with, &without, 1_000_000).round(), 110.0);
    }
}
