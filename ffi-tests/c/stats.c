/* What a server counts, as numbers and as text. */
#include "check.h"

#include <time.h>

static const struct timespec millisecond = { 0, 1000000 };

static lithe_server_stats_t stats_of(lithe_server_t server) {
    lithe_server_stats_t stats = LITHE_SERVER_STATS_INIT;
    CHECK_OK(lithe_server_stats(server, &stats));
    CHECK(stats.size == sizeof stats);
    return stats;
}

/* Looks until it is so: counters follow what the client sees a moment later. */
#define EVENTUALLY(condition)                                                                      \
    for (int tries_ = 0;; tries_++) {                                                              \
        lithe_server_stats_t stats = stats_of(server);                                             \
        if (condition) {                                                                           \
            break;                                                                                 \
        }                                                                                          \
        CHECK(tries_ < LONG_MS);                                                                   \
        nanosleep(&millisecond, NULL);                                                             \
    }

static void check_text(lithe_server_t server, const char *line) {
    lithe_message_t text = LITHE_MESSAGE_INIT;
    CHECK_OK(lithe_server_metrics(server, &text));
    CHECK(text.kind == LITHE_TEXT);
    char *copy = (char *)malloc(text.len + 1);
    CHECK(copy != NULL);
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    CHECK(strstr(copy, line) != NULL);
    CHECK(strcmp(copy + text.len - 6, "# EOF\n") == 0);
    free(copy);
    lithe_message_free(&text);
}

int main(void) {
    char frame[64], response[1024];
    size_t len;
    int ws_client, sse_client;
    lithe_message_t message = LITHE_MESSAGE_INIT;
    lithe_server_t server = start();
    lithe_server_stats_t stats = stats_of(server);
    CHECK(stats.accepted == 0 && stats.requests == 0 && stats.ws_open == 0 && stats.http_open == 0);

    lithe_ws_t ws = open_websocket(server, NULL, &ws_client);
    lithe_sse_t sse = open_events(server, NULL, &sse_client);
    int client = client_connect(server);
    client_get(client, "/", "");
    EVENTUALLY(stats.waiting_requests == 1);
    lithe_request_t request = next_request(server);
    stats = stats_of(server);
    CHECK(stats.accepted == 3 && stats.refused == 0 && stats.accept_errors == 0);
    CHECK(stats.requests == 3 && stats.responses == 2 && stats.waiting_requests == 0);
    CHECK(stats.http_open == 1 && stats.ws_open == 1 && stats.sse_open == 1);
    CHECK(stats.limit_hits == 0 && stats.drained == 0 && stats.cut == 0);
    check_text(server, "\nlithe_connections{kind=\"websocket\"} 1\n");
    check_text(server, "\nlithe_connections_accepted_total 3\n");
    CHECK_OK(lithe_request_respond_text(request, 200, "text/plain", "the answer"));
    CHECK_OK(lithe_request_free(request));
    client_read_until(client, "the answer", response, sizeof response);
    EVENTUALLY(stats.responses == 3 && stats.http_bytes_out >= 3 * 19 + 10 && stats.http_bytes_in > 60);

    client_send_frame(ws_client, 0x81, "hello", 5);
    CHECK_OK(lithe_ws_receive(ws, &message, LONG_MS));
    lithe_message_free(&message);
    CHECK_OK(lithe_ws_send_text(ws, "back", -1));
    CHECK(client_read_frame(ws_client, frame, sizeof frame, &len) == 0x81);
    EVENTUALLY(stats.ws_messages_in == 1 && stats.ws_bytes_in == 5 && stats.ws_messages_out == 1
               && stats.ws_bytes_out == 6 && stats.ws_queued_bytes == 0);
    CHECK_OK(lithe_sse_send_text(sse, NULL, "x", -1));
    client_read_until(sse_client, "data: x\n\n", response, sizeof response);
    EVENTUALLY(stats.sse_events_out == 1 && stats.sse_bytes_out >= 9 && stats.sse_queued_bytes == 0);

    client_send_frame(ws_client, 0x88, "", 0);
    EVENTUALLY(stats.ws_open == 0);

    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_stats(server, NULL));
    stats.size = 1;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_stats(server, &stats));
    stats.size = sizeof stats;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_metrics(server, NULL));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_stats(ws, &stats));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_metrics(0, &message));
    CHECK_OK(lithe_server_stop(server));
    CHECK_CODE(LITHE_ERR_SHUTTING_DOWN, lithe_server_stats(server, &stats));
    CHECK_CODE(LITHE_ERR_SHUTTING_DOWN, lithe_server_metrics(server, &message));
    CHECK(message.data == NULL);
    CHECK_OK(lithe_ws_free(ws));
    CHECK_OK(lithe_sse_free(sse));
    CHECK_OK(lithe_server_free(server));
    close(client);
    close(ws_client);
    close(sse_client);
    return 0;
}
