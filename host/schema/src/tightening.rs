//! How the rules of a field changed: looser, or tighter.

use std::cmp::Ordering;
use std::fmt::Display;

use crate::constant::Constant;
use crate::difference::Verdict;
use crate::rule::{self, Bounds, Pattern, contains};
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
    let found = [
        range(old, new),
        (from.length != to.length).then(|| {
            let is_looser = wider(&from.length, &to.length, |one, two| Some(one.cmp(two)));
            changed("length", [&from.length, &to.length].map(shown), is_looser)
        }),
        (from.pattern != to.pattern).then(|| {
            let text = |pattern: &Option<Pattern>| Some(pattern.as_ref()?.text().to_owned());
            let is_looser = to.pattern.is_none();
            changed("pattern", [&from.pattern, &to.pattern].map(text), is_looser)
        }),
        one_of(old, new),
        flag("unique", from.unique, to.unique),
        flag("not_empty", from.not_empty, to.not_empty),
    ];
    found.into_iter().flatten().collect()
}

fn range(old: &FieldVersion, new: &FieldVersion) -> Option<RuleChange> {
    let (from, to) = (&old.rules.range, &new.rules.range);
    let order = |one: &Constant, two: &Constant| {
        one.order(&two.widened(&old.logical, &new.logical)?, &new.logical)
    };
    let is_looser = wider(from, to, order);
    (from != to || !is_looser).then(|| changed("range", [from, to].map(shown), is_looser))
}

fn one_of(old: &FieldVersion, new: &FieldVersion) -> Option<RuleChange> {
    let (from, to) = (&old.rules.one_of, &new.rules.one_of);
    let holds = |one: &Constant| {
        let one = one.widened(&old.logical, &new.logical);
        one.is_some_and(|one| contains(to, &one, &new.logical))
    };
    let is_looser = to.is_empty() || (!from.is_empty() && from.iter().all(holds));
    let listed = |list: &Vec<Constant>| (!list.is_empty()).then(|| rule::shown(list));
    (from.len() != to.len() || !is_looser)
        .then(|| changed("one_of", [from, to].map(listed), is_looser))
}

fn flag(name: &'static str, from: bool, to: bool) -> Option<RuleChange> {
    let shown = |on: bool| on.then(|| "yes".to_owned());
    (from != to).then(|| changed(name, [from, to].map(shown), !to))
}

fn changed(name: &'static str, [from, to]: [Option<String>; 2], is_looser: bool) -> RuleChange {
    RuleChange {
        name,
        change: match is_looser {
            true => Change::Loosened,
            false => Change::Tightened,
        },
        from: from.unwrap_or_default(),
        to: to.unwrap_or_default(),
    }
}

fn shown<T: Display>(bounds: &Option<Bounds<T>>) -> Option<String> {
    bounds.as_ref().map(Bounds::to_string)
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
