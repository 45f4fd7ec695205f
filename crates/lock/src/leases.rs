//! Taking leases and giving them back.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use redis::{Script, Value};
use tokio::time::timeout;
use uuid::Uuid;

use crate::answer::{self, Answer};
use crate::config::{ConfigError, LeaseConfig, Placement};
use crate::keys::{Keys, in_order};
use crate::link::{Connected, Link, Unavailable};
use crate::{Lease, Token};

/// How often one call begins a new generation before it gives up: Redis may lose its data again
/// meanwhile, but not all the time.
const RENEWALS_MAX: usize = 3;

/// What came of asking for leases.
#[derive(Debug)]
pub enum Outcome {
    /// All were got.
    Acquired(Lease),
    /// None was got, because others hold these. With [`Placement::ManyNodes`] the first one only.
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
}

/// Why the database gave no generation.
pub type GenerationError = Box<dyn Error + Send + Sync>;

type NextGeneration =
    Box<dyn Fn() -> BoxFuture<'static, Result<i64, GenerationError>> + Send + Sync>;

/// Asks Redis for leases, as one holder. Cheap to clone.
#[derive(Clone)]
pub struct Leases {
    shared: Arc<Shared>,
}

struct Shared {
    config: LeaseConfig,
    holder: Uuid,
    acquisitions: AtomicU64,
    next_generation: NextGeneration,
    link: Link,
    acquire: Script,
    release: Script,
    renew: Script,
}

