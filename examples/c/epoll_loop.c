/* Lithe inside a loop of the program's own: a game, a GUI or another library that waits for file
 * descriptors has one already. Here it is epoll with a timer, signals and Lithe in it, in one
 * thread. Only Linux has epoll, timerfd and signalfd; poll and kqueue take the same descriptor.
 *
 *     make examples && target/c/epoll_loop [PORT]
 *     curl -N http://127.0.0.1:8080/ticks
 *
 * Every second a tick goes to all WebSockets, on /ws, and to all readers of the event stream,
 * /ticks. What comes on a WebSocket is sent back. Who is too slow misses ticks, and a WebSocket that
 * does not read what is sent back is closed. SIGINT and SIGTERM part from all clients kindly.
 */
#define _POSIX_C_SOURCE 200809L

#include <lithe.h>

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define CAPACITY 256
#define DRAIN_MS 10000

/* A WebSocket or an event stream; its events have its address as their user_data. */
struct client {
    lithe_ws_t ws;
    lithe_sse_t sse;
    struct client *previous, *next;
};

static lithe_server_t server;
static struct client *clients;
static int drained;

static int fail(const char *what) {
    perror(what);
    return 1;
}

static struct client *add_client(void) {
    struct client *client = calloc(1, sizeof *client);
    if (client != NULL) {
        client->next = clients;
        if (clients != NULL) {
            clients->previous = client;
        }
        clients = client;
    }
    return client;
}

static void remove_client(struct client *client) {
    if (client->ws != 0) {
        lithe_ws_free(client->ws);
    } else if (client->sse != 0) {
        lithe_sse_free(client->sse);
    }
    if (client->previous != NULL) {
        client->previous->next = client->next;
    } else {
        clients = client->next;
    }
    if (client->next != NULL) {
        client->next->previous = client->previous;
    }
    free(client);
}

static void accept_websocket(lithe_request_t request, void *user_data) {
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    struct client *client = add_client();
    (void)user_data;
    if (client == NULL) {
        return;
    }
    options.events = 1;
    options.user_data = (uintptr_t)client;
    if (lithe_ws_accept(request, &options, &client->ws) != LITHE_OK) {
        lithe_request_respond_text(request, 426, "text/plain", "This is for WebSockets.\n");
        remove_client(client);
    }
}

static void open_events(lithe_request_t request, void *user_data) {
    lithe_sse_options_t options = LITHE_SSE_OPTIONS_INIT;
    struct client *client = add_client();
    (void)user_data;
    if (client == NULL) {
        return;
    }
    options.events = 1;
    options.user_data = (uintptr_t)client;
    if (lithe_sse_open(request, &options, &client->sse) != LITHE_OK) {
        remove_client(client);
    }
}

static void tick(uint64_t number) {
    char text[32];
    snprintf(text, sizeof text, "tick %llu", (unsigned long long)number);
    for (struct client *client = clients; client != NULL; client = client->next) {
        /* Errors are for those who are too slow, and those whose end is still to be told. */
        if (client->ws != 0) {
            lithe_ws_send_text(client->ws, text, 0);
        } else {
            lithe_sse_send_text(client->sse, NULL, text, 0);
        }
    }
}

static void handle(const lithe_event_t *event) {
    switch (event->kind) {
    case LITHE_EVENT_REQUEST:
        lithe_request_dispatch(event->handle);
        break;
    case LITHE_EVENT_MESSAGE:
        if (lithe_ws_send_message(event->handle, &event->message, 0) == LITHE_ERR_FULL) {
            lithe_ws_close(event->handle, 1013, "too slow", LITHE_CSTR);
        }
        break;
    case LITHE_EVENT_CLOSED:
        remove_client((struct client *)(uintptr_t)event->user_data);
        break;
    case LITHE_EVENT_DRAINED:
        drained = 1;
        break;
    default:
        break;
    }
}

/* Takes all that has happened. What comes meanwhile makes the descriptor readable again. */
static void handle_all(void) {
    static lithe_event_t events[CAPACITY];
    int32_t count;
    do {
        count = lithe_server_wait(server, events, CAPACITY, 0);
        for (int32_t i = 0; i < count; i++) {
            handle(&events[i]);
        }
        if (count > 0) {
            lithe_event_free(events, (size_t)count);
        }
    } while (count == CAPACITY);
}

static int start_server(const char *port) {
    char address[64];
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    snprintf(address, sizeof address, "127.0.0.1:%s", port);
    config.address = address;
    return lithe_server_start(&config, &server) == LITHE_OK &&
           lithe_server_route(server, "GET", "/ws", accept_websocket, NULL, NULL) == LITHE_OK &&
           lithe_server_route(server, "GET", "/ticks", open_events, NULL, NULL) == LITHE_OK;
}

static int add(int epoll, int fd) {
    struct epoll_event interest = { .events = EPOLLIN, .data = { .fd = fd } };
    return fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest) == 0;
}

int main(int argc, char **argv) {
    const struct itimerspec every_second = { { 1, 0 }, { 1, 0 } };
    uint64_t expirations, ticks = 0;
    struct signalfd_siginfo caught;
    sigset_t signals;
    lithe_drain_report_t report = LITHE_DRAIN_REPORT_INIT;

    if (!start_server(argc > 1 ? argv[1] : "8080")) {
        fprintf(stderr, "%s\n", lithe_last_error());
        return 1;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int events = lithe_server_event_fd(server);
    int signal = signalfd(-1, &signals, SFD_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (!add(epoll, events) || !add(epoll, signal) || !add(epoll, timer) ||
        timerfd_settime(timer, 0, &every_second, NULL) != 0) {
        return fail("epoll");
    }
    printf("http://127.0.0.1:%d\n", (int)lithe_server_port(server));
    fflush(stdout);

    while (!drained) {
        struct epoll_event ready[3];
        int count = epoll_wait(epoll, ready, 3, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == events) {
                handle_all();
            } else if (fd == timer && read(timer, &expirations, sizeof expirations) > 0) {
                tick(ticks += expirations);
            } else if (fd == signal && read(signal, &caught, sizeof caught) > 0) {
                /* The end of it is an event. */
                lithe_server_begin_drain(server, DRAIN_MS);
            }
        }
    }

    lithe_server_drain(server, 0, &report);
    printf("%d connections closed kindly, %d cut.\n", (int)report.drained, (int)report.cut);
    while (clients != NULL) {
        remove_client(clients);
    }
    lithe_server_free(server);
    close(timer);
    close(signal);
    close(epoll);
    return 0;
}
