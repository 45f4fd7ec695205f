//! The body of an answer: watched to its end, its trailers completed, ended when the server drains or it has become old.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::Span;

use crate::error::ApiError;
use crate::observe::Observed;
use crate::server::complete::complete_headers;

pub(crate) struct ObservedBody {
    inner: Body,
    /// Nobody watches health and reflection.
    observed: Option<Observed>,
    /// Whether errors in the trailers are ours to complete: not in answers of peers.
    completes: bool,
    /// For answers without an end: when to end them.
    ends: Option<Ends>,
    has_ended: bool,
    /// Given back when it is over: the place among the calls of its caller.
    held: Option<Box<dyn Send>>,
}

/// When an answer without an end is ended all the same.
pub(crate) struct Ends {
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    age: Pin<Box<Sleep>>,
}

impl Ends {
    /// When the server drains, and at this age at the latest: whoever goes on proves again who it is.
    pub(crate) fn new(draining: CancellationToken, age: Duration) -> Self {
        Self {
            draining: Box::pin(draining.cancelled_owned()),
            age: Box::pin(sleep(age)),
        }
    }

    /// Whether the age is reached, without waiting for it.
    fn is_aged(&self) -> bool {
        self.age.deadline() <= Instant::now()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ApiError> {
        if self.draining.as_mut().poll(cx).is_ready() {
            return Poll::Ready(ApiError::stream_drained());
        }
        ready!(self.age.as_mut().poll(cx));
        Poll::Ready(ApiError::stream_aged())
    }
}

impl ObservedBody {
    /// The answer of a peer.
    pub(crate) fn of_peer(inner: Body, observed: Observed) -> Self {
        Self {
            inner,
            observed: Some(observed),
            completes: false,
            ends: None,
            has_ended: false,
            held: None,
        }
    }

    /// An answer of this server; `ends` for one that may have no end.
    pub(crate) fn of_server(inner: Body, observed: Option<Observed>, ends: Option<Ends>) -> Self {
        Self {
            inner,
            observed,
            completes: true,
            ends,
            has_ended: false,
            held: None,
        }
    }

    /// Keeps this, such as the caller's place, until the answer is over.
    pub(crate) fn holding(mut self, held: impl Send + 'static) -> Self {
        self.held = Some(Box::new(held));
        self
    }

    fn pass(&mut self, mut frame: Frame<Bytes>) -> Frame<Bytes> {
        if let Some(trailers) = frame.trailers_mut() {
            if self.completes {
                complete_headers(trailers);
            }
            if let Some(observed) = &mut self.observed {
                observed.finish_if_said(trailers);
            }
        }
        frame
    }

    fn finish(&mut self, code: Code) {
        drop(self.held.take());
        if let Some(observed) = &mut self.observed {
            observed.finish(code, "");
        }
    }

    /// Polled only while the answer has nothing to send, so that a drain cuts off nothing that is there.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Frame<Bytes>> {
        let Some(ends) = &mut self.ends else {
            return Poll::Pending;
        };
        let error = ready!(ends.poll(cx));
        Poll::Ready(self.end(error))
    }

    /// The last frame. The frames before it hold whole messages.
    fn end(&mut self, error: ApiError) -> Frame<Bytes> {
        self.has_ended = true;
        let mut trailers = http::HeaderMap::new();
        // Fails only for text that is no header, which percent encoding rules out.
        let _ = Status::from(error).add_header(&mut trailers);
        // Neither a drain nor an age is a failure of the call.
        self.finish(Code::Ok);
        Frame::trailers(trailers)
    }
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.has_ended {
            return Poll::Ready(None);
        }
        let span = this
            .observed
            .as_ref()
            .map_or_else(Span::none, Observed::span);
        let _entered = span.enter();
        // Before the next frame, or else a stream that always has one would never end.
        if this.ends.as_ref().is_some_and(Ends::is_aged) {
            return Poll::Ready(Some(Ok(this.end(ApiError::stream_aged()))));
        }
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(this.pass(frame)))),
            Poll::Ready(Some(Err(status))) => {
                this.finish(status.code());
                Poll::Ready(Some(Err(status)))
            }
            Poll::Ready(None) => {
                this.has_ended = true;
                this.finish(Code::Ok);
                Poll::Ready(None)
            }
            Poll::Pending => this.poll_end(cx).map(|frame| Some(Ok(frame))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};

    use super::*;
    use crate::peer_error::PeerError;

    /// A body that always has a frame.
    fn endless() -> Body {
        let frames = futures::stream::repeat_with(|| {
            Ok::<_, Status>(Frame::data(Bytes::from_static(b"message")))
        });
        Body::new(StreamBody::new(frames))
    }

    #[tokio::test]
    async fn an_answer_that_always_has_something_to_send_ends_at_its_age_all_the_same() {
        let age = Duration::from_millis(1);
        let ends = Ends::new(CancellationToken::new(), age);
        let mut body = ObservedBody::of_server(endless(), None, Some(ends));
        let trailers = loop {
            let frame = body.frame().await.unwrap().unwrap();
            if let Ok(trailers) = frame.into_trailers() {
                break trailers;
            }
        };
        let error = PeerError::from(Status::from_header_map(&trailers).unwrap());
        assert_eq!(error.code(), Code::Unavailable);
        assert_eq!(error.metadata("ended"), Some("age"));
        assert!(body.frame().await.is_none());
    }
}
