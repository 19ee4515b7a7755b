//! What crosses the boundary, made into Rust values and back.
//!
//! Every pointer here comes from the host. What `lithe.h` asks of the host is what the `unsafe`
//! blocks rely on: memory that is lent for a call is valid, and not written to by others, until the
//! call returns. So no reference made here may outlive the exported function that asked for it.

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::slice;
use std::time::Duration;

use super::error::{
    Error, LITHE_ERR_BAD_ARGUMENT, LITHE_ERR_NOT_UTF8, LITHE_ERR_TIMEOUT, LITHE_ERR_TOO_LARGE,
    LITHE_ERR_TOO_SMALL,
};

/// `LITHE_CSTR` of the header: in place of a length, the text ends at its first NUL.
const CSTR: usize = usize::MAX;

/// A piece of text, or of bytes, and its length in bytes.
///
/// One that a host gets from Lithe is never NULL and has a NUL after its last byte, which `len`
/// does not count. In one that a host hands in, `len` may be LITHE_CSTR, and a NULL `ptr` stands
/// for no text at all.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_string_t {
    /// The first byte.
    pub ptr: *const c_char,
    /// How many bytes.
    pub len: usize,
}

impl lithe_string_t {
    pub(super) const EMPTY: Self = lithe_string_t { ptr: c"".as_ptr(), len: 0 };

    /// No text at all, in what a host hands in.
    pub(super) const NULL: Self = lithe_string_t { ptr: std::ptr::null(), len: 0 };

    /// The text, without its NUL. `text` must live as long as the header promises.
    pub(super) fn new(text: &CStr) -> Self {
        lithe_string_t { ptr: text.as_ptr(), len: text.count_bytes() }
    }
}

pub(super) fn bad_argument(message: impl ToString) -> Error {
    Error::with(LITHE_ERR_BAD_ARGUMENT, message)
}

/// Bytes that the host lends for the call.
pub(super) fn bytes_in<'call>(data: *const c_void, len: usize) -> Result<&'call [u8], Error> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Error::new(LITHE_ERR_BAD_ARGUMENT, c"the data is NULL, its length is not 0"));
    }
    if isize::try_from(len).is_err() {
        return Err(Error::new(LITHE_ERR_TOO_LARGE, c"the length is larger than the memory"));
    }
    // SAFETY: not null, not larger than an object can be, and lent by the host for the call.
    Ok(unsafe { slice::from_raw_parts(data.cast(), len) })
}

/// The same, where the length may be `LITHE_CSTR`.
pub(super) fn content_in<'call>(data: *const c_void, len: usize) -> Result<&'call [u8], Error> {
    match len {
        CSTR => cstr_in(data.cast()).map(|text| text.unwrap_or_default().to_bytes()),
        _ => bytes_in(data, len),
    }
}

/// Bytes that the host lends for the call, to be overwritten.
pub(super) fn bytes_out<'call>(data: *mut c_void, len: usize) -> Result<&'call mut [u8], Error> {
    let len = bytes_in(data, len)?.len();
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: as in `bytes_in`, and the host lends it to nobody else meanwhile.
    Ok(unsafe { slice::from_raw_parts_mut(data.cast(), len) })
}

/// Text that the host lends for the call; `None` for NULL.
pub(super) fn text_in<'call>(ptr: *const c_char, len: usize) -> Result<Option<&'call str>, Error> {
    if ptr.is_null() && (len == 0 || len == CSTR) {
        return Ok(None);
    }
    utf8(content_in(ptr.cast(), len)?).map(Some)
}

/// NUL-terminated text that the host lends for the call; `None` for NULL.
pub(super) fn text_z_in<'call>(ptr: *const c_char) -> Result<Option<&'call str>, Error> {
    text_in(ptr, CSTR)
}

fn cstr_in<'call>(ptr: *const c_char) -> Result<Option<&'call CStr>, Error> {
    if ptr.is_null() {
        return Ok(None);
    }
    // SAFETY: not null, and the host says that there is a NUL.
    Ok(Some(unsafe { CStr::from_ptr(ptr) }))
}

pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|error| Error::with(LITHE_ERR_NOT_UTF8, error))
}

/// Elements that the host lends for the call.
pub(super) fn array_in<'call, T>(first: *const T, count: usize) -> Result<&'call [T], Error> {
    if count == 0 {
        return Ok(&[]);
    }
    let fits = count.checked_mul(size_of::<T>()).is_some_and(|len| isize::try_from(len).is_ok());
    if first.is_null() || !first.is_aligned() || !fits {
        return Err(bad_argument("an array is NULL, misaligned or too long"));
    }
    // SAFETY: not null, aligned, not too large, and lent by the host for the call.
    Ok(unsafe { slice::from_raw_parts(first, count) })
}

/// Where the host wants a result. Holds an empty one until there is a better one, so that a host
/// that overlooks an error does not read memory that was never written.
pub(super) struct Out<T> {
    place: *mut T,
}

impl<T> Out<T> {
    pub(super) fn new(place: *mut T, empty: T) -> Result<Self, Error> {
        if place.is_null() || !place.is_aligned() {
            return Err(Error::new(LITHE_ERR_BAD_ARGUMENT, c"the place for the result is NULL"));
        }
        let out = Out { place };
        out.put(empty);
        Ok(out)
    }

    pub(super) fn put(&self, value: T) {
        // SAFETY: not null, aligned, and lent by the host for the call. What was there before
        // needs no drop: it may be anything.
        unsafe { self.place.write(value) };
    }
}

/// Copies a result into the host's buffer, and tells its length in any case. A buffer that is NULL
/// with a capacity of 0 is one that is too small.
pub(super) fn fill(
    buffer: *mut c_void,
    capacity: usize,
    len: &Out<usize>,
    result: &[u8],
) -> Result<(), Error> {
    len.put(result.len());
    if result.len() > capacity {
        return Err(Error::new(LITHE_ERR_TOO_SMALL, c"the buffer is too small for the result"));
    }
    if result.is_empty() {
        return Ok(());
    }
    if buffer.is_null() {
        return Err(bad_argument("the buffer is NULL, its capacity is not 0"));
    }
    // SAFETY: not null, lent by the host for the call, with room for `capacity` bytes.
    unsafe { buffer.cast::<u8>().copy_from_nonoverlapping(result.as_ptr(), result.len()) };
    Ok(())
}

/// Where the host wants several results. Nothing is read from there, so it may hold anything.
pub(super) struct OutArray<T> {
    first: *mut T,
    capacity: usize,
    len: usize,
}

impl<T> OutArray<T> {
    pub(super) fn new(first: *mut T, capacity: usize) -> Result<Self, Error> {
        // As many as can be counted in the result.
        let capacity = capacity.min(i32::MAX as usize);
        let fits = capacity.checked_mul(size_of::<T>());
        let fits = fits.is_some_and(|len| isize::try_from(len).is_ok());
        if first.is_null() || !first.is_aligned() || capacity == 0 || !fits {
            return Err(bad_argument("the array for the results is NULL, misaligned or empty"));
        }
        Ok(OutArray { first, capacity, len: 0 })
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == self.capacity
    }

    /// How many there are.
    pub(super) fn len(&self) -> i32 {
        // Cannot be more, by the capacity.
        self.len as i32
    }

    /// # Panics
    ///
    /// When it is full.
    pub(super) fn push(&mut self, value: T) {
        assert!(!self.is_full(), "more results than there is room for");
        // SAFETY: not null, aligned, within the array that the host lends for the call.
        unsafe { self.first.add(self.len).write(value) };
        self.len += 1;
    }
}

/// Whether what happens on a connection shall be told as events, and under which number.
pub(super) fn events_in(events: i32, user_data: u64) -> Result<Option<u64>, Error> {
    match events {
        0 => Ok(None),
        1 => Ok(Some(user_data)),
        other => Err(bad_argument(format_args!("events: {other} is neither 0 nor 1"))),
    }
}

