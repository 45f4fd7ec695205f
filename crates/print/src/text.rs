//! Fits Unicode text to the characters of the built-in fonts (WinAnsi, also called Windows-1252).
//!
//! Letters outside that set are written with their nearest Latin letters, as postal services ask
//! for; what has none becomes `?`, so that a person sees that something was there.

use crate::metrics::Font;

/// Shown for a character that cannot be printed or transliterated.
const REPLACEMENT: char = '?';

/// Codes 0x80 to 0x9F of WinAnsi; `\0` marks codes without a character.
#[rustfmt::skip]
const HIGH: [char; 32] = [
    '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0',
    '\0', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\0', 'ž', 'Ÿ',
];

/// Rewrites text so that every character is one of WinAnsi.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.push(' ');
        } else if code(c).is_some() {
            out.push(c);
        } else if let Some(composed) = compose(&mut out, c) {
            out.push(composed);
        } else if !is_invisible(c) {
            out.push_str(latin(c).unwrap_or("?"));
        }
    }
    out
}

/// Encodes text as WinAnsi bytes, after [`printable`].
pub(crate) fn encode(text: &str) -> Vec<u8> {
    let replacement = code(REPLACEMENT).unwrap_or(b'?');
    printable(text)
        .chars()
        .map(|c| code(c).unwrap_or(replacement))
        .collect()
}

/// Width in points of a text in a font of a size in points.
pub fn width(font: Font, size: f32, text: &str) -> f32 {
    font.width(size, &encode(text))
}

/// Breaks text into lines no wider than `width_max` points. Breaks at spaces, and inside a word only
/// when the word alone is too wide. Never loses a character other than the spaces at breaks.
pub fn wrap(font: Font, size: f32, width_max: f32, text: &str) -> Vec<String> {
    let text = printable(text);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let joined = if line.is_empty() {
            word.to_owned()
        } else {
            format!("{line} {word}")
        };
        if width(font, size, &joined) <= width_max {
            line = joined;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            line.push(c);
            if line.chars().count() > 1 && width(font, size, &line) > width_max {
                line.pop();
                lines.push(std::mem::take(&mut line));
                line.push(c);
            }
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// The WinAnsi code of a character, when it has one.
fn code(c: char) -> Option<u8> {
    if matches!(c, ' '..='~' | '\u{A0}'..='\u{FF}') {
        return u8::try_from(u32::from(c)).ok();
    }
    let index = HIGH.iter().position(|high| *high == c && c != '\0')?;
    u8::try_from(index).ok().map(|index| 0x80 + index)
}

/// Joins a combining accent with the letter before it. Where WinAnsi has no such letter the plain
/// letter stays, as in a transliteration.
fn compose(out: &mut String, accent: char) -> Option<char> {
    if !('\u{300}'..='\u{36F}').contains(&accent) {
        return None;
    }
    let base = out.pop()?;
    let (bases, composed) = match accent {
        '\u{300}' => ("AEIOUaeiou", "ÀÈÌÒÙàèìòù"),
        '\u{301}' => ("AEIOUYaeiouy", "ÁÉÍÓÚÝáéíóúý"),
        '\u{302}' => ("AEIOUaeiou", "ÂÊÎÔÛâêîôû"),
        '\u{303}' => ("ANOano", "ÃÑÕãñõ"),
        '\u{308}' => ("AEIOUYaeiouy", "ÄËÏÖÜŸäëïöüÿ"),
        '\u{30A}' => ("Aa", "Åå"),
        '\u{30C}' => ("SZsz", "ŠŽšž"),
        '\u{327}' => ("Cc", "Çç"),
        _ => ("", ""),
    };
    let found = bases
        .chars()
        .zip(composed.chars())
        .find(|(letter, _)| *letter == base);
    Some(found.map_or(base, |(_, letter)| letter))
}

/// Marks that have no shape of their own: joiners, direction marks, the byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}')
}

/// Nearest Latin letters of a letter outside WinAnsi.
fn latin(c: char) -> Option<&'static str> {
    latin_extended(c)
        .or_else(|| cyrillic(c))
        .or_else(|| greek(c))
        .or_else(|| sign(c))
}

