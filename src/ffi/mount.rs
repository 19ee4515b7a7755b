//! Serving a hub's channels to clients of the library's own protocol.

use std::ffi::c_char;
use std::mem::offset_of;
use std::sync::Arc;
use std::time::Duration;

use super::convert::{
    Versioned, bad_argument, content_in, count, list, lithe_string_t, millis, text_z_in,
    versioned_in,
};
use super::error::{Error, LITHE_ERR_IO, boundary};
use super::handle;
use super::hub::{Hub, lithe_hub_t};
use super::server::{Server, lithe_server_t};
use crate::access::jwt::{self, Algorithm, Jwt, Key};
use crate::endpoint::{Builder, Endpoint};
use crate::server::inbox::{AskHost, MountError};
use crate::ws::Origins;

/// Who says what clients may do: LITHE_AUTHORIZE_PUBLIC and so on; 0 is the default.
pub type lithe_authorize = i32;

/// Everybody may subscribe to every channel, read its history and see who is on it; nobody may
/// publish. The default.
pub const LITHE_AUTHORIZE_PUBLIC: lithe_authorize = 1;
/// The host is asked: LITHE_EVENT_AUTHORIZE, or lithe_server_authorize.
pub const LITHE_AUTHORIZE_HOST: lithe_authorize = 2;
/// JSON Web Tokens say so, in the lists "subscribe", "publish", "history" and "presence" of their claim
/// "lithe".
pub const LITHE_AUTHORIZE_JWT: lithe_authorize = 3;

/// How a hub is served. To be initialized with LITHE_MOUNT_OPTIONS_INIT, which asks for the
/// defaults; a field that is 0 or NULL does so too. -1 in the place of a limit or a time is none.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_mount_options_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// Who says what clients may do.
    pub authorize: lithe_authorize,
    /// How long the host may take to answer a question; then the client is refused, and may try
    /// again. Default: 5 s. Cannot be -1.
    pub authorize_timeout_ms: i32,
    /// The pages that may connect, as a browser names them, with commas between them, or "*" for
    /// all, as in lithe_ws_options_t; then the cookies of pages from other hosts do not count.
    /// Default: pages from the server's own host.
    pub origins: *const c_char,
    /// The cookie that may hold a token. Default: "lithe_token".
    pub cookie: *const c_char,
    /// How many channels and patterns a client may be subscribed to. Default, and the most: 256.
    pub max_channels: i32,
    /// How many clients there may be; one more is told to come back later, in a way that an
    /// EventSource understands. Default: no limit but the server's.
    pub max_connections: i32,
    /// About how many bytes are on their way to a client at a time; what comes meanwhile stays in the
    /// hub, once for all. Default: 64 KiB. Cannot be -1.
    pub max_in_flight_bytes: i64,
    /// After how long without an event a comment is sent on an event stream. Default: 15 s.
    pub keep_alive_ms: i32,
    /// How long clients wait at most before they reconnect; each is given a time of its own, from a
    /// third of this on. Default: 3 s. Cannot be -1.
    pub retry_ms: i32,
    /// How the tokens are signed, for LITHE_AUTHORIZE_JWT: "HS256" and so on for a secret, "RS256",
    /// "PS256", "ES256", "EdDSA" and so on for a public key.
    pub jwt_algorithm: *const c_char,
    /// The secret, or the public key in PEM, that their signatures are checked with.
    pub jwt_key: lithe_string_t,
    /// A file with keys (RFC 7517, JSON Web Key Set), besides that one or in its place. It is read
    /// again when it has changed.
    pub jwt_key_file: *const c_char,
    /// Who they have to be from (iss). Default: anybody who has the key.
    pub jwt_issuer: *const c_char,
    /// Who they have to be for (aud). Default: tokens that are for somebody in particular are refused.
    pub jwt_audience: *const c_char,
}

// SAFETY: integers and raw pointers only, the size first.
unsafe impl Versioned for lithe_mount_options_t {
    const FIRST_SIZE: usize =
        offset_of!(lithe_mount_options_t, jwt_audience) + size_of::<*const c_char>();
}

const AUTHORIZE_TIMEOUT: Duration = Duration::from_secs(5);

