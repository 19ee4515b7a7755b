/* What wakes a host that waits for events: a call, and a descriptor. */
#include "check.h"

#include <poll.h>

static void *wait_for_wake(void *argument) {
    lithe_event_t event;
    CHECK_CODE(0, lithe_server_wait(*(lithe_server_t *)argument, &event, 1, LONG_MS));
    return NULL;
}

static void check_wake(lithe_server_t server) {
    lithe_event_t event;
    CHECK_OK(lithe_server_wake(server));
    CHECK_OK(lithe_server_wake(server));
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, -1));
    pthread_t thread = start_thread(wait_for_wake, &server);
    CHECK_OK(lithe_server_wake(server));
    join_thread(thread);
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 20));
}

/* The descriptor can be read exactly while there is something to take. */
static void check_event_fd(lithe_server_t server) {
    int fd = lithe_server_event_fd(server);
    CHECK(fd >= 0 && lithe_server_event_fd(server) == fd);
    CHECK(!is_readable(fd));
    CHECK_OK(lithe_server_wake(server));
    CHECK(is_readable(fd));
    lithe_event_t event;
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 0));
    CHECK(!is_readable(fd));

    int client;
    struct pollfd poll_fd = {fd, POLLIN, 0};
    lithe_ws_options_t options = as_events(4);
    lithe_ws_t ws = open_event_ws(server, &options, &client);
    CHECK(!is_readable(fd));
    client_send_frame(client, 0x81, "one", 3);
    client_send_frame(client, 0x81, "two", 3);
    for (int i = 0; i < 2; i++) {
        CHECK(poll(&poll_fd, 1, LONG_MS) == 1 && is_readable(fd));
        event = next_event(server, LITHE_EVENT_MESSAGE);
        lithe_event_free(&event, 1);
    }
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 0));
    CHECK(!is_readable(fd));
    client_reset(client);
    CHECK(poll(&poll_fd, 1, LONG_MS) == 1);
    event = next_event(server, LITHE_EVENT_CLOSED);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_ws_free(ws));
}

/* A host that reads what it should not read from the descriptor harms nobody but itself. */
static void check_stolen_signal(lithe_server_t server) {
    char byte;
    lithe_event_t event;
    int fd = lithe_server_event_fd(server);
    CHECK_OK(lithe_server_wake(server));
    CHECK(read(fd, &byte, 1) == 1);
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 0));
    CHECK_OK(lithe_server_wake(server));
    CHECK(is_readable(fd));
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 0));
    CHECK(!is_readable(fd));
}

/* A wake-up is not lost on a request whose client has gone. */
static void check_wake_beside_nothing(lithe_server_t server) {
    lithe_event_t event;
    lithe_server_stats_t stats = LITHE_SERVER_STATS_INIT;
    int client = client_connect(server);
    client_get(client, "/", "");
    do {
        CHECK_OK(lithe_server_stats(server, &stats));
    } while (stats.waiting_requests == 0);
    client_reset(client);
    do {
        CHECK_OK(lithe_server_stats(server, &stats));
    } while (stats.http_open > 0);
    CHECK_OK(lithe_server_wake(server));
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, -1));
}

int main(void) {
    lithe_server_t server = start();
    check_wake(server);
    check_event_fd(server);
    check_stolen_signal(server);
    check_wake_beside_nothing(server);
    CHECK_OK(lithe_server_free(server));
    return 0;
}
