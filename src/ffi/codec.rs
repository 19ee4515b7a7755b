//! The WebSocket protocol without sockets, for hosts that have their own.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::convert::{
    Out, OutArray, Versioned, bad_argument, bytes_in, bytes_out, count, fill, text_in, text_z_in,
    versioned_in,
};
use super::error::{
    Error, LITHE_ERR_CLOSED, LITHE_ERR_NOT_FOUND, LITHE_ERR_PROTOCOL, LITHE_ERR_TOO_LARGE,
    LITHE_ERR_TOO_SMALL, boundary, counting,
};
use super::handle::{self, Kind, Object, Table};
use super::message::{is_text, lithe_message_kind, lithe_message_t};
use crate::ws::codec::{
    self, Decoder, Deflate, DeflateParams, Deflater, Encoder, Inflater, Item, ProtocolError, Role,
};
use crate::ws::{CloseCode, is_key};

/// One end of a WebSocket without its socket: lithe_codec_create gives it, lithe_codec_free takes
/// it back. The host moves the bytes, and does the handshake before them.
pub type lithe_codec_t = u64;

/// LITHE_ROLE_SERVER or LITHE_ROLE_CLIENT.
pub type lithe_role = i32;

/// The end that was connected to.
pub const LITHE_ROLE_SERVER: lithe_role = 1;
/// The end that connects. It masks what it sends.
pub const LITHE_ROLE_CLIENT: lithe_role = 2;

/// How a codec shall work. To be initialized with LITHE_CODEC_OPTIONS_INIT, which asks for the
/// defaults; a field that is 0 or NULL does so too.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_codec_options_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// The largest message that is received; -1 for no limit. Default: 16 MiB.
    pub max_message_bytes: i64,
    /// The Sec-WebSocket-Extensions that the server has answered with (see
    /// lithe_codec_extensions), the same for both ends. Messages of 1 KiB and more are then
    /// compressed. NUL-terminated. Default: none.
    pub extensions: *const c_char,
}

// SAFETY: integers and raw pointers only, the size first.
unsafe impl Versioned for lithe_codec_options_t {
    const FIRST_SIZE: usize =
        offset_of!(lithe_codec_options_t, extensions) + size_of::<*const c_char>();
}

/// What a peer has sent: LITHE_ITEM_MESSAGE and so on.
pub type lithe_item_kind = i32;

/// A message.
pub const LITHE_ITEM_MESSAGE: lithe_item_kind = 1;
/// A ping, to be answered with a pong that holds the same (lithe_codec_encode_pong).
pub const LITHE_ITEM_PING: lithe_item_kind = 2;
/// A pong.
pub const LITHE_ITEM_PONG: lithe_item_kind = 3;
/// The peer closes: to be answered with lithe_codec_encode_close, unless this end has closed
/// before. It is the last item.
pub const LITHE_ITEM_CLOSE: lithe_item_kind = 4;

/// Something that a peer has sent.
#[repr(C)]
pub struct lithe_item_t {
    /// LITHE_ITEM_MESSAGE and so on.
    pub kind: lithe_item_kind,
    /// Of LITHE_ITEM_CLOSE: the close code, 1005 when the peer has sent none; else 0.
    pub code: i32,
    /// The message, what a ping or pong holds, or the reason of a close. It belongs to the host
    /// until lithe_message_free.
    pub message: lithe_message_t,
    /// 0. Room for what later versions tell.
    pub reserved: [u64; 2],
}

const DEFAULT_MAX_MESSAGE: usize = 16 << 20;
const MAX_CONTROL: usize = 125;
const MAX_REASON: usize = 123;
/// Stands for a close frame without a code (RFC 6455 §7.4.1).
const NO_CODE: i32 = 1005;

/// What a handle names.
struct Codec(Mutex<Ends>);

/// Both directions.
struct Ends {
    decoder: Decoder,
    encoder: Encoder,
    deflater: Option<Deflater>,
    failed: Option<ProtocolError>,
    /// What the peer has closed with.
    peer_code: Option<i32>,
    /// This end has.
    closed: bool,
}

impl Object for Codec {
    const KIND: Kind = Kind::Codec;

    fn table() -> &'static Table<Self> {
        static TABLE: Table<Codec> = Table::new();
        &TABLE
    }
}

