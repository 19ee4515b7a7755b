/* One thread takes uploads and gives downloads, and never blocks but for events. */
#include "check.h"

#define MIB (1024 * 1024)
#define PIECE (32 * 1024)

static size_t upload_len = 16 * MIB, download_len = 16 * MIB;

/* The route's own, and the numbers that the host gives a request and a response. */
static char route_data;
enum { UPLOAD = 7, DOWNLOAD = 9 };

/* The byte at a place in a body. */
static unsigned char byte_at(size_t place) {
    return (unsigned char)(place * 31 + (place >> 11));
}

/* How far the host has come. */
static struct {
    size_t received, sent;
    lithe_request_t request;
    lithe_response_t response;
    int32_t read_code;  /* What ended the upload. */
    int clean;          /* How the download has ended. */
    int readable, full; /* How often there was nothing to read, and no room. */
    int uploaded, downloaded;
} host;

static void start_over(void) {
    memset(&host, 0, sizeof host);
}

/* Reads what there is. */
static void read_on(void) {
    unsigned char buffer[PIECE];
    size_t n;
    while ((host.read_code = lithe_request_read(host.request, buffer, sizeof buffer, &n, 0)) ==
               LITHE_OK &&
           n > 0) {
        for (size_t i = 0; i < n; i++) {
            CHECK(buffer[i] == byte_at(host.received + i));
        }
        host.received += n;
    }
    if (host.read_code != LITHE_ERR_TIMEOUT) {
        lithe_request_respond(host.request, 204, NULL, 0, NULL, 0);
        CHECK_OK(lithe_request_free(host.request));
        host.uploaded = 1;
    }
}

/* Writes what there is room for. */
static void write_on(void) {
    unsigned char piece[PIECE];
    while (host.sent < download_len) {
        for (size_t i = 0; i < sizeof piece; i++) {
            piece[i] = byte_at(host.sent + i);
        }
        int32_t code = lithe_response_write(host.response, piece, sizeof piece, 0);
        if (code == LITHE_ERR_FULL) {
            host.full++;
            return;
        }
        if (code == LITHE_ERR_CLOSED) {
            return;
        }
        CHECK_OK(code);
        host.sent += sizeof piece;
    }
    CHECK_OK(lithe_response_finish(host.response));
}

static void begin(const lithe_event_t *event) {
    lithe_string_t method;
    CHECK_OK(lithe_request_method(event->handle, &method));
    if (is(method, "PUT")) {
        CHECK(event->user_data == (uintptr_t)&route_data);
        host.request = event->handle;
        CHECK_OK(lithe_request_watch(host.request, 1));
        CHECK_OK(lithe_request_watch(host.request, UPLOAD));
        read_on();
    } else {
        lithe_response_options_t options = LITHE_RESPONSE_OPTIONS_INIT;
        const lithe_header_t length = LITHE_HEADER("Content-Length", "16777216");
        CHECK(event->user_data == 0);
        CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_request_watch(event->handle, UPLOAD));
        options.send_queue_bytes = 4 * PIECE;
        options.events = 1;
        options.user_data = DOWNLOAD;
        CHECK_OK(lithe_request_respond_stream(event->handle, 200, &length, 1, &options,
                                              &host.response));
        CHECK_OK(lithe_request_free(event->handle));
        write_on();
    }
}

/* Takes events until both, or the one that is asked for, are at their end. */
static void run(lithe_server_t server, int uploads, int downloads) {
    lithe_event_t events[4];
    while (host.uploaded < uploads || host.downloaded < downloads) {
        int32_t count = lithe_server_wait(server, events, 4, LONG_MS);
        CHECK(count > 0);
        for (int32_t i = 0; i < count; i++) {
            switch (events[i].kind) {
            case LITHE_EVENT_REQUEST:
                begin(&events[i]);
                break;
            case LITHE_EVENT_READABLE:
                CHECK(events[i].handle == host.request && events[i].user_data == UPLOAD);
                host.readable++;
                read_on();
                break;
            case LITHE_EVENT_WRITABLE:
                CHECK(events[i].handle == host.response && events[i].user_data == DOWNLOAD);
                write_on();
                break;
            case LITHE_EVENT_CLOSED:
                CHECK(events[i].handle == host.response && events[i].user_data == DOWNLOAD);
                host.clean = events[i].clean;
                host.downloaded++;
                CHECK_OK(lithe_response_free(host.response));
                break;
            default:
                CHECK(0);
            }
        }
        lithe_event_free(events, (size_t)count);
    }
}

