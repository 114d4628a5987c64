//! Which columns hold what, judged by their names.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// E-mail addresses.
    Email,
    /// Phone numbers.
    Phone,
    /// Names of people.
    Name,
    /// Countries.
    Country,
}

const EMAIL_ENDS: [&str; 3] = ["email", "emailaddress", "mailaddress"];
const PHONE_ENDS: [&str; 4] = ["phone", "phonenumber", "mobilenumber", "telephonenumber"];
const PHONES: [&str; 4] = ["tel", "mobile", "cell", "fax"];
const NAMES: [&str; 14] = [
    "name",
    "fullname",
    "firstname",
    "lastname",
    "middlename",
    "givenname",
    "familyname",
    "surname",
    "forename",
    "customername",
    "contactname",
    "personname",
    "maidenname",
    "secondname",
];
const COUNTRY_ENDS: [&str; 3] = ["country", "countrycode", "countryname"];

impl Kind {
    /// The kind of a column called `name`; `None` when the name says nothing.
    pub(crate) fn of_column(name: &str) -> Option<Kind> {
        let letters: String = name
            .chars()
            .filter(|c| c.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect();
        let ends = |endings: &[&str]| endings.iter().any(|ending| letters.ends_with(ending));
        if letters == "mail" || ends(&EMAIL_ENDS) {
            Some(Kind::Email)
        } else if PHONES.contains(&letters.as_str()) || ends(&PHONE_ENDS) {
            Some(Kind::Phone)
        } else if NAMES.contains(&letters.as_str()) {
            Some(Kind::Name)
        } else if ends(&COUNTRY_ENDS) {
            Some(Kind::Country)
        } else {
            None
        }
    }

    /// The key of the config.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Email => "email",
            Kind::Phone => "phone",
            Kind::Name => "name",
            Kind::Country => "country",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_recognised_in_any_spelling() {
        for name in ["email", "E-Mail", "contact_email", "emailAddress"] {
            assert_eq!(Kind::of_column(name), Some(Kind::Email), "{name}");
        }
        assert_eq!(Kind::of_column("Mobile Phone"), Some(Kind::Phone));
        assert_eq!(Kind::of_column("first_name"), Some(Kind::Name));
        assert_eq!(Kind::of_column("BillingCountry"), Some(Kind::Country));
    }

    #[test]
    fn names_of_other_things_are_left_alone() {
        for name in [
            "Airport Name",
            "file_name",
            "Title",
            "Director",
            "Major Genre",
            "county",
            "email_opt_in",
        ] {
            assert_eq!(Kind::of_column(name), None, "{name}");
        }
    }
}
