//! Docs that must be there, and lists that must be complete.

use crate::repo::{File, Finding, Repo, SERVICES};

const DECISIONS: &str = "docs/adr";

/// What a service's README tells.
const TOLD: [&str; 4] = ["owns", "event", "invariant", "run"];
const README_LINES_MAX: usize = 120;

/// Every decision is numbered without gaps, has a status and stands in the list with its title.
pub(crate) fn decisions(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    let list_path = format!("{DECISIONS}/README.md");
    let Some(list) = repo.get(&list_path) else {
        return vec![Finding::new(&list_path, 0, "is missing")];
    };
    let pages = repo
        .below(DECISIONS, "md")
        .filter(|page| page.path != list_path);
    for (number, page) in (1..).zip(pages) {
        let name = page.path.rsplit('/').next().unwrap_or_default();
        let number = format!("{number:04}");
        if !name.starts_with(&format!("{number}-")) {
            findings.push(Finding::new(
                &page.path,
                0,
                format!("should be number {number}"),
            ));
        }
        let title = page.text.lines().next().unwrap_or_default();
        let Some(title) = title.strip_prefix(&format!("# {number} ")) else {
            findings.push(Finding::new(
                &page.path,
                1,
                format!("should begin with `# {number} Title`"),
            ));
            continue;
        };
        if !page.text.lines().any(|line| line.starts_with("Status: ")) {
            findings.push(Finding::new(&page.path, 2, "has no line `Status: ..`"));
        }
        if !list
            .text
            .contains(&format!("| [{number}]({name}) | {title} |"))
        {
            let message = format!("does not list `| [{number}]({name}) | {title} | .. |`");
            findings.push(Finding::new(&list_path, 0, message));
        }
    }
    findings
}

/// Every service explains itself on one page; the root has its pages.
pub(crate) fn readmes(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in SERVICES {
        let path = format!("services/{service}/README.md");
        let Some(readme) = repo.get(&path) else {
            findings.push(Finding::new(&path, 0, "is missing"));
            continue;
        };
        let text = readme.text.to_lowercase();
        for word in TOLD.iter().filter(|word| !text.contains(**word)) {
            findings.push(Finding::new(
                &path,
                0,
                format!("says nothing about `{word}`"),
            ));
        }
        let lines = readme.text.lines().count();
        if lines > README_LINES_MAX {
            findings.push(Finding::new(
                &path,
                0,
                format!("has {lines} lines; one page is enough"),
            ));
        }
    }
    for path in ["README.md", "ARCHITECTURE.md", "LICENSE"] {
        if repo.get(path).is_none() {
            findings.push(Finding::new(path, 0, "is missing"));
        }
    }
    match repo.get("CHANGELOG.md") {
        Some(changelog) if changelog.text.contains("\n## [Unreleased]\n") => {}
        _ => findings.push(Finding::new(
            "CHANGELOG.md",
            0,
            "has no section [Unreleased]",
        )),
    }
    findings
}

/// Relative links that lead to no file of the repository.
pub(crate) fn links(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in repo.below("", "md") {
        let mut in_code = false;
        for (number, line) in page.lines() {
            if line.trim_start().starts_with("```") {
                in_code = !in_code;
            }
            if in_code {
                continue;
            }
            for target in targets(line).filter(|target| !leads_somewhere(repo, page, target)) {
                findings.push(Finding::new(
                    &page.path,
                    number,
                    format!("leads nowhere: {target}"),
                ));
            }
        }
    }
    findings
}

fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let (target, _) = rest.split_once(')')?;
        let target = target.split('#').next()?;
        let is_path =
            !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
        is_path.then_some(target)
    })
}

fn leads_somewhere(repo: &Repo, page: &File, target: &str) -> bool {
    let dir = page.path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let mut parts: Vec<&str> = dir.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    repo.all()
        .any(|file| file.path == path || file.path.starts_with(&format!("{path}/")))
}
