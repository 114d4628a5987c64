//! How names and values are written in TOML and in SQL.

use dkhost_core::LogicalType;

use crate::constant::Constant;

/// Words that mean something else where a column could stand.
const SQL_WORDS: [&str; 38] = [
    "all", "and", "any", "array", "as", "asc", "between", "by", "case", "cast", "coalesce", "desc",
    "distinct", "else", "end", "exists", "false", "from", "group", "having", "in", "interval",
    "is", "like", "limit", "not", "now", "null", "on", "or", "order", "select", "table", "then",
    "true", "user", "when", "where",
];

/// A text as TOML writes it.
pub(crate) fn toml_text(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.replace('\u{7f}', "\\u007F")
}

/// A text as a comment holds it: on one line, whatever names it speaks of.
pub(crate) fn comment(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// A key as TOML writes it.
pub(crate) fn toml_key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match !name.is_empty() && name.chars().all(is_bare) {
        true => name.to_owned(),
        false => toml_text(name),
    }
}

/// A column as SQL writes it.
pub(crate) fn sql_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_word = SQL_WORDS.contains(&name);
    match !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(is_plain)
        && !is_word
    {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// A value as SQL writes it, in the type of its field.
pub(crate) fn sql_value(value: &Constant, logical: &LogicalType) -> String {
    let text = value.text();
    let quoted = format!("'{}'", text.replace('\'', "''"));
    match logical {
        LogicalType::Boolean | LogicalType::Int32 | LogicalType::Int64 => text.to_owned(),
        LogicalType::Utf8 => quoted,
        LogicalType::Date32 => format!("cast({quoted} as date)"),
        LogicalType::Time64 => format!("cast({quoted} as time)"),
        LogicalType::Float32 | LogicalType::Float64 => format!("cast({quoted} as double)"),
        LogicalType::UInt64 => format!("cast({quoted} as bigint unsigned)"),
        LogicalType::Decimal(precision, scale) => {
            // SQL's own decimals have no exponent.
            let number = match text.contains(['e', 'E']) {
                true => format!("cast({quoted} as number)"),
                false => quoted,
            };
            format!("cast({number} as decimal({precision}, {scale}))")
        }
        // In whatever zone it is shown.
        LogicalType::Timestamp(Some(_)) => format!("cast({quoted} as timestamp with time zone)"),
        LogicalType::Timestamp(None) => format!("cast({quoted} as timestamp)"),
        other => format!("cast({quoted} as {other})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_must_be() {
        assert_eq!(sql_name("age"), "age");
        assert_eq!(sql_name("Age"), "\"Age\"");
        assert_eq!(sql_name("order"), "\"order\"");
        assert_eq!(sql_name("a \"b\""), "\"a \"\"b\"\"\"");
        assert_eq!(toml_key("a-b"), "a-b");
        assert_eq!(toml_key("a b"), "\"a b\"");
    }
}
