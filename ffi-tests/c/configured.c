/* A host that sets everything there is to set, for a test that looks at it from outside: the
 * arguments are a directory, a certificate and a key. It answers each request with its Host header
 * and path, speaks WebSocket on /ws, and ends with a request for /end. */
#include "check.h"

static void answer(lithe_request_t request) {
    lithe_string_t host, path;
    char text[256];
    CHECK_OK(lithe_request_header(request, "host", LITHE_CSTR, &host));
    CHECK_OK(lithe_request_path(request, &path));
    snprintf(text, sizeof text, "%s%s", host.ptr, path.ptr);
    CHECK_OK(lithe_request_respond_text(request, 200, "text/plain", text));
}

static void converse(lithe_request_t request) {
    lithe_ws_t ws;
    lithe_message_t message = LITHE_MESSAGE_INIT;
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    options.protocols = "echo";
    options.origins = "*";
    options.max_message_bytes = -1;
    options.send_queue_bytes = -1;
    options.receive_queue_bytes = 1000 * 1000;
    options.max_messages_per_second = 1000;
    options.ping_interval_ms = -1;
    options.peer_timeout_ms = LONG_MS;
    options.idle_timeout_ms = LONG_MS;
    options.close_timeout_ms = LONG_MS;
    options.compression = LITHE_COMPRESSION_AUTO;
    CHECK_OK(lithe_ws_accept(request, &options, &ws));
    while (lithe_ws_receive(ws, &message, LONG_MS) == LITHE_OK) {
        CHECK_OK(lithe_ws_send(ws, message.kind, message.data, message.len, LONG_MS));
        lithe_message_free(&message);
    }
    CHECK_OK(lithe_ws_free(ws));
}

int main(int argc, char **argv) {
    lithe_server_t server;
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    CHECK(argc == 4);
    config.address = "127.0.0.1:0";
    config.static_dir = argv[1];
    config.tls_cert_file = argv[2];
    config.tls_key_file = argv[3];
    config.metrics_path = "/metrics";
    config.workers = 1;
    config.max_connections = -1;
    config.max_connections_per_ip = -1;
    config.max_waiting_requests = -1;
    config.max_header_bytes = -1;
    config.max_body_bytes = 10;
    config.handshake_timeout_ms = LONG_MS;
    config.header_timeout_ms = LONG_MS;
    config.body_timeout_ms = -1;
    config.request_timeout_ms = -1;
    config.idle_timeout_ms = -1;
    config.write_timeout_ms = -1;
    CHECK_OK(lithe_server_start(&config, &server));
    printf("%d\n", lithe_server_port(server));
    fflush(stdout);

    int more = 1;
    while (more) {
        lithe_request_t request = next_request(server);
        if (lithe_request_is_websocket(request)) {
            converse(request);
        } else {
            lithe_string_t path;
            CHECK_OK(lithe_request_path(request, &path));
            more = strcmp(path.ptr, "/end") != 0;
            answer(request);
        }
        CHECK_OK(lithe_request_free(request));
    }
    CHECK_OK(lithe_server_drain(server, LONG_MS, NULL));
    CHECK_OK(lithe_server_free(server));
    return 0;
}
