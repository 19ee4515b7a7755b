/* Echo through event batches: one thread of the host for all connections. */
#include <stdint.h>
#include <stdio.h>

#include <lithe.h>

#define CAPACITY 512

static lithe_event_t events[CAPACITY];

int main(void) {
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    lithe_server_t server;
    lithe_ws_t ws;
    int32_t count;
    config.workers = 1;
    config.max_connections_per_ip = -1;
    config.max_waiting_requests = -1;
    options.events = 1;
    options.send_queue_bytes = 8 * 1024 * 1024;
    if (lithe_server_start(&config, &server) != LITHE_OK) {
        return fprintf(stderr, "%s\n", lithe_last_error()), 1;
    }
    printf("127.0.0.1:%d\n", (int)lithe_server_port(server));
    fflush(stdout);
    while ((count = lithe_server_wait(server, events, CAPACITY, -1)) >= 0) {
        for (int32_t i = 0; i < count; i++) {
            switch (events[i].kind) {
            case LITHE_EVENT_REQUEST:
                lithe_ws_accept(events[i].handle, &options, &ws);
                lithe_request_free(events[i].handle);
                break;
            case LITHE_EVENT_MESSAGE:
                lithe_ws_send_message(events[i].handle, &events[i].message, 0);
                break;
            case LITHE_EVENT_CLOSED:
                lithe_ws_free(events[i].handle);
                break;
            }
        }
        lithe_event_free(events, (size_t)count);
    }
    return 1;
}
