//! A readable difference between two lists of lines.

/// Lines around a change that are shown.
const AROUND: usize = 1;
/// Lists longer than this are compared place by place: the exact way takes quadratic time.
const EXACT_MAX: usize = 1000;

/// Lines only in `expected` with `-`, lines only in `got` with `+`, a little around them.
pub(crate) fn lines<T>(
    expected: &[(String, T)],
    got: &[(String, T)],
    same: impl Fn(&T, &T) -> bool,
) -> String {
    let pairs = match expected.len().max(got.len()) <= EXACT_MAX {
        true => longest_common(expected, got, &same),
        false => (0..expected.len().min(got.len()))
            .filter(|i| same(&expected[*i].1, &got[*i].1))
            .map(|i| (i, i))
            .collect(),
    };
    let mut all: Vec<(char, &str)> = Vec::new();
    let (mut a, mut b) = (0, 0);
    for (i, j) in pairs.into_iter().chain([(expected.len(), got.len())]) {
        all.extend(expected[a..i].iter().map(|line| ('-', line.0.as_str())));
        all.extend(got[b..j].iter().map(|line| ('+', line.0.as_str())));
        if i < expected.len() {
            all.push((' ', &got[j].0));
        }
        (a, b) = (i + 1, j + 1);
    }
    render(&all)
}

/// Pairs of equal lines in the longest common subsequence.
fn longest_common<T>(
    a: &[(String, T)],
    b: &[(String, T)],
    same: &impl Fn(&T, &T) -> bool,
) -> Vec<(usize, usize)> {
    let width = b.len() + 1;
    let mut lengths = vec![0u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            lengths[i * width + j] = match same(&a[i].1, &b[j].1) {
                true => lengths[(i + 1) * width + j + 1] + 1,
                false => lengths[(i + 1) * width + j].max(lengths[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        if same(&a[i].1, &b[j].1) {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

fn render(all: &[(char, &str)]) -> String {
    let mut text = String::new();
    let mut skipped = false;
    for (place, (mark, line)) in all.iter().enumerate() {
        let near = &all[place.saturating_sub(AROUND)..(place + AROUND + 1).min(all.len())];
        if near.iter().all(|(mark, _)| *mark == ' ') {
            skipped = true;
            continue;
        }
        if std::mem::take(&mut skipped) {
            text.push_str("  …\n");
        }
        text.push(*mark);
        text.push(' ');
        text.push_str(line);
        text.push('\n');
    }
    if skipped {
        text.push_str("  …\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &[&str], got: &[&str], diff: &str) {
        let lines_of = |lines: &[&str]| {
            lines
                .iter()
                .map(|l| (l.to_string(), l.to_string()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            lines(&lines_of(expected), &lines_of(got), |a, b| a == b),
            diff
        );
    }

    #[test]
    fn what_differs_stands_between_its_neighbours() {
        check(
            &["a", "b", "c", "d", "e"],
            &["a", "b", "x", "d", "e"],
            "  …\n  b\n- c\n+ x\n  d\n  …\n",
        );
        check(&["a"], &["a", "b"], "  a\n+ b\n");
        check(&["a", "b"], &[], "- a\n- b\n");
    }
}
