/* One message, or one event, for many connections: what each gets, and what came of each. */
#include "check.h"

#define MANY 100

static const char filler[4096];

static void check_frame(int client, int first, const void *data, size_t len) {
    char buffer[8192];
    size_t got;
    CHECK(client_read_frame(client, buffer, sizeof buffer, &got) == first);
    CHECK(got == len && memcmp(buffer, data, len) == 0);
}

/* A WebSocket whose client does not read, with no room for a filler in its send queue. */
static lithe_ws_t open_full(lithe_server_t server, int *client) {
    char head[1024];
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    lithe_ws_t ws;
    int32_t code;
    options.send_queue_bytes = 16 * 1024;
    *client = client_connect_slow(server);
    client_handshake(*client, "/", "");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_ws_accept(request, &options, &ws));
    CHECK_OK(lithe_request_free(request));
    client_read_until(*client, "\r\n\r\n", head, sizeof head);
    /* The kernel has taken all that it takes when waiting for more is in vain. */
    while ((code = lithe_ws_send(ws, LITHE_BINARY, filler, sizeof filler, 200)) == LITHE_OK) {
    }
    CHECK(code == LITHE_ERR_TIMEOUT);
    return ws;
}

static void check_many(lithe_server_t server) {
    int clients[MANY];
    lithe_ws_t all[MANY];
    int32_t results[MANY];
    lithe_buffer_t text, binary;
    for (int i = 0; i < MANY; i++) {
        all[i] = open_websocket(server, NULL, &clients[i]);
        results[i] = 99;
    }
    CHECK_OK(lithe_buffer_create(LITHE_TEXT, "to all", 6, &text));
    CHECK_OK(lithe_buffer_create(LITHE_BINARY, NULL, 0, &binary));
    CHECK_CODE(MANY, lithe_ws_send_many(all, MANY, text, results));
    CHECK_CODE(MANY, lithe_ws_send_many(all, MANY, binary, NULL));
    CHECK_CODE(1, lithe_ws_send_many(all, 1, text, NULL));
    CHECK_CODE(0, lithe_ws_send_many(NULL, 0, text, NULL));
    /* What is queued does not need the handle any more. */
    CHECK_OK(lithe_buffer_free(text));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_send_many(all, MANY, text, results));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_send_buffer(all[0], text, -1));
    for (int i = 0; i < MANY; i++) {
        CHECK(results[i] == LITHE_OK);
        check_frame(clients[i], 0x81, "to all", 6);
        check_frame(clients[i], 0x82, "", 0);
    }
    check_frame(clients[0], 0x81, "to all", 6);
    CHECK_OK(lithe_ws_send_buffer(all[7], binary, -1));
    CHECK_OK(lithe_ws_send_buffer(all[7], binary, 0));
    check_frame(clients[7], 0x82, "", 0);
    check_frame(clients[7], 0x82, "", 0);
    for (int i = 0; i < MANY; i++) {
        CHECK_OK(lithe_ws_free(all[i]));
        close(clients[i]);
    }
    CHECK_OK(lithe_buffer_free(binary));
}

/* What one has said is passed on to many without a copy. */
static void check_passing_on(lithe_server_t server) {
    int clients[2];
    lithe_message_t message;
    lithe_buffer_t buffer;
    lithe_ws_t all[2] = { open_websocket(server, NULL, &clients[0]),
                          open_websocket(server, NULL, &clients[1]) };
    client_send_frame(clients[0], 0x81, "to all", 6);
    CHECK_OK(lithe_ws_receive(all[0], &message, LONG_MS));
    CHECK_OK(lithe_buffer_from_message(&message, &buffer));
    lithe_message_free(&message);
    CHECK_CODE(2, lithe_ws_send_many(all, 2, buffer, NULL));
    CHECK_OK(lithe_buffer_free(buffer));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_buffer_from_message(&message, &buffer));
    CHECK(buffer == 0);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_buffer_from_message(NULL, &buffer));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_buffer_from_message(&message, NULL));
    for (int i = 0; i < 2; i++) {
        check_frame(clients[i], 0x81, "to all", 6);
        CHECK_OK(lithe_ws_free(all[i]));
        close(clients[i]);
    }
}

