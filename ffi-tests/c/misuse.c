/* A host that does everything wrong gets error codes, and nothing worse. */
#include "check.h"

/* Every function that takes a handle says that this is none. */
static void check_bad_handle(uint64_t handle) {
    lithe_string_t text;
    lithe_header_t header;
    uint64_t out;
    void *user_data;
    char byte;
    size_t len = 1;
    lithe_message_t message = LITHE_MESSAGE_INIT;
    lithe_sse_event_t event = LITHE_SSE_EVENT_INIT;
    lithe_ws_close_info_t info = LITHE_WS_CLOSE_INFO_INIT;

    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_port(handle));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_address(handle, &text));
    CHECK(is(text, ""));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_accept(handle, &out, -1));
    CHECK(out == 0);
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_drain(handle, -1, NULL));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_stop(handle));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_route(handle, "GET", "/", NULL, NULL, NULL));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_serve(handle, -1));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_free(handle));

    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_method(handle, &text));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_path(handle, &text));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_query(handle, &text));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_peer(handle, &text));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_body(handle, &text));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_protocols(handle, &text));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_last_event_id(handle, &text));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_header(handle, "host", LITHE_CSTR, &text));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_header_count(handle));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_header_at(handle, 0, &header));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_is_websocket(handle));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_respond(handle, 200, NULL, 0, NULL, 0));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_respond_text(handle, 200, NULL, NULL));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_respond_stream(handle, 200, NULL, 0, NULL, &out));
    CHECK(out == 0);
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_query_param(handle, "a", &text));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_param(handle, "a", &text));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_user_data(handle, &user_data));
    CHECK(user_data == NULL);
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_read(handle, &byte, 1, &len, -1));
    CHECK(len == 0);
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_watch(handle, 1));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_dispatch(handle));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_free(handle));

    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_response_write(handle, "x", 1, -1));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_response_finish(handle));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_response_wait_closed(handle, -1));
    CHECK(lithe_response_queued(handle) == LITHE_ERR_BAD_HANDLE);
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_response_free(handle));

    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_accept(handle, NULL, &out));
    CHECK(out == 0);
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_protocol(handle, &text));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_receive(handle, &message, -1));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_send(handle, LITHE_TEXT, "x", 1, -1));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_send_text(handle, "x", -1));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_close(handle, 0, NULL, 0));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_close_info(handle, &info, -1));
    CHECK(lithe_ws_queued(handle) == LITHE_ERR_BAD_HANDLE);
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_free(handle));

    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_sse_open(handle, NULL, &out));
    CHECK(out == 0);
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_sse_send(handle, &event, -1));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_sse_send_text(handle, NULL, "x", -1));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_sse_wait_closed(handle, -1));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_sse_close(handle));
    CHECK(lithe_sse_queued(handle) == LITHE_ERR_BAD_HANDLE);
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_sse_free(handle));

    CHECK(strstr(lithe_last_error(), "not a handle of this kind") != NULL);
}

/* No function of another kind takes this handle. */
static void check_wrong_kind(lithe_server_t server, lithe_request_t request, lithe_ws_t ws,
                             lithe_sse_t sse) {
    uint64_t out;
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_accept(request, &out, 0));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_free(ws));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_free(server));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_free(sse));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_free(sse));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_free(request));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_sse_free(ws));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_sse_free(server));
}

static void check_configuration(void) {
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    lithe_server_t server = 1;

    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_start(&config, NULL));
    config.size = 0;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_start(&config, &server));
    CHECK(server == 0);
    CHECK(strstr(lithe_last_error(), "INIT") != NULL);
    config.size = sizeof config;

    config.max_connections = -2;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_start(&config, &server));
    CHECK(strstr(lithe_last_error(), "max_connections") != NULL);
    config.max_connections = 0;

    config.address = "nowhere";
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_start(&config, &server));
    CHECK(strstr(lithe_last_error(), "nowhere") != NULL);
    config.address = "127.0.0.1:99999";
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_start(&config, &server));
    /* An address of a network for documentation, which no machine has. */
    config.address = "192.0.2.1:0";
    CHECK_CODE(LITHE_ERR_IO, lithe_server_start(&config, &server));
    config.address = "\xff:80";
    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_server_start(&config, &server));
    config.address = NULL;

    config.static_dir = "/there/is/no/such/directory";
    CHECK_CODE(LITHE_ERR_IO, lithe_server_start(&config, &server));
    config.static_dir = NULL;

    config.tls_cert_file = "certificate.pem";
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_start(&config, &server));
    config.tls_key_file = "/there/is/no/key.pem";
    CHECK_CODE(LITHE_ERR_IO, lithe_server_start(&config, &server));
}

