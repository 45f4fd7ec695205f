//! Clients that waste the server's time. Each attack has a rate that two cores bear many times over: what is tested is
//! whether the server's limits hold, not who gets the processor.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oms_proto::order::v1::ListChannelsRequest;
use oms_proto::order::v1::channel_service_client::ChannelServiceClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tonic::transport::Endpoint;
use tonic::{Code, Request};

use super::callers::bearer;
use super::frames;
use super::server::Server;

/// Connections that are slow at once: more than calls may be in work, fewer than connections may be open.
const SLOW_CONNECTIONS: u32 = 800;
/// Each sends a byte in this time.
const SLOW_PAUSE: Duration = Duration::from_secs(1);
/// Flooders, each of which makes a connection in every pause and resets so many streams on it.
const FLOODERS: u32 = 4;
const FLOOD_PAUSE: Duration = Duration::from_millis(100);
const FLOOD_STREAMS: u32 = 100;
/// Guessers, each of which calls in every pause with a token that somebody else signed.
const GUESSERS: u32 = 4;
const GUESS_PAUSE: Duration = Duration::from_millis(8);

/// An attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attack {
    /// Headers and bodies that never end.
    Slow,
    /// Streams that are opened and reset.
    Resets,
    /// Calls with tokens that are not good.
    Tokens,
}

/// What attackers did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    /// Connections, streams, or calls.
    pub(super) sent: u64,
    /// Those of them, or their connections, that the server cut short.
    pub(super) refused: u64,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    refused: AtomicU64,
}

/// Attackers at work.
pub(super) struct Attackers {
    working: JoinSet<()>,
    counts: Arc<Counts>,
}

impl Attack {
    pub(super) const ALL: [Self; 3] = [Self::Slow, Self::Resets, Self::Tokens];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Resets => "resets",
            Self::Tokens => "tokens",
        }
    }

    pub(super) fn says(self) -> &'static str {
        match self {
            Self::Slow => "beside 800 slow clients",
            Self::Resets => "beside a flood of resets",
            Self::Tokens => "beside bad tokens",
        }
    }

    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Slow => "connections",
            Self::Resets => "streams",
            Self::Tokens => "calls",
        }
    }

    pub(super) fn refusal(self) -> &'static str {
        match self {
            Self::Slow => "cut off",
            Self::Resets => "connections closed",
            Self::Tokens => "not looked at",
        }
    }

    /// Sends this share of the attackers, in percent.
    pub(super) fn begin(self, server: &Server, percent: u32) -> Attackers {
        let mut working = JoinSet::new();
        let counts = Arc::new(Counts::default());
        let addr = server.addr();
        let share = |all: u32| 0..(all * percent / 100).max(1);
        match self {
            Self::Slow => {
                for number in share(SLOW_CONNECTIONS) {
                    working.spawn(trickle(addr, number, Arc::clone(&counts)));
                }
            }
            Self::Resets => {
                for _ in share(FLOODERS) {
                    working.spawn(flood(addr, Arc::clone(&counts)));
                }
            }
            Self::Tokens => {
                for _ in share(GUESSERS) {
                    let guess = guess(
                        server.url().to_owned(),
                        server.forged(),
                        Arc::clone(&counts),
                    );
                    working.spawn(async move {
                        // Who cannot go on is an attacker less, which the tally shows.
                        let _ = guess.await;
                    });
                }
            }
        }
        Attackers { working, counts }
    }
}

impl Attackers {
    /// Calls them back; what they did.
    pub(super) async fn end(mut self) -> Tally {
        self.working.shutdown().await;
        Tally {
            sent: self.counts.sent.load(Ordering::Relaxed),
            refused: self.counts.refused.load(Ordering::Relaxed),
        }
    }
}

/// A request that never ends, again and again: one of eight as headers of HTTP/1, one as headers of HTTP/2, the others as
/// the body of a webhook.
async fn trickle(addr: SocketAddr, number: u32, counts: Arc<Counts>) {
    let webhook =
        b"POST /webhooks/payments/sandbox HTTP/1.1\r\nhost: x\r\ncontent-length: 4096\r\n\r\n";
    let (opening, byte) = match number % 8 {
        0 => (b"POST / HTTP/1.1\r\nx-slow: ".to_vec(), b"x".to_vec()),
        1 => (
            [frames::greeting(), frames::endless_headers()].concat(),
            frames::endless_headers_byte(),
        ),
        _ => (webhook.to_vec(), b"x".to_vec()),
    };
    // Not all at the same moment.
    sleep(SLOW_PAUSE * number / SLOW_CONNECTIONS).await;
    loop {
        if let Ok(mut stream) = TcpStream::connect(addr).await {
            counts.sent.fetch_add(1, Ordering::Relaxed);
            let mut writing = stream.write_all(&opening).await;
            while writing.is_ok() && !is_cut_off(&stream) {
                sleep(SLOW_PAUSE).await;
                writing = stream.write_all(&byte).await;
            }
            counts.refused.fetch_add(1, Ordering::Relaxed);
        }
        sleep(SLOW_PAUSE).await;
    }
}

/// Whether the server has closed, or answered without having heard the end. HTTP/2 greets first, which is no answer.
fn is_cut_off(stream: &TcpStream) -> bool {
    let mut said = [0; 256];
    match stream.try_read(&mut said) {
        Ok(0) => true,
        Ok(_) => said.starts_with(b"HTTP/1.1 "),
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

async fn flood(addr: SocketAddr, counts: Arc<Counts>) {
    let bytes = [frames::greeting(), frames::resets(FLOOD_STREAMS)].concat();
    let mut ticks = interval(FLOOD_PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let Ok(mut stream) = TcpStream::connect(addr).await else {
            continue;
        };
        // The server may close before it has read everything.
        let _ = stream.write_all(&bytes).await;
        counts
            .sent
            .fetch_add(FLOOD_STREAMS.into(), Ordering::Relaxed);
        let mut said = Vec::new();
        if timeout(FLOOD_PAUSE, stream.read_to_end(&mut said))
            .await
            .is_ok()
        {
            counts.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn guess(url: String, forged: String, counts: Arc<Counts>) -> anyhow::Result<()> {
    let channel = Endpoint::from_shared(url)?.connect_lazy();
    let mut client = ChannelServiceClient::new(channel);
    let bearer = bearer(&forged)?;
    let mut ticks = interval(GUESS_PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let mut request = Request::new(ListChannelsRequest::default());
        let headers = request.metadata_mut();
        headers.insert("authorization", bearer.clone());
        counts.sent.fetch_add(1, Ordering::Relaxed);
        let refused = client.list_channels(request).await.err();
        if refused.is_some_and(|status| status.code() == Code::ResourceExhausted) {
            counts.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}
