//! Being asked who may do what on a hub.

use std::ffi::{CString, c_char};
use std::mem::offset_of;
use std::time::Duration;

use super::convert::{
    Out, Timeout, Versioned, bad_argument, content_in, lithe_string_t, millis, text_in, timed_out,
    versioned_in, versioned_out,
};
use super::error::{Error, LITHE_ERR_CLOSED, LITHE_ERR_NOT_FOUND, LITHE_ERR_WRONG_STATE, boundary};
use super::handle::{self, Kind, Object, Table};
use super::server::{Server, lithe_server_t, stopped};
use crate::access::{Action, Identity, RefusalKind};
use crate::server::inbox::{Asked, Question, TakeError, Unasked, Verdict, identity};

/// A question of who may do what: LITHE_EVENT_AUTHORIZE or lithe_server_authorize gives it,
/// lithe_authorization_free takes it back.
pub type lithe_authorization_t = u64;

/// What a client wants to do: LITHE_ACTION_CONNECT and so on.
pub type lithe_action = i32;

/// Connect, or go on with a new token.
pub const LITHE_ACTION_CONNECT: lithe_action = 1;
/// Get what is published on a channel from now on, and what it has missed since its cursor.
pub const LITHE_ACTION_SUBSCRIBE: lithe_action = 2;
/// Read publications of a channel from before it came.
pub const LITHE_ACTION_HISTORY: lithe_action = 3;
/// Publish on a channel.
pub const LITHE_ACTION_PUBLISH: lithe_action = 4;
/// See who is on a channel.
pub const LITHE_ACTION_PRESENCE: lithe_action = 5;

/// Why a client may not connect: LITHE_REFUSAL_DENIED and so on; 0 is the default.
pub type lithe_refusal = i32;

/// It is known, and may not: 403. The default.
pub const LITHE_REFUSAL_DENIED: lithe_refusal = 1;
/// It presents no token, and has to: 401.
pub const LITHE_REFUSAL_MISSING: lithe_refusal = 2;
/// Its token is not valid: 401.
pub const LITHE_REFUSAL_INVALID: lithe_refusal = 3;
/// Its token was valid once: 401.
pub const LITHE_REFUSAL_EXPIRED: lithe_refusal = 4;
/// It cannot be found out now; it may try again.
pub const LITHE_REFUSAL_UNAVAILABLE: lithe_refusal = 5;

/// What the host is asked. To be initialized with LITHE_AUTHORIZATION_INFO_INIT. The texts are valid
/// until lithe_authorization_free.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_authorization_info_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// What the client wants to do.
    pub action: lithe_action,
    /// Of LITHE_ACTION_CONNECT: 1 when the client is connected already and presents a new token, which
    /// has to be for the same `subject`.
    pub renews: i32,
    /// Of a client that is connected: the number that it was let in with.
    pub tag: u64,
    /// Of a client that is connected: the name that it was let in by, or empty.
    pub subject: lithe_string_t,
    /// On which channel, or on all channels of which pattern; empty for LITHE_ACTION_CONNECT.
    pub channel: lithe_string_t,
    /// Of LITHE_ACTION_CONNECT: the token that it presents; empty when there is none. It comes from
    /// the Authorization header, a cookie, or a message of the client's.
    pub token: lithe_string_t,
    /// Of LITHE_ACTION_CONNECT: the query of its request, without the question mark.
    pub query: lithe_string_t,
    /// Of LITHE_ACTION_CONNECT: the address that the connection comes from, without the port.
    pub peer: lithe_string_t,
}

// SAFETY: integers and raw pointers only, the size first.
unsafe impl Versioned for lithe_authorization_info_t {
    const FIRST_SIZE: usize =
        offset_of!(lithe_authorization_info_t, peer) + size_of::<lithe_string_t>();
}

/// The host's answer. To be initialized with LITHE_GRANT_INIT, which refuses.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_grant_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// 1: the client may. 0: it may not.
    pub allow: i32,
    /// Why a client may not connect. LITHE_REFUSAL_UNAVAILABLE counts for every action: the client
    /// may try again.
    pub refusal: lithe_refusal,
    /// Of LITHE_ACTION_CONNECT: who the client is, by which others see it where presence is on. At
    /// most 255 bytes, without control characters. Default: a guest.
    pub subject: lithe_string_t,
    /// Of LITHE_ACTION_CONNECT: what others may know of it; any bytes.
    pub info: lithe_string_t,
    /// Of LITHE_ACTION_CONNECT: in what time it has to present a new token. Default, and -1: never.
    pub expires_in_ms: i64,
    /// Of LITHE_ACTION_CONNECT: the host's own number for the client, which later questions bear.
    pub tag: u64,
}

