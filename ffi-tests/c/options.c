/* Options by the names of their fields are the structs that C programs fill in. */
#include "check.h"

static lithe_options_t create(lithe_options_kind kind) {
    lithe_options_t options;
    CHECK_OK(lithe_options_create(kind, &options));
    return options;
}

/* Without anything set they ask for the defaults. (Static structs have zeros between fields.) */
static void check_defaults(void) {
    static const lithe_server_config_t server = LITHE_SERVER_CONFIG_INIT;
    static const lithe_ws_options_t ws = LITHE_WS_OPTIONS_INIT;
    static const lithe_sse_options_t sse = LITHE_SSE_OPTIONS_INIT;
    static const lithe_sse_event_t event = LITHE_SSE_EVENT_INIT;
    static const lithe_response_options_t response = LITHE_RESPONSE_OPTIONS_INIT;
    static const lithe_route_options_t route = LITHE_ROUTE_OPTIONS_INIT;
    static const lithe_codec_options_t codec = LITHE_CODEC_OPTIONS_INIT;
    static const lithe_hub_options_t hub = LITHE_HUB_OPTIONS_INIT;
    static const lithe_channel_options_t channel = LITHE_CHANNEL_OPTIONS_INIT;
    static const lithe_publish_options_t publish = LITHE_PUBLISH_OPTIONS_INIT;
    static const lithe_subscribe_options_t subscribe = LITHE_SUBSCRIBE_OPTIONS_INIT;
    static const lithe_mount_options_t mount = LITHE_MOUNT_OPTIONS_INIT;
    static const lithe_grant_t grant = LITHE_GRANT_INIT;
    static const lithe_revocation_t revocation = LITHE_REVOCATION_INIT;
    const struct {
        const void *init;
        lithe_options_kind kind;
    } all[] = { { &server, LITHE_OPTIONS_SERVER },     { &ws, LITHE_OPTIONS_WS },
                { &sse, LITHE_OPTIONS_SSE },           { &event, LITHE_OPTIONS_EVENT },
                { &response, LITHE_OPTIONS_RESPONSE }, { &route, LITHE_OPTIONS_ROUTE },
                { &codec, LITHE_OPTIONS_CODEC },       { &hub, LITHE_OPTIONS_HUB },
                { &channel, LITHE_OPTIONS_CHANNEL },   { &publish, LITHE_OPTIONS_PUBLISH },
                { &subscribe, LITHE_OPTIONS_SUBSCRIBE }, { &mount, LITHE_OPTIONS_MOUNT },
                { &grant, LITHE_OPTIONS_GRANT },       { &revocation, LITHE_OPTIONS_REVOCATION } };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        size_t size;
        lithe_options_t options = create(all[i].kind);
        memcpy(&size, all[i].init, sizeof size);
        CHECK(memcmp(lithe_options_pointer(options), all[i].init, sizeof size) == 0);
        CHECK(size > sizeof size);
        CHECK_OK(lithe_options_free(options));
    }
}

static void check_fields(void) {
    lithe_options_t options = create(LITHE_OPTIONS_SERVER);
    const lithe_server_config_t *config =
        (const lithe_server_config_t *)lithe_options_pointer(options);
    CHECK_OK(lithe_options_set(options, "address", "127.0.0.1:0"));
    CHECK_OK(lithe_options_set(options, "metrics_path", "/first"));
    CHECK_OK(lithe_options_set(options, "metrics_path", "/metrics"));
    CHECK_OK(lithe_options_set(options, "static_dir", "/"));
    CHECK_OK(lithe_options_set(options, "static_dir", NULL));
    CHECK_OK(lithe_options_set(options, "workers", "1"));
    CHECK_OK(lithe_options_set_int(options, "max_connections", -1));
    CHECK_OK(lithe_options_set(options, "max_body_bytes", "5000000000"));
    CHECK_OK(lithe_options_set_int(options, "write_timeout_ms", 2147483647));
    CHECK(config == lithe_options_pointer(options));
    CHECK(config->size == sizeof *config && config->workers == 1 && config->max_connections == -1);
    CHECK(config->max_body_bytes == 5000000000 && config->write_timeout_ms == 2147483647);
    CHECK(strcmp(config->address, "127.0.0.1:0") == 0 && config->static_dir == NULL);
    CHECK(strcmp(config->metrics_path, "/metrics") == 0 && config->tls_cert_file == NULL);
    CHECK_OK(lithe_options_free(options));

    options = create(LITHE_OPTIONS_WS);
    const lithe_ws_options_t *ws = (const lithe_ws_options_t *)lithe_options_pointer(options);
    CHECK_OK(lithe_options_set_int(options, "user_data", -1));
    CHECK(ws->user_data == UINT64_MAX);
    CHECK_OK(lithe_options_set(options, "user_data", "18446744073709551614"));
    CHECK(ws->user_data == UINT64_MAX - 1);
    CHECK_OK(lithe_options_free(options));
}