/// Memory of the host to be filled.
pub(super) struct Room {
    place: *mut u8,
    len: usize,
}

impl Room {
    pub(super) fn new(place: *mut c_void, len: usize) -> Result<Self, Error> {
        if place.is_null() || len == 0 {
            return Err(Error::new(LITHE_ERR_BAD_ARGUMENT, c"there is no room for the result"));
        }
        Ok(Room { place: place.cast(), len })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Fills it from its beginning, as far as there is room.
    pub(super) fn fill(&self, bytes: &[u8]) {
        let len = bytes.len().min(self.len);
        // SAFETY: not null, lent by the host for the call with that much room, and not a part of
        // what the library holds.
        unsafe { self.place.copy_from_nonoverlapping(bytes.as_ptr(), len) };
    }
}

/// A struct that may grow in later versions of the library, and begins with its own size.
///
/// # Safety
///
/// `repr(C)`, the first field a `usize`, the others integers and raw pointers, so that any bytes
/// make a value.
pub(super) unsafe trait Versioned: Copy {
    /// Its size in the first version of the library that had it: up to the end of what was its
    /// last field then, whatever comes behind that later.
    const FIRST_SIZE: usize;
}

/// More than any version of a struct will ever have.
const LARGEST_STRUCT: usize = 64 * 1024;

/// A struct from a host that may have been built against another version of the header: what an
/// older one did not know yet is 0. `None` for NULL.
pub(super) fn versioned_in<T: Versioned>(host: *const T) -> Result<Option<T>, Error> {
    if host.is_null() {
        return Ok(None);
    }
    let size = size_in(host)?;
    let known = size.min(size_of::<T>());
    let later = bytes_in(host.wrapping_byte_add(known).cast(), size - known)?;
    if later.iter().any(|byte| *byte != 0) {
        return Err(bad_argument("a field is set that this version of the library does not know"));
    }
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: the host's struct has `size` bytes, and any bytes make a `T`.
    let mut value = unsafe {
        value.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(host.cast(), known);
        value.assume_init()
    };
    // SAFETY: the first field is a `usize`.
    unsafe { (&raw mut value).cast::<usize>().write(size_of::<T>()) };
    Ok(Some(value))
}

/// Writes as much of a struct as the host has room for, all but its size. Does nothing for NULL.
pub(super) fn versioned_out<T: Versioned>(host: *mut T, value: T) -> Result<(), Error> {
    if host.is_null() {
        return Ok(());
    }
    let known = size_in(host)?.min(size_of::<T>());
    let first = size_of::<usize>();
    // SAFETY: the host's struct has at least `known` bytes, as has `value`.
    unsafe {
        let from = (&raw const value).cast::<u8>().add(first);
        host.cast::<u8>().add(first).copy_from_nonoverlapping(from, known - first);
    }
    Ok(())
}

fn size_in<T: Versioned>(host: *const T) -> Result<usize, Error> {
    if !host.is_aligned() {
        return Err(bad_argument("a struct is misaligned"));
    }
    // SAFETY: not null, aligned, and begins with a `usize`.
    let size = unsafe { host.cast::<usize>().read() };
    if !(T::FIRST_SIZE..=LARGEST_STRUCT).contains(&size) {
        return Err(bad_argument("a struct's size is not set; initialize it with its ..._INIT"));
    }
    Ok(size)
}

/// How long a blocking function may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timeout {
    Forever,
    /// Zero for a try.
    After(Duration),
}

impl Timeout {
    pub(super) fn from_millis(millis: i32) -> Result<Self, Error> {
        match u64::try_from(millis) {
            Ok(millis) => Ok(Timeout::After(Duration::from_millis(millis))),
            Err(_) if millis == -1 => Ok(Timeout::Forever),
            Err(_) => Err(bad_argument(format_args!("a timeout of {millis} ms"))),
        }
    }

