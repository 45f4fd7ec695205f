//! Replicas of the inventory service as processes of their own, on one Postgres and one Redis.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use oms::clients::Clients;
use oms_engines::{Engines, EnginesConfig, Postgres, Redis};

use crate::process::Process;
use crate::suite::{Actor, wait_for};

/// Engines and the replicas. Dropping it kills them.
#[derive(Debug)]
pub struct Replicas {
    replicas: Vec<Process>,
    engines: Arc<Engines>,
}

impl Replicas {
    /// Starts private engines and so many replicas; `program` is the path of `oms-node`.
    ///
    /// # Errors
    /// When something cannot start.
    pub async fn start(program: &str, count: usize, config: EnginesConfig) -> anyhow::Result<Self> {
        let engines = tokio::task::spawn_blocking(move || Engines::start(&config)).await??;
        let engines = Arc::new(engines);
        let database = engines.create_database("oms_inventory")?;
        let mut all = Self {
            replicas: Vec::new(),
            engines,
        };
        for number in 0..count {
            let name = format!("inventory-{number}");
            let replica = Process::new(program, "inventory", all.engines.dir(), &name)?;
            // Nobody serves the feeds that it follows: these tests ship nothing.
            replica.configure(&format!(
                "[database]\nurl = {database:?}\n\
                 [peers.shipping]\nurl = \"http://127.0.0.1:1\"\n\
                 [peers.returns]\nurl = \"http://127.0.0.1:1\"\n\
                 [lease]\nredis_url = {:?}\n\
                 [lanes]\nfailpoint_before_begin = \"{}\"\n",
                all.engines.redis_url(),
                all.failpoint(number).display(),
            ))?;
            all.replicas.push(replica);
        }
        for replica in &mut all.replicas {
            replica.spawn()?;
        }
        for replica in &all.replicas {
            replica.until_ready().await?;
        }
        Ok(all)
    }

    /// Number of replicas, running or not.
    pub fn count(&self) -> usize {
        self.replicas.len()
    }

    /// A replica.
    ///
    /// # Errors
    /// When there are not so many.
    pub fn get(&self, number: usize) -> anyhow::Result<&Process> {
        let found = self.replicas.get(number);
        found.with_context(|| format!("no replica {number}"))
    }

    /// Kills a replica at once, as a crash would.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        let found = self.replicas.get_mut(number);
        found.context("no such replica")?.kill()
    }

    /// Asks a replica to end (SIGTERM) and waits until it has; answers its exit code.
    ///
    /// # Errors
    /// When it is not running, or does not end within two minutes.
    pub async fn end(&mut self, number: usize) -> anyhow::Result<Option<i32>> {
        let found = self.replicas.get_mut(number).context("no such replica")?;
        found.ask_to_end()?;
        found.until_dead().await
    }

    /// Starts a replica that was killed, with its ports and its configuration, and waits until it answers.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self, number: usize) -> anyhow::Result<()> {
        let found = self.replicas.get_mut(number).context("no such replica")?;
        ensure!(!found.is_running(), "replica {number} is running");
        found.spawn()?;
        found.until_ready().await
    }

    /// Waits until a replica has stopped itself (SIGSTOP) with a batch that holds leases, their age looked at, its
    /// transaction not begun; answers the leases' tokens by SKU. Somebody must keep it busy.
    ///
    /// # Errors
    /// When it does not come to that point within two minutes.
    pub async fn stop_at_failpoint(&self, number: usize) -> anyhow::Result<BTreeMap<String, i64>> {
        let failpoint = self.failpoint(number);
        let taken = failpoint.with_added_extension("taken");
        std::fs::write(&failpoint, "")?;
        let tokens = wait_for("a replica to stop at its failpoint", || async {
            let text = std::fs::read_to_string(&taken).unwrap_or_default();
            // Empty for a moment after it was taken.
            let told = text.ends_with('\n');
            Ok(if told {
                Ok(text)
            } else {
                Err(format!("{}: {text:?}", taken.display()))
            })
        })
        .await?;
        std::fs::remove_file(&taken)?;
        let token = |line: &str| {
            let (sku, token) = line.split_once(' ').context("no token")?;
            Ok((sku.to_owned(), token.parse()?))
        };
        tokens.lines().map(token).collect()
    }

    fn failpoint(&self, number: usize) -> PathBuf {
        self.engines.dir().join(format!("stop-{number}"))
    }

    /// Sum of a counter over the replicas that run; `counts` chooses by the labels.
    ///
    /// # Errors
    /// When one does not answer.
    pub async fn total(&self, counter: &str, counts: impl Fn(&str) -> bool) -> anyhow::Result<f64> {
        let mut total = 0.0;
        for replica in self.replicas.iter().filter(|one| one.is_running()) {
            let metrics = replica.metrics().await?;
            let own = metrics.iter().filter_map(|(name, value)| {
                let labels = name.strip_prefix(counter)?;
                let is_it = labels.is_empty() || labels.starts_with('{');
                (is_it && counts(labels)).then_some(value)
            });
            total += own.sum::<f64>();
        }
        Ok(total)
    }

    /// Does something that blocks with Redis.
    ///
    /// # Errors
    /// What it answers.
    pub async fn with_redis<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Redis) -> Result<T, oms_engines::Error> + Send + 'static,
    ) -> anyhow::Result<T> {
        let engines = Arc::clone(&self.engines);
        let act = move || Ok(act(engines.redis().context("Redis is not ours")?)?);
        tokio::task::spawn_blocking(act).await?
    }

    /// Does something that blocks with Postgres.
    ///
    /// # Errors
    /// What it answers.
    pub async fn with_postgres<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Postgres) -> Result<T, oms_engines::Error> + Send + 'static,
    ) -> anyhow::Result<T> {
        let engines = Arc::clone(&self.engines);
        let act = move || Ok(act(engines.postgres().context("Postgres is not ours")?)?);
        tokio::task::spawn_blocking(act).await?
    }

    /// Address of the database of inventory.
    pub fn database_url(&self) -> String {
        self.engines.database_url("oms_inventory")
    }

    /// Somebody who acts at the first replica. The other services do not exist.
    ///
    /// # Errors
    /// When there is no replica.
    pub fn actor(&self) -> anyhow::Result<Actor> {
        let first = self.get(0)?;
        Ok(Actor {
            clients: Clients::connect(|_| Ok(first.url()), "user:test")?,
            postgres_url: self.engines.postgres_url(),
        })
    }
}
