/* Bodies of requests, read while they come in: all of it arrives, a slow host slows the client
 * down, and every way in which an upload can end early is told. */
#include "check.h"

#include <poll.h>
#include <sys/resource.h>

#define MIB (1024 * 1024)

/* An upload of so many bytes, sent by a thread of its own. */
struct upload {
    int client;
    size_t len;
};

/* The byte at a place in an upload. */
static unsigned char byte_at(size_t place) {
    return (unsigned char)(place * 31 + (place >> 11));
}

static void *send_body(void *argument) {
    struct upload *upload = argument;
    static unsigned char chunk[64 * 1024];
    size_t sent = 0;
    while (sent < upload->len) {
        size_t len = upload->len - sent;
        len = len < sizeof chunk ? len : sizeof chunk;
        for (size_t i = 0; i < len; i++) {
            chunk[i] = byte_at(sent + i);
        }
        client_send(upload->client, chunk, len);
        sent += len;
    }
    return NULL;
}

static int post(lithe_server_t server, const char *path, size_t len, const char *headers) {
    char head[512];
    int client = client_connect(server);
    snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n%s\r\n",
             path, len, headers);
    client_send(client, head, strlen(head));
    return client;
}

/* Expects an answer with that status, and no body. */
static void expect_status(int client, int status) {
    char head[1024];
    client_read_until(client, "\r\n\r\n", head, sizeof head);
    if (atoi(head + strlen("HTTP/1.1 ")) != status) {
        fprintf(stderr, "not %d: %s\n", status, head);
        exit(1);
    }
}

static void answer(lithe_request_t request, int32_t status) {
    CHECK_OK(lithe_request_respond(request, status, NULL, 0, NULL, 0));
    CHECK_OK(lithe_request_free(request));
}

/* The largest part of memory that the process has had, in bytes. */
static size_t peak_memory(void) {
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (size_t)usage.ru_maxrss * 1024;
}

static void check_large(lithe_server_t server, size_t len) {
    static unsigned char buffer[100000];
    struct upload upload = { post(server, "/upload", len, ""), len };
    lithe_request_t request = next_request(server);
    lithe_string_t body;
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_request_body(request, &body));
    CHECK(is(body, ""));
    size_t before = peak_memory();
    pthread_t sender = start_thread(send_body, &upload);
    size_t got = 0, n = 0;
    do {
        CHECK_OK(lithe_request_read(request, buffer, sizeof buffer, &n, LONG_MS));
        for (size_t i = 0; i < n; i++) {
            CHECK(buffer[i] == byte_at(got + i));
        }
        got += n;
    } while (n > 0);
    CHECK(got == len);
    /* The end stays the end. */
    CHECK_OK(lithe_request_read(request, buffer, sizeof buffer, &n, 0));
    CHECK(n == 0);
    if (len >= 64 * MIB) {
        CHECK(peak_memory() - before < 8 * MIB);
    }
    join_thread(sender);
    answer(request, 204);
    expect_status(upload.client, 204);

    /* The connection goes on. */
    client_get(upload.client, "/", "");
    answer(next_request(server), 200);
    expect_status(upload.client, 200);
    close(upload.client);
}

/* The client cannot send much more than the host reads. */
static void check_backpressure(lithe_server_t server) {
    static char chunk[64 * 1024];
    char byte;
    size_t n, sent = 0;
    int client = post(server, "/upload", 64 * MIB, "");
    struct pollfd writable = { client, POLLOUT, 0 };
    lithe_request_t request = next_request(server);
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_request_read(request, &byte, 1, &n, 0));
    /* Until nothing more goes: its own and the server's socket buffers are full. */
    while (sent < 64 * MIB && poll(&writable, 1, 500) > 0) {
        ssize_t len = send(client, chunk, sizeof chunk, MSG_DONTWAIT | MSG_NOSIGNAL);
        CHECK(len > 0);
        sent += (size_t)len;
    }
    CHECK(sent < 32 * MIB);
    CHECK_OK(lithe_request_read(request, &byte, 1, &n, LONG_MS));
    CHECK(n == 1);

    /* Answered now, the upload is given up; the client still gets its answer. */
    CHECK_OK(lithe_request_respond(request, 200, NULL, 0, NULL, 0));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_request_read(request, &byte, 1, &n, LONG_MS));
    CHECK(n == 0);
    CHECK_OK(lithe_request_free(request));
    expect_status(client, 200);
    close(client);
}