    pub(super) fn is_try(self) -> bool {
        self == Timeout::After(Duration::ZERO)
    }

    pub(super) fn duration(self) -> Option<Duration> {
        match self {
            Timeout::Forever => None,
            Timeout::After(duration) => Some(duration),
        }
    }
}

pub(super) fn timed_out() -> Error {
    Error::new(LITHE_ERR_TIMEOUT, c"it did not happen in time")
}

/// A number in a configuration: 0 asks for the default, -1 for none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting<T> {
    Default,
    None,
    Some(T),
}

impl<T> Setting<T> {
    fn new(name: &str, value: i64, make: impl FnOnce(u64) -> Option<T>) -> Result<Self, Error> {
        match value {
            0 => Ok(Setting::Default),
            -1 => Ok(Setting::None),
            _ => u64::try_from(value)
                .ok()
                .and_then(make)
                .map(Setting::Some)
                .ok_or_else(|| bad_argument(format_args!("{name}: {value} is out of range"))),
        }
    }

    /// Changes the type of the value.
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Setting<U> {
        match self {
            Setting::Default => Setting::Default,
            Setting::None => Setting::None,
            Setting::Some(value) => Setting::Some(change(value)),
        }
    }

    /// Applies the setting, with `none` standing for none at all.
    pub(super) fn apply<B>(self, builder: B, none: T, set: impl FnOnce(B, T) -> B) -> B {
        match self {
            Setting::Default => builder,
            Setting::None => set(builder, none),
            Setting::Some(value) => set(builder, value),
        }
    }

    /// The value, unless it is the default; for a setting that cannot be none.
    pub(super) fn some(self, name: &str) -> Result<Option<T>, Error> {
        match self {
            Setting::Default => Ok(None),
            Setting::None => Err(bad_argument(format_args!("{name}: cannot be switched off"))),
            Setting::Some(value) => Ok(Some(value)),
        }
    }
}

pub(super) fn millis(name: &str, value: impl Into<i64>) -> Result<Setting<Duration>, Error> {
    Setting::new(name, value.into(), |millis| Some(Duration::from_millis(millis)))
}

pub(super) fn count(name: &str, value: impl Into<i64>) -> Result<Setting<usize>, Error> {
    Setting::new(name, value.into(), |count| usize::try_from(count).ok())
}

