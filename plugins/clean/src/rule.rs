//! What cleaning one value comes to.

/// The outcome for one value; the cleaned text is at the end of the buffer the rule was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The value is clean as it is; nothing was appended.
    Same,
    /// The clean value was appended; it may be the same as before.
    Clean,
    /// Nothing was left.
    Empty,
    /// It cannot be cleaned, and why.
    Invalid(&'static str),
}

/// A rule with its setting.
pub(crate) enum Rule {
    /// See [`crate::email`].
    Email,
    /// See [`crate::phone`]; the country code for national numbers.
    Phone(Option<String>),
    /// See [`crate::name`].
    Name,
    /// See [`crate::country`].
    Country(crate::country::Countries),
}

impl Rule {
    /// Appends what `text` should be to `out`, which holds the rows before it. What is appended
    /// counts only if the outcome is [`Outcome::Clean`].
    #[inline]
    pub(crate) fn clean(&self, text: &str, out: &mut String) -> Outcome {
        match self {
            Rule::Email => crate::email::clean(text, out),
            Rule::Phone(country_code) => crate::phone::clean(text, country_code.as_deref(), out),
            Rule::Name => crate::name::clean(text, out),
            Rule::Country(countries) => countries.clean(text, out),
        }
    }

    /// The code of a reject.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Rule::Email => "invalid-email",
            Rule::Phone(_) => "invalid-phone",
            Rule::Name => "invalid-name",
            Rule::Country(_) => "unknown-country",
        }
    }

    /// The counter of changed values.
    pub(crate) fn counter(&self) -> &'static str {
        match self {
            Rule::Email => "emails-changed",
            Rule::Phone(_) => "phones-changed",
            Rule::Name => "names-changed",
            Rule::Country(_) => "countries-changed",
        }
    }
}

/// Runs a rule on one value for a test: the clean text, or `None` for empty, or why not.
#[cfg(test)]
pub(crate) fn try_rule(rule: &Rule, text: &str) -> Result<Option<String>, &'static str> {
    let mut out = String::new();
    match rule.clean(text, &mut out) {
        Outcome::Same => Ok(Some(text.to_owned())),
        Outcome::Clean => Ok(Some(out)),
        Outcome::Empty => Ok(None),
        Outcome::Invalid(why) => Err(why),
    }
}
