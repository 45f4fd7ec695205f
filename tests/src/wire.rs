//! Calls as bytes, for what no well-behaved client sends.

use anyhow::Context;
use http_body_util::{BodyExt, Full};
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request};
use tonic::codegen::{Bytes, Service};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// A service, to which anything may be sent.
#[derive(Debug, Clone)]
pub struct Wire {
    url: String,
    channel: Channel,
}

/// A gRPC frame around a message.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = vec![0];
    frame.extend(length.to_be_bytes());
    frame.extend(message);
    frame
}

impl Wire {
    /// Connects to `http://host:port`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(url: String) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(url.clone())?.connect().await?;
        Ok(Self { url, channel })
    }

    /// The connection, for clients that behave.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Sends bytes as the body of a call on behalf of a principal. Answers the failure that comes back; `None` for
    /// success, and for a stream that has begun.
    ///
    /// # Errors
    /// When what comes back is no answer of gRPC.
    pub async fn call(
        &self,
        path: &str,
        body: Vec<u8>,
        principal: &str,
    ) -> anyhow::Result<Option<Status>> {
        let request = Request::post(format!("{}{path}", self.url))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("oms-principal", principal)
            .body(Body::new(Full::new(Bytes::from(body))))?;
        let mut channel = self.channel.clone();
        futures::future::poll_fn(|context| channel.poll_ready(context)).await?;
        let (head, mut body) = channel.call(request).await?.into_parts();
        if head.headers.contains_key(Status::GRPC_STATUS) {
            return failure(&head.headers);
        }
        let first = body.frame().await.context("nothing was answered")??;
        match first.into_trailers() {
            Ok(trailers) => failure(&trailers),
            // A message has come: that is success, unless a stream breaks off later.
            Err(_message) => Ok(None),
        }
    }
}

fn failure(headers: &HeaderMap) -> anyhow::Result<Option<Status>> {
    let status = Status::from_header_map(headers).context("no status")?;
    Ok((status.code() != Code::Ok).then_some(status))
}
