//! Arrows between crates, read from the manifests.

use crate::repo::{File, Finding, Repo, SERVICES};

/// Crate, and those of ours it may depend on.
const ARROWS: [(&str, &[&str]); 12] = [
    ("oms-core", &[]),
    ("oms-engines", &[]),
    ("oms-print", &[]),
    ("oms-proto", &[]),
    ("oms-seal", &[]),
    // The pure cores come as source files.
    ("oms-sim", &["oms-core"]),
    ("oms-telemetry", &["oms-core"]),
    ("oms-lock", &["oms-core", "oms-telemetry"]),
    ("oms-postgres", &["oms-core", "oms-telemetry"]),
    ("oms-sandbox-psp", &["oms-core", "oms-postgres"]),
    (
        "oms-service",
        &["oms-core", "oms-proto", "oms-telemetry", "oms-postgres"],
    ),
    (
        "oms-testkit",
        &[
            "oms-core",
            "oms-engines",
            "oms-proto",
            "oms-telemetry",
            "oms-postgres",
        ],
    ),
];

/// What a service may depend on.
const OF_A_SERVICE: [&str; 8] = [
    "oms-core",
    "oms-lock",
    "oms-postgres",
    "oms-print",
    "oms-proto",
    "oms-seal",
    "oms-service",
    "oms-telemetry",
];

/// For tests, any crate may have these besides.
const FOR_TESTS: [&str; 3] = ["oms-engines", "oms-sandbox-psp", "oms-testkit"];

/// A line of a `[..dependencies]` table.
struct Dependency<'a> {
    line: usize,
    text: &'a str,
    name: &'a str,
    for_tests: bool,
}

/// Dependencies on crates of ours that are not in the tables above.
pub(crate) fn arrows(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for manifest in manifests(repo) {
        let package = package(manifest);
        for dependency in dependencies(manifest).filter(|dependency| is_ours(dependency.name)) {
            if dependency.for_tests && FOR_TESTS.contains(&dependency.name) {
                continue;
            }
            if let Err(allowed) = may_depend(package, dependency.name) {
                let message = format!("{package} depends on {}, may on {allowed}", dependency.name);
                findings.push(Finding::new(&manifest.path, dependency.line, message));
            }
        }
    }
    findings
}

/// Dependencies that do not inherit everything from the root manifest.
pub(crate) fn inherited(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for manifest in manifests(repo) {
        for dependency in dependencies(manifest) {
            let inherits = format!("{}.workspace = true", dependency.name);
            // A virtual clock must not ship: in the root manifest its feature would be everybody's. The simulation is
            // no part of what ships.
            let for_tests = format!(
                "{} = {{ workspace = true, features = [\"test-util\"] }}",
                dependency.name
            );
            let never_ships = dependency.for_tests || package(manifest) == "oms-sim";
            let is_for_tests = never_ships && dependency.text.trim() == for_tests;
            if dependency.text.trim() != inherits && !is_for_tests {
                let message = format!(
                    "`{}`: write `{}.workspace = true`, version and features stand in the root manifest",
                    dependency.text.trim(),
                    dependency.name
                );
                findings.push(Finding::new(&manifest.path, dependency.line, message));
            }
        }
        if !manifest.text.contains("[lints]\nworkspace = true") {
            findings.push(Finding::new(
                &manifest.path,
                0,
                "does not inherit the lints",
            ));
        }
    }
    findings
}

/// Err names what is allowed instead.
fn may_depend(package: &str, on: &str) -> Result<(), String> {
    let allowed: &[&str] = if package == "oms" {
        // All but what is for tests.
        return if on == "oms-testkit" {
            Err("all but oms-testkit".to_owned())
        } else {
            Ok(())
        };
    } else if package == "oms-tests" {
        return Ok(());
    } else if is_service(package) {
        &OF_A_SERVICE
    } else {
        match ARROWS.iter().find(|(name, _)| *name == package) {
            Some((_, allowed)) => allowed,
            None => {
                return Err("nothing: it is not in the table of tests/tidy/crates.rs".to_owned());
            }
        }
    };
    if allowed.contains(&on) {
        return Ok(());
    }
    Err(if allowed.is_empty() {
        "none of ours".to_owned()
    } else {
        allowed.join(", ")
    })
}

fn is_ours(name: &str) -> bool {
    name == "oms" || name.starts_with("oms-")
}

fn is_service(package: &str) -> bool {
    SERVICES
        .iter()
        .any(|service| package.strip_prefix("oms-") == Some(service))
}

fn manifests(repo: &Repo) -> impl Iterator<Item = &File> {
    repo.all().filter(|file| file.path.ends_with("/Cargo.toml"))
}

fn package(manifest: &File) -> &str {
    manifest
        .text
        .lines()
        .find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .unwrap_or_default()
}

fn dependencies(manifest: &File) -> impl Iterator<Item = Dependency<'_>> {
    let mut section = "";
    manifest.lines().filter_map(move |(line, text)| {
        if text.starts_with('[') {
            section = text.trim();
            return None;
        }
        if !section.ends_with("dependencies]") || text.trim().is_empty() || text.starts_with('#') {
            return None;
        }
        let name = text.split(['.', '=', ' ']).next()?;
        let for_tests = section.contains("dev-dependencies");
        Some(Dependency {
            line,
            text,
            name,
            for_tests,
        })
    })
}
