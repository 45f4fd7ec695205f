//! ISO 3166-1 countries.

/// Whether the text is an ISO 3166-1 alpha-2 code in capitals, such as `US`.
pub fn is_known(alpha2: &str) -> bool {
    rust_iso3166::from_alpha2(alpha2).is_some()
}

/// The English short name of a country by its alpha-2 code, as printed on labels.
pub fn name(alpha2: &str) -> Option<&'static str> {
    rust_iso3166::from_alpha2(alpha2).map(|country| country.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_codes_in_capitals_only() {
        assert!(is_known("US"));
        assert!(is_known("DE"));
        for wrong in ["", "us", "USA", "XX", "U", "840"] {
            assert!(!is_known(wrong), "{wrong:?}");
        }
        assert_eq!(name("JP"), Some("Japan"));
    }
}
