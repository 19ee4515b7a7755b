/* Conversations over WebSockets, and the ways in which they end. */
#include "check.h"

static void check_echo(lithe_server_t server) {
    static char large[60000];
    char got[sizeof large];
    size_t len;
    int client;
    lithe_message_t message = LITHE_MESSAGE_INIT;
    lithe_ws_t ws = open_websocket(server, NULL, &client);

    client_send_frame(client, 0x81, "h\xc3\xa9llo", 6);
    CHECK_OK(lithe_ws_receive(ws, &message, LONG_MS));
    CHECK(message.kind == LITHE_TEXT && message.len == 6);
    CHECK(memcmp(message.data, "h\xc3\xa9llo", 6) == 0);
    CHECK_OK(lithe_ws_send(ws, message.kind, message.data, message.len, -1));
    lithe_message_free(&message);
    CHECK(message.kind == 0 && message.data == NULL && message.len == 0);
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x81);
    CHECK(len == 6 && memcmp(got, "h\xc3\xa9llo", 6) == 0);

    memset(large, 'x', sizeof large);
    client_send_frame(client, 0x82, large, sizeof large);
    CHECK_OK(lithe_ws_receive(ws, &message, LONG_MS));
    CHECK(message.kind == LITHE_BINARY && message.len == sizeof large);
    CHECK_OK(lithe_ws_send(ws, message.kind, message.data, message.len, 0));
    lithe_message_free(&message);
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x82);
    CHECK(len == sizeof large && memcmp(got, large, len) == 0);

    /* Empty, in two frames with a ping between them, and NUL-terminated. */
    client_send_frame(client, 0x82, "", 0);
    CHECK_OK(lithe_ws_receive(ws, &message, LONG_MS));
    CHECK(message.kind == LITHE_BINARY && message.len == 0 && message.data != NULL);
    lithe_message_free(&message);
    client_send_frame(client, 0x01, "ab", 2);
    client_send_frame(client, 0x89, "p", 1);
    client_send_frame(client, 0x80, "cd", 2);
    CHECK_OK(lithe_ws_receive(ws, &message, LONG_MS));
    CHECK(message.kind == LITHE_TEXT && message.len == 4 && memcmp(message.data, "abcd", 4) == 0);
    lithe_message_free(&message);
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x8a && len == 1);
    CHECK_OK(lithe_ws_send_text(ws, "bye", -1));
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x81 && len == 3);
    CHECK_OK(lithe_ws_free(ws));
    close(client);
}

/* What was sent before the client went is received, and then why it went. */
static void check_close_by_client(lithe_server_t server) {
    char got[125];
    size_t len;
    int client;
    lithe_message_t message = LITHE_MESSAGE_INIT;
    lithe_ws_close_info_t info = LITHE_WS_CLOSE_INFO_INIT;
    lithe_ws_t ws = open_websocket(server, NULL, &client);

    client_send_frame(client, 0x81, "last words", 10);
    client_send_frame(client, 0x88, "\x0f\xa1stop", 6);
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x88);
    CHECK(len >= 2 && memcmp(got, "\x0f\xa1", 2) == 0);
    CHECK_OK(lithe_ws_receive(ws, &message, LONG_MS));
    CHECK(message.len == 10);
    lithe_message_free(&message);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_receive(ws, &message, LONG_MS));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_send_text(ws, "too late", -1));
    CHECK_OK(lithe_ws_close_info(ws, &info, 0));
    CHECK(info.code == 4001 && info.clean == 1 && is(info.reason, "stop"));
    CHECK_OK(lithe_ws_free(ws));
    close(client);
}

static void check_close_by_host(lithe_server_t server) {
    char got[125];
    size_t len;
    int client;
    lithe_ws_close_info_t info = LITHE_WS_CLOSE_INFO_INIT;
    lithe_ws_t ws = open_websocket(server, NULL, &client);

    CHECK_OK(lithe_ws_send_text(ws, "last words", -1));
    CHECK_OK(lithe_ws_close(ws, 3000, "a reason, and more", 8));
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_ws_close_info(ws, &info, 0));
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x81 && len == 10);
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x88);
    CHECK(len == 10 && memcmp(got, "\x0b\xb8" "a reason", 10) == 0);
    client_send_frame(client, 0x88, "\x0b\xb8", 2);
    CHECK_OK(lithe_ws_close_info(ws, &info, LONG_MS));
    CHECK(info.code == 3000 && info.clean == 1 && is(info.reason, "a reason"));
    CHECK(lithe_ws_queued(ws) == 0);
    CHECK_OK(lithe_ws_free(ws));
    close(client);

    /* Freed while it is open: closed with 1000, after what is queued. */
    ws = open_websocket(server, NULL, &client);
    CHECK_OK(lithe_ws_send_text(ws, "last words", -1));
    CHECK_OK(lithe_ws_free(ws));
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x81 && len == 10);
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x88);
    CHECK(len == 2 && memcmp(got, "\x03\xe8", 2) == 0);
    close(client);
}

