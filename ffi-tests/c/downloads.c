/* Bodies of responses, written piece by piece: all of it arrives at a slow client with little of it
 * in memory, and every way in which a response can end early is told. */
#include "check.h"

#include <sys/resource.h>

#define MIB (1024 * 1024)
#define PIECE (64 * 1024)

/* The byte at a place in a download. */
static unsigned char byte_at(size_t place) {
    return (unsigned char)(place * 31 + (place >> 11));
}

/* The largest part of memory that the process has had, in bytes. */
static size_t peak_memory(void) {
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (size_t)usage.ru_maxrss * 1024;
}

/* Sends a request, and takes it. */
static lithe_request_t ask(lithe_server_t server, const char *request, int *client) {
    *client = client_connect_slow(server);
    client_send(*client, request, strlen(request));
    return next_request(server);
}

/* Sends a request, and answers it with a stream. */
static lithe_response_t open_download(lithe_server_t server, const char *request,
                                      const char *content_length, int *client) {
    lithe_response_t response;
    const lithe_header_t headers[] = {
        LITHE_HEADER("Content-Type", "application/octet-stream"),
        { LITHE_STRING("Content-Length"), LITHE_STRING(content_length) },
    };
    lithe_request_t asked = ask(server, request, client);
    CHECK_OK(lithe_request_respond_stream(asked, 200, headers, content_length == NULL ? 1 : 2, NULL,
                                          &response));
    CHECK_OK(lithe_request_free(asked));
    return response;
}

#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

struct download {
    int client;
    size_t len;
};

static void *read_slowly(void *argument) {
    struct download *download = argument;
    unsigned char buffer[4096];
    for (size_t got = 0; got < download->len;) {
        ssize_t n = recv(download->client, buffer, sizeof buffer, 0);
        CHECK(n > 0);
        for (ssize_t i = 0; i < n; i++) {
            CHECK(buffer[i] == byte_at(got + (size_t)i));
        }
        got += (size_t)n;
    }
    return NULL;
}

static void check_large(lithe_server_t server, size_t len) {
    static unsigned char piece[PIECE];
    char head[1024], length[32];
    struct download download = { 0, len };
    snprintf(length, sizeof length, "%zu", len);
    size_t before = peak_memory();
    lithe_response_t response = open_download(server, GET, length, &download.client);
    client_read_until(download.client, "\r\n\r\n", head, sizeof head);
    CHECK(strstr(head, "transfer-encoding") == NULL);
    pthread_t reader = start_thread(read_slowly, &download);
    for (size_t sent = 0; sent < len; sent += sizeof piece) {
        for (size_t i = 0; i < sizeof piece; i++) {
            piece[i] = byte_at(sent + i);
        }
        CHECK_OK(lithe_response_write(response, piece, sizeof piece, LONG_MS));
        CHECK(lithe_response_queued(response) <= MIB);
    }
    CHECK_OK(lithe_response_finish(response));
    CHECK_OK(lithe_response_wait_closed(response, LONG_MS));
    CHECK(lithe_response_queued(response) == 0);
    join_thread(reader);
    if (len >= 64 * MIB) {
        CHECK(peak_memory() - before < 8 * MIB);
    }
    CHECK_OK(lithe_response_finish(response));
    CHECK_OK(lithe_response_free(response));

    /* The connection goes on. */
    client_get(download.client, "/", "");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_request_respond(request, 204, NULL, 0, NULL, 0));
    CHECK_OK(lithe_request_free(request));
    client_read_until(download.client, "\r\n\r\n", head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.1 204 ", 13) == 0);
    close(download.client);
}

