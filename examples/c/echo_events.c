/*
 * A WebSocket echo for any number of clients in one thread: what happens on all of them comes in
 * batches out of lithe_server_wait.
 *
 *     cc echo_events.c $(pkg-config --cflags --libs --static lithe) -o echo_events
 *     ./echo_events 127.0.0.1:9001
 */
#include <inttypes.h>
#include <stdio.h>

#include <lithe.h>

#define CAPACITY 512

/* Answers a handshake with a WebSocket whose messages come as events, and other requests in words. */
static void answer(lithe_request_t request, uint64_t number) {
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    options.events = 1;
    options.user_data = number;
    lithe_ws_t ws;
    int32_t code = lithe_ws_accept(request, &options, &ws);
    if (code == LITHE_ERR_WRONG_STATE) {
        lithe_request_respond_text(request, 200, "text/plain", "This is for WebSockets.\n");
    } else if (code != LITHE_OK) {
        fprintf(stderr, "no WebSocket: %s\n", lithe_last_error());
    }
    lithe_request_free(request);
}

static void echo(lithe_ws_t ws, const lithe_message_t *message) {
    /* A client that sends and does not read fills its queue. Nobody else shall wait for it. */
    if (lithe_ws_send_message(ws, message, 0) == LITHE_ERR_FULL) {
        lithe_ws_close(ws, 1013, "read what you get", LITHE_CSTR);
    }
}

int main(int argc, char **argv) {
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    config.address = argc > 1 ? argv[1] : "127.0.0.1:9001";
    lithe_server_t server;
    if (lithe_server_start(&config, &server) != LITHE_OK) {
        fprintf(stderr, "%s\n", lithe_last_error());
        return 1;
    }
    printf("ws://127.0.0.1:%d\n", (int)lithe_server_port(server));
    fflush(stdout);

    static lithe_event_t events[CAPACITY];
    uint64_t clients = 0;
    int32_t count;
    while ((count = lithe_server_wait(server, events, CAPACITY, -1)) >= 0) {
        for (int32_t i = 0; i < count; i++) {
            const lithe_event_t *event = &events[i];
            switch (event->kind) {
            case LITHE_EVENT_REQUEST:
                answer(event->handle, ++clients);
                break;
            case LITHE_EVENT_MESSAGE:
                echo(event->handle, &event->message);
                break;
            case LITHE_EVENT_CLOSED:
                printf("client %" PRIu64 " has left with %d\n", event->user_data, (int)event->code);
                lithe_ws_free(event->handle);
                break;
            default:
                break;
            }
        }
        lithe_event_free(events, (size_t)count);
    }
    fprintf(stderr, "%s\n", lithe_last_error());
    lithe_server_free(server);
    return 1;
}
