// A hub: a thread of the program publishes, and any number of browsers listen. It is hub.c in C++.
//
//     make examples && target/cpp/hub [PORT [REDIS_URL]]
//
// With the URL of a Redis, several of these programs are one hub.
#include <lithe.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

static const char PAGE[] =
    "<!doctype html><meta charset=utf-8><title>Hub</title><output id=value>-</output>"
    "<script>"
    // It comes back by itself, with the id of the last event.
    "const source = new EventSource('/hub/sse?channel=load');"
    "const output = document.getElementById('value');"
    "source.onmessage = event => output.textContent = event.data;"
    "source.addEventListener('lithe.gap', () => output.textContent = 'missed something');"
    "</script>";

static volatile std::sig_atomic_t interrupted;

static void interrupt(int) { interrupted = 1; }

// Publishes ten times a second.
static void count(const lithe::hub &hub, const std::atomic<bool> &done) {
    for (int number = 1; !done; number++) {
        if (hub.publish("load", std::to_string(number)) != LITHE_OK)
            std::fprintf(stderr, "%s\n", lithe_last_error());
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

int main(int argc, char **argv) {
    const std::string address = std::string("127.0.0.1:") + (argc > 1 ? argv[1] : "8080");
    lithe::hub hub; // Before the server, so that it ends behind it.
    lithe::hub_options options;
    lithe::server server;
    lithe::server_config config;
    options.redis_url = argc > 2 ? argv[2] : nullptr;
    config.address = address.c_str();
    if (hub.create(options) != LITHE_OK || server.start(config) != LITHE_OK
        || server.mount(hub, "/hub") != LITHE_OK) {
        std::fprintf(stderr, "%s\n", lithe_last_error());
        return 1;
    }
    std::printf("http://%s\n", server.address().str().c_str());
    std::fflush(stdout);

    std::signal(SIGINT, interrupt);
    std::atomic<bool> done(false);
    std::thread counter([&] { count(hub, done); });
    lithe::request request;
    while (!interrupted) {
        if (server.accept(request, 200) == LITHE_OK)
            request.respond(200, PAGE, "text/html; charset=utf-8");
    }
    server.drain(10000);
    done = true;
    counter.join();
    return 0;
}
