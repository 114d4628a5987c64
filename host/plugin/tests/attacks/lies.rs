//! Plugins that lie about their columns and rows in a way that can be seen at the border.

each! {
    bad_utf8: "column `name`: row 0 is not UTF-8",
    too_few_columns: "1 columns instead of the 2 it promised",
    too_many_columns: "3 columns instead of the 2 it promised",
    wrong_type: "column `name`: has 4 bytes, and 5 rows of 8 bytes need 40",
    wrong_column_order: "column `id`: was promised to carry column 0 and does not",
    carries_a_column_that_is_not_there: "column `name`: carries column 99, which is not there",
    offsets_backwards: "column `name`: its offsets go back at row 1",
    offsets_negative: "column `name`: its offsets go back at row 0",
    offsets_beyond: "column `name`: its offsets end at 1000000",
    offsets_short: "column `name`: its offsets have 4 bytes, and 5 rows need 24",
    rest_that_is_no_object: "column `name`: row 0 is not a JSON object",
    nulls_against_the_promise: "column `name`: was promised to have no nulls and has some",

    origin_unsorted: "an origin that is not ascending at row 1",
    origin_out_of_range: "an origin that names row 5 of 5",
    origin_of_odd_bytes: "an origin of 7 bytes, which is no whole number of rows",
    origin_without_rows: "column `name`: its offsets have 8 bytes, and 4 rows need 20",
    selection_short: "the selection has 0 bytes, and 5 rows need 1",
    reject_out_of_range: "a reject of row 5 of 5",
    reject_of_a_column_that_is_not_there: "a reject that blames column 99, which is not there",
    too_many_rejects: "6 rejects for 5 rows",
    verdict_short: "the verdict has 0 bytes, and 5 rows need 1",
    verdict_rejects_beyond: "a reject of row 5 of 5",
}
