//! Just enough JSON to keep a benchmark: values that print themselves, indented.

use std::fmt;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// true or false.
    Bool(bool),
    /// A number; what is none is written as null.
    Number(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// Names and values, in this order.
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        match self {
            Json::Bool(value) => write!(f, "{value}"),
            Json::Number(value) if value.is_finite() => write!(f, "{}", rounded(*value)),
            Json::Number(_) => f.write_str("null"),
            Json::Text(text) => quoted(f, text),
            Json::List(values) if values.iter().all(|v| matches!(v, Json::Number(_))) => {
                f.write_str("[")?;
                for (place, value) in values.iter().enumerate() {
                    f.write_str(if place > 0 { ", " } else { "" })?;
                    value.write(f, depth)?;
                }
                f.write_str("]")
            }
            Json::List(values) => {
                let each = values.iter().map(|value| (None, value));
                block(f, ['[', ']'], each, depth)
            }
            Json::Object(values) => {
                let each = values.iter().map(|(name, value)| (Some(*name), value));
                block(f, ['{', '}'], each, depth)
            }
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

fn block<'a>(
    f: &mut fmt::Formatter<'_>,
    brackets: [char; 2],
    values: impl Iterator<Item = (Option<&'static str>, &'a Json)>,
    depth: usize,
) -> fmt::Result {
    write!(f, "{}", brackets[0])?;
    for (place, (name, value)) in values.enumerate() {
        f.write_str(if place > 0 { ",\n" } else { "\n" })?;
        write!(f, "{:1$}", "", 2 * depth + 2)?;
        if let Some(name) = name {
            write!(f, "\"{name}\": ")?;
        }
        value.write(f, depth + 1)?;
    }
    write!(f, "\n{:2$}{}", "", brackets[1], 2 * depth)
}

/// Six digits are more than any clock here is worth.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c < ' ' => write!(f, "\\u{:04x}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn a_value_prints_as_json_and_what_is_no_number_as_null() {
        let value = Json::Object(vec![
            ("model", Json::Text("a \"b\"\n".into())),
            (
                "cpu_s",
                Json::List(vec![Json::Number(1.5), Json::Number(f64::NAN)]),
            ),
        ]);
        let expected = "{\n  \"model\": \"a \\\"b\\\"\\u000a\",\n  \"cpu_s\": [1.5, null]\n}";
        assert_eq!(value.to_string(), expected);
    }
}
