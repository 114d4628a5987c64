//! The vocabulary of `apply`: its documentation, linter and JSON Schema in one.

use dkhost_core::{OptionSpec, OptionType};

/// A verb of `apply`.
#[derive(Debug, Clone, Copy)]
pub struct ApplyVerb {
    /// The verb: `lowercase`.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub help: &'static str,
    /// Its arguments.
    pub arguments: &'static [OptionSpec],
    /// The argument that may be written alone: `{ truncate = 10 }`.
    pub alone: Option<&'static str>,
}

const fn plain(name: &'static str, help: &'static str) -> ApplyVerb {
    ApplyVerb {
        name,
        help,
        arguments: &[],
        alone: None,
    }
}

/// The vocabulary of `apply`, for help and JSON Schema.
pub const APPLY_VERBS: &[ApplyVerb] = &[
    plain("lowercase", "text in lower case"),
    plain("uppercase", "text in upper case"),
    plain(
        "title",
        "text with each word's first letter in upper case and the others in lower case",
    ),
    plain(
        "trim",
        "text without white space at both ends, of any kind Unicode knows",
    ),
    ApplyVerb {
        name: "default",
        help: "a value for records that have none",
        arguments: &[OptionSpec::required(
            "value",
            OptionType::Any,
            "the value, of the column's type",
        )],
        alone: Some("value"),
    },
    ApplyVerb {
        name: "type_cast",
        help: "another type, exactly; a value that cannot be of it is refused or becomes the default",
        arguments: &[
            OptionSpec::required(
                "to",
                OptionType::Text,
                "the type: utf8, int64, decimal(10, 2), …",
            ),
            OptionSpec::optional(
                "default",
                OptionType::Any,
                "what a value becomes that cannot be cast; a null stays null",
            ),
        ],
        alone: Some("to"),
    },
    ApplyVerb {
        name: "regex_replace",
        help: "text with the matches of a regular expression replaced",
        arguments: &[
            OptionSpec::required("pattern", OptionType::Text, "a regular expression"),
            OptionSpec::required(
                "with",
                OptionType::Text,
                "what stands there instead; ${1} or ${name} is a group, $$ a dollar",
            ),
            OptionSpec::optional(
                "all",
                OptionType::Boolean,
                "every match (default), or only the first",
            ),
        ],
        alone: None,
    },
    ApplyVerb {
        name: "regex_extract",
        help: "the part of a text that a regular expression matches; null where it does not match",
        arguments: &[
            OptionSpec::required("pattern", OptionType::Text, "a regular expression"),
            OptionSpec::optional(
                "group",
                OptionType::Any,
                "number or name of a group; default the first, or the match if there is none",
            ),
        ],
        alone: Some("pattern"),
    },
    ApplyVerb {
        name: "truncate",
        help: "the first characters of a text",
        arguments: &[OptionSpec::required(
            "length",
            OptionType::Integer,
            "characters that are kept at most",
        )],
        alone: Some("length"),
    },
    ApplyVerb {
        name: "map_values",
        help: "other values for certain values",
        arguments: &[
            OptionSpec::required("map", OptionType::Table, "old values and their new ones"),
            OptionSpec::optional(
                "default",
                OptionType::Any,
                "what all other values become; without it they stay",
            ),
        ],
        alone: None,
    },
    ApplyVerb {
        name: "multiply",
        help: "a number times another; whole numbers stay exact, and one out of range is refused",
        arguments: &[OptionSpec::required("by", OptionType::Any, "the factor")],
        alone: Some("by"),
    },
    ApplyVerb {
        name: "divide",
        help: "a number divided by another, as float64; one that is no float64 exactly (beyond 2^53) is refused",
        arguments: &[OptionSpec::required(
            "by",
            OptionType::Any,
            "the divisor, not 0",
        )],
        alone: Some("by"),
    },
    ApplyVerb {
        name: "round",
        help: "a number to some decimal places, halves away from zero",
        arguments: &[OptionSpec::optional(
            "digits",
            OptionType::Integer,
            "decimal places, default 0",
        )],
        alone: Some("digits"),
    },
    ApplyVerb {
        name: "to_timestamp",
        help: "text to a timestamp by the first format that fits; one that fits none or is finer than a microsecond is refused",
        arguments: &[OptionSpec::required(
            "formats",
            OptionType::TextList,
            "strftime formats, tried in order; without a time of day it is midnight",
        )],
        alone: Some("formats"),
    },
];
