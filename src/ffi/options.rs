//! Options by the names of their fields, for languages that have no structs.

use std::ffi::{CString, c_char, c_void};
use std::mem::offset_of;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use super::authorization::lithe_grant_t;
use super::codec::lithe_codec_options_t;
use super::convert::{Out, bad_argument, lithe_string_t, text_z_in};
use super::error::{Error, LITHE_ERR_NOT_FOUND, boundary, pointing};
use super::handle::{self, Kind, Object, Table};
use super::hub::lithe_publish_options_t;
use super::hub_options::{lithe_channel_options_t, lithe_hub_options_t};
use super::mount::lithe_mount_options_t;
use super::response::lithe_response_options_t;
use super::revoke::lithe_revocation_t;
use super::route::lithe_route_options_t;
use super::server::lithe_server_config_t;
use super::sse::{lithe_sse_event_t, lithe_sse_options_t};
use super::subscribe::lithe_subscribe_options_t;
use super::ws::lithe_ws_options_t;

/// A struct whose fields are set by their names: lithe_options_create gives it, lithe_options_free
/// takes it back.
pub type lithe_options_t = u64;

/// Which struct it is: LITHE_OPTIONS_SERVER and so on.
pub type lithe_options_kind = i32;

/// A lithe_server_config_t.
pub const LITHE_OPTIONS_SERVER: lithe_options_kind = 1;
/// A lithe_ws_options_t.
pub const LITHE_OPTIONS_WS: lithe_options_kind = 2;
/// A lithe_sse_options_t.
pub const LITHE_OPTIONS_SSE: lithe_options_kind = 3;
/// A lithe_sse_event_t.
pub const LITHE_OPTIONS_EVENT: lithe_options_kind = 4;
/// A lithe_response_options_t.
pub const LITHE_OPTIONS_RESPONSE: lithe_options_kind = 5;
/// A lithe_route_options_t.
pub const LITHE_OPTIONS_ROUTE: lithe_options_kind = 6;
/// A lithe_codec_options_t.
pub const LITHE_OPTIONS_CODEC: lithe_options_kind = 7;
/// A lithe_hub_options_t. Its array of namespaces is set as a number, which is its address.
pub const LITHE_OPTIONS_HUB: lithe_options_kind = 8;
/// A lithe_channel_options_t.
pub const LITHE_OPTIONS_CHANNEL: lithe_options_kind = 9;
/// A lithe_publish_options_t.
pub const LITHE_OPTIONS_PUBLISH: lithe_options_kind = 10;
/// A lithe_subscribe_options_t.
pub const LITHE_OPTIONS_SUBSCRIBE: lithe_options_kind = 11;
/// A lithe_mount_options_t.
pub const LITHE_OPTIONS_MOUNT: lithe_options_kind = 12;
/// A lithe_grant_t.
pub const LITHE_OPTIONS_GRANT: lithe_options_kind = 13;
/// A lithe_revocation_t.
pub const LITHE_OPTIONS_REVOCATION: lithe_options_kind = 14;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    I32,
    I64,
    U64,
    /// A length, or the address of an array.
    Word,
    /// A `const char *`.
    Text,
    /// A lithe_string_t.
    String,
}

/// A type that a field may have.
trait Typed {
    const TYPE: Type;
}

macro_rules! typed {
    ($($rust:ty => $type:ident,)*) => {
        $(impl Typed for $rust {
            const TYPE: Type = Type::$type;
        })*
    };
}
typed! {
    i32 => I32,
    i64 => I64,
    u64 => U64,
    usize => Word,
    *const *const lithe_channel_options_t => Word,
    *const c_char => Text,
    lithe_string_t => String,
}

const fn type_of<S, T: Typed>(_field: fn(&S) -> &T) -> Type {
    T::TYPE
}

struct Field {
    name: &'static str,
    offset: usize,
    holds: Type,
}

/// A struct that begins with its size.
struct Layout {
    size: usize,
    fields: &'static [Field],
}

macro_rules! layout {
    ($struct:ident { $($field:ident),* $(,)? } $(but $other:ident)?) => {{
        // Does not compile when a field is left out.
        const _: fn($struct) = |$struct { size: _, $($field: _,)* $($other: _)? }| {};
        const LAYOUT: Layout = Layout {
            size: size_of::<$struct>(),
            fields: &[$(Field {
                name: stringify!($field),
                offset: offset_of!($struct, $field),
                holds: type_of(|all: &$struct| &all.$field),
            }),*],
        };
        &LAYOUT
    }};
}