static void check_broken(lithe_server_t server) {
    int client;
    lithe_message_t message = LITHE_MESSAGE_INIT;
    lithe_ws_close_info_t info = LITHE_WS_CLOSE_INFO_INIT;
    lithe_ws_t ws = open_websocket(server, NULL, &client);
    client_reset(client);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_receive(ws, &message, LONG_MS));
    CHECK_OK(lithe_ws_close_info(ws, &info, LONG_MS));
    CHECK(info.code == 1006 && info.clean == 0 && info.reason.len > 0);
    CHECK_OK(lithe_ws_free(ws));
}

static void check_options(lithe_server_t server) {
    char got[125];
    char response[1024];
    size_t len;
    lithe_string_t protocol;
    lithe_ws_t ws;
    lithe_message_t message = LITHE_MESSAGE_INIT;
    lithe_ws_close_info_t info = LITHE_WS_CLOSE_INFO_INIT;
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    options.protocols = "chat.v3, chat.v2";
    options.origins = "https://app.example.com, https://example.org";
    options.max_message_bytes = 4;

    int client = client_connect(server);
    client_handshake(client, "/",
                     "Origin: https://example.org\r\nSec-WebSocket-Protocol: chat.v1, chat.v2\r\n");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_ws_accept(request, &options, &ws));
    CHECK_OK(lithe_request_free(request));
    client_read_until(client, "\r\n\r\n", response, sizeof response);
    CHECK(strstr(response, "sec-websocket-protocol: chat.v2\r\n") != NULL);
    CHECK_OK(lithe_ws_protocol(ws, &protocol));
    CHECK(is(protocol, "chat.v2"));
    client_send_frame(client, 0x82, "12345", 5);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_receive(ws, &message, LONG_MS));
    CHECK_OK(lithe_ws_close_info(ws, &info, LONG_MS));
    CHECK(info.code == 1009);
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x88);
    CHECK(memcmp(got, "\x03\xf1", 2) == 0);
    CHECK_OK(lithe_ws_free(ws));
    close(client);

    client = client_connect(server);
    client_handshake(client, "/", "Origin: https://evil.example\r\n");
    request = next_request(server);
    CHECK_CODE(LITHE_ERR_REFUSED, lithe_ws_accept(request, &options, &ws));
    CHECK(ws == 0);
    client_read_until(client, "\r\n\r\n", response, sizeof response);
    CHECK(strncmp(response, "HTTP/1.1 403 ", 13) == 0);
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_ws_accept(request, &options, &ws));
    CHECK_OK(lithe_request_free(request));
    close(client);
}

/* A thread that is blocked on something, and what it got in the end. */
struct blocked {
    uint64_t handle;
    int32_t code;
};

static void *blocked_receive(void *argument) {
    struct blocked *blocked = (struct blocked *)argument;
    lithe_message_t message = LITHE_MESSAGE_INIT;
    blocked->code = lithe_ws_receive(blocked->handle, &message, -1);
    return NULL;
}

static void *blocked_accept(void *argument) {
    struct blocked *blocked = (struct blocked *)argument;
    uint64_t request;
    blocked->code = lithe_server_accept(blocked->handle, &request, -1);
    return NULL;
}

static void *blocked_send(void *argument) {
    struct blocked *blocked = (struct blocked *)argument;
    static const char data[65536] = { 0 };
    do {
        blocked->code = lithe_ws_send(blocked->handle, LITHE_BINARY, data, sizeof data, -1);
    } while (blocked->code == LITHE_OK);
    return NULL;
}

/* Gives a thread time to block. Where it takes longer the test is easier, never wrong. */
static void let_it_block(void) {
    struct timespec a_while = { 0, 50 * 1000 * 1000 };
    nanosleep(&a_while, NULL);
}

static void check_wake_up(lithe_server_t server) {
    int client;
    struct blocked blocked = { 0, 0 };

    blocked.handle = open_websocket(server, NULL, &client);
    pthread_t first = start_thread(blocked_receive, &blocked);
    struct blocked too = { blocked.handle, 0 };
    pthread_t second = start_thread(blocked_receive, &too);
    let_it_block();
    CHECK_OK(lithe_ws_close(blocked.handle, 0, NULL, 0));
    join_thread(first);
    join_thread(second);
    CHECK(blocked.code == LITHE_ERR_CLOSED && too.code == LITHE_ERR_CLOSED);
    CHECK_OK(lithe_ws_free(blocked.handle));
    close(client);

    blocked.handle = open_websocket(server, NULL, &client);
    first = start_thread(blocked_receive, &blocked);
    let_it_block();
    CHECK_OK(lithe_ws_free(blocked.handle));
    join_thread(first);
    CHECK(blocked.code == LITHE_ERR_CLOSED || blocked.code == LITHE_ERR_BAD_HANDLE);
    close(client);

    blocked.handle = open_websocket(server, NULL, &client);
    first = start_thread(blocked_send, &blocked);
    /* Who waits for room waits until half of the queue is taken. */
    while (lithe_ws_queued(blocked.handle) < 500 * 1000) {
        let_it_block();
    }
    CHECK_OK(lithe_ws_close(blocked.handle, 0, NULL, 0));
    join_thread(first);
    CHECK(blocked.code == LITHE_ERR_CLOSED);
    CHECK_OK(lithe_ws_free(blocked.handle));
    close(client);
}

