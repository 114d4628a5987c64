//! What DataFusion says, in the words of the person who wrote the expression.
//!
//! Its texts are written for people who know Arrow and carry its own vocabulary. We keep the root
//! cause and our type names, and tell apart what the data did from what we did.

use arrow::error::ArrowError;
use datafusion_common::DataFusionError;
use dkhost_core::LogicalType;

/// Characters of a message that are kept: enough for a value and a reason.
const MESSAGE_MAX_CHARS: usize = 300;

/// Why an expression could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// In the user's words, without a full stop.
    pub(crate) message: String,
    /// Whether a value caused it; otherwise the plan let through what it should not have.
    pub(crate) by_data: bool,
}

impl Fault {
    pub(crate) fn data(message: impl Into<String>) -> Self {
        Fault {
            message: message.into(),
            by_data: true,
        }
    }
}

impl From<DataFusionError> for Fault {
    fn from(cause: DataFusionError) -> Self {
        let by_data = !matches!(
            cause.find_root(),
            DataFusionError::Internal(_)
                | DataFusionError::NotImplemented(_)
                | DataFusionError::SchemaError(..)
                | DataFusionError::Plan(_)
        );
        Fault {
            message: message(&cause),
            by_data,
        }
    }
}

impl From<ArrowError> for Fault {
    fn from(cause: ArrowError) -> Self {
        Fault {
            message: arrow_message(&cause),
            by_data: true,
        }
    }
}

/// The root cause, cleaned of DataFusion's own words.
pub(crate) fn message(cause: &DataFusionError) -> String {
    match cause.find_root() {
        DataFusionError::ArrowError(cause, _) => arrow_message(cause),
        DataFusionError::Execution(text)
        | DataFusionError::Plan(text)
        | DataFusionError::NotImplemented(text)
        | DataFusionError::Internal(text)
        | DataFusionError::Configuration(text) => tidy(text),
        DataFusionError::External(cause) => tidy(&cause.to_string()),
        other => tidy(&other.strip_backtrace()),
    }
}

fn arrow_message(cause: &ArrowError) -> String {
    match cause {
        ArrowError::DivideByZero => "division by zero".to_owned(),
        ArrowError::ArithmeticOverflow(text) => {
            let sum = text.strip_prefix("Overflow happened on: ").unwrap_or(text);
            format!("{} is out of range", tidy(sum))
        }
        ArrowError::CastError(text)
        | ArrowError::ParseError(text)
        | ArrowError::ComputeError(text)
        | ArrowError::InvalidArgumentError(text) => tidy(text),
        ArrowError::ExternalError(cause) => match cause.downcast_ref::<DataFusionError>() {
            Some(cause) => message(cause),
            None => tidy(&cause.to_string()),
        },
        other => tidy(&other.to_string()),
    }
}

/// One line with our type names, shortened, control characters escaped, starting in lower case.
pub(crate) fn tidy(text: &str) -> String {
    // The regex crate draws the pattern first and says why in the last line.
    if text.contains("regex parse error") {
        let why = text.lines().last().unwrap_or_default();
        return format!(
            "the pattern is not a regular expression: {}",
            why.trim_start_matches("error: ")
        );
    }
    // What follows are candidate signatures in DataFusion's notation.
    let text = text.split(". You might need").next().unwrap_or(text);
    let mut line = text.trim().trim_end_matches('.');
    for prefix in [
        "Error during planning: ",
        "Execution error: ",
        "Arrow error: ",
        "Parser error: ",
        "Cast error: ",
    ] {
        line = line.strip_prefix(prefix).unwrap_or(line);
    }
    let mut words = our_types(line);
    if let Some(first) = words.chars().next().filter(char::is_ascii_uppercase) {
        words.replace_range(..1, &first.to_ascii_lowercase().to_string());
    }
    let mut tidy = String::with_capacity(words.len());
    for c in words.chars().take(MESSAGE_MAX_CHARS) {
        if c.is_control() {
            tidy.extend(c.escape_default())
        } else {
            tidy.push(c)
        }
    }
    if words.chars().nth(MESSAGE_MAX_CHARS).is_some() {
        tidy.push('…');
    }
    tidy
}

