//! How long files and functions may be, tests not counted.

use crate::repo::{Finding, Repo};
use crate::rust::{code, functions as rust_functions, line_of};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Path, function (empty: the file), and why it is longer.
const EXCEPTIONS: [(&str, &str, &str); 0] = [];

/// Files with too many lines.
pub(crate) fn files(repo: &Repo) -> Vec<Finding> {
    let mut findings = stale_exceptions(repo);
    for file in repo.sources() {
        let lines = code_lines(&file.text);
        if lines > FILE_LINES_MAX && !excepted(&file.path, "") {
            let message = format!("{lines} lines without tests, at most {FILE_LINES_MAX}");
            findings.push(Finding::new(&file.path, 0, message));
        }
    }
    findings
}

/// Functions whose bodies have too many lines; empty ones and comments do not count.
pub(crate) fn functions(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.sources() {
        let code = code(&file.text);
        for function in rust_functions(&code) {
            let lines = function
                .body
                .lines()
                .filter(|line| !line.trim().is_empty())
                .count();
            if lines > FUNCTION_LINES_MAX && !excepted(&file.path, function.name) {
                let message = format!(
                    "{} has {lines} lines, at most {FUNCTION_LINES_MAX}",
                    function.name
                );
                findings.push(Finding::new(
                    &file.path,
                    line_of(&code, function.at),
                    message,
                ));
            }
        }
    }
    findings
}

/// Lines of the file, but those of its tests.
fn code_lines(text: &str) -> usize {
    let without_tests = code(text);
    let last = without_tests.trim_end().lines().count();
    // A test module at the end is gone; comments and empty lines before it count.
    text.lines().take(last).count()
}

fn excepted(path: &str, function: &str) -> bool {
    EXCEPTIONS
        .iter()
        .any(|(p, f, _)| *p == path && *f == function)
}

fn stale_exceptions(repo: &Repo) -> Vec<Finding> {
    EXCEPTIONS
        .iter()
        .filter(|(path, _, _)| repo.get(path).is_none())
        .map(|(path, _, _)| {
            Finding::new(path, 0, "is excepted from the size rules but is not there")
        })
        .collect()
}
