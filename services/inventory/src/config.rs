//! Configuration; the keys are explained in `defaults.toml`.

use std::path::PathBuf;
use std::time::Duration;

use oms_lock::LeaseConfig;
use oms_service::Common;
use serde::Deserialize;

use crate::lanes::LanesConfig;

/// Configuration of the inventory service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service has.
    pub common: Common,
    /// The writers of stock and reservations.
    pub lanes: Lanes,
    /// The reservation lease.
    pub lease: Lease,
    /// Verification of the ledger.
    pub ledger: Ledger,
}

/// See `[lanes]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lanes {
    /// Batches decided at the same time.
    pub runners: usize,
    /// Most commands that wait.
    pub queue_max: usize,
    /// Most commands decided in one transaction.
    pub batch_max: usize,
    /// How long a command waits for leases, in milliseconds.
    pub lease_wait_ms: u64,
    /// How often expired reservations are looked for, in milliseconds.
    pub sweep_interval_ms: u64,
    /// For the crash suite, and refused without `insecure_dev`: a file that, when it comes to be, stops the process at
    /// its next batch with leases, right before BEGIN.
    #[serde(default)]
    pub failpoint_before_begin: Option<PathBuf>,
}

/// See `[ledger]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// How often the books are verified, in milliseconds; 0 for never.
    pub verify_interval_ms: u64,
    /// Most SKUs that are verified in one transaction.
    pub page_skus: i64,
}

/// See `[lease]`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Address of Redis; empty for none. Never shown by `Debug`.
    pub redis_url: String,
    /// Certificates (PEM) that the server of a `rediss://` address is checked against; empty: those of the system.
    pub redis_ca_file: String,
    /// Begins every key.
    pub key_prefix: String,
    /// How long a lease lives unless it is given back, in milliseconds.
    pub ttl_ms: u64,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("redis_url", &"[redacted]")
            .field("redis_ca_file", &self.redis_ca_file)
            .field("key_prefix", &self.key_prefix)
            .field("ttl_ms", &self.ttl_ms)
            .finish()
    }
}

impl Config {
    /// Checks what the types cannot say.
    pub(crate) fn check(&self) -> Result<(), String> {
        let lanes = &self.lanes;
        for (key, number) in [
            ("lanes.runners", lanes.runners),
            ("lanes.queue_max", lanes.queue_max),
            ("lanes.batch_max", lanes.batch_max),
        ] {
            if number == 0 {
                return Err(format!("{key}: must be at least 1"));
            }
        }
        if lanes.sweep_interval_ms == 0 {
            return Err("lanes.sweep_interval_ms: must be at least 1".to_owned());
        }
        if !(1..=1_000).contains(&self.ledger.page_skus) {
            return Err("ledger.page_skus: must be 1 to 1000".to_owned());
        }
        if lanes.failpoint_before_begin.is_some() && !self.common.insecure_dev {
            return Err("lanes.failpoint_before_begin: only with insecure_dev".to_owned());
        }
        self.lease()
            .map_or(Ok(()), |lease| lease.check())
            .map_err(|cause| format!("lease: {cause}"))
    }

    pub(crate) fn lanes(&self) -> LanesConfig {
        LanesConfig {
            runners: self.lanes.runners,
            queue_max: self.lanes.queue_max,
            batch_max: self.lanes.batch_max,
            lease_wait: Duration::from_millis(self.lanes.lease_wait_ms),
            sweep_interval: Duration::from_millis(self.lanes.sweep_interval_ms),
            failpoint_before_begin: self.lanes.failpoint_before_begin.clone(),
        }
    }

    /// `None` when the books are verified on request only.
    pub(crate) fn verify_interval(&self) -> Option<Duration> {
        let interval = Duration::from_millis(self.ledger.verify_interval_ms);
        Some(interval).filter(|interval| !interval.is_zero())
    }

    /// `None` when the installation runs without leases.
    pub(crate) fn lease(&self) -> Option<LeaseConfig> {
        if self.lease.redis_url.is_empty() {
            return None;
        }
        Some(LeaseConfig {
            ca_file: Some(&self.lease.redis_ca_file)
                .filter(|file| !file.is_empty())
                .map(PathBuf::from),
            key_prefix: self.lease.key_prefix.clone(),
            ttl: Duration::from_millis(self.lease.ttl_ms),
            ..LeaseConfig::new(&self.lease.redis_url)
        })
    }
}

#[cfg(test)]
mod tests {
    use oms_service::{AnyProgram, Layers};

    use crate::app::Inventory;

    fn refusal(redis_url: &str) -> Option<String> {
        let text = format!("insecure_dev = true\n[lease]\nredis_url = {redis_url:?}\n");
        let checked = Inventory.check_config(&Layers::of_text(text));
        checked.err().map(|cause| cause.to_string())
    }

    #[test]
    fn redis_is_one_server_sentinels_a_cluster_or_nothing() {
        for url in [
            "",
            "redis://cache",
            "rediss://cache",
            "redis+sentinel://one,two/stock",
            "redis+cluster://one,two",
        ] {
            assert_eq!(refusal(url), None, "{url}");
        }
        for (url, why) in [
            ("rediss+sentinel://one,two/stock", "TLS"),
            ("redis+sentinel://one,two", "service"),
        ] {
            let refused = refusal(url).unwrap_or_default();
            assert!(
                refused.contains("lease") && refused.contains(why),
                "{refused}"
            );
        }
    }

    #[test]
    fn the_failpoint_is_for_development_only() {
        let layers = |insecure_dev: bool| {
            Layers::of_text(format!(
                "insecure_dev = {insecure_dev}\n[lanes]\nfailpoint_before_begin = \"stop\""
            ))
        };
        let refused = Inventory.check_config(&layers(false)).unwrap_err();
        assert!(
            refused.to_string().contains("lanes.failpoint_before_begin"),
            "{refused}"
        );
        assert!(Inventory.check_config(&layers(true)).is_ok());
    }
}
