#include "check.h"

#include <poll.h>

lithe_server_t start(void) {
    lithe_server_t server;
    CHECK_OK(lithe_server_start(NULL, &server));
    return server;
}

lithe_request_t next_request(lithe_server_t server) {
    lithe_request_t request;
    CHECK_OK(lithe_server_accept(server, &request, LONG_MS));
    return request;
}

int is(lithe_string_t text, const char *expected) {
    return text.len == strlen(expected) && strcmp(text.ptr, expected) == 0;
}

static int connect_with(lithe_server_t server, int receive_buffer) {
    int client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(client >= 0);
    if (receive_buffer > 0) {
        CHECK(setsockopt(client, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer) == 0);
    }
    struct timeval patience = { LONG_MS / 1000, 0 };
    CHECK(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)lithe_server_port(server));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
    return client;
}

int client_connect(lithe_server_t server) {
    return connect_with(server, 0);
}

int client_connect_slow(lithe_server_t server) {
    return connect_with(server, 1);
}

void client_send(int client, const void *data, size_t len) {
    const char *rest = (const char *)data;
    while (len > 0) {
        ssize_t sent = send(client, rest, len, MSG_NOSIGNAL);
        CHECK(sent > 0);
        rest += sent;
        len -= (size_t)sent;
    }
}

void client_get(int client, const char *path, const char *headers) {
    char request[4096];
    int len = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path,
                       headers);
    CHECK(len > 0 && (size_t)len < sizeof request);
    client_send(client, request, (size_t)len);
}

void client_handshake(int client, const char *path, const char *headers) {
    char all[2048];
    int len = snprintf(all, sizeof all,
                       "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s",
                       headers);
    CHECK(len > 0 && (size_t)len < sizeof all);
    client_get(client, path, all);
}

void client_read(int client, void *data, size_t len) {
    char *rest = (char *)data;
    while (len > 0) {
        ssize_t got = recv(client, rest, len, 0);
        CHECK(got > 0);
        rest += got;
        len -= (size_t)got;
    }
}

void client_read_until(int client, const char *end, char *buffer, size_t size) {
    size_t len = 0;
    buffer[0] = '\0';
    while (strstr(buffer, end) == NULL) {
        CHECK(len + 1 < size);
        client_read(client, buffer + len, 1);
        buffer[++len] = '\0';
    }
}

int client_is_closed(int client) {
    char byte;
    return recv(client, &byte, 1, 0) <= 0;
}

void client_send_frame(int client, int first, const void *data, size_t len) {
    /* Masked with zeros, which leave the data as it is. */
    unsigned char head[8] = { (unsigned char)first };
    size_t head_len = 2;
    CHECK(len < 65536);
    if (len < 126) {
        head[1] = (unsigned char)(0x80 | len);
    } else {
        head[1] = 0x80 | 126;
        head[2] = (unsigned char)(len >> 8);
        head[3] = (unsigned char)len;
        head_len = 4;
    }
    client_send(client, head, head_len + 4);
    client_send(client, data, len);
}

int client_read_frame(int client, void *data, size_t size, size_t *len) {
    unsigned char head[2];
    unsigned char extended[8];
    client_read(client, head, sizeof head);
    *len = head[1];
    if (head[1] == 126) {
        client_read(client, extended, 2);
        *len = (size_t)extended[0] << 8 | extended[1];
    } else if (head[1] == 127) {
        client_read(client, extended, 8);
        *len = 0;
        for (int i = 0; i < 8; i++) {
            *len = *len << 8 | extended[i];
        }
    }
    CHECK(*len <= size);
    client_read(client, data, *len);
    return head[0];
}

lithe_ws_t open_websocket(lithe_server_t server, const lithe_ws_options_t *options, int *client) {
    char head[1024];
    lithe_ws_t ws;
    *client = client_connect(server);
    client_handshake(*client, "/", "");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_ws_accept(request, options, &ws));
    CHECK_OK(lithe_request_free(request));
    client_read_until(*client, "\r\n\r\n", head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.1 101 ", 13) == 0);
    return ws;
}

lithe_sse_t open_events(lithe_server_t server, const lithe_sse_options_t *options, int *client) {
    char head[1024];
    lithe_sse_t sse;
    *client = client_connect(server);
    client_get(*client, "/", "Accept: text/event-stream\r\n");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_sse_open(request, options, &sse));
    CHECK_OK(lithe_request_free(request));
    client_read_until(*client, "\r\n\r\n", head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.1 200 ", 13) == 0);
    return sse;
}

lithe_ws_options_t as_events(uint64_t user_data) {
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    options.events = 1;
    options.user_data = user_data;
    return options;
}

lithe_event_t next_event(lithe_server_t server, lithe_event_kind kind) {
    lithe_event_t event;
    CHECK_CODE(1, lithe_server_wait(server, &event, 1, LONG_MS));
    CHECK(event.kind == kind);
    return event;
}

void check_no_event(lithe_server_t server) {
    lithe_event_t event;
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 0));
}

int is_readable(int fd) {
    struct pollfd poll_fd = {fd, POLLIN, 0};
    CHECK(poll(&poll_fd, 1, 0) >= 0);
    return poll_fd.revents == POLLIN;
}

lithe_ws_t open_event_ws(lithe_server_t server, const lithe_ws_options_t *options, int *client) {
    char head[1024];
    lithe_ws_t ws;
    *client = client_connect_slow(server);
    client_handshake(*client, "/", "");
    lithe_event_t event = next_event(server, LITHE_EVENT_REQUEST);
    CHECK(event.user_data == 0 && event.message.data == NULL);
    CHECK(event.handle_kind == LITHE_HANDLE_REQUEST);
    CHECK_OK(lithe_ws_accept(event.handle, options, &ws));
    CHECK_OK(lithe_request_free(event.handle));
    event = next_event(server, LITHE_EVENT_OPEN);
    CHECK(event.handle == ws && event.user_data == options->user_data);
    CHECK(event.handle_kind == LITHE_HANDLE_WS);
    client_read_until(*client, "\r\n\r\n", head, sizeof head);
    return ws;
}

pthread_t start_thread(void *(*run)(void *), void *argument) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, argument) == 0);
    return thread;
}

void join_thread(pthread_t thread) {
    CHECK(pthread_join(thread, NULL) == 0);
}

void client_reset(int client) {
    struct linger at_once = { 1, 0 };
    CHECK(setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    close(client);
}