impl Codec {
    fn new(role: lithe_role, options: Option<&lithe_codec_options_t>) -> Result<Self, Error> {
        let role = match role {
            LITHE_ROLE_SERVER => Role::Server,
            LITHE_ROLE_CLIENT => Role::Client,
            _ => return Err(bad_argument(format_args!("there is no role {role}"))),
        };
        let limit = options.map_or(0, |options| options.max_message_bytes);
        let limit = count("max_message_bytes", limit)?;
        let limit = limit.apply(DEFAULT_MAX_MESSAGE, usize::MAX, |_, bytes| bytes);
        let extensions = match options {
            Some(options) => text_z_in(options.extensions)?.filter(|text| !text.is_empty()),
            None => None,
        };
        let params = extensions.map(|extensions| {
            DeflateParams::agreed(extensions, role).ok_or_else(|| {
                bad_argument(format_args!("extensions: {extensions:?} cannot be met"))
            })
        });
        let params = params.transpose()?;
        let inflater = params.as_ref().map(Inflater::new);
        Ok(Codec(Mutex::new(Ends {
            decoder: Decoder::new(role, limit, limit).inflate(inflater),
            encoder: Encoder::new(role),
            deflater: params.map(|params| Deflater::new(&params, &Deflate::default())),
            failed: None,
            peer_code: None,
            closed: false,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ends {
    /// Decodes until there is no more room for items; says how many bytes were used.
    fn decode(
        &mut self,
        input: &mut [u8],
        items: &mut OutArray<lithe_item_t>,
    ) -> Result<usize, ProtocolError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let len = input.len();
        let peer_code = &mut self.peer_code;
        let left = self.decoder.decode_until(input, |item| {
            let item = lithe_item_t::new(item);
            if item.kind == LITHE_ITEM_CLOSE {
                *peer_code = Some(item.code);
            }
            items.push(item);
            if items.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match left {
            Ok(left) => Ok(len - left),
            Err(error) => {
                self.failed = Some(error);
                // What came before is handed over first; there is something left, so that the
                // host comes back.
                if items.len() == 0 { Err(error) } else { Ok(len - 1) }
            }
        }
    }

    fn open(&mut self) -> Result<&mut Self, Error> {
        if self.closed {
            return Err(Error::new(LITHE_ERR_CLOSED, c"this end has closed"));
        }
        Ok(self)
    }

    fn message(&mut self, text: bool, payload: &[u8], out: &mut Vec<u8>) {
        let deflater = self.deflater.as_mut().filter(|deflater| deflater.wants(payload.len()));
        if let Some(deflater) = deflater {
            match deflater.deflate(payload) {
                Some(deflated) if deflated.len() < payload.len() => {
                    return self.encoder.message(text, true, &deflated, out);
                }
                // The peer does not get to see it.
                _ => deflater.reset(),
            }
        }
        self.encoder.message(text, false, payload, out);
    }

    /// What a close is answered with, or is worth by itself.
    fn close_code(&self) -> i32 {
        match (self.failed, self.peer_code) {
            (Some(error), _) => u16::from(error.close_code()).into(),
            (None, Some(code)) => code,
            (None, None) => CloseCode::NORMAL.get().into(),
        }
    }
}

impl lithe_item_t {
    fn new(item: Item) -> Self {
        let (kind, code, message) = match item {
            Item::Message(message) => (LITHE_ITEM_MESSAGE, 0, lithe_message_t::new(message)),
            Item::Ping(payload) => (LITHE_ITEM_PING, 0, lithe_message_t::new(payload.into())),
            Item::Pong(payload) => (LITHE_ITEM_PONG, 0, lithe_message_t::new(payload.into())),
            Item::Close(close) => {
                let (code, reason) = close.map_or((NO_CODE, "".into()), |(code, reason)| {
                    (u16::from(code).into(), reason)
                });
                (LITHE_ITEM_CLOSE, code, lithe_message_t::new(reason.into()))
            }
        };
        lithe_item_t { kind, code, message, reserved: [0; 2] }
    }
}

/// Where an encoded frame goes.
struct Frame<'call> {
    buffer: *mut c_void,
    capacity: usize,
    len: &'call Out<usize>,
}

impl Frame<'_> {
    /// Encodes a frame whose payload is at most `payload` bytes long. When there is no room for it
    /// `encode` is not called, as if the function never was.
    fn put(
        self,
        encoder: &Encoder,
        payload: usize,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Error> {
        let needed = encoder.frame_len(payload);
        if needed > self.capacity {
            self.len.put(needed);
            return Err(Error::new(LITHE_ERR_TOO_SMALL, c"the buffer is too small for the frame"));
        }
        let mut frame = Vec::with_capacity(needed);
        encode(&mut frame);
        fill(self.buffer, self.capacity, self.len, &frame)
    }
}

/// Encodes a control frame that is not a close.
fn encode_control(
    codec: lithe_codec_t,
    data: *const c_void,
    data_len: usize,
    frame: Frame<'_>,
    encode: fn(&Encoder, &[u8], &mut Vec<u8>),
) -> Result<(), Error> {
    let codec = handle::get::<Codec>(codec)?;
    let payload = bytes_in(data, data_len)?;
    if payload.len() > MAX_CONTROL {
        return Err(Error::new(LITHE_ERR_TOO_LARGE, c"a ping or pong holds at most 125 bytes"));
    }
    let encoder = codec.lock().open()?.encoder;
    frame.put(&encoder, payload.len(), |out| encode(&encoder, payload, out))
}

/// Makes one end of a WebSocket, for a host that has sockets of its own. The handshake is the
/// host's (see lithe_codec_accept_key); what comes after it is decoded and encoded here.
///
/// `options` may be NULL for the defaults. On an error `*codec` is 0. Never blocks. Errors:
/// BAD_ARGUMENT, NOT_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_codec_create(
    role: lithe_role,
    options: *const lithe_codec_options_t,
    codec: *mut lithe_codec_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(codec, 0)?;
        let options = versioned_in(options)?;
        out.put(handle::insert(Codec::new(role, options.as_ref())?)?);
        Ok(())
    })
}

/// Decodes bytes from the peer, in any split, and returns how many items they have completed: at
/// most `capacity`, which are put into `items`. How many bytes were used goes to `*used`; while that
/// is less than `len` the call is to be repeated with the rest. What is incomplete is kept.
///
/// The bytes are decoded in place: what was used is overwritten. Bytes behind a close are ignored.
/// Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, TOO_LARGE, PROTOCOL when the peer has broken the
/// protocol or sent a message over the limit: the host sends a close (lithe_codec_encode_close with
/// the code 0 says why) and ends the connection; every further call says so again.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_codec_decode(
    codec: lithe_codec_t,
    data: *mut c_void,
    len: usize,
    used: *mut usize,
    items: *mut lithe_item_t,
    capacity: usize,
) -> i32 {
    counting(|| {
        let used = Out::new(used, 0)?;
        let mut items = OutArray::new(items, capacity)?;
        let codec = handle::get::<Codec>(codec)?;
        let decoded = codec.lock().decode(bytes_out(data, len)?, &mut items);
        used.put(decoded.map_err(|error| Error::with(LITHE_ERR_PROTOCOL, error))?);
        Ok(items.len())
    })
}

/// Encodes a message: `kind` is LITHE_TEXT, for UTF-8, or LITHE_BINARY. It goes to `buffer`, which
/// has room for `capacity` bytes, and its encoded length to `*len`.
///
/// When there is too little room nothing is written or changed, and `*len` is how much there must
/// be: NULL and 0 ask for that. A message that is compressed takes less in the end. On another
/// error `*len` is 0. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE,
/// TOO_SMALL, CLOSED after lithe_codec_encode_close.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_codec_encode_message(
    codec: lithe_codec_t,
    kind: lithe_message_kind,
    data: *const c_void,
    data_len: usize,
    buffer: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> i32 {
    boundary(|| {
        let len = Out::new(len, 0)?;
        let codec = handle::get::<Codec>(codec)?;
        let payload = bytes_in(data, data_len)?;
        let text = is_text(kind, payload)?;
        let mut ends = codec.lock();
        let ends = ends.open()?;
        let frame = Frame { buffer, capacity, len: &len };
        frame.put(&ends.encoder.clone(), payload.len(), |out| ends.message(text, payload, out))
    })
}

/// Encodes a ping, which holds at most 125 bytes. Otherwise it is lithe_codec_encode_message.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_codec_encode_ping(
    codec: lithe_codec_t,
    data: *const c_void,
    data_len: usize,
    buffer: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> i32 {
    boundary(|| {
        let len = Out::new(len, 0)?;
        let frame = Frame { buffer, capacity, len: &len };
        encode_control(codec, data, data_len, frame, Encoder::ping)
    })
}

/// Encodes a pong, which holds at most 125 bytes. Otherwise it is lithe_codec_encode_message.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_codec_encode_pong(
    codec: lithe_codec_t,
    data: *const c_void,
    data_len: usize,
    buffer: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> i32 {
    boundary(|| {
        let len = Out::new(len, 0)?;
        let frame = Frame { buffer, capacity, len: &len };
        encode_control(codec, data, data_len, frame, Encoder::pong)
    })
}

/// Encodes a close, after which this end sends nothing more: every later call that encodes says
/// CLOSED.
///
/// `code` is 0 for what lithe_codec_close_code says, a code as lithe_ws_close takes it, or 1005 for
/// a close without a code. The reason, at most 123 bytes of UTF-8, may be NULL; `reason_len` may be
/// LITHE_CSTR. Otherwise it is lithe_codec_encode_message.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_codec_encode_close(
    codec: lithe_codec_t,
    code: i32,
    reason: *const c_char,
    reason_len: usize,
    buffer: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> i32 {
    boundary(|| {
        let len = Out::new(len, 0)?;
        let codec = handle::get::<Codec>(codec)?;
        let reason = text_in(reason, reason_len)?;
        if reason.is_some_and(|reason| reason.len() > MAX_REASON) {
            return Err(Error::new(LITHE_ERR_TOO_LARGE, c"the reason is longer than 123 bytes"));
        }
        let mut ends = codec.lock();
        let ends = ends.open()?;
        let why = ends.failed.filter(|_| code == 0 && reason.is_none());
        let why = why.map(|error| error.to_string());
        let reason = reason.or(why.as_deref()).unwrap_or_default();
        let code = match code {
            0 => ends.close_code(),
            NO_CODE => NO_CODE,
            code => u16::try_from(code)
                .ok()
                .and_then(CloseCode::new)
                .map(|code| code.get().into())
                .ok_or_else(|| bad_argument(format_args!("{code} is no close code to send")))?,
        };
        let close = (code != NO_CODE).then(|| (codec::CloseCode::from(code as u16), reason));
        let payload = if close.is_some() { 2 + reason.len() } else { 0 };
        let frame = Frame { buffer, capacity, len: &len };
        let encoder = ends.encoder;
        frame.put(&encoder, payload, |out| encoder.close(close, out))?;
        ends.closed = true;
        Ok(())
    })
}

/// The code that lithe_codec_encode_close sends for 0: by what the peer has done wrong 1002, 1007
/// or 1009; else what it has closed with, 1005 for no code at all; else 1000. Never blocks. Errors:
/// BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_codec_close_code(codec: lithe_codec_t) -> i32 {
    counting(|| Ok(handle::get::<Codec>(codec)?.lock().close_code()))
}

/// Writes a new, random Sec-WebSocket-Key for a client to send: 24 bytes, to which no NUL is added.
/// The server has to answer it with what lithe_codec_accept_key says.
///
/// When there is too little room nothing is written, and `*len` is how much there must be. Never
/// blocks. Errors: BAD_ARGUMENT, TOO_SMALL.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_codec_create_key(
    buffer: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> i32 {
    boundary(|| {
        let len = Out::new(len, 0)?;
        fill(buffer, capacity, &len, generate_key().as_bytes())
    })
}

/// Writes the Sec-WebSocket-Accept that answers a Sec-WebSocket-Key, both without line ends: 28
/// bytes, to which no NUL is added. `key` is NUL-terminated.
///
/// When there is too little room nothing is written, and `*len` is how much there must be. Never
/// blocks. Errors: BAD_ARGUMENT, also for what is no key, NOT_UTF8, TOO_SMALL.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_codec_accept_key(
    key: *const c_char,
    buffer: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> i32 {
    boundary(|| {
        let len = Out::new(len, 0)?;
        let key = text_z_in(key)?.ok_or_else(|| bad_argument("the key is NULL"))?;
        if !is_key(key.as_bytes()) {
            return Err(bad_argument("the key is not the base64 of 16 bytes"));
        }
        fill(buffer, capacity, &len, derive_accept_key(key.as_bytes()).as_bytes())
    })
}

/// Writes the Sec-WebSocket-Extensions that a server answers a client's offer of compression with,
/// which is then also for lithe_codec_options_t. No NUL is added. `offer` is NUL-terminated: the
/// client's header of that name.
///
/// When there is too little room nothing is written, and `*len` is how much there must be. Never
/// blocks. Errors: BAD_ARGUMENT, NOT_UTF8, TOO_SMALL, NOT_FOUND when the offer holds nothing that
/// can be met: such an answer has no header of that name.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_codec_extensions(
    offer: *const c_char,
    buffer: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> i32 {
    boundary(|| {
        let len = Out::new(len, 0)?;
        let offer = text_z_in(offer)?.ok_or_else(|| bad_argument("the offer is NULL"))?;
        let (_, answer) = codec::negotiate(offer, &Deflate::default()).ok_or_else(|| {
            Error::new(LITHE_ERR_NOT_FOUND, c"no offer of compression can be met")
        })?;
        fill(buffer, capacity, &len, answer.as_bytes())
    })
}

/// Ends a codec's handle. Never blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_codec_free(codec: lithe_codec_t) -> i32 {
    boundary(|| handle::remove::<Codec>(codec).map(drop))
}