/// Replaces Arrow's type names by ours.
fn our_types(text: &str) -> String {
    const NAMES: [(&str, &str); 21] = [
        ("Utf8View", "utf8"),
        ("LargeUtf8", "utf8"),
        ("Utf8", "utf8"),
        ("Boolean", "boolean"),
        ("Int8", "int8"),
        ("Int16", "int16"),
        ("Int32", "int32"),
        ("Int64", "int64"),
        ("UInt8", "uint8"),
        ("UInt16", "uint16"),
        ("UInt32", "uint32"),
        ("UInt64", "uint64"),
        ("Float32", "float32"),
        ("Float64", "float64"),
        ("Date32", "date32"),
        ("Binary", "binary"),
        ("Decimal128", "decimal"),
        ("Timestamp", "timestamp"),
        ("Interval", "interval"),
        ("Time64", "time64"),
        ("Null", "null"),
    ];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        let word = &rest[start..];
        let end = word
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(word.len());
        let word = &word[..end];
        out.push_str(&rest[..start]);
        out.push_str(
            NAMES
                .iter()
                .find(|(arrow, _)| *arrow == word)
                .map_or(word, |(_, ours)| ours),
        );
        rest = &rest[start + end..];
    }
    out.push_str(rest);
    out
}

/// A planning error of DataFusion about types, said in one of our sentences where we know one.
pub(crate) fn type_message(cause: &DataFusionError) -> String {
    let text = match cause.find_root() {
        DataFusionError::Plan(text) | DataFusionError::Execution(text) => text.clone(),
        other => message(other),
    };
    between(&text, "a call to '", "' function")
        .zip(between(&text, "coercion from ", " to the signature"))
        .map(|(function, types)| format!("`{function}` does not take ({})", our_types(types)))
        .or_else(|| {
            let call = between(&text, "argument types '", "'")?;
            let (function, types) = call.split_once('(')?;
            Some(format!("`{function}` does not take ({}", our_types(types)))
        })
        .or_else(|| {
            let operands = between(&text, "arithmetic expression ", " to valid types")?;
            Some(format!("`{}` has no meaning", our_types(operands)))
        })
        .or_else(|| {
            let (_, operands) = text
                .split_once("Cannot infer common ")?
                .1
                .split_once(" operation ")?;
            Some(format!(
                "`{}` cannot be compared or combined",
                our_types(operands)
            ))
        })
        .unwrap_or_else(|| tidy(&text))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

/// A value for a message: quoted if it is text, shortened, unprintable characters escaped.
pub(crate) fn shown(text: &str, logical: &LogicalType) -> String {
    const VALUE_MAX_CHARS: usize = 60;
    let short: String = text.chars().take(VALUE_MAX_CHARS).collect();
    // JSON is escaped already, down to the control characters.
    let mut shown = match logical {
        LogicalType::Json => short,
        _ => short.escape_debug().collect(),
    };
    if text.chars().nth(VALUE_MAX_CHARS).is_some() {
        shown.push('…');
    }
    match logical {
        LogicalType::Utf8 => format!("\"{shown}\""),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_the_root_cause_and_speaks_of_our_types() {
        let cause =
            ArrowError::CastError("Cannot cast string 'a\nb' to value of Int64 type".into());
        assert_eq!(
            Fault::from(cause).message,
            r"cannot cast string 'a\nb' to value of int64 type"
        );
        let cause = DataFusionError::from(ArrowError::CastError(
            "Can't cast value 300 to type Int8".into(),
        ));
        let fault = Fault::from(cause.context("optimizer rule `x`"));
        assert_eq!(fault, Fault::data("can't cast value 300 to type int8"));
        assert!(!Fault::from(DataFusionError::Internal("oops".into())).by_data);
    }

    #[test]
    fn a_shown_value_is_short_and_printable() {
        assert_eq!(shown("a\u{0}\n\"é", &LogicalType::Utf8), r#""a\0\n\"é""#);
        assert_eq!(
            shown(&"x".repeat(100), &LogicalType::Int64).chars().count(),
            61
        );
    }
}
