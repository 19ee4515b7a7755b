//! Revoking tokens that clients of a hub have been let in by.

use std::mem::offset_of;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::convert::{Versioned, bad_argument, lithe_string_t, text_in, versioned_in};
use super::error::{Error, LITHE_ERR_FULL, LITHE_ERR_IO, LITHE_ERR_WRONG_STATE, boundary};
use super::handle;
use super::hub::{Hub, lithe_hub_t};
use crate::access::revocation::{Revocation, RevokeError};
use crate::hub::Interest;

/// What does not hold any more, although a token says so: `token_id`, `subject`, `channel`, or a
/// channel of a subject. To be initialized with LITHE_REVOCATION_INIT. The lengths of texts may be
/// LITHE_CSTR.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_revocation_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// One token, by its number (jti).
    pub token_id: lithe_string_t,
    /// All tokens of whom they name (sub); with `channel`, the channel in those alone.
    pub subject: lithe_string_t,
    /// A channel, or all channels of a pattern, in all tokens.
    pub channel: lithe_string_t,
    /// Of a subject or a channel: only in tokens that were issued before then (iat), in milliseconds
    /// since 1970. The time of a token is in seconds: who gets one in the very second is hit as well.
    /// Default: before now.
    pub issued_before_ms: i64,
    /// When the last of these tokens has expired, in milliseconds since 1970, so that it need not be
    /// remembered for longer. Default: as long from now as `longest_token_ms` of the hub says.
    pub until_ms: i64,
}

// SAFETY: integers and raw pointers only, the size first.
unsafe impl Versioned for lithe_revocation_t {
    const FIRST_SIZE: usize = offset_of!(lithe_revocation_t, until_ms) + size_of::<i64>();
}

impl lithe_revocation_t {
    fn revocation(&self) -> Result<Revocation, Error> {
        let text = |text: lithe_string_t| match text_in(text.ptr, text.len)? {
            Some("") => Err(bad_argument("what is revoked has an empty name")),
            text => Ok(text),
        };
        let (token, subject) = (text(self.token_id)?, text(self.subject)?);
        let revocation = match (token, subject, text(self.channel)?) {
            (Some(id), None, None) => Revocation::token(id),
            (None, Some(name), None) => Revocation::subject(name),
            (None, subject, Some(channel)) => {
                let interest: Interest = channel.parse().map_err(bad_argument)?;
                let revocation = Revocation::channel(interest);
                subject.into_iter().fold(revocation, |it, name| it.only_of(name))
            }
            _ => return Err(bad_argument("a token, a subject, a channel, or one of a subject")),
        };
        let before = time("issued_before_ms", self.issued_before_ms)?;
        let revocation = before.into_iter().fold(revocation, Revocation::issued_before);
        let until = time("until_ms", self.until_ms)?;
        Ok(until.into_iter().fold(revocation, Revocation::until))
    }
}

/// A time of the host's; `None` for the default.
fn time(name: &str, millis: i64) -> Result<Option<SystemTime>, Error> {
    if millis == 0 {
        return Ok(None);
    }
    let time = u64::try_from(millis).ok().map(Duration::from_millis);
    let time = time.and_then(|since| UNIX_EPOCH.checked_add(since));
    time.map(Some).ok_or_else(|| bad_argument(format_args!("{name}: there is no {millis}")))
}

impl From<RevokeError> for Error {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::Publish(error) => {
                let code = Error::from(error.clone()).code();
                Error::with(code, RevokeError::Publish(error))
            }
            RevokeError::Full => Error::with(LITHE_ERR_FULL, error),
            RevokeError::NoRuntime => Error::with(LITHE_ERR_IO, error),
        }
    }
}

/// Revokes tokens that have yet to expire, for what is mounted with LITHE_AUTHORIZE_JWT: who
/// presents one is refused, and streams that it has opened end, with the event lithe.error if they
/// are event streams. Where a channel is revoked, they lose that channel. It holds here at once, and
/// with Redis on the other hubs as soon as they hear of it, also on those that start later.
///
/// The hub has to be told by `longest_token_ms` of its options how long tokens live. Without Redis,
/// what was revoked is forgotten with the hub: revoke again when the program starts.
///
/// Never blocks, unless the hub has a Redis: then it waits for that as lithe_publish does. Errors:
/// BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE, WRONG_STATE when the hub has no
/// `longest_token_ms`, FULL when 100,000 revocations are in force, or 1,000 of channels; with Redis
/// IO and TIMEOUT: then it holds here, and is to be revoked again for the others.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_hub_revoke(hub: lithe_hub_t, revocation: *const lithe_revocation_t) -> i32 {
    boundary(|| {
        let revocation = versioned_in(revocation)?;
        let revocation = revocation.ok_or_else(|| bad_argument("the revocation is NULL"))?;
        let revocation = revocation.revocation()?;
        let hub = handle::get::<Hub>(hub)?;
        let revocations = hub.revocations.as_ref().ok_or_else(|| {
            Error::new(LITHE_ERR_WRONG_STATE, c"the hub was made without longest_token_ms")
        })?;
        Ok(revocations.revoke_blocking(revocation)?)
    })
}
