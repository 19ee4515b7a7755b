"""A WebSocket server that sends back what it gets, with a thread for each connection.

LITHE_LIBRARY=target/release/liblithe.so python3 examples/python/echo.py [PORT]
"""

import signal
import sys
from contextlib import suppress
from threading import Thread

import lithe


def echo(ws: lithe.WebSocket) -> None:
    with ws, suppress(lithe.Closed):
        for message in ws:
            ws.send(message)


def answer(request: lithe.Request) -> None:
    # An error is for a client that has gone, or a page of others, which was refused.
    with request, suppress(lithe.Error):
        if request.is_websocket:
            Thread(target=echo, args=[request.accept_websocket()]).start()
        else:
            request.respond(426, "Only WebSockets here.\n")


def serve(server: lithe.Server) -> None:
    for request in server:
        answer(request)


def main() -> None:
    port = sys.argv[1] if len(sys.argv) > 1 else "8080"
    # Python sees no signal while its main thread is in a call of the library: it waits for them.
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with lithe.Server(f"127.0.0.1:{port}") as server:
        thread = Thread(target=serve, args=[server])
        thread.start()
        print(f"ws://127.0.0.1:{server.port}", flush=True)
        signal.sigwait(ends)
        report = server.drain(timeout=5)
        thread.join()
    print(f"{report.drained} connections closed kindly, {report.cut} cut.")


if __name__ == "__main__":
    main()
