//! Plugins whose words are the attack: too long, not text, or made to be obeyed by a terminal.

use crate::support::{batch, check, holds, open};

each! {
    log_escapes: "it said: \\u{1b}[2J\\u{1b}]0;owned\\u{7}\\u{9b}31m",
    failure_of_ten_megabytes: "failed in batch 1 of partition 0: aaaa",
    failure_that_forges_lines: "\\u{1b}[2Jnothing movies done, nothing lost error[data::gone]: ",
    reject_without_code: "a reject of row 0 without a code of 1 to 128 bytes",
    bad_utf8_in_a_word: "what is no value of the contract (invalid utf-8",

    name_with_controls: "`\\u{1b}[31m` is not a name",
    version_of_ten_megabytes: "not a semantic one of at most 64 bytes",
    kind_of_ten_megabytes: "a kind of 10000000 bytes, and 64 are allowed",
    request_of_ten_megabytes: "one of more than 256 bytes",
    schema_of_ten_megabytes: "a config-schema of 10000000 bytes, and 65536 are allowed",
    schema_that_doubles: "publishes a config-schema that takes more than 500 ms to check",
    describes_nothing: "it names 0 plugins",
    column_name_with_controls: "promises column `\\u{1b}[2J\\nmovies done\\u{202e}` of an unknown type",
    zone_that_is_none: "unknown type `timestamp(us, \\u{1b}[2J/Phobos)`",
    type_of_ten_megabytes: "column `name` of a type whose name has 10000000 bytes",
}

#[test]
pub fn column_called_by_escapes() {
    // A name is data too: sources have odd ones, and whoever shows it escapes it.
    let changed = holds("column_called_by_escapes");
    let schema = changed.records.schema();
    let name = "\x1b[2J\nmovies done\u{202e}\"; DROP TABLE t; --";
    assert_eq!(schema.field(1).name(), name);
}

#[test]
pub fn schema_without_end() {
    let changed = holds("schema_without_end");
    assert_eq!(changed.records, batch().records);
}

#[test]
pub fn reject_of_ten_megabytes() {
    let rejects = holds("reject_of_ten_megabytes").rejects;
    assert!(
        rejects[0].message.len() < 2000,
        "{}",
        rejects[0].message.len()
    );
}

#[test]
pub fn reject_code_with_escapes() {
    // A code is data: kept as it is, escaped by whoever shows it.
    let rejects = holds("reject_code_with_escapes").rejects;
    assert_eq!(rejects[0].code, "\x1b[2Jfine\n\u{202e}");
}

#[test]
fn an_error_names_the_plugin_however_long_its_words_are() {
    let error = open("failure_of_ten_megabytes")
        .unwrap()
        .apply(&batch())
        .unwrap_err();
    assert!(error.chain().len() < 1200, "{} bytes", error.chain().len());
    check("failure_of_ten_megabytes", "`attack 1.0.0` failed");
}