fn latin_extended(c: char) -> Option<&'static str> {
    Some(match c {
        'Ā' | 'Ă' | 'Ą' | 'Ǎ' | 'Ạ' | 'Ả' | 'Ấ' | 'Ầ' | 'Ẩ' | 'Ẫ' | 'Ậ' | 'Ắ' | 'Ằ' => {
            "A"
        }
        'ā' | 'ă' | 'ą' | 'ǎ' | 'ạ' | 'ả' | 'ấ' | 'ầ' | 'ẩ' | 'ẫ' | 'ậ' | 'ắ' | 'ằ' => {
            "a"
        }
        'Ć' | 'Ĉ' | 'Ċ' | 'Č' => "C",
        'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'Ď' | 'Đ' => "D",
        'ď' | 'đ' => "d",
        'Ē' | 'Ĕ' | 'Ė' | 'Ę' | 'Ě' | 'Ẹ' | 'Ẻ' | 'Ế' | 'Ề' | 'Ể' | 'Ễ' | 'Ệ' => {
            "E"
        }
        'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | 'ẹ' | 'ẻ' | 'ế' | 'ề' | 'ể' | 'ễ' | 'ệ' => {
            "e"
        }
        'Ĝ' | 'Ğ' | 'Ġ' | 'Ģ' => "G",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'Ĥ' | 'Ħ' => "H",
        'ĥ' | 'ħ' => "h",
        'Ĩ' | 'Ī' | 'Ĭ' | 'Į' | 'İ' | 'Ị' | 'Ỉ' => "I",
        'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' | 'ị' | 'ỉ' => "i",
        'Ĵ' => "J",
        'ĵ' => "j",
        'Ķ' => "K",
        'ķ' => "k",
        'Ĺ' | 'Ļ' | 'Ľ' | 'Ŀ' | 'Ł' => "L",
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => "l",
        'Ń' | 'Ņ' | 'Ň' => "N",
        'ń' | 'ņ' | 'ň' => "n",
        'Ō' | 'Ŏ' | 'Ő' | 'Ơ' | 'Ọ' | 'Ỏ' | 'Ố' | 'Ồ' | 'Ổ' | 'Ỗ' | 'Ộ' | 'Ớ' | 'Ờ' => {
            "O"
        }
        'ō' | 'ŏ' | 'ő' | 'ơ' | 'ọ' | 'ỏ' | 'ố' | 'ồ' | 'ổ' | 'ỗ' | 'ộ' | 'ớ' | 'ờ' => {
            "o"
        }
        'Ŕ' | 'Ŗ' | 'Ř' => "R",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'Ś' | 'Ŝ' | 'Ş' | 'Ș' => "S",
        'ś' | 'ŝ' | 'ş' | 'ș' => "s",
        'ẞ' => "SS",
        'Ţ' | 'Ť' | 'Ŧ' | 'Ț' => "T",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'Ũ' | 'Ū' | 'Ŭ' | 'Ů' | 'Ű' | 'Ų' | 'Ư' | 'Ụ' | 'Ủ' | 'Ứ' | 'Ừ' => "U",
        'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'ư' | 'ụ' | 'ủ' | 'ứ' | 'ừ' => "u",
        'Ŵ' => "W",
        'ŵ' => "w",
        'Ŷ' | 'Ỳ' | 'Ỵ' | 'Ỷ' | 'Ỹ' => "Y",
        'ŷ' | 'ỳ' | 'ỵ' | 'ỷ' | 'ỹ' => "y",
        'Ź' | 'Ż' => "Z",
        'ź' | 'ż' => "z",
        _ => return None,
    })
}

