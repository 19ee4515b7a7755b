"""Lithe for Python, by ctypes: servers with WebSockets and Server-Sent Events.

A thin layer over the C interface. include/lithe.h is the manual: of the options, which are keyword
arguments here, and of what blocks and what is safe on several threads, which is everything. Times
are in seconds; None waits for ever. A call that waits lets other Python threads run.

The library is taken from the path in LITHE_LIBRARY, or else from where the system finds it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_size_t, c_uint64, c_void_p
from typing import Any, NamedTuple, TypeVar, Union

ABI_VERSION = 1
TEXT, BINARY = 1, 2

# The kinds of events.
REQUEST, OPEN, MESSAGE, WRITABLE, CLOSED, DRAINED, READABLE = range(1, 8)

Message = Union[str, bytes]
Self = TypeVar("Self", bound="_Handle")


class Error(Exception):
    """A function of the library has failed: `code` is one of the LITHE_ERR_ codes."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Closed(Error):
    """The connection is closed."""


class TimedOut(Error, TimeoutError):
    """What was waited for did not happen in time."""


class Full(Error):
    """The send queue is full, and the call was not to wait."""


class Stopped(Error):
    """The server is stopped."""


_ERRORS: dict[int, type[Error]] = {-1: Closed, -2: TimedOut, -3: Full, -11: Stopped}
_NOT_FOUND = -9


class _String(ctypes.Structure):
    _fields_ = [("ptr", c_void_p), ("len", c_size_t)]


class _Message(ctypes.Structure):
    _fields_ = [("kind", c_int32), ("data", c_void_p), ("len", c_size_t), ("owner", c_void_p * 4)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("kind", c_int32),
        ("code", c_int32),
        ("clean", c_int32),
        ("handle_kind", c_int32),
        ("handle", c_uint64),
        ("user_data", c_uint64),
        ("message", _Message),
        ("reserved", c_uint64 * 4),
    ]


class _Text(ctypes.Structure):
    """A lithe_string_t that is handed in, and keeps its bytes alive."""

    _fields_ = [("ptr", c_char_p), ("len", c_size_t)]


class _SseEvent(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("data", _Text),
        ("name", _Text),
        ("id", _Text),
        ("comment", _Text),
        ("retry_ms", c_int64),
    ]


class _DrainReport(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("drained", c_uint64), ("cut", c_uint64)]


_library = ctypes.CDLL(
    os.environ.get("LITHE_LIBRARY")
    or ctypes.util.find_library("lithe")
    or f"liblithe.so.{ABI_VERSION}"
)
_library.lithe_last_error.restype = c_char_p
if _library.lithe_abi_version() != ABI_VERSION:
    raise ImportError(f"{_library._name} has another ABI version than {ABI_VERSION}")


def _check(result: int, _function: Any, _arguments: Any) -> int:
    if result < 0:
        text = _library.lithe_last_error().decode(errors="replace")
        raise _ERRORS.get(result, Error)(result, text)
    return result


def _function(name: str, *arguments: Any, result: Any = c_int32) -> Any:
    function = getattr(_library, name)
    function.argtypes = arguments
    function.restype = result
    if result is not None and result is not c_void_p:
        function.errcheck = _check
    return function


_server_start = _function("lithe_server_start", c_void_p, POINTER(c_uint64))
_server_port = _function("lithe_server_port", c_uint64)
_server_accept = _function("lithe_server_accept", c_uint64, POINTER(c_uint64), c_int32)
_server_wait = _function("lithe_server_wait", c_uint64, POINTER(_Event), c_size_t, c_int32)
_server_wake = _function("lithe_server_wake", c_uint64)
_server_event_fd = _function("lithe_server_event_fd", c_uint64)
_server_begin_drain = _function("lithe_server_begin_drain", c_uint64, c_int32)
_server_drain = _function("lithe_server_drain", c_uint64, c_int32, POINTER(_DrainReport))
_server_free = _function("lithe_server_free", c_uint64)
_event_free = _function("lithe_event_free", POINTER(_Event), c_size_t, result=None)
_message_free = _function("lithe_message_free", POINTER(_Message), result=None)
_request_method = _function("lithe_request_method", c_uint64, POINTER(_String))
_request_path = _function("lithe_request_path", c_uint64, POINTER(_String))
_request_body = _function("lithe_request_body", c_uint64, POINTER(_String))
_request_header = _function("lithe_request_header", c_uint64, c_char_p, c_size_t, POINTER(_String))
_request_query_param = _function("lithe_request_query_param", c_uint64, c_char_p, POINTER(_String))
_request_last_event_id = _function("lithe_request_last_event_id", c_uint64, POINTER(_String))
_request_is_websocket = _function("lithe_request_is_websocket", c_uint64)
_request_respond = _function(
    "lithe_request_respond", c_uint64, c_int32, POINTER(_Text), c_size_t, c_char_p, c_size_t
)
_request_free = _function("lithe_request_free", c_uint64)
_ws_accept = _function("lithe_ws_accept", c_uint64, c_void_p, POINTER(c_uint64))
_ws_receive = _function("lithe_ws_receive", c_uint64, POINTER(_Message), c_int32)
_ws_send = _function("lithe_ws_send", c_uint64, c_int32, c_char_p, c_size_t, c_int32)
_ws_close = _function("lithe_ws_close", c_uint64, c_int32, c_char_p, c_size_t)
_ws_free = _function("lithe_ws_free", c_uint64)
_sse_open = _function("lithe_sse_open", c_uint64, c_void_p, POINTER(c_uint64))
_sse_send = _function("lithe_sse_send", c_uint64, POINTER(_SseEvent), c_int32)
_sse_send_many = _function(
    "lithe_sse_send_many", POINTER(c_uint64), c_size_t, POINTER(_SseEvent), POINTER(c_int32)
)
_sse_close = _function("lithe_sse_close", c_uint64)
_sse_free = _function("lithe_sse_free", c_uint64)
_options_create = _function("lithe_options_create", c_int32, POINTER(c_uint64))
_options_set = _function("lithe_options_set", c_uint64, c_char_p, c_char_p)
_options_pointer = _function("lithe_options_pointer", c_uint64, result=c_void_p)
_options_free = _function("lithe_options_free", c_uint64)


