// A WebSocket server that sends back what it gets, with a thread for each connection. The thread
// owns the connection, and the message: there is nothing to free.
//
//     make examples && target/cpp/echo [PORT]
#include <lithe.hpp>

#include <cstdio>
#include <thread>

static void echo(lithe::websocket ws) {
    lithe::message message;
    while (ws.receive(message) == LITHE_OK && ws.send(message) == LITHE_OK) {}
}

int main(int argc, char **argv) {
    const std::string address = std::string("127.0.0.1:") + (argc > 1 ? argv[1] : "8080");
    lithe::server_config config;
    lithe::server server;
    lithe::request request;
    config.address = address.c_str();
    if (server.start(config) != LITHE_OK) {
        std::fprintf(stderr, "%s\n", lithe_last_error());
        return 1;
    }
    std::printf("ws://%s\n", server.address().str().c_str());
    std::fflush(stdout);

    while (server.accept(request) == LITHE_OK) {
        lithe::websocket ws;
        if (ws.accept(request) == LITHE_OK)
            std::thread(echo, std::move(ws)).detach();
        else
            request.respond(426, "Only WebSockets here.\n");
    }
    return 0;
}
