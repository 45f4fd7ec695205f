//! A feed from a position on, over as many subscriptions as it takes.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use oms_proto::common::v1::ErrorReason;
use oms_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use oms_proto::events::v1::{
    EventFilter, GetHeadRequest, GetHeadResponse, SubscribeRequest, SubscribeResponse,
};
use oms_service::{PeerChannel, PeerError};
use tonic::{Status, Streaming};

const WAIT_FIRST: Duration = Duration::from_millis(100);
const WAIT_MOST: Duration = Duration::from_secs(5);

/// The server speaks every 5 seconds; three silent ones mean that the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// A batch may hold one event that is as large as the largest message.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// What is followed.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// Where the position counts; empty takes the feed's present epoch.
    pub(super) epoch: String,
    /// Position after which to start: `None` is the head, 0 the oldest event that is kept.
    pub(super) after_pos: Option<i64>,
    /// What the server leaves out.
    pub(super) filter: EventFilter,
}

/// Why a feed cannot be followed from here.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// The database behind the feed was restored.
    #[error(
        "the feed has another epoch: {now}, and not {was}. Its database was restored: positions mean other events now, and \
         events after the restored moment are gone. Read the feed again from its beginning (--from 0)"
    )]
    Epoch { was: String, now: String },
    /// The position is not between the oldest event and the head.
    #[error("position {pos} is not kept: {}", Kept { first_pos: *.first_pos, head_pos: *.head_pos })]
    Position {
        pos: i64,
        first_pos: i64,
        head_pos: i64,
    },
}

/// The positions of a feed.
struct Kept {
    first_pos: i64,
    head_pos: i64,
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, head) = (self.first_pos, self.head_pos);
        if first > head {
            return write!(
                f,
                "the feed keeps no event at present, and its head is {head}"
            );
        }
        let least = first.saturating_sub(1);
        write!(
            f,
            "the oldest event that the feed keeps is {first} (--from {least}), and its head is {head}"
        )
    }
}

/// A feed that is being followed.
pub(super) struct Follower {
    client: EventFeedServiceClient<PeerChannel>,
    filter: EventFilter,
    /// Epoch of the positions.
    pub(super) epoch: String,
    /// Last position that is covered.
    pub(super) pos: i64,
    /// Head of the feed at the start.
    pub(super) head_pos: i64,
    batches: Option<Streaming<SubscribeResponse>>,
    wait: Duration,
}

impl Follower {
    /// Asks for the head and finds the position to start at.
    ///
    /// # Errors
    /// [`Lost`], or when the service does not answer.
    pub(super) async fn start(channel: PeerChannel, wanted: Wanted) -> anyhow::Result<Self> {
        let mut client =
            EventFeedServiceClient::new(channel).max_decoding_message_size(BATCH_BYTES_MAX);
        let head = client.get_head(GetHeadRequest {}).await;
        let head = head
            .map_err(PeerError::from)
            .context("cannot read the feed")?
            .into_inner();
        if !wanted.epoch.is_empty() && wanted.epoch != head.epoch {
            let (was, now) = (wanted.epoch, head.epoch);
            return Err(Lost::Epoch { was, now }.into());
        }
        Ok(Self {
            client,
            filter: wanted.filter,
            pos: start_pos(wanted.after_pos, &head)?,
            epoch: head.epoch,
            head_pos: head.pos,
            batches: None,
            wait: WAIT_FIRST,
        })
    }

    /// The next batch, for as long as it takes; `say` hears why there was a pause. The position moves with it.
    ///
    /// # Errors
    /// [`Lost`], or what trying again would not mend.
    pub(super) async fn next(&mut self, say: impl Fn(&str)) -> anyhow::Result<SubscribeResponse> {
        loop {
            let ended = match self.batch().await {
                Ok(Some(batch)) => {
                    self.wait = WAIT_FIRST;
                    self.cover(&batch)?;
                    return Ok(batch);
                }
                Ok(None) => "the feed ended".to_owned(),
                Err(status) => self.judge(status)?,
            };
            self.batches = None;
            say(&format!(
                "{ended}; subscribing again after position {}",
                self.pos
            ));
            tokio::time::sleep(self.wait).await;
            self.wait = (self.wait * 2).min(WAIT_MOST);
        }
    }

