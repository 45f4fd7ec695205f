//! Code 128 symbols: the bars that hand scanners and carriers read.

use barcoders::sym::code128::Code128 as Symbol;

/// Why a text cannot be a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is nothing to encode.
    #[error("a Code 128 symbol needs at least one character")]
    Empty,
    /// The text has a character outside printable ASCII.
    #[error("a Code 128 symbol holds printable ASCII only")]
    NotAscii,
    /// The text would give a symbol that no scanner reads in one sweep.
    #[error("a Code 128 symbol holds at most 80 characters")]
    TooLong,
}

/// A symbol as a row of modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code128 {
    text: String,
    modules: Vec<bool>,
}

impl Code128 {
    /// Encodes printable ASCII text of 1 to 80 characters. Runs of digits take half the room.
    pub fn new(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::Empty);
        }
        if text.len() > 80 {
            return Err(Error::TooLong);
        }
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(Error::NotAscii);
        }
        let symbol = Symbol::new(with_sets(text)).map_err(|_| Error::NotAscii)?;
        let modules = symbol
            .encode()
            .into_iter()
            .map(|module| module == 1)
            .collect();
        Ok(Self {
            text: text.to_owned(),
            modules,
        })
    }

    /// The text that a scanner reads.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The modules from left to right, without quiet zones; true is a bar.
    pub fn modules(&self) -> &[bool] {
        &self.modules
    }

    /// Runs of equal modules as (is a bar, modules wide).
    pub(crate) fn runs(&self) -> Vec<(bool, u16)> {
        let mut runs: Vec<(bool, u16)> = Vec::new();
        for module in &self.modules {
            match runs.last_mut() {
                Some((bar, wide)) if bar == module => *wide += 1,
                _ => runs.push((*module, 1)),
            }
        }
        runs
    }
}

/// Character sets of the symbol, written as the marks that the encoder expects.
const SET_B: char = '\u{0181}';
const SET_C: char = '\u{0106}';

/// Inserts the switches between set B (any text) and set C (two digits a character) that make the
/// symbol short, by the rules of the standard's annex.
fn with_sets(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    let mut in_c = None;
    while let Some(c) = rest.chars().next() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let at_start = in_c.is_none();
        let worth = digits >= 6
            || (digits >= 4 && (at_start || digits == rest.len()))
            || (digits == 2 && at_start && rest.len() == 2);
        let take = if worth && digits % 2 == 0 { digits } else { 0 };
        // An odd run gives its first digit to set B, so that the rest pairs up.
        let set = take > 0;
        if in_c != Some(set) {
            out.push(if set { SET_C } else { SET_B });
            in_c = Some(set);
        }
        let step = if set { take } else { c.len_utf8() };
        let (head, tail) = rest.split_at(step);
        out.push_str(head);
        rest = tail;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_paired() {
        assert_eq!(with_sets("12345678"), "\u{106}12345678");
        assert_eq!(with_sets("AB123456C"), "\u{181}AB\u{106}123456\u{181}C");
        assert_eq!(with_sets("AB12"), "\u{181}AB12");
        assert_eq!(with_sets("AB1234567"), "\u{181}AB1\u{106}234567");
        assert_eq!(with_sets("12"), "\u{106}12");
    }

    #[test]
    fn what_cannot_be_scanned_is_refused() {
        assert_eq!(Code128::new(""), Err(Error::Empty));
        assert_eq!(Code128::new("é"), Err(Error::NotAscii));
        assert_eq!(Code128::new("a\n"), Err(Error::NotAscii));
        assert_eq!(Code128::new(&"1".repeat(81)), Err(Error::TooLong));
    }
}
