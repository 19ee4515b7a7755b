/* Everything that one client says goes to all of them, in one thread.
 *
 *     make examples && target/c/broadcast [PORT]
 *
 * Clients talk and listen on WebSockets, /talk, or only listen, on the event stream /listen. What is
 * said is text, and is encoded once for all WebSockets and once for all event streams, however many
 * there are. The page is in the directory broadcast, beside this file.
 *
 * Nobody waits for a slow client. A WebSocket that is too slow is closed with 1013, "try again
 * later". A listener that is too slow misses what is said until it has caught up; then it gets an
 * event "missed" with the number of messages that it has not heard.
 */
#define _POSIX_C_SOURCE 200809L

#include <lithe.h>

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CLIENTS 10000
#define MAX_TEXT 16384
#define CAPACITY 512
#define DRAIN_MS 10000

/* One client; its events have its address as their user_data. */
struct client {
    struct group *group;
    size_t place;
    unsigned long missed;
};

/* Clients of one kind. Their handles lie side by side, to be sent to at once. */
struct group {
    uint64_t handles[MAX_CLIENTS];
    struct client *clients[MAX_CLIENTS];
    size_t count;
};

static struct group talkers, listeners;
static lithe_server_t server;
static volatile sig_atomic_t interrupted;

static void interrupt(int signal) {
    (void)signal;
    interrupted = 1;
}

/* Makes a client, at the end of a group, and a place for its handle there. */
static struct client *join(struct group *group) {
    struct client *client = NULL;
    if (group->count < MAX_CLIENTS && (client = calloc(1, sizeof *client)) != NULL) {
        client->group = group;
        client->place = group->count++;
        group->clients[client->place] = client;
    }
    return client;
}

/* Puts the last client of the group in the place of this one. */
static void leave(struct client *client) {
    struct group *group = client->group;
    size_t last = --group->count;
    group->handles[client->place] = group->handles[last];
    group->clients[client->place] = group->clients[last];
    group->clients[client->place]->place = client->place;
    free(client);
}

/* A request that is not answered here is answered with 503 when this returns. */
static void start_talking(lithe_request_t request, void *user_data) {
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    struct client *client = join(&talkers);
    (void)user_data;
    if (client == NULL) {
        return;
    }
    options.events = 1;
    options.user_data = (uintptr_t)client;
    options.max_message_bytes = MAX_TEXT;
    if (lithe_ws_accept(request, &options, &talkers.handles[client->place]) != LITHE_OK) {
        leave(client);
        lithe_request_respond_text(request, 426, "text/plain", "This is for WebSockets.\n");
    }
}

static void start_listening(lithe_request_t request, void *user_data) {
    lithe_sse_options_t options = LITHE_SSE_OPTIONS_INIT;
    struct client *client = join(&listeners);
    (void)user_data;
    if (client == NULL) {
        return;
    }
    options.events = 1;
    options.user_data = (uintptr_t)client;
    if (lithe_sse_open(request, &options, &listeners.handles[client->place]) != LITHE_OK) {
        leave(client);
    }
}

static void broadcast(const lithe_message_t *message) {
    static int32_t results[MAX_CLIENTS];
    lithe_buffer_t buffer;
    lithe_sse_event_t event = LITHE_SSE_EVENT_INIT;
    if (lithe_buffer_from_message(message, &buffer) == LITHE_OK) {
        lithe_ws_send_many(talkers.handles, talkers.count, buffer, results);
        lithe_buffer_free(buffer);
        for (size_t i = 0; i < talkers.count; i++) {
            if (results[i] == LITHE_ERR_FULL) {
                lithe_ws_close(talkers.handles[i], 1013, "too slow", LITHE_CSTR);
            }
        }
    }
    event.data.ptr = message->data;
    event.data.len = message->len;
    if (lithe_sse_send_many(listeners.handles, listeners.count, &event, results) >= 0) {
        for (size_t i = 0; i < listeners.count; i++) {
            listeners.clients[i]->missed += results[i] == LITHE_ERR_FULL;
        }
    }
}

/* A listener that was too slow has room again. */
static void catch_up(lithe_sse_t sse, struct client *client) {
    char number[24];
    snprintf(number, sizeof number, "%lu", client->missed);
    if (client->missed > 0 && lithe_sse_send_text(sse, "missed", number, 0) == LITHE_OK) {
        client->missed = 0;
    }
}

static void handle(const lithe_event_t *event) {
    struct client *client = (struct client *)(uintptr_t)event->user_data;
    switch (event->kind) {
    case LITHE_EVENT_REQUEST:
        lithe_request_dispatch(event->handle);
        break;
    case LITHE_EVENT_MESSAGE:
        if (event->message.kind == LITHE_TEXT) {
            broadcast(&event->message);
        } else {
            lithe_ws_close(event->handle, 1003, "only text", LITHE_CSTR);
        }
        break;
    case LITHE_EVENT_WRITABLE:
        if (client->group == &listeners) {
            catch_up(event->handle, client);
        }
        break;
    case LITHE_EVENT_CLOSED:
        if (client->group == &listeners) {
            lithe_sse_free(event->handle);
        } else {
            lithe_ws_free(event->handle);
        }
        leave(client);
        break;
    default:
        break;
    }
}

/* Takes what happens, until every client is parted from after a signal, or the server fails. */
static void run(void) {
    static lithe_event_t events[CAPACITY];
    int draining = 0, drained = 0;
    while (!drained) {
        /* A signal that comes just before this call is seen after it. */
        int32_t count = lithe_server_wait(server, events, CAPACITY, 200);
        if (count < 0) {
            fprintf(stderr, "%s\n", lithe_last_error());
            return;
        }
        for (int32_t i = 0; i < count; i++) {
            handle(&events[i]);
            drained |= events[i].kind == LITHE_EVENT_DRAINED;
        }
        lithe_event_free(events, (size_t)count);
        if (interrupted && !draining) {
            draining = 1;
            lithe_server_begin_drain(server, DRAIN_MS);
        }
    }
}

static int start(const char *port) {
    char address[64], pages[1024];
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    snprintf(address, sizeof address, "127.0.0.1:%s", port);
    snprintf(pages, sizeof pages, "%.*s", (int)(strlen(__FILE__) - strlen(".c")), __FILE__);
    config.address = address;
    config.static_dir = pages;
    return lithe_server_start(&config, &server) == LITHE_OK &&
           lithe_server_route(server, "GET", "/talk", start_talking, NULL, NULL) == LITHE_OK &&
           lithe_server_route(server, "GET", "/listen", start_listening, NULL, NULL) == LITHE_OK;
}

int main(int argc, char **argv) {
    lithe_drain_report_t report = LITHE_DRAIN_REPORT_INIT;
    if (!start(argc > 1 ? argv[1] : "8080")) {
        fprintf(stderr, "%s\n", lithe_last_error());
        return 1;
    }
    signal(SIGINT, interrupt);
    signal(SIGTERM, interrupt);
    printf("http://127.0.0.1:%d\n", (int)lithe_server_port(server));
    fflush(stdout);
    run();
    lithe_server_drain(server, 0, &report);
    printf("%d connections closed kindly, %d cut.\n", (int)report.drained, (int)report.cut);
    lithe_server_free(server);
    return 0;
}