static void check_results(lithe_server_t server) {
    int clients[3];
    lithe_buffer_t buffer, none;
    int32_t results[6] = { 99, 99, 99, 99, 99, 99 };
    const int32_t expected[6] = { LITHE_OK,         LITHE_ERR_CLOSED,     LITHE_ERR_FULL,
                                  LITHE_ERR_BAD_HANDLE, LITHE_ERR_BAD_HANDLE, LITHE_OK };
    lithe_ws_t good = open_websocket(server, NULL, &clients[0]);
    lithe_ws_t closed = open_websocket(server, NULL, &clients[1]);
    lithe_ws_t full = open_full(server, &clients[2]);
    CHECK_OK(lithe_ws_close(closed, 0, NULL, 0));
    CHECK_OK(lithe_buffer_create(LITHE_TEXT, filler, sizeof filler, &buffer));
    const lithe_ws_t all[6] = { good, closed, full, server, 0, good };
    CHECK_CODE(2, lithe_ws_send_many(all, 6, buffer, results));
    CHECK(memcmp(results, expected, sizeof results) == 0);
    CHECK_CODE(LITHE_ERR_FULL, lithe_ws_send_buffer(full, buffer, 0));
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_ws_send_buffer(full, buffer, 1));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_send_buffer(closed, buffer, -1));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_send_buffer(server, buffer, -1));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_send_buffer(good, good, -1));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_send_buffer(good, buffer, -2));

    memset(results, 0x55, sizeof results);
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_send_many(all, 6, good, results));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_send_many(all, 6, 0, results));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_send_many(NULL, 1, buffer, results));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_send_many(all, (size_t)-1, buffer, results));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_ws_send_many(all, 1, buffer, (int32_t *)((char *)results + 1)));
    CHECK(results[0] == 0x55555555);

    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_buffer_create(7, "x", 1, &none));
    CHECK(none == 0);
    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_buffer_create(LITHE_TEXT, "\xff", 1, &none));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_buffer_create(LITHE_TEXT, NULL, 1, &none));
    CHECK_CODE(LITHE_ERR_TOO_LARGE, lithe_buffer_create(LITHE_BINARY, "x", (size_t)-2, &none));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_buffer_create(LITHE_TEXT, "x", 1, NULL));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_buffer_free(none));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_buffer_free(good));

    CHECK_OK(lithe_buffer_free(buffer));
    CHECK_OK(lithe_ws_free(good));
    CHECK_OK(lithe_ws_free(closed));
    CHECK_OK(lithe_ws_free(full));
    for (int i = 0; i < 3; i++) {
        close(clients[i]);
    }
}

/* Clients that offer compression share one compressed message; the others get it as it is. */
static void check_compression(lithe_server_t server) {
    static char payload[4096];
    char compressed[2][4096], head[1024];
    size_t len[2];
    int clients[3];
    lithe_ws_t all[3];
    lithe_buffer_t buffer;
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    options.compression = LITHE_COMPRESSION_AUTO;
    memset(payload, 'a', sizeof payload);
    for (int i = 0; i < 3; i++) {
        clients[i] = client_connect(server);
        client_handshake(clients[i], "/",
                         i < 2 ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
        lithe_request_t request = next_request(server);
        CHECK_OK(lithe_ws_accept(request, &options, &all[i]));
        CHECK_OK(lithe_request_free(request));
        client_read_until(clients[i], "\r\n\r\n", head, sizeof head);
        CHECK((strstr(head, "permessage-deflate") != NULL) == (i < 2));
    }
    CHECK_OK(lithe_buffer_create(LITHE_TEXT, payload, sizeof payload, &buffer));
    CHECK_CODE(3, lithe_ws_send_many(all, 3, buffer, NULL));
    for (int i = 0; i < 2; i++) {
        CHECK(client_read_frame(clients[i], compressed[i], sizeof compressed[i], &len[i]) == 0xc1);
        CHECK(len[i] < 100);
    }
    CHECK(len[0] == len[1] && memcmp(compressed[0], compressed[1], len[0]) == 0);
    check_frame(clients[2], 0x81, payload, sizeof payload);
    CHECK_OK(lithe_buffer_free(buffer));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(lithe_ws_free(all[i]));
        close(clients[i]);
    }
}

static void check_events(lithe_server_t server) {
    int clients[3];
    char received[256];
    int32_t results[4] = { 99, 99, 99, 99 };
    const lithe_string_t data = LITHE_STRING("to all");
    const lithe_string_t name = LITHE_STRING("a\nb");
    lithe_sse_event_t event = LITHE_SSE_EVENT_INIT;
    lithe_sse_t all[4];
    for (int i = 0; i < 3; i++) {
        all[i] = open_events(server, NULL, &clients[i]);
    }
    all[3] = server;
    CHECK_OK(lithe_sse_close(all[2]));
    event.data = data;
    CHECK_CODE(2, lithe_sse_send_many(all, 4, &event, results));
    CHECK(results[0] == LITHE_OK && results[1] == LITHE_OK);
    CHECK(results[2] == LITHE_ERR_CLOSED && results[3] == LITHE_ERR_BAD_HANDLE);
    CHECK_CODE(2, lithe_sse_send_many(all, 3, &event, NULL));
    CHECK_CODE(0, lithe_sse_send_many(NULL, 0, &event, NULL));
    for (int i = 0; i < 2; i++) {
        client_read_until(clients[i], "data: to all\n\n", received, sizeof received);
        client_read_until(clients[i], "data: to all\n\n", received, sizeof received);
    }
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_send_many(NULL, 1, &event, NULL));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_send_many(all, 3, NULL, NULL));
    event.name = name;
    results[0] = 99;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_send_many(all, 3, &event, results));
    CHECK(results[0] == 99);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(lithe_sse_free(all[i]));
        close(clients[i]);
    }
}

int main(void) {
    lithe_server_t server = start();
    check_many(server);
    check_passing_on(server);
    check_results(server);
    check_compression(server);
    check_events(server);
    CHECK_OK(lithe_server_free(server));
    return 0;
}