static void check_chunked(lithe_server_t server) {
    char buffer[64];
    size_t n;
    const char *head = "PUT /upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    int client = client_connect(server);
    client_send(client, head, strlen(head));
    lithe_request_t request = next_request(server);
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_request_read(request, buffer, sizeof buffer, &n, 0));
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_request_read(request, buffer, sizeof buffer, &n, 1));
    client_send(client, "5\r\nhello\r\n", 10);
    CHECK_OK(lithe_request_read(request, buffer, 2, &n, LONG_MS));
    CHECK(n == 2 && memcmp(buffer, "he", 2) == 0);
    CHECK_OK(lithe_request_read(request, buffer, sizeof buffer, &n, 0));
    CHECK(n == 3 && memcmp(buffer, "llo", 3) == 0);
    client_send(client, "0\r\n\r\n", 5);
    CHECK_OK(lithe_request_read(request, buffer, sizeof buffer, &n, LONG_MS));
    CHECK(n == 0);
    answer(request, 204);
    expect_status(client, 204);
    close(client);
}

/* A client that asks first sends nothing before the host reads. */
static void check_expect_continue(lithe_server_t server) {
    char buffer[64];
    size_t n;
    int client = post(server, "/upload", 4, "Expect: 100-continue\r\n");
    answer(next_request(server), 401);
    expect_status(client, 401);
    close(client);

    client = post(server, "/upload", 4, "Expect: 100-continue\r\n");
    lithe_request_t request = next_request(server);
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_request_read(request, buffer, sizeof buffer, &n, 0));
    expect_status(client, 100);
    client_send(client, "body", 4);
    CHECK_OK(lithe_request_read(request, buffer, sizeof buffer, &n, LONG_MS));
    CHECK(n == 4 && memcmp(buffer, "body", 4) == 0);
    answer(request, 204);
    expect_status(client, 204);
    close(client);
}

static void check_vanished(lithe_server_t server) {
    char buffer[64];
    size_t n;
    int client = post(server, "/upload", 100, "");
    lithe_request_t request = next_request(server);
    client_send(client, "begun", 5);
    CHECK_OK(lithe_request_read(request, buffer, sizeof buffer, &n, LONG_MS));
    CHECK(n == 5);
    client_reset(client);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_request_read(request, buffer, sizeof buffer, &n, LONG_MS));
    CHECK_OK(lithe_request_free(request));
}

static void check_limits(lithe_server_t server) {
    char buffer[64];
    size_t n, got = 0;
    int32_t code;
    int client = post(server, "/small", 11, "");
    expect_status(client, 413);
    close(client);

    /* Where the length is not known before, the host is told, and so is the client. */
    const char *chunked = "POST /small HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n";
    client = client_connect(server);
    client_send(client, chunked, strlen(chunked));
    lithe_request_t request = next_request(server);
    while ((code = lithe_request_read(request, buffer, 3, &n, LONG_MS)) == LITHE_OK) {
        got += n;
    }
    CHECK(code == LITHE_ERR_TOO_LARGE && got <= 10 && n == 0);
    CHECK_OK(lithe_request_free(request));
    expect_status(client, 413);
    close(client);

    /* More than the server's 2 MiB, on a route that allows it, and not on one that does not. */
    client = post(server, "/large", 2 * MIB + 1, "");
    lithe_string_t body;
    struct upload upload = { client, 2 * MIB + 1 };
    pthread_t sender = start_thread(send_body, &upload);
    request = next_request(server);
    CHECK_OK(lithe_request_body(request, &body));
    CHECK(body.len == 2 * MIB + 1);
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_request_read(request, buffer, 1, &n, 0));
    join_thread(sender);
    answer(request, 204);
    expect_status(client, 204);
    close(client);
    client = post(server, "/plain", 2 * MIB + 1, "");
    expect_status(client, 413);
    close(client);
}

static void check_deadline(lithe_server_t server) {
    char buffer[64];
    size_t n;
    int client = post(server, "/hasty", 3, "");
    lithe_request_t request = next_request(server);
    /* Waiting for the client takes none of the host's 100 ms. */
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_request_read(request, buffer, sizeof buffer, &n, 300));
    client_send(client, "abc", 3);
    CHECK_OK(lithe_request_read(request, buffer, sizeof buffer, &n, LONG_MS));
    expect_status(client, 504);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_request_read(request, buffer, sizeof buffer, &n, LONG_MS));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_request_respond(request, 200, NULL, 0, NULL, 0));
    CHECK_OK(lithe_request_free(request));
    close(client);
}

/* A client that stops sending is not waited for longer than the server says. */
static void check_too_slow(void) {
    char buffer[64];
    size_t n;
    lithe_server_t server;
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    config.stream_bodies = 1;
    config.body_timeout_ms = 100;
    CHECK_OK(lithe_server_start(&config, &server));
    int client = post(server, "/", 9, "");
    client_send(client, "begun", 5);
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_request_read(request, buffer, sizeof buffer, &n, LONG_MS));
    CHECK(n == 5);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_request_read(request, buffer, sizeof buffer, &n, LONG_MS));
    CHECK_OK(lithe_request_free(request));
    expect_status(client, 408);
    close(client);
    CHECK_OK(lithe_server_free(server));
}

