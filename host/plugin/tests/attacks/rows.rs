//! Plugins that lie about rows in a way nobody can see: then every record still has one fate, and
//! what is said about it is said about that record.

use dkhost_core::{Batch, StageKind};

use crate::guests::guest;
use crate::support::{batch_of, bind, check, open, options};

/// Applies a guest to a batch and checks that each record is either refused or written, never both,
/// that no row goes on whose record is another's, and that a letter would hold its own record.
fn fates(name: &str, names: &[&str]) -> (Vec<u32>, Vec<u32>) {
    let batch = batch_of(names);
    let changed = open(name).unwrap().apply(&batch).unwrap();
    let after: Batch = batch
        .clone()
        .advance(changed, StageKind::Plugin, "1:attack")
        .unwrap();
    let written: Vec<u32> = (0..after.records.num_rows())
        .map(|row| after.source_row(row))
        .collect();
    assert!(written.is_sorted(), "{written:?}");
    // The column `id` was carried by the host: it is the record's own number.
    let ids = after.records.column(0);
    let ids: &arrow::array::Int64Array = ids.as_any().downcast_ref().unwrap();
    let carried: Vec<u32> = ids.values().iter().map(|id| *id as u32).collect();
    assert_eq!(carried, written, "a row stands for another record");
    let refused: Vec<u32> = after.rejects.iter().map(|r| r.source_row).collect();
    for row in &refused {
        assert!(!written.contains(row), "record {row} has two fates");
        let payload = String::from_utf8(after.source.payload(*row as usize).bytes).unwrap();
        assert_eq!(payload, format!("{{\"id\":{row}}}"));
        assert_eq!(after.source.locator(*row as usize).0["row"], *row);
    }
    (written, refused)
}

#[test]
pub fn blames_a_neighbour() {
    let names = ["a", "!b", "c", "d", "!e", "!f", "g", "h", "i", "!j"];
    let (written, refused) = fates("blames_a_neighbour", &names);
    // A record that is blamed twice is refused once.
    assert_eq!(refused, [2, 5, 6, 9]);
    assert_eq!(written, [0, 1, 3, 4, 7, 8]);
}

#[test]
pub fn drops_and_repeats() {
    let names = ["a"; 9];
    let (written, refused) = fates("drops_and_repeats", &names);
    assert_eq!(written, [0, 0, 1, 2, 4, 4, 4, 5, 7, 8, 8, 8]);
    assert!(refused.is_empty());
}

#[test]
pub fn key_far_away() {
    // The places of a key are an order, not an index into anything.
    let step = bind(&guest("key_far_away"), &options()).unwrap();
    assert_eq!(step.output().key(), [1]);
    assert_eq!(fates("key_far_away", &["a", "b"]), (vec![0, 1], vec![]));
}

#[test]
pub fn lies_in_company() {
    check("lies_in_company", "an origin that names row 5 of 5");
    // Alone with its row it tells the truth, so taking the batch apart loses nothing.
    for name in ["a", "b"] {
        assert_eq!(fates("lies_in_company", &[name]), (vec![0], vec![]));
    }
}
