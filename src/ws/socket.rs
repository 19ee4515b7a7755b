use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
#[cfg(feature = "endpoint")]
use std::task::{Context, Poll};
use std::time::Duration;

use super::shared::{Inbound, Shared};
use super::{CloseCode, Closed, Message, Prepared, RecvError, SendError};
#[cfg(feature = "ffi")]
use crate::transport::{
    cork::Mailbox,
    events::{Host, Tag},
};

/// A WebSocket: its [`Sender`] and its [`Receiver`] in one.
///
/// Dropping it closes the connection with 1000, after what is queued was sent.
///
/// ```
/// use lithe::ws::{CloseCode, Message, Socket};
///
/// async fn sum(mut socket: Socket) {
///     let mut sum = 0;
///     while let Some(message) = socket.recv().await {
///         match message.as_text().map(str::parse::<i64>) {
///             Some(Ok(number)) => sum += number,
///             _ => socket.close(CloseCode::UNSUPPORTED, "numbers only"),
///         }
///         // An error: the connection is closed, and `recv` will say so.
///         let _ = socket.send(sum.to_string()).await;
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Socket {
    sender: Sender,
    receiver: Receiver,
}

impl Socket {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Socket { sender: Sender { shared: shared.clone() }, receiver: Receiver { shared } }
    }

    /// See [`Receiver::recv`].
    pub fn recv(&mut self) -> impl Future<Output = Option<Message>> + Send {
        self.receiver.recv()
    }

    /// See [`Receiver::recv_blocking`].
    pub fn recv_blocking(&self, timeout: Option<Duration>) -> Result<Message, RecvError> {
        self.receiver.recv_blocking(timeout)
    }

    /// See [`Sender::send`].
    pub fn send(
        &self,
        message: impl Into<Message>,
    ) -> impl Future<Output = Result<(), SendError>> + Send {
        self.sender.send(message)
    }

    /// See [`Sender::try_send`].
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.sender.try_send(message)
    }

    /// See [`Sender::close`].
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.sender.close(code, reason);
    }

    /// See [`Receiver::closed`].
    pub fn closed(&self) -> Option<Closed> {
        self.receiver.closed()
    }

    /// The subprotocol that was agreed on, if any (RFC 6455 §1.9).
    pub fn protocol(&self) -> Option<&str> {
        self.sender.shared.protocol()
    }

    /// Another sender for this connection.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// A host program drives the connection.
    #[cfg(feature = "ffi")]
    pub(crate) fn wake_by(&self, mailbox: Arc<Mailbox>) {
        self.sender.shared.wake_by(mailbox);
    }

    /// From here on, what happens on the connection is told to the host; nothing is received by
    /// other means.
    #[cfg(feature = "ffi")]
    pub(crate) fn report_to(&self, host: Arc<dyn Host>, tag: Tag) {
        self.sender.shared.report_to(host, tag);
    }

    /// Whether the host wants messages for now. Says whether it is told of them at all.
    #[cfg(feature = "ffi")]
    pub(crate) fn pause(&self, paused: bool) -> bool {
        self.sender.shared.pause(paused)
    }

    /// The host wants to hear no more.
    #[cfg(feature = "ffi")]
    pub(crate) fn report_to_nobody(&self) {
        self.sender.shared.report_to_nobody();
    }

    /// Waits until `take` finds something among the messages that have come in.
    #[cfg(feature = "ffi")]
    pub(crate) fn recv_blocking_with<R>(
        &self,
        timeout: Option<Duration>,
        take: impl FnMut(&mut Inbound) -> Option<R>,
    ) -> Result<R, RecvError> {
        self.sender.shared.recv_blocking(timeout, take)
    }

    #[cfg(all(test, feature = "deflate"))]
    pub(crate) fn unread_bytes(&self) -> usize {
        self.receiver.shared.unread_bytes()
    }

    /// The two halves. The connection lives as long as the receiver does.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }
}

/// Sends on a connection, from any task or thread. Cloning it is cheap. It does not keep the
/// connection open.
///
/// ```
/// use lithe::ws::{CloseCode, SendError, Sender};
///
/// /// Sends without waiting; whoever cannot keep up is sent home.
/// fn tell(member: &Sender, text: &str) {
///     if member.try_send(text) == Err(SendError::Full) {
///         member.close(CloseCode::AGAIN, "too slow");
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Sender {
    shared: Arc<Shared>,
}

impl Sender {
    /// Queues a message, and waits while the send queue is full ([`Config::send_queue`] bytes).
    /// Messages are sent in the order in which they were queued; being queued does not mean that
    /// the peer has got it.
    ///
    /// Cancel safe: when the future is dropped before it is done, nothing was queued.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`].
    ///
    /// [`Config::send_queue`]: super::Config::send_queue
    // Not an `async fn`, whose future would have room for the message twice; an idle connection
    // should cost no memory for it.
    pub fn send(
        &self,
        message: impl Into<Message>,
    ) -> impl Future<Output = Result<(), SendError>> + Send {
        let message = message.into();
        self.shared.sending(move || self.shared.try_send(&message))
    }

