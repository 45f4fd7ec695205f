//! The calls behind [`crate::Leases`]: scripts, on one group of names or on several at once.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use redis::{ScriptInvocation, from_redis_value};
use tokio::time::timeout;

use crate::Token;
use crate::answer::{self, Answer};
use crate::keys::Keys;
use crate::leases::{RENEWALS_MAX, Shared, Want};
use crate::metrics::GENERATIONS;
use crate::servers::Group;
use crate::unavailable::Unavailable;
use crate::undo::Undo;

/// What came of asking for one group, and how to take it back.
pub(crate) struct Asked {
    pub(crate) answer: Result<Answer, Unavailable>,
    pub(crate) undo: Undo,
}

/// A name by its place in its group, and the generation seen of it, empty for none.
type Lost = (usize, String);

impl Shared {
    /// Asks for several groups at the same time, beginning new generations where Redis has lost
    /// them. One number serves all: each name only needs one larger than its own before.
    pub(crate) async fn take(
        self: &Arc<Self>,
        groups: &[Group],
        value: &str,
        want: Want,
    ) -> Vec<Asked> {
        let first = groups
            .iter()
            .map(|group| self.take_group(group, value, want));
        let mut all = join_all(first).await;
        for _ in 0..RENEWALS_MAX {
            let lost: Vec<(usize, Vec<Lost>)> = all
                .iter_mut()
                .enumerate()
                .filter_map(|(at, asked)| match &mut asked.answer {
                    Ok(Answer::Stale(names)) => Some((at, std::mem::take(names))),
                    _ => None,
                })
                .collect();
            if lost.is_empty() {
                break;
            }
            let next = self.next_generation().await;
            let again = join_all(lost.iter().filter_map(|(at, names)| {
                let (group, next) = (groups.get(*at)?, next.clone());
                Some(async move {
                    let renewed = match next {
                        Ok(next) => self.renew(group, names, next).await,
                        Err(reason) => Err(reason),
                    };
                    match renewed {
                        Ok(_) => self.take_group(group, value, want).await,
                        Err(reason) => Asked {
                            answer: Err(reason),
                            undo: Undo::new(self, value, &[]),
                        },
                    }
                })
            }));
            for ((at, _), asked) in lost.iter().zip(again.await) {
                if let Some(before) = all.get_mut(*at) {
                    *before = asked;
                }
            }
        }
        all
    }

    async fn take_group(self: &Arc<Self>, group: &Group, value: &str, want: Want) -> Asked {
        let mut undo = Undo::new(self, value, &group.names);
        let call = self.acquire_call(group, value, want);
        let asked = self
            .servers
            .run(group, &call, |connected| undo.asks_on(connected));
        let answer = asked.await.and_then(|reply| answer::read(&reply));
        match &answer {
            Ok(Answer::Taken(taken)) => undo.narrow(
                taken
                    .iter()
                    .filter_map(|(place, _)| group.names.get(*place).cloned()),
            ),
            Ok(Answer::Busy(_) | Answer::Stale(_)) => undo.narrow([]),
            // Redis may still do it.
            Err(_) => {}
        }
        Asked { answer, undo }
    }

    /// Begins the generation `next` of these names, where it still is the one seen. Returns how
    /// many were renewed.
    pub(crate) async fn renew(
        &self,
        group: &Group,
        names: &[Lost],
        next: i64,
    ) -> Result<u64, Unavailable> {
        let mut call = self.renew.prepare_invoke();
        call.arg(next);
        for (place, seen) in names {
            let Some(name) = group.names.get(*place) else {
                continue;
            };
            let keys = self.keys(name);
            call.key(keys.counter).key(keys.generation).arg(seen);
        }
        let reply = self.servers.run(group, &call, |_| {}).await?;
        let unexpected = |_| Unavailable::Command("unexpected answer of renew".to_owned());
        let renewed: u64 = from_redis_value(reply).map_err(unexpected)?;
        metrics::counter!(GENERATIONS).increment(renewed);
        tracing::debug!(
            renewed,
            generation = next,
            "lease counters begin a new generation"
        );
        Ok(renewed)
    }

    pub(crate) async fn next_generation(&self) -> Result<i64, Unavailable> {
        let patience = self.config.generation_timeout;
        let next = match timeout(patience, (self.next_generation)()).await {
            Ok(Ok(next)) if Token::new(next, 0).is_some() => Ok(next),
            Ok(Ok(next)) => Err(format!("{next} is not between 0 and 2^31")),
            Ok(Err(cause)) => Err(cause.to_string()),
            Err(_elapsed) => Err(format!("not within {patience:?}")),
        };
        match next {
            Ok(next) => {
                self.generations.good();
                Ok(next)
            }
            Err(cause) => {
                self.generations.bad(&cause);
                Err(Unavailable::Generation(cause))
            }
        }
    }

    pub(crate) async fn groups(&self, names: Vec<String>) -> Result<Vec<Group>, Unavailable> {
        self.servers.groups(&self.config.key_prefix, names).await
    }

    /// Gives these names back; answers as [`answer::read_released`] understands.
    pub(crate) fn release_call(&self, value: &str, names: &[String]) -> ScriptInvocation<'_> {
        let mut call = self.release.prepare_invoke();
        for name in names {
            let keys = self.keys(name);
            call.key(keys.lease).key(keys.waiter);
        }
        call.arg(value).arg(self.holder.to_string());
        call
    }

    fn acquire_call(&self, group: &Group, value: &str, want: Want) -> ScriptInvocation<'_> {
        let mut call = self.acquire.prepare_invoke();
        for name in &group.names {
            let keys = self.keys(name);
            call.key(keys.lease).key(keys.counter);
            call.key(keys.generation).key(keys.waiter);
        }
        call.arg(value)
            .arg(self.holder.to_string())
            .arg(milliseconds(self.config.ttl))
            .arg(if want == Want::All { "all" } else { "free" })
            .arg(milliseconds(self.config.waiting_ttl));
        call
    }

    fn keys(&self, name: &str) -> Keys {
        Keys::of(&self.config.key_prefix, name)
    }
}

/// At least one: Redis knows no time to live of nothing.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}