// SAFETY: integers and raw pointers only, the size first.
unsafe impl Versioned for lithe_grant_t {
    const FIRST_SIZE: usize = offset_of!(lithe_grant_t, tag) + size_of::<u64>();
}

/// What a handle names: the question, and its texts in the form that the host gets.
pub(super) struct Authorization {
    question: Box<Question>,
    subject: CString,
    channel: CString,
    token: CString,
    query: CString,
    peer: CString,
    headers: Vec<(String, CString)>,
}

impl Object for Authorization {
    const KIND: Kind = Kind::Authorization;

    fn table() -> &'static Table<Self> {
        static TABLE: Table<Authorization> = Table::new();
        &TABLE
    }
}

/// Headers and names hold no NUL; a token in a message might.
fn c_text(text: &[u8]) -> CString {
    let bytes: Vec<u8> = text.iter().copied().filter(|byte| *byte != 0).collect();
    CString::new(bytes).unwrap_or_default()
}

impl Authorization {
    pub(super) fn new(question: Box<Question>) -> Self {
        let mut all = Authorization {
            subject: CString::default(),
            channel: CString::default(),
            token: CString::default(),
            query: CString::default(),
            peer: CString::default(),
            headers: Vec::new(),
            question,
        };
        let subject = |identity: &Identity| {
            c_text(identity.subject.as_deref().unwrap_or_default().as_bytes())
        };
        match &all.question.asked {
            Asked::Connect { token, request, previous } => {
                all.token = c_text(token.as_deref().unwrap_or_default().as_bytes());
                all.subject = previous.as_ref().map(subject).unwrap_or_default();
                if let Some(head) = request {
                    all.query = c_text(head.uri.query().unwrap_or_default().as_bytes());
                    let peer = head.peer.map(|peer| peer.to_string()).unwrap_or_default();
                    all.peer = c_text(peer.as_bytes());
                    let headers = head.headers.iter();
                    all.headers = headers
                        .map(|(name, value)| (name.as_str().to_owned(), c_text(value.as_bytes())))
                        .collect();
                }
            }
            Asked::Act { identity, interest, .. } => {
                all.subject = subject(identity);
                all.channel = c_text(interest.as_str().as_bytes());
            }
        }
        all
    }

    fn info(&self) -> lithe_authorization_info_t {
        let (action, renews, tag) = match &self.question.asked {
            Asked::Connect { previous, .. } => {
                let tag = previous.as_ref().map_or(0, |previous| previous.tag);
                (LITHE_ACTION_CONNECT, previous.is_some(), tag)
            }
            Asked::Act { identity, action, .. } => {
                let action = match action {
                    Action::Subscribe => LITHE_ACTION_SUBSCRIBE,
                    Action::History => LITHE_ACTION_HISTORY,
                    Action::Publish => LITHE_ACTION_PUBLISH,
                    Action::Presence => LITHE_ACTION_PRESENCE,
                };
                (action, false, identity.tag)
            }
        };
        lithe_authorization_info_t {
            size: 0,
            action,
            renews: renews.into(),
            tag,
            subject: lithe_string_t::new(&self.subject),
            channel: lithe_string_t::new(&self.channel),
            token: lithe_string_t::new(&self.token),
            query: lithe_string_t::new(&self.query),
            peer: lithe_string_t::new(&self.peer),
        }
    }

    fn answer(&self, grant: &lithe_grant_t) -> Result<(), Error> {
        let verdict = grant.verdict()?;
        self.question.answer(verdict).map_err(|error| match error {
            Unasked::Answered => {
                Error::new(LITHE_ERR_WRONG_STATE, c"the question was answered already")
            }
            Unasked::Late => Error::new(
                LITHE_ERR_CLOSED,
                c"the client has gone, or was refused because the answer took too long",
            ),
        })
    }
}