static void check_chunked(lithe_server_t server) {
    char text[1024];
    int client;
    lithe_response_t response = open_download(server, GET, NULL, &client);
    client_read_until(client, "\r\n\r\n", text, sizeof text);
    CHECK(strstr(text, "transfer-encoding: chunked\r\n") != NULL);
    CHECK(strstr(text, "content-type: application/octet-stream\r\n") != NULL);
    CHECK_OK(lithe_response_write(response, "hello", 5, LONG_MS));
    client_read_until(client, "5\r\nhello\r\n", text, sizeof text);
    CHECK_OK(lithe_response_write(response, NULL, 0, 0));
    CHECK_OK(lithe_response_write(response, "you", 3, 0));
    CHECK_OK(lithe_response_finish(response));
    client_read_until(client, "3\r\nyou\r\n0\r\n\r\n", text, sizeof text);

    /* There is an end, and only one. */
    CHECK_OK(lithe_response_wait_closed(response, LONG_MS));
    CHECK_OK(lithe_response_finish(response));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_response_write(response, "x", 1, -1));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_response_write(response, "x", 1, 0));
    CHECK_OK(lithe_response_free(response));
    close(client);

    /* What is finished goes out without its handle. */
    response = open_download(server, "GET / HTTP/1.0\r\n\r\n", NULL, &client);
    CHECK_OK(lithe_response_write(response, "old", 3, 0));
    CHECK_OK(lithe_response_finish(response));
    CHECK_OK(lithe_response_free(response));
    client_read_until(client, "\r\n\r\nold", text, sizeof text);
    CHECK(client_is_closed(client));
    close(client);
}

static void check_full_queue(lithe_server_t server) {
    static unsigned char piece[PIECE];
    lithe_response_options_t options = LITHE_RESPONSE_OPTIONS_INIT;
    lithe_response_t response;
    int client;
    int32_t code;
    lithe_request_t request = ask(server, GET, &client);
    options.send_queue_bytes = 2 * PIECE;
    CHECK_OK(lithe_request_respond_stream(request, 200, NULL, 0, &options, &response));
    CHECK_OK(lithe_request_free(request));
    while ((code = lithe_response_write(response, piece, sizeof piece, 200)) == LITHE_OK) {
    }
    CHECK(code == LITHE_ERR_TIMEOUT);
    CHECK_CODE(LITHE_ERR_FULL, lithe_response_write(response, piece, sizeof piece, 0));
    CHECK(lithe_response_queued(response) == 2 * PIECE);
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_response_wait_closed(response, 0));
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_response_wait_closed(response, 1));

    /* The client goes, and with it the queue. */
    client_reset(client);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_response_wait_closed(response, LONG_MS));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_response_write(response, piece, sizeof piece, -1));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_response_finish(response));
    CHECK(lithe_response_queued(response) == 0);
    CHECK_OK(lithe_response_free(response));
}

static void *write_on(void *response) {
    static unsigned char piece[PIECE];
    int32_t code;
    while ((code = lithe_response_write(*(lithe_response_t *)response, piece, sizeof piece, -1)) ==
           LITHE_OK) {
    }
    CHECK(code == LITHE_ERR_CLOSED || code == LITHE_ERR_BAD_HANDLE);
    return NULL;
}

static void check_vanished(lithe_server_t server) {
    int client;
    char head[1024];
    lithe_response_t response = open_download(server, GET, NULL, &client);
    pthread_t writer = start_thread(write_on, &response);
    client_read_until(client, "\r\n\r\n", head, sizeof head);
    client_reset(client);
    join_thread(writer);
    CHECK_OK(lithe_response_free(response));

    /* One that only waits learns of it too. */
    response = open_download(server, GET, NULL, &client);
    client_read_until(client, "\r\n\r\n", head, sizeof head);
    client_reset(client);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_response_wait_closed(response, LONG_MS));
    CHECK_OK(lithe_response_free(response));
}

/* A response that is not finished does not look like one that is. */
static void check_given_up(lithe_server_t server) {
    char text[1024];
    int client;
    lithe_response_t response = open_download(server, GET, NULL, &client);
    CHECK_OK(lithe_response_write(response, "begun", 5, 0));
    client_read_until(client, "5\r\nbegun\r\n", text, sizeof text);
    pthread_t writer = start_thread(write_on, &response);
    CHECK_OK(lithe_response_free(response));
    join_thread(writer);
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_response_write(response, "x", 1, -1));
    size_t len = 0;
    ssize_t n;
    while ((n = recv(client, text, sizeof text, 0)) > 0) {
        len += (size_t)n;
        CHECK(n < 5 || memcmp(text + n - 5, "0\r\n\r\n", 5) != 0);
    }
    CHECK(len < 64 * MIB);
    close(client);
}