static void check_stop(lithe_server_t server) {
    int client;
    int late = client_connect(server);
    lithe_ws_t early;
    struct blocked accept = { server, 0 };
    struct blocked receive = { open_websocket(server, NULL, &client), 0 };

    /* One whose handshake the server has not sent yet, as far as the client knows. */
    client_handshake(late, "/", "");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_ws_accept(request, NULL, &early));
    CHECK_OK(lithe_request_free(request));
    struct blocked pending = { early, 0 };

    pthread_t threads[3];
    threads[0] = start_thread(blocked_accept, &accept);
    threads[1] = start_thread(blocked_receive, &receive);
    threads[2] = start_thread(blocked_receive, &pending);
    let_it_block();
    CHECK_OK(lithe_server_stop(server));
    for (int i = 0; i < 3; i++) {
        join_thread(threads[i]);
    }
    CHECK(accept.code == LITHE_ERR_SHUTTING_DOWN);
    CHECK(receive.code == LITHE_ERR_CLOSED && pending.code == LITHE_ERR_CLOSED);
    CHECK_OK(lithe_ws_free(receive.handle));
    CHECK_OK(lithe_ws_free(pending.handle));
    close(client);
    close(late);
}

static void *drain(void *argument) {
    struct blocked *blocked = (struct blocked *)argument;
    lithe_drain_report_t report = LITHE_DRAIN_REPORT_INIT;
    blocked->code = lithe_server_drain(blocked->handle, LONG_MS, &report);
    CHECK(report.drained == 1 && report.cut == 0);
    return NULL;
}

/* A drain tells the peer, lets the conversation end, and then the server is stopped. */
static void check_drain(lithe_server_t server) {
    char got[125];
    size_t len;
    int client;
    lithe_message_t message = LITHE_MESSAGE_INIT;
    lithe_ws_t ws = open_websocket(server, NULL, &client);
    struct blocked accept = { server, 0 };
    struct blocked draining = { server, 0 };
    pthread_t acceptor = start_thread(blocked_accept, &accept);
    pthread_t drainer = start_thread(drain, &draining);
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x88);
    CHECK(memcmp(got, "\x03\xe9", 2) == 0);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_receive(ws, &message, LONG_MS));
    client_send_frame(client, 0x88, "\x03\xe9", 2);
    CHECK(client_is_closed(client));
    close(client);
    join_thread(drainer);
    join_thread(acceptor);
    CHECK(draining.code == LITHE_OK);
    CHECK(accept.code == LITHE_ERR_SHUTTING_DOWN);
    CHECK_CODE(LITHE_ERR_SHUTTING_DOWN, lithe_server_drain(server, 0, NULL));
    CHECK_OK(lithe_ws_free(ws));
}

static void *drain_for_ever(void *argument) {
    struct blocked *blocked = (struct blocked *)argument;
    lithe_drain_report_t report = LITHE_DRAIN_REPORT_INIT;
    blocked->code = lithe_server_drain(blocked->handle, -1, &report);
    CHECK(report.drained == 0 && report.cut == 1);
    return NULL;
}

/* A client that does not answer the close would hold a drain up; a stop does not wait for it. */
static void check_stop_of_drain(lithe_server_t server) {
    char got[125];
    size_t len;
    int client;
    struct blocked draining = { server, 0 };
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    options.close_timeout_ms = 100 * LONG_MS;
    lithe_ws_t ws = open_websocket(server, &options, &client);
    pthread_t drainer = start_thread(drain_for_ever, &draining);
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x88);
    CHECK_OK(lithe_server_stop(server));
    join_thread(drainer);
    CHECK(draining.code == LITHE_OK);
    CHECK_OK(lithe_ws_free(ws));
    close(client);
}

int main(void) {
    lithe_server_t server = start();
    check_echo(server);
    check_close_by_client(server);
    check_close_by_host(server);
    check_broken(server);
    check_options(server);
    check_wake_up(server);
    check_stop(server);
    CHECK_OK(lithe_server_free(server));

    server = start();
    check_stop_of_drain(server);
    CHECK_OK(lithe_server_free(server));

    server = start();
    check_drain(server);
    CHECK_OK(lithe_server_free(server));
    return 0;
}