static void *put(void *argument) {
    static unsigned char chunk[PIECE];
    char head[256];
    int client = *(int *)argument;
    snprintf(head, sizeof head, "PUT /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n",
             upload_len);
    client_send(client, head, strlen(head));
    for (size_t sent = 0; sent < upload_len; sent += sizeof chunk) {
        for (size_t i = 0; i < sizeof chunk; i++) {
            chunk[i] = byte_at(sent + i);
        }
        client_send(client, chunk, sizeof chunk);
    }
    client_read_until(client, "\r\n\r\n", head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.1 204 ", 13) == 0);
    return NULL;
}

static void *get(void *argument) {
    static unsigned char chunk[PIECE];
    char head[1024];
    int client = *(int *)argument;
    client_get(client, "/", "");
    client_read_until(client, "\r\n\r\n", head, sizeof head);
    for (size_t got = 0; got < download_len; got += sizeof chunk) {
        client_read(client, chunk, sizeof chunk);
        for (size_t i = 0; i < sizeof chunk; i++) {
            CHECK(chunk[i] == byte_at(got + i));
        }
    }
    return NULL;
}

int main(void) {
    lithe_event_t event;
    lithe_route_options_t options = LITHE_ROUTE_OPTIONS_INIT;
    lithe_server_t server = start();
    options.stream_body = 1;
    options.max_body_bytes = -1;
    CHECK_OK(lithe_server_route(server, "PUT", "/upload", NULL, &route_data, &options));

    int putter = client_connect(server), getter = client_connect_slow(server);
    pthread_t threads[2] = { start_thread(put, &putter), start_thread(get, &getter) };
    run(server, 1, 1);
    CHECK(host.read_code == LITHE_OK && host.received == upload_len && host.readable > 0);
    CHECK(host.clean == 1 && host.sent == download_len && host.full > 0);
    join_thread(threads[0]);
    join_thread(threads[1]);
    close(putter);
    close(getter);

    /* Clients that go in the middle. */
    start_over();
    putter = client_connect(server);
    const char *begun = "PUT /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n";
    client_send(putter, begun, strlen(begun));
    CHECK(lithe_server_wait(server, &event, 1, LONG_MS) == 1 && event.kind == LITHE_EVENT_REQUEST);
    begin(&event);
    CHECK(host.read_code == LITHE_ERR_TIMEOUT);
    client_reset(putter);
    run(server, 1, 0);
    CHECK(host.read_code == LITHE_ERR_CLOSED && host.received == 0 && host.readable == 1);

    start_over();
    getter = client_connect_slow(server);
    client_get(getter, "/", "");
    CHECK(lithe_server_wait(server, &event, 1, LONG_MS) == 1 && event.kind == LITHE_EVENT_REQUEST);
    begin(&event);
    client_reset(getter);
    run(server, 0, 1);
    CHECK(host.clean == 0 && host.sent < download_len);

    /* Of what is freed nothing more is heard. */
    start_over();
    putter = client_connect(server);
    client_send(putter, begun, strlen(begun));
    CHECK(lithe_server_wait(server, &event, 1, LONG_MS) == 1);
    begin(&event);
    CHECK_OK(lithe_request_free(event.handle));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_watch(event.handle, UPLOAD));
    client_send(putter, "123456789", 9);
    char head[1024];
    client_read_until(putter, "\r\n\r\n", head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.1 503 ", 13) == 0);
    CHECK(lithe_server_wait(server, &event, 1, 0) == 0);
    close(putter);
    CHECK_OK(lithe_server_free(server));
    return 0;
}