fn layout(kind: lithe_options_kind) -> Option<&'static Layout> {
    Some(match kind {
        LITHE_OPTIONS_SERVER => layout!(lithe_server_config_t {
            address,
            static_dir,
            tls_cert_file,
            tls_key_file,
            metrics_path,
            workers,
            max_connections,
            max_connections_per_ip,
            max_waiting_requests,
            max_header_bytes,
            max_body_bytes,
            handshake_timeout_ms,
            header_timeout_ms,
            body_timeout_ms,
            request_timeout_ms,
            idle_timeout_ms,
            write_timeout_ms,
            stream_bodies,
            reconnect_ms,
        }),
        LITHE_OPTIONS_WS => layout!(lithe_ws_options_t {
            protocols,
            origins,
            max_message_bytes,
            send_queue_bytes,
            receive_queue_bytes,
            max_messages_per_second,
            ping_interval_ms,
            peer_timeout_ms,
            idle_timeout_ms,
            close_timeout_ms,
            compression,
            events,
            user_data,
        }),
        LITHE_OPTIONS_SSE => layout!(lithe_sse_options_t {
            send_queue_bytes,
            keep_alive_ms,
            retry_ms,
            events,
            user_data,
        }),
        LITHE_OPTIONS_EVENT => layout!(lithe_sse_event_t { data, name, id, comment, retry_ms }),
        LITHE_OPTIONS_RESPONSE => {
            layout!(lithe_response_options_t { send_queue_bytes, events, user_data })
        }
        LITHE_OPTIONS_ROUTE => {
            layout!(lithe_route_options_t { max_body_bytes, timeout_ms, stream_body })
        }
        LITHE_OPTIONS_CODEC => layout!(lithe_codec_options_t { max_message_bytes, extensions }),
        LITHE_OPTIONS_HUB => layout!(lithe_hub_options_t {
            history_budget_bytes,
            replay_limit,
            replay_limit_bytes,
            max_pattern_channels,
            namespaces,
            namespace_count,
            redis_url,
            redis_prefix,
            redis_sentinel,
            redis_cluster,
            publish_timeout_ms,
            longest_token_ms,
        }),
        LITHE_OPTIONS_CHANNEL => layout!(lithe_channel_options_t {
            pattern,
            history_size,
            history_age_ms,
            backlog,
            overflow,
            after_gap,
            min_interval_ms,
            presence,
            idempotency_keys,
            idempotency_age_ms,
        }),
        LITHE_OPTIONS_PUBLISH => layout!(lithe_publish_options_t { name, key, idempotency_key }),
        LITHE_OPTIONS_SUBSCRIBE => layout!(lithe_subscribe_options_t {
            cursor,
            format,
            after_gap,
            ignore_gaps,
            strict_ids,
            client,
            info,
        }),
        LITHE_OPTIONS_MOUNT => layout!(lithe_mount_options_t {
            authorize,
            authorize_timeout_ms,
            origins,
            cookie,
            max_channels,
            max_connections,
            max_in_flight_bytes,
            keep_alive_ms,
            retry_ms,
            jwt_algorithm,
            jwt_key,
            jwt_key_file,
            jwt_issuer,
            jwt_audience,
        }),
        LITHE_OPTIONS_GRANT => {
            layout!(lithe_grant_t { allow, refusal, subject, info, expires_in_ms, tag })
        }
        LITHE_OPTIONS_REVOCATION => {
            layout!(lithe_revocation_t { token_id, subject, channel, issued_before_ms, until_ms })
        }
        _ => return None,
    })
}

/// What a handle names.
struct Options(Mutex<Struct>);

/// A struct of that layout, at a place that does not change, and the texts that it points to.
struct Struct {
    layout: &'static Layout,
    place: NonNull<u64>,
    texts: Vec<Option<CString>>,
}

// SAFETY: what it points to is its own.
unsafe impl Send for Struct {}

/// What a field is set to.
enum Value<'call> {
    /// NULL takes a text away.
    Text(Option<&'call str>),
    Number(i64),
}

