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
        let headers = [("oms-principal", principal)];
        Ok(self.send(path, body, &headers).await?.err())
    }

    /// Sends bytes as the body of a call with these headers. Answers the first frames of the message that comes back, or
    /// the failure. Of a stream it takes the first message.
    ///
    /// # Errors
    /// When what comes back is no answer of gRPC.
    pub async fn send(
        &self,
        path: &str,
        body: Vec<u8>,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<Result<Vec<u8>, Status>> {
        let mut request = Request::post(format!("{}{path}", self.url))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::new(Full::new(Bytes::from(body))))?;
        let mut channel = self.channel.clone();
        futures::future::poll_fn(|context| channel.poll_ready(context)).await?;
        let (head, mut body) = channel.call(request).await?.into_parts();
        if head.headers.contains_key(Status::GRPC_STATUS) {
            return answer(Vec::new(), &head.headers);
        }
        let mut message = Vec::new();
        loop {
            let frame = body.frame().await.context("nothing was answered")??;
            match frame.into_data() {
                Ok(bytes) => message.extend(bytes),
                Err(frame) => match frame.into_trailers() {
                    Ok(trailers) => return answer(message, &trailers),
                    Err(_) => continue,
                },
            }
            // That is success, unless a stream breaks off later.
            if is_whole(&message) {
                return Ok(Ok(message));
            }
        }
    }
}

/// Whether a whole message has come.
fn is_whole(frame: &[u8]) -> bool {
    let Some((head, message)) = frame.split_at_checked(5) else {
        return false;
    };
    let length = head
        .iter()
        .skip(1)
        .fold(0, |length, byte| length << 8 | usize::from(*byte));
    message.len() >= length
}

fn answer(message: Vec<u8>, headers: &HeaderMap) -> anyhow::Result<Result<Vec<u8>, Status>> {
    Ok(failure(headers)?.map_or(Ok(message), Err))
}

fn failure(headers: &HeaderMap) -> anyhow::Result<Option<Status>> {
    let status = Status::from_header_map(headers).context("no status")?;
    Ok((status.code() != Code::Ok).then_some(status))
}
