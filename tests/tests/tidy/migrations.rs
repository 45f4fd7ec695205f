//! Migrations: numbered without gaps, explained, every constraint named, nothing that needs one engine
//! or one connection.

use std::collections::BTreeMap;

use crate::repo::{File, Finding, Repo};

/// A word or sign of SQL, in upper case, and its line.
type Token = (String, usize);

/// What no migration contains.
const FORBIDDEN: [(&str, &str); 6] = [
    (
        "NOTIFY",
        "the relay is polled: a notification is lost with its connection",
    ),
    (
        "LISTEN",
        "the relay is polled: a notification is lost with its connection",
    ),
    ("TRIGGER", "rules live in the services"),
    ("FUNCTION", "rules live in the services"),
    ("PROCEDURE", "rules live in the services"),
    ("EXTENSION", "the embedded engines have none"),
];

/// Migrations whose functions and triggers hold no rule of the business.
const GUARDS: [&str; 1] = [
    // Refuses UPDATE, DELETE and TRUNCATE of the audit log.
    "_audit.sql",
];

/// All rules about migrations.
pub(crate) fn all(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut dirs: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
    for file in repo.below("", "sql") {
        if let Some((dir, _)) = file.path.rsplit_once('/')
            && dir.ends_with("/migrations")
        {
            dirs.entry(dir).or_default().push(file);
        }
    }
    for files in dirs.values() {
        numbers(&mut findings, files);
        for file in files {
            if !file.text.starts_with("-- ") {
                findings.push(Finding::new(
                    &file.path,
                    1,
                    "begins with no comment that says what it is for",
                ));
            }
            statements(&mut findings, file);
        }
    }
    findings
}

/// `0001_orders.sql`, `0002_..`: in order of the sorted paths.
fn numbers(findings: &mut Vec<Finding>, files: &[&File]) {
    for (expected, file) in (1..).zip(files) {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let number = name
            .split_once('_')
            .and_then(|(number, _)| number.parse::<usize>().ok());
        if number != Some(expected) || !name.starts_with(&format!("{expected:04}_")) {
            findings.push(Finding::new(
                &file.path,
                0,
                format!("should be number {expected:04}"),
            ));
        }
    }
}

fn statements(findings: &mut Vec<Finding>, file: &File) {
    let tokens = tokens(&file.text);
    let word = |at: usize| tokens.get(at).map_or("", |(word, _)| word.as_str());
    let mut foreign_key = false;
    for (at, (token, line)) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", word);
        let named = at >= 2 && word(at - 2) == "CONSTRAINT";
        let unnamed = match token.as_str() {
            "CHECK" | "EXCLUDE" => !named,
            "UNIQUE" => !named && word(at + 1) != "INDEX" && before != "CREATE",
            "PRIMARY" => !named && word(at + 1) == "KEY",
            "FOREIGN" => {
                foreign_key = true;
                !named
            }
            "REFERENCES" => !std::mem::take(&mut foreign_key) && !named,
            "INDEX" => unnamed_index(&tokens, at),
            _ => false,
        };
        if unnamed {
            let what = if token == "INDEX" {
                "index"
            } else {
                "constraint"
            };
            findings.push(Finding::new(
                &file.path,
                *line,
                format!("{token} without a name: every {what} has one"),
            ));
        }
        let is_guard = matches!(token.as_str(), "TRIGGER" | "FUNCTION")
            && file.path.starts_with("crates/postgres/")
            && GUARDS.iter().any(|guard| file.path.ends_with(guard));
        if let Some((_, why)) = FORBIDDEN.iter().find(|(word, _)| word == token)
            && !is_guard
        {
            findings.push(Finding::new(&file.path, *line, format!("{token}: {why}")));
        }
    }
}

/// `CREATE INDEX ON ..` lets Postgres choose.
fn unnamed_index(tokens: &[Token], at: usize) -> bool {
    let word = |at: usize| tokens.get(at).map_or("", |(word, _)| word.as_str());
    let created = at >= 1 && matches!(word(at - 1), "CREATE" | "UNIQUE");
    let next = if word(at + 1) == "CONCURRENTLY" {
        at + 2
    } else {
        at + 1
    };
    created && word(next) == "ON"
}

/// Words and signs, without comments and strings.
fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (line, text) in (1..).zip(without_literals(sql).lines()) {
        let mut rest = text.trim_start();
        while let Some(c) = rest.chars().next() {
            let end = if is_word(c) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else {
                c.len_utf8()
            };
            let (token, tail) = rest.split_at(end);
            tokens.push((token.to_uppercase(), line));
            rest = tail.trim_start();
        }
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Lines stay.
fn without_literals(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut chars = sql.chars().peekable();
    let mut quoted = false;
    let mut comment = false;
    while let Some(c) = chars.next() {
        match c {
            '\n' => {
                comment = false;
                out.push('\n');
            }
            _ if comment => {}
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '-' if chars.peek() == Some(&'-') => comment = true,
            c => out.push(c),
        }
    }
    out
}
