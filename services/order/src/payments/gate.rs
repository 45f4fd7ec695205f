//! Providers behind gates, as peers are ([`oms_service::Gate`]): so many calls in work at once, and one that does not answer is
//! left alone for a moment. So one that hangs keeps a few of the places of sagas and tasks and not all of them, and what
//! needs it is tried again later. Providers whose books are here have no gate.

use std::sync::Arc;

use oms_service::{Gate, Pass, PeerConfig};
use tonic::Code;

use super::{Provider, Unanswered};
use crate::config::PaymentsConfig;

/// Longest wait for a place, in milliseconds: enough for a burst at a provider that answers, nothing behind one that hangs.
const WAIT_MS: u64 = 250;

/// A provider that is configured.
pub(crate) struct Gated {
    provider: Arc<dyn Provider>,
    gate: Option<Arc<Gate>>,
}

impl Gated {
    /// The provider with the gate that it needs.
    pub(super) fn new(provider: Arc<dyn Provider>, config: &PaymentsConfig) -> Self {
        let limits = PeerConfig {
            timeout_ms: WAIT_MS,
            calls_max: config.calls_max,
            failures_max: config.failures_max,
            pause_ms: config.pause_ms,
            ..PeerConfig::new("")
        };
        let name: Arc<str> = Arc::from(provider.name());
        let is_remote = provider.is_remote();
        Self {
            provider,
            gate: is_remote.then(|| Arc::new(Gate::new(name, &limits))),
        }
    }

    /// The provider, for what asks it nothing.
    pub(crate) fn provider(&self) -> &dyn Provider {
        self.provider.as_ref()
    }

    /// Takes a place for calls of it; the error says why it is not asked now.
    pub(super) async fn enter(&self) -> Result<Place<'_>, String> {
        let pass = match &self.gate {
            Some(gate) => {
                let entered = gate.enter().await;
                Some(entered.map_err(|refused| refused.message().to_owned())?)
            }
            None => None,
        };
        Ok(Place {
            provider: self.provider(),
            pass,
            has_answered: None,
        })
    }
}

/// A place among the calls of a provider. When it is given back, the gate hears whether the last call was answered.
pub(super) struct Place<'a> {
    provider: &'a dyn Provider,
    pass: Option<Pass>,
    has_answered: Option<bool>,
}

impl<'a> Place<'a> {
    /// The provider, to be asked by [`Self::ask`].
    pub(super) fn provider(&self) -> &'a dyn Provider {
        self.provider
    }

    /// Makes a call and notes whether it was answered at all.
    pub(super) async fn ask<T>(
        &mut self,
        call: impl Future<Output = Result<T, Unanswered>> + Send,
    ) -> Result<T, Unanswered> {
        let answer = call.await;
        self.has_answered = Some(!matches!(&answer, Err(unanswered) if unanswered.is_silent));
        answer
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let (Some(pass), Some(has_answered)) = (self.pass.take(), self.has_answered) {
            pass.settle(if has_answered {
                Code::Ok
            } else {
                Code::Unavailable
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use http::HeaderMap;
    use time::OffsetDateTime;

    use super::super::{Hint, ProviderRequest, Refusal};
    use super::*;
    use crate::domain::payment::{Answer, PaymentKind};

    struct Silent;

    fn unanswered(is_silent: bool) -> Unanswered {
        Unanswered {
            provider: "silent",
            detail: "nothing".to_owned(),
            is_silent,
        }
    }

    #[async_trait]
    impl Provider for Silent {
        fn name(&self) -> &'static str {
            "silent"
        }

        fn is_remote(&self) -> bool {
            true
        }

        async fn authorize(&self, _: &ProviderRequest) -> Result<Answer, Unanswered> {
            Err(unanswered(true))
        }

        async fn capture(&self, _: &ProviderRequest) -> Result<Answer, Unanswered> {
            Err(unanswered(true))
        }

        async fn void(&self, _: &ProviderRequest) -> Result<Answer, Unanswered> {
            Err(unanswered(true))
        }

        async fn refund(&self, _: &ProviderRequest) -> Result<Answer, Unanswered> {
            Err(unanswered(true))
        }

        async fn lookup(
            &self,
            _: PaymentKind,
            _: &ProviderRequest,
        ) -> Result<Option<Answer>, Unanswered> {
            Err(unanswered(false))
        }

        fn webhook(&self, _: &HeaderMap, _: &[u8], _: OffsetDateTime) -> Result<Hint, Refusal> {
            Err(Refusal::NotConfigured)
        }
    }

    fn gated(calls_max: usize) -> Gated {
        let limits = PeerConfig {
            timeout_ms: 1,
            calls_max,
            failures_max: 2,
            pause_ms: 86_400_000,
            ..PeerConfig::new("")
        };
        Gated {
            provider: Arc::new(Silent),
            gate: Some(Arc::new(Gate::new(Arc::from("silent"), &limits))),
        }
    }

    async fn ask(provider: &Gated, is_silent: bool) {
        let mut place = provider.enter().await.unwrap();
        let call = async { Err::<(), _>(unanswered(is_silent)) };
        place.ask(call).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_provider_that_is_silent_is_left_alone_and_one_that_says_something_is_not() {
        let provider = gated(1);
        for is_silent in [true, false, true, false, false, true] {
            ask(&provider, is_silent).await;
        }
        ask(&provider, true).await;
        let refused = provider.enter().await.err().unwrap();
        assert!(refused.contains("has not answered"), "{refused}");
    }

    #[tokio::test]
    async fn there_are_only_so_many_places() {
        let provider = gated(2);
        let first = provider.enter().await.unwrap();
        let _second = provider.enter().await.unwrap();
        let refused = provider.enter().await.err().unwrap();
        assert!(refused.contains("too many calls"), "{refused}");
        drop(first);
        assert!(provider.enter().await.is_ok());
    }
}