fn cyrillic(c: char) -> Option<&'static str> {
    const UPPER: [&str; 32] = [
        "A", "B", "V", "G", "D", "E", "Zh", "Z", "I", "Y", "K", "L", "M", "N", "O", "P", "R", "S",
        "T", "U", "F", "Kh", "Ts", "Ch", "Sh", "Shch", "'", "Y", "'", "E", "Yu", "Ya",
    ];
    const LOWER: [&str; 32] = [
        "a", "b", "v", "g", "d", "e", "zh", "z", "i", "y", "k", "l", "m", "n", "o", "p", "r", "s",
        "t", "u", "f", "kh", "ts", "ch", "sh", "shch", "'", "y", "'", "e", "yu", "ya",
    ];
    let at = |first: char| usize::try_from(u32::from(c).checked_sub(u32::from(first))?).ok();
    match c {
        'А'..='Я' => at('А').and_then(|index| UPPER.get(index)).copied(),
        'а'..='я' => at('а').and_then(|index| LOWER.get(index)).copied(),
        'Ё' => Some("E"),
        'ё' => Some("e"),
        'Є' => Some("Ye"),
        'є' => Some("ye"),
        'І' => Some("I"),
        'і' => Some("i"),
        'Ї' => Some("Yi"),
        'ї' => Some("yi"),
        'Ґ' => Some("G"),
        'ґ' => Some("g"),
        _ => None,
    }
}

fn greek(c: char) -> Option<&'static str> {
    const UPPER: [&str; 25] = [
        "A", "V", "G", "D", "E", "Z", "I", "Th", "I", "K", "L", "M", "N", "X", "O", "P", "R", "S",
        "S", "T", "Y", "F", "Ch", "Ps", "O",
    ];
    const LOWER: [&str; 25] = [
        "a", "v", "g", "d", "e", "z", "i", "th", "i", "k", "l", "m", "n", "x", "o", "p", "r", "s",
        "s", "t", "y", "f", "ch", "ps", "o",
    ];
    let at = |first: char| usize::try_from(u32::from(c).checked_sub(u32::from(first))?).ok();
    match c {
        'Α'..='Ω' => at('Α').and_then(|index| UPPER.get(index)).copied(),
        'α'..='ω' => at('α').and_then(|index| LOWER.get(index)).copied(),
        'Ά' => Some("A"),
        'ά' => Some("a"),
        'Έ' => Some("E"),
        'έ' => Some("e"),
        'Ή' | 'Ί' => Some("I"),
        'ή' | 'ί' => Some("i"),
        'Ό' | 'Ώ' => Some("O"),
        'ό' | 'ώ' => Some("o"),
        'Ύ' => Some("Y"),
        'ύ' => Some("y"),
        _ => None,
    }
}

fn sign(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{3000}' => " ",
        '‐' | '‑' | '‒' | '−' => "-",
        '′' => "'",
        '″' => "\"",
        '№' => "No.",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin_letters_keep_their_accents() {
        assert_eq!(printable("Café Müller, Łódź"), "Café Müller, Lódz");
        assert_eq!(printable("Cafe\u{301} Mu\u{308}ller"), "Café Müller");
        assert_eq!(printable("g\u{306}"), "g");
    }

    #[test]
    fn other_scripts_are_transliterated_or_marked() {
        assert_eq!(printable("Москва"), "Moskva");
        assert_eq!(printable("Αθήνα"), "Athina");
        assert_eq!(printable("東京 📦"), "?? ?");
        assert_eq!(printable("a\u{200B}b\nc\td"), "ab c d");
    }

    #[test]
    fn every_character_encodes_without_loss_of_length() {
        for value in 0..=0x0001_FFFF {
            let Some(c) = char::from_u32(value) else {
                continue;
            };
            let text = c.to_string();
            assert_eq!(
                encode(&text).len(),
                printable(&text).chars().count(),
                "{value:x}"
            );
        }
    }

    #[test]
    fn width_is_that_of_the_published_metrics() {
        assert!((width(Font::Regular, 10.0, "Hello") - 22.78).abs() < 0.01);
        assert!((width(Font::Bold, 10.0, "Hello") - 24.45).abs() < 0.01);
    }

    #[test]
    fn wrapped_lines_fit_and_lose_nothing() {
        let text = "one two three Donaudampfschifffahrtsgesellschaft four";
        let lines = wrap(Font::Regular, 10.0, 60.0, text);
        assert!(
            lines
                .iter()
                .all(|line| width(Font::Regular, 10.0, line) <= 60.0),
            "{lines:?}"
        );
        assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        assert!(wrap(Font::Regular, 10.0, 60.0, "  ").is_empty());
    }
}
