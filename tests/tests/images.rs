//! The images: five services and the payment provider as containers, unprivileged and read-only, take an order to cash.
//! `make images-test` builds them and says how containers are run.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oms::clients::Clients;
use oms::suite::SERVICES;
use oms_engines::Engines;
use oms_proto::order::v1::OrderState;
use oms_tests::nodes::PROVIDER;
use oms_tests::process::Process;
use oms_tests::shop::new_order;
use oms_tests::suite::{Actor, engines};

const WEBHOOK_SECRET: &str = "whsec_of_the_images";

/// Containers, each on the ports of a process that is never started.
struct Containers {
    engines: Engines,
    ports: Vec<(&'static str, Process)>,
    running: Vec<(&'static str, Child)>,
    /// The command that runs a container, up to its image: `podman run ..`.
    run: Vec<String>,
    tag: String,
}

impl Containers {
    fn new() -> anyhow::Result<Self> {
        let said = |name: &str| {
            std::env::var(name).with_context(|| format!("{name}: see make images-test"))
        };
        let run = said("OMS_IMAGES_RUN")?;
        let engines = Engines::start(&engines()?)?;
        let names = SERVICES.iter().map(|(name, _)| *name).chain([PROVIDER]);
        let ports = names.map(|name| Ok((name, Process::new("", name, engines.dir(), name)?)));
        let ports = ports.collect::<anyhow::Result<Vec<_>>>()?;
        for (name, _) in SERVICES {
            engines.create_database(&format!("oms_{name}"))?;
        }
        Ok(Self {
            engines,
            ports,
            running: Vec::new(),
            run: run.split_whitespace().map(str::to_owned).collect(),
            tag: said("OMS_IMAGES_TAG")?,
        })
    }

    fn process(&self, name: &str) -> anyhow::Result<&Process> {
        let found = self.ports.iter().find(|(one, _)| *one == name);
        Ok(&found.context("no such service")?.1)
    }

    fn image(
        &self,
        image: &str,
        env: &[(String, String)],
        arguments: &[&str],
    ) -> anyhow::Result<Command> {
        let (program, rest) = self.run.split_first().context("OMS_IMAGES_RUN is empty")?;
        let mut command = Command::new(program);
        command.args(rest);
        for (name, value) in env {
            command.args(["--env", &format!("{name}={value}")]);
        }
        command.arg(format!("{image}:{}", self.tag)).args(arguments);
        command.stdin(Stdio::null());
        Ok(command)
    }

    fn env(&self, service: &str) -> anyhow::Result<Vec<(String, String)>> {
        let own = self.process(service)?;
        let mut env = vec![
            ("LISTEN".to_owned(), format!("127.0.0.1:{}", own.port)),
            (
                "ADMIN_LISTEN".to_owned(),
                format!("127.0.0.1:{}", own.admin_port),
            ),
            (
                "DATABASE__URL".to_owned(),
                self.engines.database_url(&format!("oms_{service}")),
            ),
        ];
        for (peer, _) in SERVICES.iter().filter(|(peer, _)| *peer != service) {
            let url = self.process(peer)?.url();
            env.push((format!("PEERS__{}__URL", peer.to_uppercase()), url));
        }
        if service == "inventory" {
            env.push(("LEASE__REDIS_URL".to_owned(), self.engines.redis_url()));
        }
        if service == "order" {
            let url = self.process(PROVIDER)?.url();
            env.push(("PAYMENTS__SANDBOX__URL".to_owned(), url));
            env.push((
                "PAYMENTS__SANDBOX__WEBHOOK_SECRET".to_owned(),
                WEBHOOK_SECRET.to_owned(),
            ));
        }
        let prefix = format!("OMS_{}__", service.to_uppercase());
        Ok(env
            .into_iter()
            .map(|(key, value)| (prefix.clone() + &key, value))
            .collect())
    }

    /// As the chart does: a container migrates and ends, then one serves.
    async fn start(&mut self) -> anyhow::Result<()> {
        for (service, _) in SERVICES {
            let (image, env) = (format!("oms-{service}"), self.env(service)?);
            let migrated = self.image(&image, &env, &["migrate"])?.status()?;
            ensure!(migrated.success(), "{image} migrate: {migrated}");
            let serving = self
                .image(&image, &env, &["serve", "--insecure-dev"])?
                .spawn()?;
            self.running.push((service, serving));
        }
        let listen = format!("127.0.0.1:{}", self.process(PROVIDER)?.port);
        let told = self.process("order")?.url() + "/webhooks/payments/sandbox";
        let postgres = self.engines.postgres_url();
        let arguments = [
            "sandbox-psp",
            "--listen",
            &listen,
            "--postgres-url",
            &postgres,
        ];
        let tell = ["--webhook-url", &told, "--webhook-secret", WEBHOOK_SECRET];
        let provider = self
            .image("oms", &[], &[&arguments[..], &tell].concat())?
            .spawn()?;
        self.running.push((PROVIDER, provider));
        for (_, process) in &self.ports {
            process.until_ready().await?;
        }
        Ok(())
    }

    /// SIGTERM, which the runner of a container hands on; all must end well.
    fn end(&mut self) -> anyhow::Result<()> {
        for (_, child) in &self.running {
            kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
        }
        for (name, mut child) in self.running.drain(..) {
            let status = child.wait()?;
            ensure!(status.success(), "{name} ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        // Only after a failure: what is left is ended like anything else.
        let _ = self.end();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the images: make images-test"]
async fn the_images_take_an_order_to_cash() -> anyhow::Result<()> {
    let mut containers = Containers::new()?;
    containers.start().await?;
    let url = |service: &str| Ok(containers.process(service)?.url());
    let actor = Actor {
        clients: Clients::connect(url, "user:test")?,
        postgres_url: containers.engines.postgres_url(),
    };
    actor.set_up(&["a"]).await?;
    actor.receive("west", "a", 5).await?;
    let order = actor.place(new_order(&[("a", 2)])).await?;
    for fo in actor.released(&order.order_id, 1).await? {
        actor.fulfill(&fo).await?;
    }
    actor
        .order_in(&order.order_id, OrderState::Completed)
        .await?;
    actor.verify().await?;
    let verify = ["verify", "--at-rest", "--postgres-url", &actor.postgres_url];
    let proven = containers.image("oms", &[], &verify)?.status()?;
    ensure!(proven.success(), "verify in its image: {proven}");
    containers.end()
}