static void check_content_length(lithe_server_t server) {
    char text[1024];
    int client;
    lithe_response_t response = open_download(server, GET, "5", &client);
    CHECK_CODE(LITHE_ERR_TOO_LARGE, lithe_response_write(response, "123456", 6, -1));
    CHECK_OK(lithe_response_write(response, "123", 3, -1));
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_response_finish(response));
    CHECK(strstr(lithe_last_error(), "2 bytes") != NULL);
    CHECK_CODE(LITHE_ERR_TOO_LARGE, lithe_response_write(response, "456", 3, 0));
    CHECK_OK(lithe_response_write(response, "45", 2, -1));
    CHECK_OK(lithe_response_finish(response));
    CHECK_OK(lithe_response_wait_closed(response, LONG_MS));
    client_read_until(client, "\r\n\r\n12345", text, sizeof text);
    CHECK(strstr(text, "content-length: 5\r\n") != NULL);
    CHECK_OK(lithe_response_free(response));
    close(client);

    response = open_download(server, GET, "5", &client);
    CHECK_OK(lithe_response_write(response, "123", 3, -1));
    client_read_until(client, "\r\n\r\n123", text, sizeof text);
    CHECK_OK(lithe_response_free(response));
    CHECK(client_is_closed(client));
    close(client);

    response = open_download(server, GET, "0", &client);
    CHECK_OK(lithe_response_finish(response));
    CHECK_OK(lithe_response_wait_closed(response, LONG_MS));
    client_read_until(client, "\r\n\r\n", text, sizeof text);
    CHECK_OK(lithe_response_free(response));
    close(client);
}

static void check_no_body(lithe_server_t server) {
    char text[1024];
    int client;
    lithe_response_t response =
        open_download(server, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", "70", &client);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_response_write(response, "x", 1, -1));
    CHECK_OK(lithe_response_finish(response));
    CHECK_OK(lithe_response_wait_closed(response, LONG_MS));
    client_read_until(client, "\r\n\r\n", text, sizeof text);
    CHECK(strstr(text, "content-length: 70\r\n") != NULL);
    CHECK_OK(lithe_response_free(response));

    client_get(client, "/", "");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_request_respond_stream(request, 204, NULL, 0, NULL, &response));
    CHECK_OK(lithe_request_free(request));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_response_write(response, "x", 1, 0));
    CHECK_OK(lithe_response_finish(response));
    CHECK_OK(lithe_response_free(response));
    client_read_until(client, "\r\n\r\n", text, sizeof text);
    CHECK(strncmp(text, "HTTP/1.1 204 ", 13) == 0);
    close(client);
}

/* The answer may begin while the body of the request is still on its way. */
static void check_both_ways(lithe_server_t server) {
    char text[1024];
    size_t n;
    int client;
    lithe_response_t response;
    lithe_route_options_t options = LITHE_ROUTE_OPTIONS_INIT;
    options.stream_body = 1;
    CHECK_OK(lithe_server_route(server, "POST", "/echo", NULL, NULL, &options));
    lithe_request_t request = ask(server, "POST /echo HTTP/1.1\r\nHost: localhost\r\n"
                                          "Transfer-Encoding: chunked\r\n\r\n", &client);
    CHECK_OK(lithe_request_respond_stream(request, 200, NULL, 0, NULL, &response));
    client_read_until(client, "\r\n\r\n", text, sizeof text);
    for (int i = 0; i < 3; i++) {
        char sent[2] = { (char)('a' + i), 0 }, expected[16];
        client_send(client, "1\r\n", 3);
        client_send(client, sent, 1);
        client_send(client, "\r\n", 2);
        CHECK_OK(lithe_request_read(request, text, sizeof text, &n, LONG_MS));
        CHECK(n == 1 && text[0] == sent[0]);
        CHECK_OK(lithe_response_write(response, text, n, LONG_MS));
        snprintf(expected, sizeof expected, "1\r\n%s\r\n", sent);
        client_read_until(client, expected, text, sizeof text);
    }
    CHECK_OK(lithe_response_finish(response));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_request_read(request, text, sizeof text, &n, LONG_MS));
    client_read_until(client, "0\r\n\r\n", text, sizeof text);
    CHECK(client_is_closed(client));
    CHECK_OK(lithe_response_free(response));
    CHECK_OK(lithe_request_free(request));
    close(client);
}

