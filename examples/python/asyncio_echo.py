"""A WebSocket echo inside asyncio, in one thread: the loop waits for the server's descriptor beside
all else that it waits for.

LITHE_LIBRARY=target/release/liblithe.so python3 examples/python/asyncio_echo.py [PORT]

Nobody waits for a slow client: one that sends and does not read what it gets back is closed once its
send queue is full. SIGINT and SIGTERM part from all clients kindly.
"""

import asyncio
import signal
import sys
from contextlib import suppress

import lithe


def answer(request: lithe.Request) -> None:
    # An error is for a client that has gone, or a page of others, which was refused.
    with request, suppress(lithe.Error):
        if request.is_websocket:
            request.accept_websocket(events=1)
        else:
            request.respond(426, "Only WebSockets here.\n")


def echo(ws: lithe.WebSocket, message: lithe.Message) -> None:
    with suppress(lithe.Closed):
        try:
            ws.send(message, timeout=0)
        except lithe.Full:
            ws.close(1013, "too slow")


def take(server: lithe.Server, drained: asyncio.Event) -> None:
    """Takes what has happened. When that is not all, the loop calls this again."""
    for event in server.wait(timeout=0):
        if event.kind == lithe.REQUEST:
            answer(event.source)
        elif event.kind == lithe.MESSAGE:
            echo(event.source, event.message)
        elif event.kind == lithe.CLOSED:
            print(f"a client has left with {event.code}", flush=True)
            event.source.free()
        elif event.kind == lithe.DRAINED:
            drained.set()


async def main() -> None:
    port = sys.argv[1] if len(sys.argv) > 1 else "8080"
    loop = asyncio.get_running_loop()
    drained = asyncio.Event()
    with lithe.Server(f"127.0.0.1:{port}") as server:
        loop.add_reader(server, take, server, drained)
        for end in signal.SIGINT, signal.SIGTERM:
            loop.add_signal_handler(end, server.begin_drain, 5)
        print(f"ws://127.0.0.1:{server.port}", flush=True)
        await drained.wait()
        loop.remove_reader(server)
        report = server.drain()
    print(f"{report.drained} connections closed kindly, {report.cut} cut.")


if __name__ == "__main__":
    asyncio.run(main())
