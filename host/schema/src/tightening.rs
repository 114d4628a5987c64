//! How the rules of a field changed: looser, or tighter.

use std::cmp::Ordering;
use std::fmt::Display;

use crate::constant::Constant;
use crate::difference::Verdict;
use crate::rule::{Bounds, Pattern, contains, shown};
use crate::version::FieldVersion;

/// Which way a rule changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Whatever satisfied it does so now.
    Loosened,
    /// Something may have satisfied it that does not now.
    Tightened,
}

impl Change {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Change::Loosened => "loosened",
            Change::Tightened => "tightened",
        }
    }
}

/// A rule that changed.
#[derive(Debug)]
pub struct RuleChange {
    /// As the schema file calls it.
    pub name: &'static str,
    /// Which way.
    pub change: Change,
    /// What it was; empty for no rule.
    pub from: String,
    /// What it is; empty for no rule.
    pub to: String,
}

impl RuleChange {
    /// What it may do to records.
    pub fn verdict(&self) -> Verdict {
        match self.change {
            Change::Loosened => Verdict::Safe,
            Change::Tightened => Verdict::MayReject,
        }
    }
}

/// The rules of a field that changed. Where the type changed too, a rule that is not new is taken
/// for tightened unless it says the same of both types.
pub fn rules(old: &FieldVersion, new: &FieldVersion) -> Vec<RuleChange> {
    let (from, to) = (&old.rules, &new.rules);
    let as_new = |old_value: &Constant| old_value.widened(&old.logical, &new.logical);
    let by_value = |one: &Constant, two: &Constant| one.order(&as_new(two)?, &new.logical);
    let by_size = |one: &u64, two: &u64| Some(one.cmp(two));
    let holds =
        |one: &Constant| as_new(one).is_some_and(|one| contains(&to.one_of, &one, &new.logical));
    let more_choices =
        to.one_of.is_empty() || (!from.one_of.is_empty() && from.one_of.iter().all(holds));
    let wider_range = wider(&from.range, &to.range, by_value);
    let wider_length = wider(&from.length, &to.length, by_size);
    let text = |pattern: &Option<Pattern>| Some(pattern.as_ref()?.text().to_owned());
    let flag = |on: bool| on.then(|| "yes".to_owned());
    let found = [
        (
            "range",
            [show(&from.range), show(&to.range)],
            from.range == to.range && wider_range,
            wider_range,
        ),
        (
            "length",
            [show(&from.length), show(&to.length)],
            from.length == to.length,
            wider_length,
        ),
        (
            "pattern",
            [text(&from.pattern), text(&to.pattern)],
            from.pattern == to.pattern,
            to.pattern.is_none(),
        ),
        (
            "one_of",
            [listed(&from.one_of), listed(&to.one_of)],
            from.one_of.len() == to.one_of.len() && more_choices,
            more_choices,
        ),
        (
            "unique",
            [flag(from.unique), flag(to.unique)],
            from.unique == to.unique,
            !to.unique,
        ),
        (
            "not_empty",
            [flag(from.not_empty), flag(to.not_empty)],
            from.not_empty == to.not_empty,
            !to.not_empty,
        ),
    ];
    let changed = found.into_iter().filter(|(_, _, is_same, _)| !is_same);
    changed
        .map(|(name, [from, to], _, is_looser)| RuleChange {
            name,
            change: match is_looser {
                true => Change::Loosened,
                false => Change::Tightened,
            },
            from: from.unwrap_or_default(),
            to: to.unwrap_or_default(),
        })
        .collect()
}

fn show<T: Display>(bounds: &Option<Bounds<T>>) -> Option<String> {
    bounds.as_ref().map(Bounds::to_string)
}

fn listed(list: &[Constant]) -> Option<String> {
    (!list.is_empty()).then(|| shown(list))
}

/// Whether the new bounds admit all that the old ones do.
fn wider<T>(
    from: &Option<Bounds<T>>,
    to: &Option<Bounds<T>>,
    order: impl Fn(&T, &T) -> Option<Ordering>,
) -> bool {
    let Some(to) = to else {
        return true;
    };
    let Some(from) = from else {
        return false;
    };
    let admits = |from: &Option<T>, to: &Option<T>, wrong: Ordering| match (from, to) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(from), Some(to)) => order(to, from).is_some_and(|order| order != wrong),
    };
    admits(&from.min, &to.min, Ordering::Greater) && admits(&from.max, &to.max, Ordering::Less)
}