/* Everything that can be done with a request, by many threads at a time, while it is freed. */
static void *hammer(void *argument) {
    lithe_request_t request = *(lithe_request_t *)argument;
    lithe_response_t response = 0;
    char buffer[64];
    size_t n;
    while (lithe_request_read(request, buffer, sizeof buffer, &n, 0) != LITHE_ERR_BAD_HANDLE) {
        lithe_request_watch(request, 1);
        if (lithe_request_respond_stream(request, 200, NULL, 0, NULL, &response) == LITHE_OK) {
            lithe_response_write(response, "x", 1, 0);
            lithe_request_read(request, buffer, sizeof buffer, &n, 1);
            lithe_response_finish(response);
            CHECK_OK(lithe_response_free(response));
            lithe_request_free(request);
        }
    }
    return NULL;
}

static void check_hammered(lithe_server_t server) {
    pthread_t threads[16];
    for (int round = 0; round < 20; round++) {
        int client = post(server, "/upload", 100000, "");
        client_send(client, "begun", 5);
        lithe_request_t request = next_request(server);
        for (size_t i = 0; i < 16; i++) {
            threads[i] = start_thread(hammer, &request);
        }
        for (size_t i = 0; i < 16; i++) {
            join_thread(threads[i]);
        }
        expect_status(client, 200);
        close(client);
    }
}

static void *read_on(void *request) {
    char byte;
    size_t n;
    int32_t code;
    while ((code = lithe_request_read(*(lithe_request_t *)request, &byte, 1, &n, 10)) ==
           LITHE_ERR_TIMEOUT) {
    }
    CHECK(code == LITHE_ERR_CLOSED || code == LITHE_ERR_BAD_HANDLE);
    return NULL;
}

static void check_misuse(lithe_server_t server) {
    char buffer[4];
    size_t n = 7;
    int client = post(server, "/upload", 4, "");
    lithe_request_t request = next_request(server);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_read(request, NULL, 4, &n, 0));
    CHECK(n == 0);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_read(request, buffer, 0, &n, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_read(request, buffer, 4, NULL, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_read(request, buffer, 4, &n, -2));
    pthread_t readers[2];
    for (size_t i = 0; i < 2; i++) {
        readers[i] = start_thread(read_on, &request);
    }
    CHECK_OK(lithe_request_free(request));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_read(request, buffer, 4, &n, 0));
    for (size_t i = 0; i < 2; i++) {
        join_thread(readers[i]);
    }
    expect_status(client, 503);
    close(client);

    /* A streamed request without a body has its end at once. */
    client = client_connect(server);
    client_get(client, "/upload", "");
    request = next_request(server);
    CHECK_OK(lithe_request_read(request, buffer, 4, &n, LONG_MS));
    CHECK(n == 0);
    answer(request, 204);
    expect_status(client, 204);
    close(client);

    /* The server stops in the middle of an upload. */
    client = post(server, "/upload", 4, "");
    request = next_request(server);
    readers[0] = start_thread(read_on, &request);
    CHECK_OK(lithe_server_stop(server));
    join_thread(readers[0]);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_request_read(request, buffer, 4, &n, -1));
    CHECK_OK(lithe_request_free(request));
    close(client);
}

static void add_route(lithe_server_t server, const char *path, int64_t max_body, int32_t timeout_ms,
                      int32_t stream_body) {
    lithe_route_options_t options = LITHE_ROUTE_OPTIONS_INIT;
    options.max_body_bytes = max_body;
    options.timeout_ms = timeout_ms;
    options.stream_body = stream_body;
    CHECK_OK(lithe_server_route(server, NULL, path, NULL, NULL, &options));
}

/* The argument is how many MiB the large upload has. */
int main(int argc, char **argv) {
    lithe_server_t server = start();
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    size_t mib = argc > 1 ? (size_t)atoi(argv[1]) : 64;
    add_route(server, "/upload", -1, 0, 1);
    add_route(server, "/small", 10, 0, 1);
    add_route(server, "/large", 3 * MIB, 0, 0);
    add_route(server, "/plain", 0, 0, 0);
    add_route(server, "/hasty", 0, 100, 1);
    check_large(server, mib * MIB);
    check_backpressure(server);
    check_chunked(server);
    check_expect_continue(server);
    check_vanished(server);
    check_limits(server);
    check_deadline(server);
    check_too_slow();
    check_hammered(server);
    check_misuse(server);
    CHECK_OK(lithe_server_free(server));

    /* Without routes the server says how. */
    config.stream_bodies = 2;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_start(&config, &server));
    config.stream_bodies = 1;
    CHECK_OK(lithe_server_start(&config, &server));
    check_chunked(server);
    CHECK_OK(lithe_server_free(server));
    return 0;
}
