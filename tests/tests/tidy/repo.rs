//! The repository as the rules see it: its text files and where something was found.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The services, which are also their directories and their proto packages.
pub(crate) const SERVICES: [&str; 5] = ["order", "inventory", "fulfillment", "shipping", "returns"];

/// Directories that hold nothing of ours.
const SKIPPED: [&str; 6] = [".git", ".oms", ".tools", "target", ".sqlx", "node_modules"];

/// What breaks a rule, and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    /// `line` counts from 1; 0 means the file as a whole.
    pub(crate) fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// A text file.
pub(crate) struct File {
    /// From the root of the repository, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// The lines with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }
}

/// All text files of the repository, sorted by path.
pub(crate) struct Repo {
    files: Vec<File>,
    /// Files that are `#[cfg(test)] mod name;` of another one.
    test_modules: BTreeSet<String>,
}

impl Repo {
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut paths = Vec::new();
        walk(&root, &mut paths);
        let mut files: Vec<File> = paths
            .iter()
            .filter_map(|path| {
                // Not text: nothing for us to read.
                let text = fs::read_to_string(path).ok()?;
                let path = path.strip_prefix(&root).ok()?.to_str()?.replace('\\', "/");
                Some(File { path, text })
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(
            files.len() > 50,
            "the repository was not found at {}",
            root.display()
        );
        Self::with(files)
    }

    fn with(files: Vec<File>) -> Self {
        let test_modules = files.iter().flat_map(test_modules).collect();
        Self {
            files,
            test_modules,
        }
    }

    /// A repository of these files, to try the rules on.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        Self::with(files.iter().map(file).collect())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    pub(crate) fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Files with that ending below a directory (`""` is the root).
    pub(crate) fn below(&self, dir: &str, extension: &str) -> impl Iterator<Item = &File> {
        let dir = if dir.is_empty() {
            String::new()
        } else {
            format!("{dir}/")
        };
        let extension = format!(".{extension}");
        self.files
            .iter()
            .filter(move |file| file.path.starts_with(&dir) && file.path.ends_with(&extension))
    }

    /// Rust below a directory that is not a test.
    pub(crate) fn sources_of<'a>(&'a self, dir: &str) -> impl Iterator<Item = &'a File> {
        let dir = format!("{dir}/");
        self.sources()
            .filter(move |file| file.path.starts_with(&dir))
    }

    /// Rust of the crates and services that is not a test.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &File> {
        self.below("", "rs").filter(|file| {
            let mut parts = file.path.split('/');
            let first = parts.next();
            let is_member = matches!(first, Some("crates" | "services"));
            if self.test_modules.contains(&file.path) {
                return false;
            }
            let name = file.path.rsplit('/').next().unwrap_or_default();
            is_member
                && !file.path.split('/').any(|part| part == "tests")
                && name != "tests.rs"
                && !name.ends_with("_tests.rs")
        })
    }
}

/// The files of the test modules that a file declares.
fn test_modules(file: &File) -> Vec<String> {
    let Some(stem) = file.path.strip_suffix(".rs") else {
        return Vec::new();
    };
    let (dir, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    let dir = match name {
        "mod" | "lib" | "main" => dir.to_owned(),
        name => format!("{dir}/{name}"),
    };
    let declared = file.text.split("#[cfg(test)]").skip(1).filter_map(|rest| {
        let (item, _) = rest.trim_start().split_once(';')?;
        item.strip_prefix("pub(crate) ")
            .unwrap_or(item)
            .strip_prefix("mod ")
    });
    let is_name = |name: &&str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
    declared
        .filter(is_name)
        .map(|name| format!("{dir}/{name}.rs"))
        .collect()
}

fn walk(dir: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        // A link may lead out of the repository; a submodule or worktree has a file named .git.
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            if !SKIPPED.iter().any(|skipped| name == *skipped) {
                walk(&entry.path(), into);
            }
        } else if kind.is_file() && name != ".git" {
            into.push(entry.path());
        }
    }
}
