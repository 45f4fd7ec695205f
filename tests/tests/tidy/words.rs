//! Words: unfinished work, places that exist on one machine only, and how log messages read.

use crate::repo::{File, Finding, Repo};
use crate::rust::{code, code_with_strings, find_word, line_of, matching};

/// Marks of unfinished work. Put together, so that this file does not find itself.
const MARKS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Hosts of package registries and paths of one machine.
const FORBIDDEN: [&str; 11] = [
    concat!("crates", ".io"),
    concat!("docs", ".rs"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npmjs", ".com"),
    concat!("npmjs", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("docker", ".io"),
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/tm", "p/"),
];

/// Names that begin a message in upper case.
const NAMES: [&str; 8] = [
    "Postgres",
    "PostgreSQL",
    "Redis",
    "Valkey",
    "OpenTelemetry",
    "Ctrl-C",
    "Kubernetes",
    "Prometheus",
];

/// A mark of unfinished work must name its issue: `TODO(#12)`.
pub(crate) fn unfinished(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.all().filter(|file| !is_generated(file)) {
        for (number, line) in file.lines() {
            for mark in MARKS {
                let unnumbered = find_word(line, mark).any(|at| {
                    let after = line.get(at + mark.len()..).unwrap_or_default();
                    !after.starts_with("(#")
                });
                if unnumbered {
                    findings.push(Finding::new(
                        &file.path,
                        number,
                        format!("{mark} without an issue: {mark}(#12)"),
                    ));
                }
            }
        }
    }
    findings
}

/// Registries come and go by configuration; paths of one machine mean nothing on another.
pub(crate) fn forbidden(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.all().filter(|file| !is_generated(file)) {
        for (number, line) in file.lines() {
            for word in FORBIDDEN.iter().filter(|word| line.contains(**word)) {
                findings.push(Finding::new(&file.path, number, format!("says {word}")));
            }
        }
    }
    findings
}

/// Log messages begin in lower case and end without a full stop.
pub(crate) fn log_messages(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.sources() {
        let code = code(&file.text);
        let text = code_with_strings(&file.text);
        for level in ["trace!(", "debug!(", "info!(", "warn!(", "error!("] {
            for at in find_word(&code, level) {
                let open = at + level.len() - 1;
                let arguments = matching(&code, open).and_then(|close| text.get(open..close));
                if let Some(message) = arguments.and_then(message)
                    && let Err(why) = reads_well(message)
                {
                    findings.push(Finding::new(
                        &file.path,
                        line_of(&code, at),
                        format!("\"{message}\" {why}"),
                    ));
                }
            }
        }
    }
    findings
}

/// The last string of the arguments.
fn message(arguments: &str) -> Option<&str> {
    let end = arguments.rfind('"')?;
    let start = arguments.get(..end)?.rfind('"')?;
    arguments.get(start + 1..end)
}

fn reads_well(message: &str) -> Result<(), &'static str> {
    if message.ends_with('.') && !message.ends_with("..") {
        return Err("ends with a full stop");
    }
    let mut chars = message.chars();
    let upper = chars.next().is_some_and(char::is_uppercase);
    let word = upper && chars.next().is_some_and(char::is_lowercase);
    if word && !NAMES.iter().any(|name| message.starts_with(name)) {
        return Err("begins in upper case");
    }
    Ok(())
}

fn is_generated(file: &File) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    matches!(name.rsplit_once('.'), Some((_, "lock" | "csv"))) || name == "LICENSE"
}
