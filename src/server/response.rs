//! A response that the host sends piece by piece.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;

use super::upload::Upload;
use crate::transport::cork::Mailbox;
use crate::transport::events::{Host, Tag};
use crate::transport::queue::{Piece, Queue, Unsent};

/// The host's side of a response.
pub(crate) struct StreamedResponse {
    queue: Arc<Queue>,
    /// The body of the request, which may be read until the response is finished.
    upload: Option<Arc<Upload>>,
    /// What is still to be written of a body whose length was announced.
    unwritten: Option<Mutex<Unwritten>>,
}

/// What is still to be written of a body, in bytes.
struct Unwritten {
    /// What nobody has begun to write.
    left: u64,
    /// What threads are writing at this moment, which may wait for room in the queue.
    under_way: u64,
}

impl Unwritten {
    fn begin(&mut self, len: u64) -> Result<(), WriteError> {
        self.left = self.left.checked_sub(len).ok_or(WriteError::TooLong(self.left))?;
        self.under_way += len;
        Ok(())
    }

    fn end(&mut self, len: u64, was_written: bool) {
        self.under_way -= len;
        if !was_written {
            self.left += len;
        }
    }
}

/// Why something cannot be written, or the response not be finished.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum WriteError {
    #[error("the client has gone, or the response is finished")]
    Closed,
    #[error("the send queue is full")]
    Full,
    #[error("the send queue stayed full")]
    Timeout,
    #[error("the Content-Length leaves room for {0} more bytes only")]
    TooLong(u64),
    #[error("{0} bytes of the Content-Length are not written yet")]
    TooShort(u64),
}

impl From<Unsent> for WriteError {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Closed => WriteError::Closed,
            Unsent::Full => WriteError::Full,
            Unsent::Timeout => WriteError::Timeout,
        }
    }
}

impl StreamedResponse {
    /// A response with that much room for what waits to be sent, and its body. `length` is what was
    /// announced of the body.
    pub(super) fn new(
        send_queue: usize,
        length: Option<u64>,
        upload: Option<Arc<Upload>>,
    ) -> (Self, Body) {
        let queue = Arc::new(Queue::told_when_taken(send_queue));
        let body = StreamedBody { queue: queue.clone(), left: length };
        let unwritten = length.map(|left| Mutex::new(Unwritten { left, under_way: 0 }));
        (StreamedResponse { queue, upload, unwritten }, Body::new(body))
    }

    /// Where the worker of the connection is woken.
    pub(super) fn wake_by(&self, mailbox: Arc<Mailbox>) {
        self.queue.wake_by(mailbox);
    }

    /// There is no body, so nothing can be written.
    pub(super) fn close(&self) {
        self.queue.close();
    }

    /// Queues the next bytes of the body if there is room for them.
    pub(crate) fn try_write(&self, data: &[u8]) -> Result<(), WriteError> {
        self.write(data, |piece| self.queue.try_send(piece))
    }

    /// Queues the next bytes of the body; blocks the thread while there is no room for them.
    pub(crate) fn write_blocking(
        &self,
        data: &[u8],
        timeout: Option<Duration>,
    ) -> Result<(), WriteError> {
        self.write(data, |piece| self.queue.send_blocking(piece, timeout))
    }

    fn write(
        &self,
        data: &[u8],
        send: impl FnOnce(Piece) -> Result<(), Unsent>,
    ) -> Result<(), WriteError> {
        if self.queue.is_closed() {
            return Err(WriteError::Closed);
        }
        if data.is_empty() {
            return Ok(());
        }
        let len = data.len() as u64;
        self.change_unwritten(|unwritten| unwritten.begin(len)).transpose()?;
        let sent = send(Piece::Owned(data.to_vec()));
        self.change_unwritten(|unwritten| unwritten.end(len, sent.is_ok()));
        Ok(sent?)
    }

    fn change_unwritten<T>(&self, change: impl FnOnce(&mut Unwritten) -> T) -> Option<T> {
        let unwritten = self.unwritten.as_ref()?;
        Some(change(&mut unwritten.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Ends the body after what is queued, and the reading of the request's body.
    pub(crate) fn finish(&self) -> Result<(), WriteError> {
        let rest = self.change_unwritten(|unwritten| unwritten.left + unwritten.under_way);
        if !self.queue.is_closed()
            && let Some(rest) = rest.filter(|rest| *rest > 0)
        {
            return Err(WriteError::TooShort(rest));
        }
        self.queue.close();
        self.close_upload();
        if self.queue.ending() == Some(false) { Err(WriteError::Closed) } else { Ok(()) }
    }

    /// Breaks the response off, unless it is finished.
    pub(crate) fn abandon(&self) {
        if !self.queue.is_closed() {
            self.queue.abort();
        }
        self.close_upload();
        self.queue.report_to_nobody();
    }

    fn close_upload(&self) {
        if let Some(upload) = &self.upload {
            upload.close();
        }
    }

    /// Waits until all of a finished response was taken, or its client has gone. Says whether it
    /// was taken.
    pub(crate) async fn ended(&self) -> bool {
        self.queue.ended().await
    }

    /// How many bytes wait to be sent.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queue.queued_bytes()
    }

    /// From here on, what happens is told to the host.
    pub(crate) fn report_to(&self, host: Arc<dyn Host>, tag: Tag) {
        self.queue.report_to(host, tag);
    }
}

impl Drop for StreamedResponse {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// The worker's side: the body of the response.
struct StreamedBody {
    queue: Arc<Queue>,
    /// How much is still to be handed on of a body whose length was announced.
    left: Option<u64>,
}

impl http_body::Body for StreamedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(taken) = ready!(self.queue.poll_take(cx)) else { return Poll::Ready(None) };
        let bytes = taken?;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(bytes.len() as u64);
            if *left == 0 {
                // An HTTP library that has all that was announced does not ask for more.
                self.queue.close();
            }
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl Drop for StreamedBody {
    fn drop(&mut self) {
        self.queue.abort();
    }
}

#[cfg(test)]
mod tests;