static void check_misuse(lithe_server_t server) {
    lithe_response_options_t options = LITHE_RESPONSE_OPTIONS_INIT;
    lithe_response_t response = 1;
    int client;
    lithe_request_t request = ask(server, GET, &client);
    const lithe_header_t malformed[] = {
        LITHE_HEADER("Content-Length", ""),
        LITHE_HEADER("Content-Length", "+5"),
        LITHE_HEADER("Content-Length", "5 "),
        LITHE_HEADER("Content-Length", "99999999999999999999"),
        LITHE_HEADER("Transfer-Encoding", "chunked"),
        LITHE_HEADER("a b", "c"),
    };
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_respond_stream(
                                               request, 200, &malformed[i], 1, NULL, &response));
        CHECK(response == 0);
    }
    const lithe_header_t twice[] = { LITHE_HEADER("Content-Length", "5"),
                                     LITHE_HEADER("content-length", "5") };
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_request_respond_stream(request, 200, twice, 2, NULL, &response));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_request_respond_stream(request, 100, NULL, 0, NULL, &response));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_request_respond_stream(request, 200, NULL, 1, NULL, &response));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_request_respond_stream(request, 200, NULL, 0, NULL, NULL));
    options.send_queue_bytes = -2;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_request_respond_stream(request, 200, NULL, 0, &options, &response));
    options.send_queue_bytes = 0;
    options.events = 2;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_request_respond_stream(request, 200, NULL, 0, &options, &response));
    options.size = 0;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_request_respond_stream(request, 200, NULL, 0, &options, &response));

    CHECK_OK(lithe_request_respond_stream(request, 200, NULL, 0, NULL, &response));
    lithe_response_t second;
    CHECK_CODE(LITHE_ERR_WRONG_STATE,
               lithe_request_respond_stream(request, 200, NULL, 0, NULL, &second));
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_request_respond(request, 200, NULL, 0, NULL, 0));
    CHECK_OK(lithe_request_free(request));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_response_write(response, NULL, 1, -1));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_response_write(response, "x", 1, -2));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_response_wait_closed(response, -2));
    CHECK_CODE(LITHE_ERR_TOO_LARGE, lithe_response_write(response, "x", (size_t)-2, -1));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_sse_close(response));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_free(response));
    CHECK_OK(lithe_response_free(response));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_response_free(response));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_response_finish(response));
    close(client);
}

/* The argument is how many MiB the large download has. */
int main(int argc, char **argv) {
    int client;
    size_t mib = argc > 1 ? (size_t)atoi(argv[1]) : 64;
    lithe_server_t server = start();
    check_large(server, mib * MIB);
    check_chunked(server);
    check_full_queue(server);
    check_vanished(server);
    check_given_up(server);
    check_content_length(server);
    check_no_body(server);
    check_both_ways(server);
    check_misuse(server);

    /* The server stops in the middle of a response. */
    lithe_response_t response = open_download(server, GET, NULL, &client);
    pthread_t writer = start_thread(write_on, &response);
    CHECK_OK(lithe_server_stop(server));
    join_thread(writer);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_response_finish(response));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_response_wait_closed(response, -1));
    CHECK_OK(lithe_server_free(server));
    CHECK_OK(lithe_response_free(response));
    close(client);
    return 0;
}