impl lithe_mount_options_t {
    fn endpoint(&self, hub: &Hub, server: &Server) -> Result<Endpoint, Error> {
        let builder = self.limits(Endpoint::builder(hub.native.clone()))?;
        let timeout = millis("authorize_timeout_ms", self.authorize_timeout_ms)?;
        let timeout = timeout.some("authorize_timeout_ms")?.unwrap_or(AUTHORIZE_TIMEOUT);
        let builder = match self.authorize {
            0 | LITHE_AUTHORIZE_PUBLIC => builder,
            LITHE_AUTHORIZE_HOST => {
                builder.authorizer(AskHost { inbox: Arc::downgrade(&server.inbox), timeout })
            }
            LITHE_AUTHORIZE_JWT => {
                let (jwt, revocations) = (self.jwt()?, hub.revocations.clone());
                // A file of keys is looked after by a task.
                let built = hub.run(move || {
                    let jwt = jwt.build()?;
                    Ok(match revocations {
                        Some(revocations) => builder.authorizer(revocations.guard(jwt)),
                        None => builder.authorizer(jwt),
                    })
                })?;
                built.map_err(|error| match error {
                    jwt::Error::KeyFile(error) => Error::with(LITHE_ERR_IO, error),
                    error => bad_argument(error),
                })?
            }
            other => return Err(bad_argument(format_args!("authorize: there is no {other}"))),
        };
        Ok(builder.build())
    }

    fn limits(&self, builder: Builder) -> Result<Builder, Error> {
        let channels = count("max_channels", self.max_channels)?;
        let builder = channels.apply(builder, usize::MAX, Builder::max_channels);
        let connections = count("max_connections", self.max_connections)?;
        let builder = connections.apply(builder, usize::MAX, Builder::max_connections);
        let in_flight = count("max_in_flight_bytes", self.max_in_flight_bytes)?;
        let builder = match in_flight.some("max_in_flight_bytes")? {
            Some(bytes) => builder.max_in_flight(bytes),
            None => builder,
        };
        let keep_alive = millis("keep_alive_ms", self.keep_alive_ms)?.map(Some);
        let builder = keep_alive.apply(builder, None, Builder::keep_alive);
        let builder = match millis("retry_ms", self.retry_ms)?.some("retry_ms")? {
            Some(retry) => builder.retry(retry / 3..=retry),
            None => builder,
        };
        let builder = match text_z_in(self.cookie)? {
            Some(cookie) => builder.cookie(cookie),
            None => builder,
        };
        Ok(match text_z_in(self.origins)? {
            None => builder,
            Some("*") => builder.origins(Origins::Any),
            Some(origins) => {
                builder.origins(Origins::List(list(origins).map(Into::into).collect()))
            }
        })
    }

    fn jwt(&self) -> Result<jwt::Builder, Error> {
        let mut builder = Jwt::builder();
        if !self.jwt_key.ptr.is_null() {
            let name = text_z_in(self.jwt_algorithm)?;
            let name = name.ok_or_else(|| bad_argument("jwt_algorithm: a key needs one"))?;
            let algorithm: Algorithm = name.parse().map_err(bad_argument)?;
            let key = content_in(self.jwt_key.ptr.cast(), self.jwt_key.len)?;
            let key = match name.starts_with("HS") {
                true => Key::secret(algorithm, key),
                false => Key::pem(algorithm, key),
            };
            builder = builder.key(key.map_err(bad_argument)?);
        }
        if let Some(file) = text_z_in(self.jwt_key_file)? {
            builder = builder.key_file(file);
        }
        if let Some(issuer) = text_z_in(self.jwt_issuer)? {
            builder = builder.issuer(issuer);
        }
        if let Some(audience) = text_z_in(self.jwt_audience)? {
            builder = builder.audience(audience);
        }
        Ok(builder)
    }
}

impl From<MountError> for Error {
    fn from(error: MountError) -> Self {
        bad_argument(error)
    }
}

/// Serves a hub's channels below a path of the server, such as "/hub", by the library's own
/// protocol: "/hub/sse" as an event stream, "/hub/ws" as a WebSocket, "/hub/poll" as a long-poll,
/// with one cursor for all three, and "/hub/session" for tickets and new tokens. A page listens with
/// `new EventSource("/hub/sse?channel=news")`.
///
/// Requests below the path do not reach the host. What clients may do is said by the options; NULL is
/// for the defaults. A hub may be mounted on several servers, or at several paths with different
/// options, and stays mounted until the server is freed. The path is NUL-terminated, of letters,
/// digits and -_.~ between its slashes.
///
/// Reads the file of keys, if there is one, but otherwise never blocks. Errors: BAD_HANDLE, for
/// either, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE, IO when the file of keys cannot be used.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_mount(
    server: lithe_server_t,
    hub: lithe_hub_t,
    path: *const c_char,
    options: *const lithe_mount_options_t,
) -> i32 {
    boundary(|| {
        let server = handle::get::<Server>(server)?;
        let hub = handle::get::<Hub>(hub)?;
        let path = text_z_in(path)?.ok_or_else(|| bad_argument("the path is NULL"))?;
        let endpoint = match versioned_in(options)? {
            Some(options) => options.endpoint(&hub, &server)?,
            None => Endpoint::builder(hub.native.clone()).build(),
        };
        server.inbox.mounts().add(path, endpoint.router())?;
        Ok(())
    })
}