def _milliseconds(timeout: float | None) -> int:
    return -1 if timeout is None else min(math.ceil(timeout * 1000), 2**31 - 1)


def _text(value: str | None) -> _Text:
    data = None if value is None else value.encode()
    return _Text(data, 0 if data is None else len(data))


def _taken(message: _Message) -> Message:
    data = ctypes.string_at(message.data, message.len)
    return data.decode() if message.kind == TEXT else data


class _Handle:
    """What a handle names; `free`, or the end of a `with`, ends it."""

    _end: Any

    def __init__(self, handle: int = 0) -> None:
        self.handle = handle

    def free(self) -> None:
        handle, self.handle = self.handle, 0
        if handle:
            type(self)._end(handle)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.free()


class _Options(_Handle):
    """A struct of options, whose fields the library knows by their names."""

    SERVER, WS, SSE = 1, 2, 3
    _end = _options_free

    def __init__(self, kind: int, options: dict[str, Any]) -> None:
        handle = c_uint64()
        _options_create(kind, byref(handle))
        super().__init__(handle.value)
        try:
            for name, value in options.items():
                text = value if isinstance(value, str) else str(int(value))
                _options_set(self.handle, name.encode(), text.encode())
        except BaseException:
            self.free()
            raise

    def pointer(self) -> int:
        address: int = _options_pointer(self.handle)
        return address


class _Connection(_Handle):
    """What can have events. Those that do are known by their user_data."""

    _with_events: dict[int, _Connection] = {}
    _keys = itertools.count(1)
    _key = 0

    def _open(self, function: Any, request: int, kind: int, options: dict[str, Any]) -> None:
        handle = c_uint64()
        if options.get("events"):
            # Its events may come, on another thread, before the function has returned.
            self._key = next(self._keys)
            self._with_events[self._key] = self
        try:
            with _Options(kind, {**options, "user_data": self._key}) as struct:
                function(request, struct.pointer(), byref(handle))
        except BaseException:
            self.free()
            raise
        self.handle = handle.value

    def free(self) -> None:
        self._with_events.pop(self._key, None)
        super().free()


class WebSocket(_Connection):
    """A WebSocket. Iterating over it gives its messages, until it is closed."""

    _end = _ws_free

    def receive(self, timeout: float | None = None) -> Message:
        message = _Message()
        _ws_receive(self.handle, byref(message), _milliseconds(timeout))
        try:
            return _taken(message)
        finally:
            _message_free(byref(message))

    def __iter__(self) -> Iterator[Message]:
        while True:
            try:
                yield self.receive()
            except Closed:
                return

    def send(self, message: Message, timeout: float | None = None) -> None:
        kind, data = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
        _ws_send(self.handle, kind, data, len(data), _milliseconds(timeout))

    def close(self, code: int = 1000, reason: str = "") -> None:
        data = reason.encode()
        _ws_close(self.handle, code, data, len(data))


class EventStream(_Connection):
    """An event stream, as an EventSource in a browser reads it."""

    _end = _sse_free

    def send(
        self,
        data: str,
        name: str | None = None,
        id: str | None = None,
        timeout: float | None = None,
    ) -> None:
        _sse_send(self.handle, byref(_sse_event(data, name, id)), _milliseconds(timeout))

    def close(self) -> None:
        _sse_close(self.handle)


def _sse_event(data: str, name: str | None, id: str | None) -> _SseEvent:
    size = ctypes.sizeof(_SseEvent)
    return _SseEvent(size=size, data=_text(data), name=_text(name), id=_text(id))


