//! Every plugin of `tests/guests` through the real engine: each ends as the error that is named for it,
//! within its limit, with the batch kept and the stage able to go on.
//!
//! A row of the tables here is a test; [`assert_test_exists`] is the proof that no guest has none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[macro_use]
#[path = "../../../../tests/guests/mod.rs"]
mod guests;
#[macro_use]
mod support;

mod amounts;
mod contract;
mod crashes;
mod lies;
mod migrations;
mod rows;
mod words;

use amounts::*;
use contract::*;
use crashes::*;
use lies::*;
use migrations::*;
use rows::*;
use words::*;

macro_rules! assert_test_exists {
    ($($name:ident => $code:literal,)*) => {
        $(#[allow(unused_imports)] use self::$name as _;)*
    };
}
foreach_guest!(assert_test_exists);

#[test]
fn a_guest_that_changes_nothing_gives_the_rows_back() {
    let mut stage = support::bind(&guests::good(), &support::options())
        .unwrap()
        .open(0)
        .unwrap();
    let changed = stage.apply(&support::batch()).unwrap();
    assert_eq!(changed.records, support::batch().records);
    assert!(changed.origin.is_none() && changed.rejects.is_empty());
}
