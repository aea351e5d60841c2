//! The body of an answer, which says when it is at its end.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::body::{Body, Frame, SizeHint};

use super::places::Place;

/// A body as it is. While it is there its connection is in work; from its end on, the client's next request is awaited.
pub(super) struct Answer<B> {
    body: B,
    place: Arc<Place>,
}

impl<B> Answer<B> {
    pub(super) fn new(body: B, place: Arc<Place>) -> Self {
        // Also where its request's body was not read to the end. A place that is taken is seen to when it is cut.
        let _ = place.serve();
        Self { body, place }
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        self.place.wait();
    }
}