    /// Queues a message if there is room.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] when there is none, [`SendError::Closed`].
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.shared.noting_full(self.shared.try_send(&message.into()))
    }

    /// Queues a message, and blocks the thread while the send queue is full. `None` waits for
    /// ever. Not for use in async code, where it would block the very thread that makes room.
    ///
    /// # Errors
    ///
    /// [`SendError::Timeout`], [`SendError::Closed`].
    pub fn send_blocking(
        &self,
        message: impl Into<Message>,
        timeout: Option<Duration>,
    ) -> Result<(), SendError> {
        let message = message.into();
        self.shared.send_blocking(message.len(), timeout, || self.shared.try_send(&message))
    }

    /// [`try_send`](Self::try_send) of a payload that is only borrowed; text must be UTF-8.
    #[cfg(feature = "ffi")]
    pub(crate) fn try_send_copy(&self, text: bool, payload: &[u8]) -> Result<(), SendError> {
        self.shared.noting_full(self.shared.try_send_copy(text, payload))
    }

    /// [`send_blocking`](Self::send_blocking) of a payload that is only borrowed; text must be
    /// UTF-8.
    #[cfg(feature = "ffi")]
    pub(crate) fn send_copy_blocking(
        &self,
        text: bool,
        payload: &[u8],
        timeout: Option<Duration>,
    ) -> Result<(), SendError> {
        let send = || self.shared.try_send_copy(text, payload);
        self.shared.send_blocking(payload.len(), timeout, send)
    }

    /// Like [`send`](Self::send), for a message that is sent to many connections.
    pub async fn send_prepared(&self, message: &Prepared) -> Result<(), SendError> {
        self.shared.sending(|| self.shared.try_send_prepared(message)).await
    }

    /// Like [`try_send`](Self::try_send), for a message that is sent to many connections.
    pub fn try_send_prepared(&self, message: &Prepared) -> Result<(), SendError> {
        self.shared.noting_full(self.shared.try_send_prepared(message))
    }

    /// Like [`send_blocking`](Self::send_blocking), for a message that is sent to many connections.
    pub fn send_prepared_blocking(
        &self,
        message: &Prepared,
        timeout: Option<Duration>,
    ) -> Result<(), SendError> {
        let send = || self.shared.try_send_prepared(message);
        self.shared.send_blocking(message.message().len(), timeout, send)
    }

    /// Starts the close handshake (RFC 6455 §7.1.2) after what is queued; a reason over 123 bytes
    /// is cut. Nothing can be sent or received afterwards. Does nothing when the connection is
    /// closed already.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.shared.close(code, reason);
    }

    /// Waits until the connection has ended, and says how. Cancel safe.
    pub async fn closed(&self) -> Closed {
        self.shared.ending().await
    }

    /// Whether sending is over, because either side closed or the connection broke.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Whether fewer than so many bytes wait to be sent, or sending is over. If not, the task is
    /// woken whenever some were sent. `ticket` is where its waker is kept meanwhile.
    #[cfg(feature = "endpoint")]
    pub(crate) fn poll_below(
        &self,
        cx: &mut Context<'_>,
        bytes: usize,
        ticket: &mut Option<usize>,
    ) -> Poll<()> {
        self.shared.poll_below(cx, bytes, ticket)
    }

    /// How many encoded bytes wait to be sent.
    pub fn queued_bytes(&self) -> usize {
        self.shared.queued_bytes()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// Receives on a connection. Dropping it closes the connection with 1000, or 1011 in a panic.
///
/// ```
/// use std::time::Duration;
///
/// use lithe::ws::{RecvError, Receiver};
///
/// /// Runs on a thread of its own.
/// fn read_all(receiver: &Receiver) {
///     loop {
///         match receiver.recv_blocking(Some(Duration::from_secs(60))) {
///             Ok(message) => println!("{} bytes", message.len()),
///             Err(RecvError::Closed(end)) => return println!("closed with {}", end.code),
///             Err(_) => println!("nothing for a minute"),
///         }
///     }
/// }
/// ```
pub struct Receiver {
    shared: Arc<Shared>,
}

impl Receiver {
    /// The next message, or `None` when the connection has ended and every message before its end
    /// was received; [`closed`](Self::closed) then says how. After this side has closed there are
    /// no more messages.
    ///
    /// While messages are not received, at most [`Config::receive_queue`] bytes of them are kept;
    /// then the socket is no longer read, and TCP slows the peer down.
    ///
    /// Cancel safe: a message is either returned or stays for the next call.
    ///
    /// [`Config::receive_queue`]: super::Config::receive_queue
    pub fn recv(&mut self) -> impl Future<Output = Option<Message>> + Send {
        poll_fn(|cx| self.shared.poll_recv(cx))
    }

    /// The same, in a future that does other things besides.
    #[cfg(feature = "endpoint")]
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.shared.poll_recv(cx)
    }

    /// The next message, for which the thread is blocked. `None` waits for ever. May be called
    /// from several threads at once: each message goes to one of them. Not for use in async code.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`], [`RecvError::Closed`].
    pub fn recv_blocking(&self, timeout: Option<Duration>) -> Result<Message, RecvError> {
        self.shared.recv_blocking(timeout, Inbound::pop)
    }

    /// How the connection ended, once it has.
    pub fn closed(&self) -> Option<Closed> {
        self.shared.closed()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // A handler that panics drops its socket on the way.
        let panicking = std::thread::panicking();
        let code = if panicking { CloseCode::ERROR } else { CloseCode::NORMAL };
        self.shared.close(code, "");
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