/// The elements of a list with commas between them.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use std::ptr::null;

    use super::*;
    use crate::ffi::error::LITHE_ERR_BAD_ARGUMENT;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Old {
        size: usize,
        a: u64,
    }

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct New {
        size: usize,
        a: u64,
        b: u64,
    }

    // SAFETY: integers only, the size first.
    unsafe impl Versioned for Old {
        const FIRST_SIZE: usize = size_of::<Old>();
    }
    // SAFETY: integers only, the size first.
    unsafe impl Versioned for New {
        const FIRST_SIZE: usize = size_of::<Old>();
    }

    fn code<T>(result: Result<T, Error>) -> i32 {
        result.map_or_else(|error| error.code(), |_| 0)
    }

    #[test]
    fn older_host_gets_defaults_for_what_it_does_not_know() {
        let old = Old { size: size_of::<Old>(), a: 7 };
        let read = versioned_in((&raw const old).cast::<New>()).unwrap().unwrap();
        assert_eq!(read, New { size: size_of::<New>(), a: 7, b: 0 });
    }

    #[test]
    fn newer_host_is_taken_if_it_asks_for_nothing_new() {
        let mut new = New { size: size_of::<New>(), a: 7, b: 0 };
        let read = versioned_in((&raw const new).cast::<Old>()).unwrap().unwrap();
        assert_eq!(read, Old { size: size_of::<Old>(), a: 7 });
        new.b = 1;
        assert_eq!(code(versioned_in((&raw const new).cast::<Old>())), LITHE_ERR_BAD_ARGUMENT);
    }

    #[test]
    fn size_that_was_never_set_is_an_error() {
        for size in [0, 1, size_of::<Old>() - 1, usize::MAX] {
            let old = Old { size, a: 7 };
            assert_eq!(code(versioned_in(&raw const old)), LITHE_ERR_BAD_ARGUMENT, "{size}");
        }
        assert_eq!(versioned_in(null::<Old>()).unwrap(), None);
    }

    #[test]
    fn result_is_written_as_far_as_the_host_has_room() {
        let mut old = [Old { size: size_of::<Old>(), a: 1 }, Old { size: 5, a: 5 }];
        versioned_out((&raw mut old).cast::<New>(), New { size: 0, a: 7, b: 8 }).unwrap();
        assert_eq!(old, [Old { size: size_of::<Old>(), a: 7 }, Old { size: 5, a: 5 }]);
    }

    #[test]
    fn null_is_empty_only_with_length_0() {
        assert_eq!(bytes_in(null(), 0).unwrap(), b"");
        assert_eq!(code(bytes_in(null(), 1)), LITHE_ERR_BAD_ARGUMENT);
        assert_eq!(text_in(null(), CSTR).unwrap(), None);
        assert_eq!(code(text_in(null(), 1)), LITHE_ERR_BAD_ARGUMENT);
        assert_eq!(code(array_in::<u64>(null(), 1)), LITHE_ERR_BAD_ARGUMENT);
    }

    #[test]
    fn text_ends_at_its_length_or_its_nul() {
        let text = c"abc";
        assert_eq!(text_in(text.as_ptr(), 2).unwrap(), Some("ab"));
        assert_eq!(text_in(text.as_ptr(), CSTR).unwrap(), Some("abc"));
        assert_eq!(text_z_in(text.as_ptr()).unwrap(), Some("abc"));
        assert_eq!(code(text_in(b"\xff".as_ptr().cast(), 1)), LITHE_ERR_NOT_UTF8);
    }

    #[test]
    fn length_beyond_all_memory_is_an_error() {
        let byte = 0u8;
        let data = (&raw const byte).cast();
        assert_eq!(code(bytes_in(data, usize::MAX)), LITHE_ERR_TOO_LARGE);
        assert_eq!(code(array_in(&raw const byte, usize::MAX)), LITHE_ERR_BAD_ARGUMENT);
    }

    #[test]
    fn result_that_does_not_fit_is_not_written_but_its_length_told() {
        let (mut buffer, mut len) = ([0u8; 4], 0);
        let mut fill = |capacity, result: &[u8]| {
            let out = Out::new(&raw mut len, 0).unwrap();
            let code = code(fill(buffer.as_mut_ptr().cast(), capacity, &out, result));
            (code, buffer, len)
        };
        assert_eq!(fill(3, b"abcd"), (LITHE_ERR_TOO_SMALL, [0; 4], 4));
        assert_eq!(fill(4, b"abcd"), (0, *b"abcd", 4));
        assert_eq!(fill(4, b""), (0, *b"abcd", 0));
    }

    #[test]
    fn timeouts_are_milliseconds_with_two_special_values() {
        assert_eq!(Timeout::from_millis(-1).unwrap(), Timeout::Forever);
        assert!(Timeout::from_millis(0).unwrap().is_try());
        assert_eq!(Timeout::from_millis(5).unwrap().duration(), Some(Duration::from_millis(5)));
        assert_eq!(code(Timeout::from_millis(-2)), LITHE_ERR_BAD_ARGUMENT);
    }

    #[test]
    fn settings_are_0_for_the_default_and_minus_1_for_none() {
        assert_eq!(count("n", 0).unwrap(), Setting::Default);
        assert_eq!(count("n", -1).unwrap(), Setting::None);
        assert_eq!(count("n", 7).unwrap(), Setting::Some(7));
        assert_eq!(code(count("n", -2)), LITHE_ERR_BAD_ARGUMENT);
        assert_eq!(code(count("n", -1).unwrap().some("n")), LITHE_ERR_BAD_ARGUMENT);
    }
}