def send_many(
    streams: Sequence[EventStream], data: str, name: str | None = None, id: str | None = None
) -> list[type[Error] | None]:
    """Sends an event on many streams, without waiting for any. Tells of each what came of it: None,
    or the error that `EventStream.send` would have raised."""
    handles = (c_uint64 * len(streams))(*(stream.handle for stream in streams))
    results = (c_int32 * len(streams))()
    _sse_send_many(handles, len(streams), byref(_sse_event(data, name, id)), results)
    return [_ERRORS.get(result, Error) if result < 0 else None for result in results]


class Request(_Handle):
    """A request, to be answered once. Freed without an answer it is answered with 503."""

    _end = _request_free

    def _get(self, function: Any, *arguments: object) -> bytes:
        value = _String()
        function(self.handle, *arguments, byref(value))
        return ctypes.string_at(value.ptr, value.len)

    def _find(self, function: Any, *arguments: object) -> str | None:
        try:
            return self._get(function, *arguments).decode(errors="replace")
        except Error as error:
            if error.code != _NOT_FOUND:
                raise
            return None

    @property
    def method(self) -> str:
        return self._get(_request_method).decode()

    @property
    def path(self) -> str:
        return self._get(_request_path).decode()

    @property
    def body(self) -> bytes:
        return self._get(_request_body)

    @property
    def is_websocket(self) -> bool:
        return bool(_request_is_websocket(self.handle))

    @property
    def last_event_id(self) -> str | None:
        return self._find(_request_last_event_id)

    def header(self, name: str) -> str | None:
        data = name.encode()
        return self._find(_request_header, data, len(data))

    def query_param(self, name: str) -> str | None:
        return self._find(_request_query_param, name.encode())

    def respond(self, status: int, body: Message, content_type: str | None = None) -> None:
        is_text = isinstance(body, str)
        data = body.encode() if isinstance(body, str) else body
        default = "text/plain; charset=utf-8" if is_text else "application/octet-stream"
        header = (_Text * 2)(_text("Content-Type"), _text(content_type or default))
        _request_respond(self.handle, status, header, 1, data, len(data))

    def accept_websocket(self, **options: str | int) -> WebSocket:
        """With events=1 what happens on it comes out of `Server.wait`."""
        ws = WebSocket()
        ws._open(_ws_accept, self.handle, _Options.WS, options)
        return ws

    def open_events(self, **options: str | int) -> EventStream:
        """With events=1 what happens on it comes out of `Server.wait`."""
        sse = EventStream()
        sse._open(_sse_open, self.handle, _Options.SSE, options)
        return sse


class Event(NamedTuple):
    """Something that has happened. Its `source` is a Request, WebSocket, EventStream or Server. A
    WebSocket or EventStream is still to be freed after its last event, which is CLOSED."""

    kind: int
    source: Any
    message: Message
    code: int
    clean: bool


class DrainReport(NamedTuple):
    """How many connections ended by themselves in a drain, and how many were cut."""

    drained: int
    cut: int


class Server(_Handle):
    """A server, which listens once it is made. Iterating over it gives its requests, until it is
    stopped. It has a `fileno`, so event loops can wait for it."""

    _end = _server_free

    def __init__(self, address: str = "127.0.0.1:0", **options: str | int) -> None:
        handle = c_uint64()
        with _Options(_Options.SERVER, {**options, "address": address}) as struct:
            _server_start(struct.pointer(), byref(handle))
        super().__init__(handle.value)

    @property
    def port(self) -> int:
        port: int = _server_port(self.handle)
        return port

    def accept(self, timeout: float | None = None) -> Request:
        handle = c_uint64()
        _server_accept(self.handle, byref(handle), _milliseconds(timeout))
        return Request(handle.value)

    def __iter__(self) -> Iterator[Request]:
        while True:
            try:
                yield self.accept()
            except Stopped:
                return

    def fileno(self) -> int:
        descriptor: int = _server_event_fd(self.handle)
        return descriptor

    def wait(self, timeout: float | None = None, capacity: int = 256) -> list[Event]:
        """What has happened: at most `capacity` events, and none when the time is over."""
        events = (_Event * capacity)()
        count = _server_wait(self.handle, events, capacity, _milliseconds(timeout))
        try:
            return [taken for event in events[:count] if (taken := self._event(event))]
        finally:
            _event_free(events, count)

    def _event(self, event: _Event) -> Event | None:
        source: Any
        if event.kind in (REQUEST, READABLE):
            source = Request(event.handle)
        elif event.kind == DRAINED:
            source = self
        else:
            source = _Connection._with_events.get(event.user_data)
            if source is None:
                return None  # Freed by another thread.
            source.handle = event.handle
        message = _taken(event.message) if event.message.data else ""
        return Event(event.kind, source, message, event.code, bool(event.clean))

    def wake(self) -> None:
        _server_wake(self.handle)

    def begin_drain(self, timeout: float | None = None) -> None:
        _server_begin_drain(self.handle, _milliseconds(timeout))

    def drain(self, timeout: float | None = None) -> DrainReport:
        report = _DrainReport(size=ctypes.sizeof(_DrainReport))
        _server_drain(self.handle, _milliseconds(timeout), byref(report))
        return DrainReport(report.drained, report.cut)
