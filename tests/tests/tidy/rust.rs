//! As much of Rust as the rules need: code without comments, strings and tests; words; functions.

/// The code with comments, the contents of strings and `#[cfg(test)]` items blanked out. Every
/// character keeps its place, so that positions and line numbers stay true.
pub(crate) fn code(text: &str) -> String {
    let code = without_literals(text, true);
    blank_ranges(&code, &test_ranges(&code))
}

/// The same, but with strings left in.
pub(crate) fn code_with_strings(text: &str) -> String {
    let ranges = test_ranges(&without_literals(text, true));
    blank_ranges(&without_literals(text, false), &ranges)
}

/// Number of the line that holds a position, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

/// Positions at which the word stands by itself; a word may hold `::`, `!` and `(`.
pub(crate) fn find_word<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).filter_map(move |(at, _)| {
        let before = code.get(..at)?.chars().next_back();
        let after = code.get(at + word.len()..)?.chars().next();
        let goes_on_before = word.starts_with(is_word) && before.is_some_and(is_word);
        let goes_on_after = word.ends_with(is_word) && after.is_some_and(is_word);
        let free = !goes_on_before && !goes_on_after;
        free.then_some(at)
    })
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The word at the beginning of the text.
pub(crate) fn leading_word(text: &str) -> &str {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// A function with a body.
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    /// Where `fn` stands.
    pub(crate) at: usize,
    pub(crate) is_async: bool,
    /// Between the parentheses.
    pub(crate) parameters: &'a str,
    /// Between the braces.
    pub(crate) body: &'a str,
}

/// Functions in code that has been through [`code`].
pub(crate) fn functions(code: &str) -> Vec<Function<'_>> {
    find_word(code, "fn")
        .filter_map(|at| function(code, at))
        .collect()
}

fn function(code: &str, at: usize) -> Option<Function<'_>> {
    let rest = code.get(at + 2..)?;
    let name = leading_word(rest.trim_start());
    // `fn(u8) -> u8` is a type.
    if name.is_empty() {
        return None;
    }
    let open = at + 2 + first_outside_generics(rest)?;
    let close = matching(code, open)?;
    let start = body_start(code, close + 1)?;
    let end = matching(code, start)?;
    let before = code.get(..at)?.trim_end();
    Some(Function {
        name,
        at,
        is_async: before.ends_with("async"),
        parameters: code.get(open + 1..close)?,
        body: code.get(start + 1..end)?,
    })
}

/// The first parenthesis that is not inside `<..>`.
fn first_outside_generics(signature: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, c) in signature.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth = depth.saturating_sub(1),
            '(' if depth == 0 => return Some(at),
            _ => {}
        }
        before = c;
    }
    None
}

/// The brace of the body; none for a declaration that ends with a semicolon.
fn body_start(code: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        match code.get(at..)?.chars().next()? {
            '{' => return Some(at),
            ';' => return None,
            // A type such as [u8; 32].
            '(' | '[' => at = matching(code, at)? + 1,
            c => at += c.len_utf8(),
        }
    }
}

/// The position of the bracket that closes the one at `open`.
pub(crate) fn matching(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in code.get(open..)?.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(open + at);
                }
            }
            _ => {}
        }
    }
    None
}

fn blank_ranges(code: &str, ranges: &[(usize, usize)]) -> String {
    let mut bytes = code.as_bytes().to_vec();
    for (from, to) in ranges {
        for byte in bytes.iter_mut().take(*to).skip(*from) {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// From each `#[cfg(test)]` to the end of the item that follows.
fn test_ranges(code: &str) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    for marker in ["#[cfg(test)]", "#![cfg(test)]"] {
        for (at, _) in code.match_indices(marker) {
            if marker.starts_with("#!") {
                ranges.push((at, code.len()));
                continue;
            }
            let item = skip_attributes(code, at + marker.len());
            let rest = code.get(item..).unwrap_or_default();
            let end = match rest.find(['{', ';']) {
                Some(offset) if rest[offset..].starts_with('{') => {
                    matching(code, item + offset).map_or(code.len(), |close| close + 1)
                }
                Some(offset) => item + offset + 1,
                None => code.len(),
            };
            ranges.push((at, end));
        }
    }
    ranges
}

fn skip_attributes(code: &str, from: usize) -> usize {
    let mut at = from;
    loop {
        let rest = code.get(at..).unwrap_or_default();
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        if !trimmed.starts_with("#[") {
            return at;
        }
        match matching(code, at + 1) {
            Some(close) => at = close + 1,
            None => return at,
        }
    }
}

/// Blanks comments, and the contents of strings and characters too where `strings` says so.
fn without_literals(text: &str, strings: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let (kind, len) = literal(rest, before);
        let token = rest.get(..len).unwrap_or(rest);
        match kind {
            Literal::Comment => blank(token, &mut out),
            Literal::Text if strings => blank(token, &mut out),
            Literal::Text | Literal::None => out.push_str(token),
        }
        before = c;
        rest = rest.get(token.len()..).unwrap_or_default();
    }
    out
}

enum Literal {
    Comment,
    Text,
    None,
}

/// What starts here, and its length in bytes.
fn literal(rest: &str, before: char) -> (Literal, usize) {
    let one = rest.chars().next().map_or(0, char::len_utf8);
    if rest.starts_with("//") {
        return (Literal::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Literal::Comment, block_comment(rest));
    }
    if rest.starts_with('"') {
        return (Literal::Text, quoted(rest));
    }
    if !is_word(before) {
        let prefixed = rest.strip_prefix('b').unwrap_or(rest);
        if let Some(raw) = prefixed.strip_prefix('r') {
            let hashes = raw.len() - raw.trim_start_matches('#').len();
            if raw.get(hashes..).is_some_and(|raw| raw.starts_with('"')) {
                let end = format!("\"{}", "#".repeat(hashes));
                let start = rest.len() - raw.len() + hashes + 1;
                let body = rest.get(start..).unwrap_or_default();
                let len = body
                    .find(&end)
                    .map_or(rest.len(), |at| start + at + end.len());
                return (Literal::Text, len);
            }
        }
    }
    if rest.starts_with('\'') {
        return character(rest).map_or((Literal::None, one), |len| (Literal::Text, len));
    }
    (Literal::None, one)
}

/// The length of `'x'` or `'\n'`; none if this is a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        chars.next()?;
        return chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    }
    let (at, second) = chars.next()?;
    (second == '\'').then_some(at + 1)
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn blank(token: &str, out: &mut String) {
    for c in token.chars() {
        // As many bytes as before.
        match c {
            '\n' => out.push('\n'),
            c => out.extend(std::iter::repeat_n(' ', c.len_utf8())),
        }
    }
}

#[test]
fn code_keeps_lines_and_drops_the_rest() {
    let text = "fn a<'x>() { \"fn b() {\" } // fn c\n#[cfg(test)]\nmod tests { fn d() {} }\nlet q = '\"'; r#\"\n\"#";
    let code = code(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(code.lines().count(), text.lines().count());
    let names: Vec<&str> = functions(&code).iter().map(|f| f.name).collect();
    assert_eq!(names, ["a"]);
}
