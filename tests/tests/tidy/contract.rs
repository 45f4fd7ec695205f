//! One word everywhere: an RPC, its file and its function.

use crate::repo::{File, Finding, Repo, SERVICES};
use crate::rust::{code, functions};

/// RPCs without a file `commands/<rpc>.rs` or `queries/<rpc>.rs` that holds a function of that name.
pub(crate) fn rpc_files(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in SERVICES {
        for proto in repo.below(&format!("proto/oms/{service}"), "proto") {
            for (line, rpc) in rpcs(proto) {
                let name = snake_case(rpc);
                if let Err(message) = has_file(repo, service, &name) {
                    findings.push(Finding::new(&proto.path, line, format!("{rpc}: {message}")));
                }
            }
        }
    }
    findings
}

fn has_file(repo: &Repo, service: &str, name: &str) -> Result<(), String> {
    let src = format!("services/{service}/src");
    let file = ["commands", "queries"].iter().find_map(|room| {
        repo.get(&format!("{src}/{room}/{name}.rs"))
            .or_else(|| repo.get(&format!("{src}/{room}/{name}/mod.rs")))
    });
    let Some(file) = file else {
        return Err(format!(
            "there is no {src}/commands/{name}.rs, nor queries/{name}.rs"
        ));
    };
    if functions(&code(&file.text))
        .iter()
        .any(|function| function.name == name)
    {
        Ok(())
    } else {
        Err(format!("{} has no fn {name}", file.path))
    }
}

pub(crate) fn rpcs(proto: &File) -> impl Iterator<Item = (usize, &str)> {
    proto.lines().filter_map(|(line, text)| {
        let (name, _) = text.trim_start().strip_prefix("rpc ")?.split_once('(')?;
        Some((line, name.trim()))
    })
}

pub(crate) fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}