static void check_address_in_use(lithe_server_t server) {
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    lithe_string_t address;
    lithe_server_t second = 1;
    CHECK_OK(lithe_server_address(server, &address));
    config.address = address.ptr;
    CHECK_CODE(LITHE_ERR_IO, lithe_server_start(&config, &second));
    CHECK(second == 0);
    CHECK(strstr(lithe_last_error(), address.ptr) != NULL);
}

static void check_request(lithe_server_t server) {
    lithe_string_t text;
    lithe_header_t header;
    uint64_t out;
    char response[1024];
    int client = client_connect(server);
    client_get(client, "/", "");
    lithe_request_t request = next_request(server);

    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_path(request, NULL));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_header(request, NULL, 0, &text));
    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_request_header(request, "\xff", 1, &text));
    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_request_header(request, "x-none", LITHE_CSTR, &text));
    CHECK(is(text, ""));
    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_request_header_at(request, 99, &header));
    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_request_last_event_id(request, &text));

    /* None of these is an answer. */
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_respond(request, 101, NULL, 0, NULL, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_respond(request, 600, NULL, 0, NULL, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_respond(request, -1, NULL, 0, NULL, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_respond(request, 200, NULL, 1, NULL, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_respond(request, 200, NULL, 0, NULL, 1));
    const lithe_header_t malformed[] = {
        LITHE_HEADER("a b", "c"),
        LITHE_HEADER("", "c"),
        LITHE_HEADER("a", "b\r\nInjected: c"),
        LITHE_HEADER("Content-Length", "7"),
        LITHE_HEADER("transfer-encoding", "chunked"),
    };
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
                   lithe_request_respond(request, 200, &malformed[i], 1, NULL, 0));
    }
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_ws_accept(request, NULL, &out));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_open(request, NULL, NULL));

    CHECK_OK(lithe_request_respond_text(request, 200, "text/plain", "the answer"));
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_request_respond(request, 200, NULL, 0, NULL, 0));
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_sse_open(request, NULL, &out));
    CHECK_OK(lithe_request_path(request, &text));
    CHECK(is(text, "/"));
    CHECK_OK(lithe_request_free(request));
    check_bad_handle(request);

    client_read_until(client, "the answer", response, sizeof response);
    close(client);
}

static void check_websocket(lithe_server_t server) {
    static const char reason[124] = { 0 };
    lithe_message_t message = LITHE_MESSAGE_INIT;
    lithe_ws_close_info_t info = { 0, 0, 0, { NULL, 0 } };
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    lithe_ws_t ws;
    int client = client_connect(server);
    client_handshake(client, "/", "");
    lithe_request_t request = next_request(server);

    options.peer_timeout_ms = -1;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_accept(request, &options, &ws));
    options.peer_timeout_ms = 0;
    options.compression = 7;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_accept(request, &options, &ws));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_accept(request, NULL, NULL));
    CHECK_OK(lithe_ws_accept(request, NULL, &ws));
    CHECK_OK(lithe_request_free(request));

    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_receive(ws, NULL, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_receive(ws, &message, -2));
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_ws_receive(ws, &message, 0));
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_ws_receive(ws, &message, 1));
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_ws_close_info(ws, NULL, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_send(ws, 7, "x", 1, -1));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_send(ws, LITHE_BINARY, NULL, 1, -1));
    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_ws_send(ws, LITHE_TEXT, "\xff", 1, -1));
    CHECK_CODE(LITHE_ERR_TOO_LARGE, lithe_ws_send(ws, LITHE_BINARY, "x", (size_t)-2, -1));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_send_text(ws, NULL, -1));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_close(ws, 1005, NULL, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_close(ws, 65536 + 1000, NULL, 0));
    CHECK_CODE(LITHE_ERR_TOO_LARGE, lithe_ws_close(ws, 1000, reason, sizeof reason));

    CHECK_OK(lithe_ws_close(ws, 4000, "done", LITHE_CSTR));
    CHECK_OK(lithe_ws_close(ws, 4001, "again", LITHE_CSTR));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_receive(ws, &message, -1));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_send_text(ws, "x", -1));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_send_text(ws, "x", 0));
    client_send_frame(client, 0x88, "\x0f\xa0", 2);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_close_info(ws, &info, LONG_MS));
    info.size = sizeof info;
    CHECK_OK(lithe_ws_close_info(ws, &info, LONG_MS));
    CHECK(info.code == 4000 && info.clean == 1 && is(info.reason, "done"));

    lithe_message_free(&message);
    lithe_message_free(&message);
    lithe_message_free(NULL);
    CHECK_OK(lithe_ws_free(ws));
    check_bad_handle(ws);
    close(client);
}

