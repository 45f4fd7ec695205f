//! A configuration that cannot be used ends every service with code 64, before a port opens.

use std::net::TcpListener;
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

#[test]
fn a_configuration_that_cannot_be_used_is_64_before_a_port_opens() -> anyhow::Result<()> {
    // Whoever opens its ports first would find this one taken, and say so with another code.
    let taken = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let _taken = TcpListener::bind(taken)?;
    let folder = oms_engines::scratch::create()?;
    let file = folder.join("wrong.toml");
    for (service, _) in SERVICES {
        for (wrong, word) in WRONG {
            let ports = format!("listen = \"{taken}\"\nadmin_listen = \"{taken}\"\n");
            std::fs::write(&file, ports + wrong)?;
            let mut command = Command::new(NODE);
            command.args([service, "serve", "--config"]).arg(&file);
            let output = command.output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(
                output.status.code() == Some(64) && said.contains(word),
                "{service} with {wrong:?}: {:?}, {said}",
                output.status
            );
        }
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
