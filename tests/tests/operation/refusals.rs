//! A configuration that cannot be used ends every service with code 64, before a port opens.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use oms::suite::SERVICES;

use crate::NODE;

/// What is wrong, as TOML whose first keys stand in no table, and a word of the message.
const WRONG: [(&str, &str); 7] = [
    ("lisen = 1", "lisen"),
    ("insecure_dev = \"perhaps\"", "insecure_dev"),
    ("[server]\ncalls = 1", "calls"),
    ("[database]\nurl = \"\"", "database.url"),
    ("[peers.order]\nurl = \"order:7001\"", "peers.order.url"),
    (
        "[peers.order]\nurl = \"http://a:1\"\naddresses = [\"nowhere\"]",
        "addresses",
    ),
    ("[telemetry]\nfilter = \"=x=\"", "filter"),
];

/// The same of one service.
const WRONG_FOR: [(&str, &str, &str); 6] = [
    (
        "inventory",
        "[lease]\nredis_ca_file = \"/nowhere/ca.crt\"",
        "/nowhere/ca.crt",
    ),
    ("order", "", "privacy.master_keys_file"),
    (
        "order",
        "[privacy]\nmaster_keys_file = \"/nowhere/keys\"",
        "/nowhere/keys",
    ),
    (
        "order",
        "[privacy]\nmaster_keys = \"k1:short\"",
        "privacy.master_keys",
    ),
    (
        "order",
        "insecure_dev = true\n[payments.stripe]\napi_key = \"a\\nb\"",
        "payments.stripe.api_key",
    ),
    (
        "shipping",
        "[carriers.table_rate]\nwebhook_secrets_file = \"/nowhere/secrets\"",
        "/nowhere/secrets",
    ),
];

/// What a service says, and with which code it ends.
fn serve(service: &str, file: &Path, text: &str) -> anyhow::Result<(Option<i32>, String)> {
    std::fs::write(file, text)?;
    let mut command = Command::new(NODE);
    command.args([service, "serve", "--config"]).arg(file);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.code(), said))
}

#[test]
fn a_configuration_that_cannot_be_used_is_64_before_a_port_opens() -> anyhow::Result<()> {
    // Whoever opens its ports first would find this one taken, and say so with another code.
    let taken = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let _taken = TcpListener::bind(taken)?;
    let folder = oms_engines::scratch::create()?;
    let file = folder.join("wrong.toml");
    let of_all = SERVICES.iter().flat_map(|(service, _)| {
        let each = WRONG.iter();
        each.map(move |(wrong, word)| (*service, *wrong, *word))
    });
    for (service, wrong, word) in of_all.chain(WRONG_FOR) {
        let ports = format!("listen = \"{taken}\"\nadmin_listen = \"{taken}\"\n");
        let (code, said) = serve(service, &file, &(ports + wrong))?;
        ensure!(
            code == Some(64) && said.contains(word),
            "{service} with {wrong:?}: {code:?}, {said}"
        );
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