impl Object for Options {
    const KIND: Kind = Kind::Options;

    fn table() -> &'static Table<Self> {
        static TABLE: Table<Options> = Table::new();
        &TABLE
    }
}

impl Struct {
    fn new(layout: &'static Layout) -> Self {
        let words: Box<[u64]> = vec![0; Self::words(layout)].into();
        // Only ever touched through this pointer from here on, by the host too.
        let place: NonNull<[u64]> = NonNull::from(Box::leak(words));
        let texts = layout.fields.iter().map(|_| None).collect();
        let mut all = Struct { layout, place: place.cast(), texts };
        all.write(0, layout.size);
        all
    }

    fn words(layout: &Layout) -> usize {
        layout.size.div_ceil(size_of::<u64>())
    }

    fn write<T>(&mut self, offset: usize, value: T) {
        assert!(align_of::<T>() <= align_of::<u64>());
        assert!(
            offset.is_multiple_of(align_of::<T>()) && offset + size_of::<T>() <= self.layout.size
        );
        // SAFETY: within the struct and aligned, as asserted.
        unsafe { self.place.byte_add(offset).cast::<T>().write(value) };
    }

    fn set(&mut self, name: &str, value: Value<'_>) -> Result<(), Error> {
        let fields = self.layout.fields;
        let Some(index) = fields.iter().position(|field| field.name == name) else {
            let names: Vec<_> = fields.iter().map(|field| field.name).collect();
            let names = names.join(", ");
            let message = format_args!("there is no field {name:?}; there are: {names}");
            return Err(Error::with(LITHE_ERR_NOT_FOUND, message));
        };
        let Field { offset, holds, .. } = fields[index];
        let number = |value: i64| bad_argument(format_args!("{name}: {value} is out of range"));
        match (holds, value) {
            (Type::Text | Type::String, Value::Text(text)) => self.set_text(index, text)?,
            (Type::Text | Type::String, Value::Number(_)) => {
                return Err(bad_argument(format_args!("{name}: holds a text, not a number")));
            }
            (_, Value::Text(text)) => {
                let text = text.unwrap_or_default();
                let wide = text.parse::<i128>().ok();
                let fits = |wide| match holds {
                    Type::U64 => u64::try_from(wide).ok().map(|value| value as i64),
                    _ => i64::try_from(wide).ok(),
                };
                let value = wide.and_then(fits).ok_or_else(|| {
                    bad_argument(format_args!("{name}: {text:?} is no number that it can hold"))
                })?;
                return self.set(name, Value::Number(value));
            }
            (Type::I32, Value::Number(value)) => {
                let value = i32::try_from(value).map_err(|_| number(value))?;
                self.write(offset, value);
            }
            (Type::I64 | Type::U64, Value::Number(value)) => self.write(offset, value),
            (Type::Word, Value::Number(value)) => {
                let value = usize::try_from(value).map_err(|_| number(value))?;
                self.write(offset, value);
            }
        }
        Ok(())
    }

    fn set_text(&mut self, index: usize, text: Option<&str>) -> Result<(), Error> {
        // It came with a NUL at its end, and so has none within.
        let text = text.map(CString::new).transpose().map_err(bad_argument)?;
        // Pointed to where it stays: a text that was moved is not the one that was pointed to.
        let _old = std::mem::replace(&mut self.texts[index], text);
        let text = self.texts[index].as_deref();
        let (first, len) =
            text.map_or((ptr::null(), 0), |text| (text.as_ptr(), text.count_bytes()));
        let Field { offset, holds, .. } = self.layout.fields[index];
        match holds {
            Type::String => self.write(offset, lithe_string_t { ptr: first, len }),
            _ => self.write(offset, first),
        }
        Ok(())
    }
}

impl Drop for Struct {
    fn drop(&mut self) {
        let words = ptr::slice_from_raw_parts_mut(self.place.as_ptr(), Self::words(self.layout));
        // SAFETY: it was leaked by `new`, with that length.
        drop(unsafe { Box::from_raw(words) });
    }
}

fn set(options: lithe_options_t, name: *const c_char, value: Value<'_>) -> Result<(), Error> {
    let options = handle::get::<Options>(options)?;
    let name = text_z_in(name)?.ok_or_else(|| bad_argument("the name is NULL"))?;
    options.0.lock().unwrap_or_else(PoisonError::into_inner).set(name, value)
}

