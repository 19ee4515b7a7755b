/* A client that does not read fills the bounded send queue: the host is told, and nothing that was
 * accepted is lost. */
#include "check.h"

#define CHUNK 4096

static void check_websocket(lithe_server_t server) {
    static char data[CHUNK];
    char got[CHUNK];
    size_t len;
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    options.send_queue_bytes = 64 * 1024;
    lithe_ws_t ws;
    int client = client_connect_slow(server);
    client_handshake(client, "/", "");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_ws_accept(request, &options, &ws));
    CHECK_OK(lithe_request_free(request));

    uint32_t sent = 0;
    int32_t code;
    do {
        memcpy(data, &sent, sizeof sent);
        code = lithe_ws_send(ws, LITHE_BINARY, data, sizeof data, 200);
        sent += code == LITHE_OK;
    } while (code == LITHE_OK);
    CHECK(code == LITHE_ERR_TIMEOUT);
    CHECK_CODE(LITHE_ERR_FULL, lithe_ws_send(ws, LITHE_BINARY, data, sizeof data, 0));
    CHECK(lithe_ws_queued(ws) > options.send_queue_bytes - CHUNK - 16);
    CHECK(lithe_ws_queued(ws) <= options.send_queue_bytes);

    char head[1024];
    client_read_until(client, "\r\n\r\n", head, sizeof head);
    for (uint32_t i = 0; i < sent; i++) {
        uint32_t number;
        CHECK(client_read_frame(client, got, sizeof got, &len) == 0x82 && len == CHUNK);
        memcpy(&number, got, sizeof number);
        CHECK(number == i);
    }
    CHECK_OK(lithe_ws_send_text(ws, "room again", LONG_MS));
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x81 && len == 10);
    CHECK_OK(lithe_ws_free(ws));
    close(client);
}

static void check_events(lithe_server_t server) {
    static char data[CHUNK];
    lithe_sse_options_t options = LITHE_SSE_OPTIONS_INIT;
    options.send_queue_bytes = 64 * 1024;
    lithe_sse_t sse;
    int client = client_connect_slow(server);
    client_get(client, "/", "");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_sse_open(request, &options, &sse));
    CHECK_OK(lithe_request_free(request));

    memset(data, 'x', sizeof data - 1);
    uint32_t sent = 0;
    int32_t code;
    while ((code = lithe_sse_send_text(sse, NULL, data, 200)) == LITHE_OK) {
        sent++;
    }
    CHECK(code == LITHE_ERR_TIMEOUT);
    CHECK_CODE(LITHE_ERR_FULL, lithe_sse_send_text(sse, NULL, data, 0));
    CHECK(lithe_sse_queued(sse) > options.send_queue_bytes - CHUNK - 16);

    char line[CHUNK + 64];
    client_read_until(client, "\r\n\r\n", line, sizeof line);
    while (sent > 0) {
        /* Chunks of the transfer coding may end anywhere; the data has no other x. */
        size_t count = 0;
        while (count < CHUNK - 1) {
            char byte;
            client_read(client, &byte, 1);
            count += byte == 'x';
        }
        sent--;
    }
    CHECK_OK(lithe_sse_send_text(sse, NULL, "room again", LONG_MS));
    client_read_until(client, "room again\n\n", line, sizeof line);
    CHECK_OK(lithe_sse_free(sse));
    close(client);
}

int main(void) {
    lithe_server_t server = start();
    check_websocket(server);
    check_events(server);
    CHECK_OK(lithe_server_free(server));
    return 0;
}
