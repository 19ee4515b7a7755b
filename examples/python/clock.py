"""A clock that ticks in every browser that looks at it, over Server-Sent Events, in one thread.

LITHE_LIBRARY=target/release/liblithe.so python3 examples/python/clock.py [PORT]

Each event carries its number as its id. A browser that has lost the connection says which one it
saw last, and is told how many it has missed.
"""

import signal
import sys
import time
from contextlib import suppress

import lithe

PAGE = """<!doctype html><meta charset=utf-8><title>Clock</title>
<style>body{font:20vmin system-ui;display:grid;place-content:center;height:90vh;
text-align:center}small{font-size:4vmin;color:gray}</style>
<div><output id=time>--:--:--</output><br><small id=state>connecting</small></div>
<script>
const clock = new EventSource('/clock');
const show = (id, text) => document.getElementById(id).textContent = text;
clock.onopen = () => show('state', 'connected');
clock.onerror = () => show('state', 'reconnecting');
clock.onmessage = event => show('time', event.data);
clock.addEventListener('missed', event => show('state', `missed ${event.data} ticks`));
</script>
"""


class Clock:
    def __init__(self) -> None:
        self.viewers: list[lithe.EventStream] = []

    def answer(self, request: lithe.Request) -> None:
        if request.path == "/clock":
            self.begin(request)
        elif request.path == "/":
            request.respond(200, PAGE, "text/html; charset=utf-8")
        else:
            request.respond(404, "Not here.\n")

    def begin(self, request: lithe.Request) -> None:
        last = request.last_event_id or ""
        viewer = request.open_events(retry_ms=1000)
        self.viewers.append(viewer)
        missed = int(time.time()) - int(last) - 1 if last.isdecimal() else 0
        if missed > 0:
            with suppress(lithe.Closed):
                viewer.send(str(missed), name="missed", timeout=0)

    def tick(self, number: int) -> None:
        text = time.strftime("%H:%M:%S", time.localtime(number))
        results = lithe.send_many(self.viewers, text, id=str(number))
        # A browser that is too slow misses ticks, and is not waited for.
        for viewer, error in list(zip(self.viewers, results)):
            if error is lithe.Closed:
                self.viewers.remove(viewer)
                viewer.free()

    def run(self, server: lithe.Server) -> None:
        number = int(time.time()) + 1
        while True:
            wait = number - time.time()
            if wait <= 0:
                self.tick(number)
                number = int(time.time()) + 1
                continue
            # TimedOut is for the next tick; Closed is for a client that has gone meanwhile.
            with suppress(lithe.TimedOut, lithe.Closed), server.accept(wait) as request:
                self.answer(request)


def main() -> None:
    port = sys.argv[1] if len(sys.argv) > 1 else "8080"
    # They raise KeyboardInterrupt once the call of the library that the thread is in has returned.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with lithe.Server(f"127.0.0.1:{port}") as server:
        print(f"http://127.0.0.1:{server.port}", flush=True)
        with suppress(KeyboardInterrupt):
            Clock().run(server)
        server.drain(timeout=5)


if __name__ == "__main__":
    main()
