//! The result as one Markdown table: medians, and ratios taken within each round.

use std::fmt::Write as _;

use super::measure::Usage;
use super::routes::{DKHOST, Route};

/// The table. `results[route][contender]` has one usage a round.
pub fn markdown(title: &str, routes: &[Route], results: &[Vec<Vec<Usage>>]) -> String {
    let mut text = format!(
        "\n{title}\n\n| route | | CPU s | × limit | × dkhost | wall s | peak MiB |\n\
         |---|---|--:|--:|--:|--:|--:|\n"
    );
    for (route, usages) in routes.iter().zip(results) {
        for (contender, of_one) in route.contenders.iter().zip(usages) {
            let against = |index: Option<usize>| {
                index.map_or("–".to_owned(), |index| {
                    format!("{:.1}", ratio(of_one, &usages[index]))
                })
            };
            let _ = writeln!(
                text,
                "| {} | {} | {:.2} | {} | {} | {:.2} | {:.0} |",
                route.name,
                contender.name,
                median(of_one.iter().map(|u| u.cpu.as_secs_f64())),
                against(route.has_limit.then_some(0)),
                against(route.contenders.iter().position(|each| each.name == DKHOST)),
                median(of_one.iter().map(|u| u.wall.as_secs_f64())),
                median(
                    of_one
                        .iter()
                        .map(|u| u.memory_bytes as f64 / f64::from(1 << 20))
                ),
            );
        }
    }
    text
}

/// The median of the rounds' ratios, not the ratio of medians: both sides of a ratio then come
/// from the same minute of the machine.
fn ratio(usages: &[Usage], limits: &[Usage]) -> f64 {
    // A copy of a small file may cost less than the clock can tell.
    let cpu = |usage: &Usage| usage.cpu.as_secs_f64().max(0.001);
    median(
        usages
            .iter()
            .zip(limits)
            .map(|(usage, limit)| cpu(usage) / cpu(limit)),
    )
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Usage, median, ratio};

    #[test]
    fn the_median_ignores_a_slow_round() {
        assert_eq!(median([3.0, 1.0, 90.0].into_iter()), 3.0);
        assert_eq!(median([4.0, 2.0].into_iter()), 3.0);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let usage = |cpu_ms| Usage {
            wall: Duration::ZERO,
            cpu: Duration::from_millis(cpu_ms),
            memory_bytes: 0,
        };
        let ours = [usage(200), usage(2_000), usage(220)];
        let limit = [usage(100), usage(1_000), usage(110)];
        assert_eq!(ratio(&ours, &limit), 2.0);
    }
}
