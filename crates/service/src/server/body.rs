//! The body of an answer: watched to its end, its trailers completed, ended when the server drains.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::Span;

use crate::auth::Place;
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
    ends: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    has_ended: bool,
    /// Among the calls of its caller, until it is over.
    place: Option<Place>,
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
            place: None,
        }
    }

    /// An answer of this server; `ends` for one that may have no end.
    pub(crate) fn of_server(
        inner: Body,
        observed: Option<Observed>,
        ends: Option<CancellationToken>,
    ) -> Self {
        Self {
            inner,
            observed,
            completes: true,
            ends: ends.map(|token| Box::pin(token.cancelled_owned())),
            has_ended: false,
            place: None,
        }
    }

    /// Keeps the caller's place until the answer is over.
    pub(crate) fn holding(mut self, place: Option<Place>) -> Self {
        self.place = place;
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
        if let Some(observed) = &mut self.observed {
            observed.finish(code, "");
        }
    }

    /// Polled only while the answer has nothing to send, so that nothing is cut in the middle.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Frame<Bytes>> {
        let Some(ends) = &mut self.ends else {
            return Poll::Pending;
        };
        std::task::ready!(ends.as_mut().poll(cx));
        self.has_ended = true;
        let mut trailers = http::HeaderMap::new();
        // Fails only for text that is no header, which percent encoding rules out.
        let status = Status::from(ApiError::unavailable("this replica"));
        let _ = status.add_header(&mut trailers);
        // A drain is no failure of the call.
        self.finish(Code::Ok);
        Poll::Ready(Frame::trailers(trailers))
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
