/* The end in events: of a drain, and of a server that is stopped. */
#include "check.h"

/* A host with one thread drains: it takes the ends of its connections, and then that of the drain. */
static void check_drain(lithe_server_t server) {
    int client;
    lithe_ws_options_t options = as_events(6);
    lithe_ws_t ws = open_event_ws(server, &options, &client);
    CHECK_OK(lithe_server_begin_drain(server, LONG_MS));
    char data[16];
    size_t len;
    CHECK(client_read_frame(client, data, sizeof data, &len) == 0x88);
    client_send_frame(client, 0x88, data, len);
    lithe_event_t event = next_event(server, LITHE_EVENT_CLOSED);
    CHECK(event.handle == ws && event.code == 1001 && event.clean == 1);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_ws_free(ws));
    close(client);
    event = next_event(server, LITHE_EVENT_DRAINED);
    CHECK(event.handle == server && event.handle_kind == LITHE_HANDLE_SERVER);
    /* Which is told once, however often the drain was begun. */
    CHECK_OK(lithe_server_begin_drain(server, 0));
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 100));
    lithe_drain_report_t report = LITHE_DRAIN_REPORT_INIT;
    CHECK_OK(lithe_server_drain(server, 0, &report));
    CHECK(report.drained >= 1 && report.cut == 0);
    CHECK_CODE(LITHE_ERR_SHUTTING_DOWN, lithe_server_wait(server, &event, 1, -1));
    CHECK_CODE(LITHE_ERR_SHUTTING_DOWN, lithe_server_begin_drain(server, 0));
}

/* A client of an event stream is told when to come back, in the time that the host has set. */
static void check_reconnect(void) {
    char line[256];
    int client;
    lithe_server_t server;
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    config.reconnect_ms = 500;
    CHECK_OK(lithe_server_start(&config, &server));
    lithe_sse_t sse = open_events(server, NULL, &client);
    CHECK_OK(lithe_server_begin_drain(server, LONG_MS));
    client_read_until(client, "retry: ", line, sizeof line);
    client_read_until(client, "\n", line, sizeof line);
    CHECK(atoi(line) >= 50 && atoi(line) <= 500);
    lithe_event_t event = next_event(server, LITHE_EVENT_DRAINED);
    CHECK(event.handle == server);
    CHECK_OK(lithe_sse_free(sse));
    CHECK_OK(lithe_server_free(server));
    close(client);
    config.reconnect_ms = -1;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_start(&config, &server));
}

/* The ends of connections that are cut by a stop can still be taken. */
static void check_stop(void) {
    int client;
    lithe_server_t server = start();
    lithe_ws_options_t options = as_events(7);
    lithe_ws_t ws = open_event_ws(server, &options, &client);
    int fd = lithe_server_event_fd(server);
    CHECK(fd >= 0);
    CHECK_OK(lithe_server_stop(server));
    CHECK(is_readable(fd));
    lithe_event_t event = next_event(server, LITHE_EVENT_CLOSED);
    CHECK(event.handle == ws && event.clean == 0);
    lithe_event_free(&event, 1);
    CHECK_CODE(LITHE_ERR_SHUTTING_DOWN, lithe_server_wait(server, &event, 1, -1));
    CHECK(is_readable(fd));
    CHECK_OK(lithe_ws_free(ws));
    CHECK_OK(lithe_server_free(server));
    close(client);
}

int main(void) {
    lithe_server_t server = start();
    check_drain(server);
    CHECK_OK(lithe_server_free(server));
    check_reconnect();
    check_stop();
    return 0;
}