impl lithe_grant_t {
    fn verdict(&self) -> Result<Verdict, Error> {
        let refusal = match self.refusal {
            0 | LITHE_REFUSAL_DENIED => RefusalKind::Denied,
            LITHE_REFUSAL_MISSING => RefusalKind::Missing,
            LITHE_REFUSAL_INVALID => RefusalKind::Invalid,
            LITHE_REFUSAL_EXPIRED => RefusalKind::Expired,
            LITHE_REFUSAL_UNAVAILABLE => RefusalKind::Unavailable,
            other => return Err(bad_argument(format_args!("refusal: there is no {other}"))),
        };
        let subject = text_in(self.subject.ptr, self.subject.len)?;
        if subject.is_some_and(|name| name.len() > 255 || name.contains(char::is_control)) {
            return Err(bad_argument("subject: at most 255 bytes, without control characters"));
        }
        let info = match self.info.ptr.is_null() {
            true => &[],
            false => content_in(self.info.ptr.cast(), self.info.len)?,
        };
        let expires = millis("expires_in_ms", self.expires_in_ms)?;
        let expires = expires.map(Some).apply(None, None, |_, left: Option<Duration>| left);
        match self.allow {
            0 => Ok(Verdict::Refused(refusal)),
            1 => {
                let subject = subject.filter(|subject| !subject.is_empty());
                Ok(Verdict::Allowed(identity(subject, info, expires, self.tag)))
            }
            other => Err(bad_argument(format_args!("allow: {other} is neither 0 nor 1"))),
        }
    }
}

/// Waits for the next question of who may do what on a hub that was mounted with
/// LITHE_AUTHORIZE_HOST, for `timeout_ms` at most: for programs that do not take events. The host
/// answers it with lithe_authorization_answer, and frees it.
///
/// Several threads may wait; each question goes to one of them. On an error `*authorization` is 0.
/// Blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, TIMEOUT, SHUTTING_DOWN when the server is stopped.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_authorize(
    server: lithe_server_t,
    authorization: *mut lithe_authorization_t,
    timeout_ms: i32,
) -> i32 {
    boundary(|| {
        let out = Out::new(authorization, 0)?;
        let timeout = Timeout::from_millis(timeout_ms)?;
        let server = handle::get::<Server>(server)?;
        let question = server.inbox.take_question(timeout.duration());
        let question = question.map_err(|error| match error {
            TakeError::Timeout => timed_out(),
            TakeError::Closed => stopped(),
        })?;
        out.put(handle::insert(Authorization::new(question))?);
        Ok(())
    })
}

/// Fills in what the host is asked. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_authorization_info(
    authorization: lithe_authorization_t,
    info: *mut lithe_authorization_info_t,
) -> i32 {
    boundary(|| {
        if info.is_null() {
            return Err(bad_argument("the place for the result is NULL"));
        }
        versioned_out(info, handle::get::<Authorization>(authorization)?.info())
    })
}

/// The value of a header of the request that a client connects by; of several with that name the
/// first. The name counts in any case, and is NUL-terminated.
///
/// The text is valid until lithe_authorization_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
/// NOT_UTF8, NOT_FOUND when there is no such header, or the question is about something else.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_authorization_header(
    authorization: lithe_authorization_t,
    name: *const c_char,
    value: *mut lithe_string_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(value, lithe_string_t::EMPTY)?;
        let name = super::convert::text_z_in(name)?;
        let name = name.ok_or_else(|| bad_argument("the name is NULL"))?;
        let authorization = handle::get::<Authorization>(authorization)?;
        let found = authorization.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        let (_, value) = found
            .ok_or_else(|| Error::new(LITHE_ERR_NOT_FOUND, c"there is no header by that name"))?;
        out.put(lithe_string_t::new(value));
        Ok(())
    })
}

/// Answers a question. NULL in the place of the grant refuses. The handle is still to be freed.
///
/// Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE, WRONG_STATE when it was
/// answered already, CLOSED when the client has gone, or was refused because the answer took longer
/// than lithe_mount_options_t allows.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_authorization_answer(
    authorization: lithe_authorization_t,
    grant: *const lithe_grant_t,
) -> i32 {
    boundary(|| {
        let authorization = handle::get::<Authorization>(authorization)?;
        let grant = versioned_in(grant)?.unwrap_or(lithe_grant_t {
            size: size_of::<lithe_grant_t>(),
            allow: 0,
            refusal: 0,
            subject: lithe_string_t::NULL,
            info: lithe_string_t::NULL,
            expires_in_ms: 0,
            tag: 0,
        });
        authorization.answer(&grant)
    })
}

/// Ends the handle of a question. The client is refused that has no answer yet: it may try again.
/// Never blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_authorization_free(authorization: lithe_authorization_t) -> i32 {
    boundary(|| handle::remove::<Authorization>(authorization).map(drop))
}
