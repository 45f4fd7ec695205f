//! Taking leases and giving them back.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use redis::Script;
use uuid::Uuid;

use crate::answer::{self, Answer};
use crate::config::{ConfigError, LeaseConfig};
use crate::health::Health;
use crate::keys::in_order;
use crate::metrics::{ACQUISITIONS, WAITED_FOR};
use crate::servers::{Group, Servers};
use crate::taking::Asked;
use crate::unavailable::Unavailable;
use crate::undo::Undo;
use crate::{Lease, Token};

/// How often one call begins a new generation before it gives up: Redis may lose its data again
/// meanwhile, but not all the time.
pub(crate) const RENEWALS_MAX: usize = 3;

/// What came of asking for leases.
#[derive(Debug)]
pub enum Outcome {
    /// All were got.
    Acquired(Lease),
    /// None was got, because others hold these. In a Cluster the first one only.
    Busy(Vec<String>),
    /// Redis could not be asked.
    Unavailable(Unavailable),
}

/// Those of several leases that were free.
#[derive(Debug)]
pub struct Free {
    /// What was got; may be empty.
    pub lease: Lease,
    /// Held by others.
    pub busy: Vec<String>,
    /// Could not be asked for: their node of a Cluster is gone while others answer.
    pub gone: Vec<(String, Unavailable)>,
}

/// What came of giving leases back.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Released {
    /// How many were still ours. Others had expired, Redis had lost them, or their node of a Cluster
    /// could not be asked.
    pub released: usize,
    /// Those of them that another holder was refused a moment ago. To be fair, leave it the time to
    /// come back before asking for them again.
    pub waited_for: Vec<String>,
}

/// Why the database gave no generation.
pub type GenerationError = Box<dyn Error + Send + Sync>;

pub(crate) type NextGeneration =
    Box<dyn Fn() -> BoxFuture<'static, Result<i64, GenerationError>> + Send + Sync>;

/// Asks Redis for leases, as one holder. Cheap to clone.
#[derive(Clone)]
pub struct Leases {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) config: LeaseConfig,
    pub(crate) holder: Uuid,
    acquisitions: AtomicU64,
    pub(crate) next_generation: NextGeneration,
    /// Of the source of generations.
    pub(crate) generations: Health,
    pub(crate) servers: Servers,
    pub(crate) acquire: Script,
    pub(crate) release: Script,
    pub(crate) renew: Script,
}

/// All names or none, or those that are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    All,
    Free,
}