/// All names or none, or those that are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
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
        let link = Link::new(&config)?;
        let shared = Shared {
            config,
            holder,
            acquisitions: AtomicU64::new(0),
            next_generation: Box::new(move || next_generation().boxed()),
            link,
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

    /// Takes the leases of all these names or none. Waits for nobody: what is held is busy.
    pub async fn acquire(&self, names: &[&str]) -> Outcome {
        let outcome = match self.take(names, Want::All).await {
            Ok(Free { lease, busy }) if busy.is_empty() => Outcome::Acquired(lease),
            Ok(Free { busy, .. }) => Outcome::Busy(busy),
            Err(reason) => Outcome::Unavailable(reason),
        };
        count(match &outcome {
            Outcome::Acquired(_) => "acquired",
            Outcome::Busy(_) => "busy",
            Outcome::Unavailable(reason) => reason.reason(),
        });
        outcome
    }

    /// Takes the leases of those of these names that are free, and tells which are not.
    pub async fn acquire_free(&self, names: &[&str]) -> Result<Free, Unavailable> {
        let result = self.take(names, Want::Free).await;
        count(match &result {
            Ok(free) if free.busy.is_empty() => "acquired",
            Ok(free) if free.lease.is_empty() => "busy",
            Ok(_) => "partly_acquired",
            Err(reason) => reason.reason(),
        });
        result
    }

    /// Gives leases back and returns how many were still ours. Others had expired, or Redis had
    /// lost them.
    pub async fn release(&self, lease: Lease) -> Result<usize, Unavailable> {
        let names: Vec<String> = lease.tokens.into_keys().collect();
        let connected = self.shared.link.connected().await?;
        let mut released = 0;
        for group in self.groups(&names) {
            let release = self.give_back(connected.clone(), lease.value.clone(), group);
            released += self.shared.link.ask(&connected, release).await?;
        }
        Ok(released)
    }

    /// Begins a new generation of a name, because the database has fenced this token: Redis counts
    /// from below what it once gave out. Returns false if somebody else has done so meanwhile.
    pub async fn renew_generation(&self, name: &str, fenced: Token) -> Result<bool, Unavailable> {
        let next = self.next_generation().await?;
        let connected = self.shared.link.connected().await?;
        let seen = fenced.generation().to_string();
        Ok(self.renew(&connected, &[(name, &seen)], next).await? == 1)
    }

    async fn take(&self, names: &[&str], want: Want) -> Result<Free, Unavailable> {
        let names = in_order(names);
        let number = self.shared.acquisitions.fetch_add(1, Ordering::Relaxed);
        let mut lease = Lease {
            holder: self.shared.holder,
            value: format!("{}/{number}", self.shared.holder),
            tokens: BTreeMap::new(),
            asked_at: Instant::now(),
            ttl: self.shared.config.ttl,
        };
        let mut busy = Vec::new();
        if names.is_empty() {
            return Ok(Free { lease, busy });
        }
        let connected = self.shared.link.connected().await?;
        // Whatever ends this call before it has an answer (an error, a timeout, its caller going
        // away), the names must not stay taken.
        let mut undo = Undo {
            leases: self,
            connected: &connected,
            value: &lease.value,
            names: Vec::new(),
        };
        for group in self.groups(&names) {
            undo.names.extend_from_slice(group);
            match self.take_group(&connected, undo.value, group, want).await? {
                Answer::Taken(taken) => {
                    let mut left = group.to_vec();
                    for (place, token) in taken {
                        if let Some(name) = group.get(place) {
                            left.retain(|other| other != name);
                            lease.tokens.insert(name.clone(), token);
                        }
                    }
                    busy.extend(left);
                }
                Answer::Busy(places) => {
                    busy.extend(places.iter().filter_map(|place| group.get(*place)).cloned());
                }
                Answer::Stale(_) => {
                    let reason = format!("renewed {RENEWALS_MAX} times and lost again");
                    return Err(Unavailable::Generation(reason));
                }
            }
            if want == Want::All && !busy.is_empty() {
                // Never hold and wait: what was got so far goes back, by `undo`.
                undo.keep_only_taken(&lease.tokens);
                lease.tokens.clear();
                drop(undo);
                return Ok(Free { lease, busy });
            }
        }
        undo.names.clear();
        drop(undo);
        Ok(Free { lease, busy })
    }

    /// Asks for one group, beginning new generations where Redis has lost them.
    async fn take_group(
        &self,
        connected: &Connected,
        value: &str,
        group: &[String],
        want: Want,
    ) -> Result<Answer, Unavailable> {
        for _ in 0..RENEWALS_MAX {
            let asked = self.ask_for(connected, value, group, want);
            let reply = self.shared.link.ask(connected, asked).await?;
            let Answer::Stale(lost) = answer::read(&reply)? else {
                return answer::read(&reply);
            };
            // One number serves all names: each only needs one larger than its own before.
            let next = self.next_generation().await?;
            let lost: Vec<(&str, &str)> = lost
                .iter()
                .filter_map(|(place, seen)| Some((group.get(*place)?.as_str(), seen.as_str())))
                .collect();
            self.renew(connected, &lost, next).await?;
        }
        Ok(Answer::Stale(Vec::new()))
    }

    async fn ask_for(
        &self,
        connected: &Connected,
        value: &str,
        group: &[String],
        want: Want,
    ) -> redis::RedisResult<Value> {
        let mut call = self.shared.acquire.prepare_invoke();
        for name in group {
            let keys = self.keys(name);
            call.key(keys.lease).key(keys.counter).key(keys.generation);
        }
        let ttl = u64::try_from(self.shared.config.ttl.as_millis()).unwrap_or(u64::MAX);
        call.arg(value)
            .arg(ttl)
            .arg(if want == Want::All { "all" } else { "free" });
        call.invoke_async(&mut connected.connection.clone()).await
    }

    /// Begins the generation `next` of these names, where it still is the one seen. Returns how
    /// many were renewed.
    async fn renew(
        &self,
        connected: &Connected,
        names: &[(&str, &str)],
        next: i64,
    ) -> Result<u64, Unavailable> {
        let mut call = self.shared.renew.prepare_invoke();
        call.arg(next);
        for (name, seen) in names {
            let keys = self.keys(name);
            call.key(keys.counter).key(keys.generation).arg(*seen);
        }
        let mut connection = connected.connection.clone();
        let asked = call.invoke_async(&mut connection);
        let renewed: u64 = self.shared.link.ask(connected, asked).await?;
        metrics::counter!("oms_lock_generations_total").increment(renewed);
        tracing::debug!(
            renewed,
            generation = next,
            "lease counters begin a new generation"
        );
        Ok(renewed)
    }

    fn give_back(
        &self,
        connected: Connected,
        value: String,
        names: &[String],
    ) -> impl Future<Output = redis::RedisResult<usize>> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        let keys: Vec<String> = names.iter().map(|name| self.keys(name).lease).collect();
        async move {
            let mut call = shared.release.prepare_invoke();
            call.key(keys).arg(value);
            call.invoke_async(&mut connected.connection.clone()).await
        }
    }

    async fn next_generation(&self) -> Result<i64, Unavailable> {
        let patience = self.shared.config.generation_timeout;
        let failed = |cause: String| Unavailable::Generation(cause);
        let next = match timeout(patience, (self.shared.next_generation)()).await {
            Ok(Ok(next)) => next,
            Ok(Err(cause)) => return Err(failed(cause.to_string())),
            Err(_elapsed) => return Err(failed(format!("not within {patience:?}"))),
        };
        match Token::new(next, 0) {
            Some(_) => Ok(next),
            None => Err(failed(format!("{next} is not between 0 and 2^31"))),
        }
    }

    fn keys(&self, name: &str) -> Keys {
        Keys::of(&self.shared.config.key_prefix, name)
    }

    /// What may go into one script.
    fn groups<'a>(&self, names: &'a [String]) -> std::slice::Chunks<'a, String> {
        match self.shared.config.placement {
            Placement::OneNode => names.chunks(names.len().max(1)),
            Placement::ManyNodes => names.chunks(1),
        }
    }
}

/// Gives names back when a call ends without them, on the connection on which they were asked for:
/// Redis does both in order, however late it does them.
struct Undo<'a> {
    leases: &'a Leases,
    connected: &'a Connected,
    value: &'a str,
    names: Vec<String>,
}

impl Undo<'_> {
    fn keep_only_taken(&mut self, taken: &BTreeMap<String, Token>) {
        self.names.retain(|name| taken.contains_key(name));
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        // Without a runtime the program is ending; the names expire.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        for group in self.leases.groups(&self.names) {
            let connected = self.connected.clone();
            let release = self
                .leases
                .give_back(connected, self.value.to_owned(), group);
            // Later they have expired by themselves.
            let patience = self.leases.shared.config.ttl;
            runtime.spawn(async move {
                let _expires_otherwise = timeout(patience, release).await;
            });
        }
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("oms_lock_acquisitions_total", "outcome" => outcome).increment(1);
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