static void check_events(lithe_server_t server) {
    int client;
    lithe_sse_t sse = open_events(server, NULL, &client);
    lithe_sse_event_t event = LITHE_SSE_EVENT_INIT;

    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_send(sse, NULL, -1));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_send_text(sse, NULL, NULL, -1));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_send_text(sse, "a\nb", "data", -1));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_send_text(sse, NULL, "data", -2));
    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_sse_send_text(sse, NULL, "\xff", -1));
    event.id.ptr = "1\0002";
    event.id.len = 3;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_send(sse, &event, -1));
    event.size = 1;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_send(sse, &event, -1));
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_sse_wait_closed(sse, 0));

    CHECK_OK(lithe_sse_close(sse));
    CHECK_OK(lithe_sse_close(sse));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_sse_send_text(sse, NULL, "data", -1));
    CHECK_OK(lithe_sse_wait_closed(sse, 0));
    CHECK_OK(lithe_sse_free(sse));
    check_bad_handle(sse);
    close(client);
}

int main(void) {
    const uint64_t made_up[] = { 0, 1, 0xffffffff, UINT64_MAX, (uint64_t)1 << 56, (uint64_t)2 << 56,
                                 ((uint64_t)3 << 56) | ((uint64_t)1 << 28), (uint64_t)200 << 56 };
    for (size_t i = 0; i < sizeof made_up / sizeof made_up[0]; i++) {
        check_bad_handle(made_up[i]);
    }
    CHECK(strcmp(lithe_strerror(LITHE_ERR_BAD_HANDLE), "bad handle") == 0);
    CHECK(lithe_abi_version() == LITHE_ABI_VERSION);
    CHECK(strlen(lithe_version()) > 0);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_log_set(99, NULL, NULL));

    check_configuration();
    lithe_server_t server = start();
    check_address_in_use(server);
    check_request(server);
    check_websocket(server);
    check_events(server);

    int ws_client, sse_client;
    lithe_ws_t ws = open_websocket(server, NULL, &ws_client);
    lithe_sse_t sse = open_events(server, NULL, &sse_client);
    int client = client_connect(server);
    client_get(client, "/", "");
    lithe_request_t request = next_request(server);
    check_wrong_kind(server, request, ws, sse);

    /* After the stop everything that is left says so, and can be freed in any order. */
    uint64_t out;
    lithe_message_t message = LITHE_MESSAGE_INIT;
    CHECK_OK(lithe_server_stop(server));
    CHECK_OK(lithe_server_stop(server));
    CHECK_CODE(LITHE_ERR_SHUTTING_DOWN, lithe_server_accept(server, &out, -1));
    CHECK_CODE(LITHE_ERR_SHUTTING_DOWN, lithe_server_drain(server, -1, NULL));
    CHECK(lithe_server_port(server) > 0);
    CHECK_OK(lithe_server_free(server));
    check_bad_handle(server);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_request_respond(request, 200, NULL, 0, NULL, 0));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_send_text(ws, "x", -1));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_receive(ws, &message, -1));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_sse_send_text(sse, NULL, "x", -1));
    CHECK_OK(lithe_sse_free(sse));
    CHECK_OK(lithe_ws_free(ws));
    CHECK_OK(lithe_request_free(request));
    close(client);
    close(ws_client);
    close(sse_client);
    return 0;
}
