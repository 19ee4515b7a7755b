"""Checks examples/python/lithe.py: its structs against the layouts on record, and its errors."""

import ctypes
import sys
import threading
from pathlib import Path

import lithe

BAD_HANDLE, BAD_ARGUMENT, NOT_FOUND, IO = -4, -5, -9, -10


def expect(code, function, *arguments, **options):
    try:
        function(*arguments, **options)
    except lithe.Error as error:
        assert error.code == code, f"{error.code} instead of {code}: {error}"
        assert str(error)
        return error
    raise AssertionError(f"no error instead of {code}")


def check_layouts(file):
    layouts = dict(line.split(" ", 1) for line in file.read_text().splitlines())
    for name, struct in (
        ("string", lithe._String),
        ("string", lithe._Text),
        ("message", lithe._Message),
        ("event", lithe._Event),
        ("sse_event", lithe._SseEvent),
        ("drain_report", lithe._DrainReport),
    ):
        assert int(layouts[f"lithe_{name}_t"]) == ctypes.sizeof(struct), name
        fields = sum(key.startswith(f"lithe_{name}_t.") for key in layouts)
        assert fields == len(struct._fields_), name
        for field, kind in struct._fields_:
            here = f"{getattr(struct, field).offset} {ctypes.sizeof(kind)}"
            assert layouts[f"lithe_{name}_t.{field}"] == here, f"{name}.{field}"


def check_errors():
    assert "max_connections" in str(expect(NOT_FOUND, lithe.Server, no_such_option=1))
    expect(BAD_ARGUMENT, lithe.Server, max_connections="many")
    with lithe.Server() as server:
        expect(IO, lithe.Server, f"127.0.0.1:{server.port}")
        assert isinstance(expect(-2, server.accept, timeout=0), TimeoutError)
        assert server.wait(timeout=0) == []
        server.begin_drain(timeout=0)
        (event,) = server.wait()
        assert (event.kind, event.source) == (lithe.DRAINED, server)
        assert server.drain() == lithe.DrainReport(drained=0, cut=0)
        assert isinstance(expect(-11, server.accept), lithe.Stopped)
        assert list(server) == []
    expect(BAD_HANDLE, server.fileno)
    server.free()
    expect(BAD_HANDLE, lithe.WebSocket().send, "text")
    expect(BAD_HANDLE, lithe.EventStream().send, "text")


def check_waiting_lets_other_threads_run():
    with lithe.Server() as server:
        waker = threading.Thread(target=server.wake)
        waker.start()
        assert server.wait() == []
        waker.join()


check_layouts(Path(sys.argv[1]))
check_errors()
check_waiting_lets_other_threads_run()
