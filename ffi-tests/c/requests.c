/* What a request says reaches the host, and what the host answers reaches the client. */
#include "check.h"

static void check_texts(lithe_server_t server) {
    lithe_string_t text;
    char expected[64];
    int client = client_connect(server);
    const char *post = "POST /a%20b/c?x=1&y=%32 HTTP/1.1\r\nHost: example.org\r\nX-Tag: one\r\n"
                       "x-tag: two\r\nX-Raw: \xff\r\nContent-Length: 6\r\n\r\nb\0dy\xfe!";
    client_send(client, post, strlen(post) + 5);
    lithe_request_t request = next_request(server);

    CHECK_OK(lithe_request_method(request, &text));
    CHECK(is(text, "POST"));
    CHECK_OK(lithe_request_path(request, &text));
    CHECK(is(text, "/a%20b/c"));
    CHECK_OK(lithe_request_query(request, &text));
    CHECK(is(text, "x=1&y=%32"));
    CHECK_OK(lithe_request_body(request, &text));
    CHECK(text.len == 6 && memcmp(text.ptr, "b\0dy\xfe!", 7) == 0);
    CHECK_OK(lithe_request_protocols(request, &text));
    CHECK(is(text, ""));
    CHECK(lithe_request_is_websocket(request) == 0);

    struct sockaddr_in own;
    socklen_t own_len = sizeof own;
    CHECK(getsockname(client, (struct sockaddr *)&own, &own_len) == 0);
    snprintf(expected, sizeof expected, "127.0.0.1:%d", ntohs(own.sin_port));
    CHECK_OK(lithe_request_peer(request, &text));
    CHECK(is(text, expected));

    CHECK_OK(lithe_request_header(request, "HOST", LITHE_CSTR, &text));
    CHECK(is(text, "example.org"));
    CHECK_OK(lithe_request_header(request, "x-tag!", 5, &text));
    CHECK(is(text, "one"));
    CHECK_OK(lithe_request_header(request, "x-raw", LITHE_CSTR, &text));
    CHECK(is(text, "\xff"));
    size_t tags = 0;
    for (int32_t i = 0; i < lithe_request_header_count(request); i++) {
        lithe_header_t header;
        CHECK_OK(lithe_request_header_at(request, (size_t)i, &header));
        if (is(header.name, "x-tag")) {
            CHECK(is(header.value, tags == 0 ? "one" : "two"));
            tags++;
        }
    }
    CHECK(tags == 2);
    CHECK_OK(lithe_request_respond(request, 204, NULL, 0, NULL, 0));
    CHECK_OK(lithe_request_free(request));
    close(client);
}

static void check_responses(lithe_server_t server) {
    char response[1024];
    int client = client_connect(server);

    client_get(client, "/", "");
    lithe_request_t request = next_request(server);
    const lithe_header_t headers[] = {
        LITHE_HEADER("Content-Type", "application/octet-stream"),
        LITHE_HEADER("Set-Cookie", "a=1"),
        LITHE_HEADER("Set-Cookie", "b=2"),
        { { "X-Cut-Short", 5 }, { "value, of which 5 bytes", 5 } },
    };
    CHECK_OK(lithe_request_respond(request, 404, headers, 4, "ab\0d", 4));
    CHECK_OK(lithe_request_free(request));
    client_read_until(client, "\r\n\r\n", response, sizeof response);
    CHECK(strncmp(response, "HTTP/1.1 404 Not Found\r\n", 24) == 0);
    CHECK(strstr(response, "content-type: application/octet-stream\r\n") != NULL);
    CHECK(strstr(response, "set-cookie: a=1\r\n") != NULL);
    CHECK(strstr(response, "set-cookie: b=2\r\n") != NULL);
    CHECK(strstr(response, "x-cut: value\r\n") != NULL);
    CHECK(strstr(response, "content-length: 4\r\n") != NULL);
    client_read(client, response, 4);
    CHECK(memcmp(response, "ab\0d", 4) == 0);

    /* The connection goes on. */
    client_get(client, "/second", "");
    request = next_request(server);
    CHECK_OK(lithe_request_respond_text(request, 200, "text/html; charset=utf-8", "<p>hello"));
    CHECK_OK(lithe_request_free(request));
    client_read_until(client, "<p>hello", response, sizeof response);
    CHECK(strstr(response, "content-type: text/html; charset=utf-8\r\n") != NULL);

    const char *head = "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client_send(client, head, strlen(head));
    request = next_request(server);
    CHECK_OK(lithe_request_respond_text(request, 200, "text/plain", "never sent"));
    CHECK_OK(lithe_request_free(request));
    client_read_until(client, "\r\n\r\n", response, sizeof response);
    CHECK(strstr(response, "content-length: 10\r\n") != NULL);

    client_get(client, "/", "Connection: close\r\n");
    request = next_request(server);
    CHECK_OK(lithe_request_respond(request, 200, NULL, 0, "LITHE_CSTR", LITHE_CSTR));
    CHECK_OK(lithe_request_free(request));
    client_read_until(client, "LITHE_CSTR", response, sizeof response);
    CHECK(client_is_closed(client));
    close(client);
}

static void check_body_limit(lithe_server_t server) {
    char response[1024];
    int client = client_connect(server);
    const char *post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n";
    client_send(client, post, strlen(post));
    client_read_until(client, "\r\n\r\n", response, sizeof response);
    CHECK(strncmp(response, "HTTP/1.1 413 ", 13) == 0);
    close(client);
}

static void check_websocket_offer(lithe_server_t server) {
    lithe_string_t text;
    int client = client_connect(server);
    client_handshake(client, "/chat", "Sec-WebSocket-Protocol: v2 , v1\r\n");
    lithe_request_t request = next_request(server);
    CHECK(lithe_request_is_websocket(request) == 1);
    CHECK_OK(lithe_request_protocols(request, &text));
    CHECK(is(text, "v2, v1"));
    CHECK_OK(lithe_request_free(request));
    close(client);
}

static void check_last_event_id(lithe_server_t server) {
    lithe_string_t id;
    int client = client_connect(server);
    client_get(client, "/", "Last-Event-ID: 41\r\n");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_request_last_event_id(request, &id));
    CHECK(is(id, "41"));
    CHECK_OK(lithe_request_respond(request, 200, NULL, 0, NULL, 0));
    CHECK_OK(lithe_request_free(request));
    client_get(client, "/?lastEventId=4%202", "");
    request = next_request(server);
    CHECK_OK(lithe_request_last_event_id(request, &id));
    CHECK(is(id, "4 2"));
    CHECK_OK(lithe_request_free(request));
    close(client);
}

int main(void) {
    lithe_string_t address;
    char expected[64];
    lithe_server_t server = start();
    snprintf(expected, sizeof expected, "127.0.0.1:%d", lithe_server_port(server));
    CHECK_OK(lithe_server_address(server, &address));
    CHECK(is(address, expected));

    check_texts(server);
    check_responses(server);
    check_body_limit(server);
    check_websocket_offer(server);
    check_last_event_id(server);
    CHECK_OK(lithe_server_free(server));
    return 0;
}