    async fn batch(&mut self) -> Result<Option<SubscribeResponse>, Status> {
        let batches = match &mut self.batches {
            Some(batches) => batches,
            none => {
                let request = SubscribeRequest {
                    consumer: "oms-feed-tail".to_owned(),
                    epoch: self.epoch.clone(),
                    after_pos: self.pos,
                    filter: Some(self.filter.clone()),
                    batch_size_max: 0,
                };
                let answer = self.client.subscribe(request).await?;
                none.insert(answer.into_inner())
            }
        };
        let batch = tokio::time::timeout(SILENCE_MAX, batches.message()).await;
        batch.unwrap_or_else(|_| Err(Status::unavailable("the feed fell silent")))
    }

    /// Batches join: each begins where the one before ended.
    fn cover(&mut self, batch: &SubscribeResponse) -> anyhow::Result<()> {
        if batch.epoch != self.epoch {
            let (was, now) = (self.epoch.clone(), batch.epoch.clone());
            return Err(Lost::Epoch { was, now }.into());
        }
        ensure!(
            batch.from_pos == self.pos,
            "the feed goes on after position {} where {} was due",
            batch.from_pos,
            self.pos
        );
        self.pos = batch.through_pos;
        Ok(())
    }

    /// What to say of a failure that may pass; an error for one that does not.
    fn judge(&self, status: Status) -> anyhow::Result<String> {
        let error = PeerError::from(status);
        if error.reason() == Some(ErrorReason::FeedEpochChanged) {
            return Err(self.lost(&error).into());
        }
        if error.retryable() {
            return Ok(error.to_string());
        }
        bail!(error)
    }

    fn lost(&self, error: &PeerError) -> Lost {
        let number = |key: &str| error.metadata(key).and_then(|text| text.parse().ok());
        match (number("first_pos"), number("head_pos")) {
            (Some(first_pos), Some(head_pos)) => Lost::Position {
                pos: self.pos,
                first_pos,
                head_pos,
            },
            _ => Lost::Epoch {
                was: self.epoch.clone(),
                now: error
                    .metadata("epoch")
                    .unwrap_or("one it does not tell")
                    .to_owned(),
            },
        }
    }
}

fn start_pos(after_pos: Option<i64>, head: &GetHeadResponse) -> Result<i64, Lost> {
    let least = head.first_pos.saturating_sub(1);
    match after_pos {
        None => Ok(head.pos),
        Some(0) => Ok(least),
        Some(pos) if (least..=head.pos).contains(&pos) => Ok(pos),
        Some(pos) => Err(Lost::Position {
            pos,
            first_pos: head.first_pos,
            head_pos: head.pos,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(first_pos: i64, pos: i64) -> GetHeadResponse {
        GetHeadResponse {
            epoch: "e".to_owned(),
            pos,
            first_pos,
        }
    }

    #[test]
    fn a_start_is_the_head_or_what_is_kept() {
        assert_eq!(start_pos(None, &head(5, 9)).unwrap(), 9);
        assert_eq!(start_pos(Some(0), &head(5, 9)).unwrap(), 4);
        assert_eq!(start_pos(Some(4), &head(5, 9)).unwrap(), 4);
        assert_eq!(start_pos(Some(9), &head(5, 9)).unwrap(), 9);
        assert_eq!(start_pos(Some(0), &head(1, 0)).unwrap(), 0);
    }

    #[test]
    fn a_position_that_is_not_kept_names_those_that_are() {
        let early = start_pos(Some(3), &head(5, 9)).unwrap_err().to_string();
        assert_eq!(
            early,
            "position 3 is not kept: the oldest event that the feed keeps is 5 (--from 4), and its head is 9"
        );
        let late = start_pos(Some(10), &head(10, 9)).unwrap_err().to_string();
        assert_eq!(
            late,
            "position 10 is not kept: the feed keeps no event at present, and its head is 9"
        );
    }
}