/// Makes a struct for options, with the defaults: what its LITHE_..._INIT asks for. For languages
/// that have no structs; in C it is easier to fill one in.
///
/// On an error `*options` is 0. Never blocks. Errors: BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_options_create(
    kind: lithe_options_kind,
    options: *mut lithe_options_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(options, 0)?;
        let layout = layout(kind)
            .ok_or_else(|| bad_argument(format_args!("there is no kind of options {kind}")))?;
        out.put(handle::insert(Options(Mutex::new(Struct::new(layout))))?);
        Ok(())
    })
}

/// Sets the field with that name, such as "max_connections", to a value: to the text itself, which
/// is copied, or to the number that it is in decimals. NULL takes a text away. Both texts are
/// NUL-terminated. Not to be called while another call uses the struct.
///
/// What the numbers mean is checked where the struct is used. Never blocks. Errors: BAD_HANDLE,
/// BAD_ARGUMENT for what is no number, or none that the field can hold, NOT_UTF8, NOT_FOUND when
/// there is no such field: lithe_last_error lists those that there are.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_options_set(
    options: lithe_options_t,
    name: *const c_char,
    value: *const c_char,
) -> i32 {
    boundary(|| set(options, name, Value::Text(text_z_in(value)?)))
}

/// Sets the field with that name to a number. One that has no sign, such as "user_data", takes a
/// negative number as what it is in two's complement. Otherwise it is lithe_options_set, but that a
/// field that holds a text is BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_options_set_int(
    options: lithe_options_t,
    name: *const c_char,
    value: i64,
) -> i32 {
    boundary(|| set(options, name, Value::Number(value)))
}

/// The struct itself, to be handed to the functions that ask for a pointer to one of its kind; NULL
/// on an error, which lithe_last_error tells.
///
/// It stays where it is, and its texts with it, until lithe_options_free; what is set later is seen
/// there. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_options_pointer(options: lithe_options_t) -> *const c_void {
    pointing(|| {
        let options = handle::get::<Options>(options)?;
        let all = options.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.place.as_ptr().cast_const().cast())
    })
}

/// Ends the handle of options, and the struct with it. Never blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_options_free(options: lithe_options_t) -> i32 {
    boundary(|| handle::remove::<Options>(options).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::error::{LITHE_ERR_BAD_HANDLE, LITHE_OK};

    #[test]
    fn struct_stays_where_it_is_and_shows_what_is_set_later() {
        let mut options = 0;
        assert_eq!(lithe_options_create(LITHE_OPTIONS_EVENT, &raw mut options), LITHE_OK);
        let event = lithe_options_pointer(options).cast::<lithe_sse_event_t>();
        // SAFETY: it is such a struct, until it is freed.
        let seen = || unsafe { event.read() };
        assert_eq!(seen().size, size_of::<lithe_sse_event_t>());
        assert!(seen().data.ptr.is_null());
        for (name, value, expected) in [
            (c"data", c"first", Some("first")),
            (c"data", c"second", Some("second")),
            (c"retry_ms", c"7", Some("second")),
        ] {
            assert_eq!(lithe_options_set(options, name.as_ptr(), value.as_ptr()), LITHE_OK);
            let data = seen().data;
            assert_eq!(crate::ffi::convert::text_in(data.ptr, data.len).unwrap(), expected);
        }
        assert_eq!(seen().retry_ms, 7);
        assert_eq!(lithe_options_set(options, c"data".as_ptr(), ptr::null()), LITHE_OK);
        assert!(seen().data.ptr.is_null());
        assert_eq!(lithe_options_free(options), LITHE_OK);
        assert_eq!(lithe_options_free(options), LITHE_ERR_BAD_HANDLE);
    }

    #[test]
    fn every_kind_has_a_struct() {
        let mut kinds = (1..).map_while(layout);
        assert!(kinds.all(|layout| layout.fields.iter().all(|field| field.offset < layout.size)));
        assert!(
            layout(LITHE_OPTIONS_REVOCATION).is_some()
                && layout(LITHE_OPTIONS_REVOCATION + 1).is_none()
        );
    }
}
