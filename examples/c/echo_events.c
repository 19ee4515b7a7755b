/* A WebSocket server that sends back what it gets, to any number of clients in one thread: what
 * happens on all of them comes in batches out of lithe_server_wait.
 *
 *     make examples && target/c/echo_events [PORT]
 *
 * Nobody waits for a slow client here: one that sends and does not read what it gets back is closed
 * once its send queue is full.
 */
#include <lithe.h>

#include <inttypes.h>
#include <stdio.h>

#define CAPACITY 512

/* Answers a handshake with a WebSocket whose messages come as events. */
static void answer(lithe_request_t request) {
    static uint64_t clients;
    lithe_ws_t ws;
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    options.events = 1;
    options.user_data = clients + 1;
    if (lithe_ws_accept(request, &options, &ws) == LITHE_OK) {
        clients++;
    } else {
        lithe_request_respond_text(request, 426, "text/plain", "Only WebSockets here.\n");
    }
    lithe_request_free(request);
}

static void echo(lithe_ws_t ws, const lithe_message_t *message) {
    if (lithe_ws_send_message(ws, message, 0) == LITHE_ERR_FULL) {
        lithe_ws_close(ws, 1013, "too slow", LITHE_CSTR);
    }
}

static void handle(const lithe_event_t *event) {
    switch (event->kind) {
    case LITHE_EVENT_REQUEST:
        answer(event->handle);
        break;
    case LITHE_EVENT_MESSAGE:
        echo(event->handle, &event->message);
        break;
    case LITHE_EVENT_CLOSED:
        printf("client %" PRIu64 " has left with %d\n", event->user_data, (int)event->code);
        fflush(stdout);
        lithe_ws_free(event->handle);
        break;
    default:
        break;
    }
}

int main(int argc, char **argv) {
    static lithe_event_t events[CAPACITY];
    char address[64];
    int32_t count;
    lithe_server_t server;
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    snprintf(address, sizeof address, "127.0.0.1:%s", argc > 1 ? argv[1] : "8080");
    config.address = address;
    if (lithe_server_start(&config, &server) != LITHE_OK) {
        fprintf(stderr, "%s\n", lithe_last_error());
        return 1;
    }
    printf("ws://127.0.0.1:%d\n", (int)lithe_server_port(server));
    fflush(stdout);

    while ((count = lithe_server_wait(server, events, CAPACITY, -1)) >= 0) {
        for (int32_t i = 0; i < count; i++) {
            handle(&events[i]);
        }
        lithe_event_free(events, (size_t)count);
    }
    return 0;
}