impl Leases {
    /// Connects at the first call. `holder` names this process in Redis and in the database; it
    /// must be new for every start. `next_generation` gets a number from the database that is
    /// larger than every one before (a sequence), below 2^31; it is called when Redis has lost the
    /// counter of a name.
    pub fn new<Next, Getting>(
        config: LeaseConfig,
        holder: Uuid,
        next_generation: Next,
    ) -> Result<Self, ConfigError>
    where
        Next: Fn() -> Getting + Send + Sync + 'static,
        Getting: Future<Output = Result<i64, GenerationError>> + Send + 'static,
    {
        config.check()?;
        let shared = Shared {
            servers: Servers::new(&config)?,
            config,
            holder,
            acquisitions: AtomicU64::new(0),
            next_generation: Box::new(move || next_generation().boxed()),
            generations: Health::new("generation", "database".to_owned()),
            acquire: Script::new(include_str!("scripts/acquire.lua")),
            release: Script::new(include_str!("scripts/release.lua")),
            renew: Script::new(include_str!("scripts/renew.lua")),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Who asks.
    pub fn holder(&self) -> Uuid {
        self.shared.holder
    }

    /// Takes the leases of all these names or none. Waits for nobody: what is held is busy. In a
    /// Cluster names are taken one after the other in sorted order, and go back at the first refusal.
    pub async fn acquire(&self, names: &[&str]) -> Outcome {
        let outcome = match self.take(names, Want::All).await {
            Ok(free) if free.busy.is_empty() => Outcome::Acquired(free.lease),
            Ok(free) => Outcome::Busy(free.busy),
            Err(reason) => Outcome::Unavailable(reason),
        };
        count(match &outcome {
            Outcome::Acquired(_) => "acquired",
            Outcome::Busy(_) => "busy",
            Outcome::Unavailable(reason) => reason.reason(),
        });
        outcome
    }

    /// Takes the leases of those of these names that are free, and tells which are not. An error
    /// if none could be asked for.
    pub async fn acquire_free(&self, names: &[&str]) -> Result<Free, Unavailable> {
        let result = self.take(names, Want::Free).await;
        count(match &result {
            Ok(free) if free.busy.is_empty() && free.gone.is_empty() => "acquired",
            Ok(free) if free.lease.is_empty() => "busy",
            Ok(_) => "partly_acquired",
            Err(reason) => reason.reason(),
        });
        result
    }

    /// Gives leases back. An error if none could be given back; they expire.
    pub async fn release(&self, lease: Lease) -> Result<Released, Unavailable> {
        let names: Vec<String> = lease.tokens.into_keys().collect();
        if names.is_empty() {
            return Ok(Released::default());
        }
        let groups = self.shared.groups(names).await?;
        let given = join_all(groups.iter().map(|group| async {
            let call = self.shared.release_call(&lease.value, &group.names);
            let reply = self.shared.servers.run(group, &call, |_| {}).await?;
            answer::read_released(&reply, &group.names)
        }));
        let mut all = Released::default();
        let mut failures = Vec::new();
        for answer in given.await {
            match answer {
                Ok(some) => {
                    all.released += some.released;
                    all.waited_for.extend(some.waited_for);
                }
                Err(reason) => failures.push(reason),
            }
        }
        if failures.len() == groups.len()
            && let Some(reason) = failures.pop()
        {
            return Err(reason);
        }
        metrics::counter!(WAITED_FOR).increment(all.waited_for.len() as u64);
        Ok(all)
    }

    /// Begins a new generation of a name, because the database has fenced this token: Redis counts
    /// from below what it once gave out. Returns false if somebody else has done so meanwhile.
    pub async fn renew_generation(&self, name: &str, fenced: Token) -> Result<bool, Unavailable> {
        let next = self.shared.next_generation().await?;
        let groups = self.shared.groups(vec![name.to_owned()]).await?;
        let seen = fenced.generation().to_string();
        let mut renewed = 0;
        for group in &groups {
            renewed += self.shared.renew(group, &[(0, seen.clone())], next).await?;
        }
        Ok(renewed == 1)
    }

    async fn take(&self, names: &[&str], want: Want) -> Result<Free, Unavailable> {
        let names = in_order(names);
        let mut free = Free {
            lease: self.new_lease(),
            busy: Vec::new(),
            gone: Vec::new(),
        };
        if names.is_empty() {
            return Ok(free);
        }
        let groups = self.shared.groups(names).await?;
        // Whoever wants all takes them in the order of everybody; who takes what is free cannot be
        // in anybody's way.
        let at_once = match want {
            Want::All => 1,
            Want::Free => groups.len().max(1),
        };
        let mut kept = Vec::new();
        for groups in groups.chunks(at_once) {
            let asked = self.shared.take(groups, &free.lease.value, want).await;
            for (group, Asked { answer, undo }) in groups.iter().zip(asked) {
                // Of one that failed it is dropped at once, and gives back what may come late.
                if answer.is_ok() {
                    kept.push(undo);
                }
                free.add(group, answer);
            }
            if want == Want::All && !(free.busy.is_empty() && free.gone.is_empty()) {
                // Never hold and wait: dropped, `kept` gives back what was got so far.
                kept.clear();
                free.lease.tokens.clear();
                break;
            }
        }
        let is_nothing_known = free.lease.is_empty() && free.busy.is_empty();
        if (want == Want::All || is_nothing_known)
            && let Some((_, reason)) = free.gone.pop()
        {
            return Err(reason);
        }
        kept.into_iter().for_each(Undo::forget);
        Ok(free)
    }

    fn new_lease(&self) -> Lease {
        let number = self.shared.acquisitions.fetch_add(1, Ordering::Relaxed);
        Lease {
            holder: self.shared.holder,
            value: format!("{}/{number}", self.shared.holder),
            tokens: BTreeMap::new(),
            asked_at: Instant::now(),
            ttl: self.shared.config.ttl,
        }
    }
}

impl Free {
    /// Adds what came of one group.
    fn add(&mut self, group: &Group, answer: Result<Answer, Unavailable>) {
        match answer {
            Ok(Answer::Taken(taken)) => {
                let mut tokens: BTreeMap<usize, Token> = taken.into_iter().collect();
                for (place, name) in group.names.iter().enumerate() {
                    match tokens.remove(&place) {
                        Some(token) => drop(self.lease.tokens.insert(name.clone(), token)),
                        None => self.busy.push(name.clone()),
                    }
                }
            }
            Ok(Answer::Busy(places)) => {
                let names = places.iter().filter_map(|place| group.names.get(*place));
                self.busy.extend(names.cloned());
            }
            Ok(Answer::Stale(_)) => {
                let reason = format!("renewed {RENEWALS_MAX} times and lost again");
                self.miss(group, &Unavailable::Generation(reason));
            }
            Err(reason) => self.miss(group, &reason),
        }
    }

    fn miss(&mut self, group: &Group, reason: &Unavailable) {
        let names = group.names.iter();
        self.gone
            .extend(names.map(|name| (name.clone(), reason.clone())));
    }
}

fn count(outcome: &'static str) {
    metrics::counter!(ACQUISITIONS, "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn calls_are_bounded_below_the_bypass() {
        let config = LeaseConfig::new("redis://unused");
        let longest = config.connect_timeout + config.command_timeout;
        assert!(
            longest <= Duration::from_millis(150),
            "reservations go without after 150 ms"
        );
    }
}