/* They work where the structs do. */
static void check_use(void) {
    char buffer[256], response[1024];
    size_t len, used;
    lithe_server_t server;
    lithe_ws_t ws;
    lithe_string_t protocol;
    lithe_options_t options = create(LITHE_OPTIONS_SERVER);
    CHECK_OK(lithe_options_set(options, "metrics_path", "/metrics"));
    CHECK_OK(lithe_server_start((const lithe_server_config_t *)lithe_options_pointer(options),
                                &server));
    CHECK_OK(lithe_options_free(options));
    int client = client_connect(server);
    client_get(client, "/metrics", "Connection: close\r\n");
    client_read_until(client, "lithe_connections", response, sizeof response);
    close(client);

    options = create(LITHE_OPTIONS_WS);
    CHECK_OK(lithe_options_set(options, "protocols", "chat, other"));
    client = client_connect(server);
    client_handshake(client, "/", "Sec-WebSocket-Protocol: other\r\n");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_ws_accept(request, (const lithe_ws_options_t *)lithe_options_pointer(options),
                             &ws));
    CHECK_OK(lithe_ws_protocol(ws, &protocol));
    CHECK(is(protocol, "other"));
    CHECK_OK(lithe_options_set(options, "compression", "7"));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_ws_accept(request, (const lithe_ws_options_t *)lithe_options_pointer(options),
                               &ws));
    CHECK_OK(lithe_request_free(request));
    CHECK_OK(lithe_options_free(options));

    options = create(LITHE_OPTIONS_EVENT);
    CHECK_OK(lithe_options_set(options, "data", "two\nlines"));
    CHECK_OK(lithe_options_set(options, "id", ""));
    CHECK_OK(lithe_options_set_int(options, "retry_ms", 5));
    CHECK_OK(lithe_sse_format((const lithe_sse_event_t *)lithe_options_pointer(options), buffer,
                              sizeof buffer - 1, &len));
    buffer[len] = '\0';
    CHECK(strcmp(buffer, "data: two\ndata: lines\nid: \nretry: 5\n\n") == 0);
    CHECK_OK(lithe_options_free(options));

    lithe_codec_t codec;
    lithe_item_t item;
    options = create(LITHE_OPTIONS_CODEC);
    CHECK_OK(lithe_options_set(options, "max_message_bytes", "1"));
    CHECK_OK(lithe_codec_create(LITHE_ROLE_CLIENT,
                                (const lithe_codec_options_t *)lithe_options_pointer(options),
                                &codec));
    memcpy(buffer, "\x81\x02hi", 4);
    CHECK_CODE(LITHE_ERR_PROTOCOL, lithe_codec_decode(codec, buffer, 4, &used, &item, 1));
    CHECK_OK(lithe_codec_free(codec));
    CHECK_OK(lithe_options_free(options));
    CHECK_OK(lithe_server_free(server));
    close(client);
}

static void check_misuse(void) {
    lithe_options_t options = 1;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_options_create(0, &options));
    CHECK(options == 0);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_options_create(99, &options));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_options_create(LITHE_OPTIONS_SSE, NULL));
    options = create(LITHE_OPTIONS_SSE);
    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_options_set(options, "keepalive", "1"));
    CHECK(strstr(lithe_last_error(), "keep_alive_ms, retry_ms") != NULL);
    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_options_set_int(options, "size", 1));
    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_options_set_int(options, "", 1));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_options_set(options, NULL, "1"));
    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_options_set(options, "\xff", "1"));
    const char *no_numbers[] = { "", " 1", "1s", "0x10", "1.5", "2147483648", "-2147483649",
                                 "340282366920938463463374607431768211456", NULL };
    for (size_t i = 0; i < sizeof no_numbers / sizeof no_numbers[0]; i++) {
        CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
                   lithe_options_set(options, "keep_alive_ms", no_numbers[i]));
    }
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_options_set_int(options, "keep_alive_ms", (int64_t)1 << 31));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_options_set(options, "user_data", "-1"));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_options_set(options, "send_queue_bytes", "9223372036854775808"));
    CHECK(((const lithe_sse_options_t *)lithe_options_pointer(options))->keep_alive_ms == 0);
    CHECK_OK(lithe_options_free(options));

    options = create(LITHE_OPTIONS_SERVER);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_options_set_int(options, "address", 80));
    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_options_set(options, "address", "\xff"));
    CHECK_OK(lithe_options_free(options));
    const lithe_options_t bad[] = { 0, options, UINT64_MAX };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_options_set(bad[i], "address", "x"));
        CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_options_set_int(bad[i], "workers", 1));
        CHECK(lithe_options_pointer(bad[i]) == NULL);
        CHECK(strstr(lithe_last_error(), "not a handle of this kind") != NULL);
        CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_options_free(bad[i]));
    }
}

int main(void) {
    check_defaults();
    check_fields();
    check_use();
    check_misuse();
    return 0;
}
