/* Events of hosts and clients that are slow: who is told of room, and who waits. */
#include "check.h"

#include <errno.h>
#include <poll.h>

/* Sends until the queue is full and stays so, and the last send was told. The kernel's own buffers
 * take their share a little later, which a send that waits sees to. */
static void fill(lithe_server_t server, lithe_ws_t ws) {
    static char data[4096];
    int32_t code;
    while ((code = lithe_ws_send(ws, LITHE_BINARY, data, sizeof data, 200)) == LITHE_OK) {
    }
    CHECK(code == LITHE_ERR_TIMEOUT);
    CHECK_CODE(LITHE_ERR_FULL, lithe_ws_send(ws, LITHE_BINARY, data, sizeof data, 0));
    check_no_event(server);
}

/* A full queue is told once, and so is the room in it; the same for an event stream. */
static void check_writable(lithe_server_t server) {
    static char got[4096], data[4096];
    int client;
    lithe_ws_options_t options = as_events(1);
    options.send_queue_bytes = 64 * 1024;
    lithe_ws_t ws = open_event_ws(server, &options, &client);
    fill(server, ws);
    lithe_event_t event;
    size_t len;
    while (lithe_server_wait(server, &event, 1, 0) == 0) {
        client_read_frame(client, got, sizeof got, &len);
    }
    CHECK(event.kind == LITHE_EVENT_WRITABLE && event.handle == ws && event.user_data == 1);
    CHECK(lithe_ws_queued(ws) <= options.send_queue_bytes / 2);
    CHECK_OK(lithe_ws_send(ws, LITHE_BINARY, data, sizeof data, 0));
    check_no_event(server);
    client_reset(client);
    event = next_event(server, LITHE_EVENT_CLOSED);
    CHECK(event.code == 1006 && event.clean == 0);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_ws_free(ws));
}

/* A send that waits needs no event, though it was not told in time that there is room. */
static void check_writable_after_waiting(lithe_server_t server) {
    static char got[4096], data[4096];
    int client, queued = 0;
    int32_t code;
    size_t len;
    lithe_ws_options_t options = as_events(1);
    options.send_queue_bytes = 64 * 1024;
    lithe_ws_t ws = open_event_ws(server, &options, &client);
    while ((code = lithe_ws_send(ws, LITHE_BINARY, data, sizeof data, 50)) == LITHE_OK) {
        queued++;
    }
    CHECK(code == LITHE_ERR_TIMEOUT);
    while (queued-- > 0) {
        CHECK(client_read_frame(client, got, sizeof got, &len) == 0x82 && len == sizeof data);
    }
    client_send_frame(client, 0x81, "all there", 9);
    lithe_event_t event = next_event(server, LITHE_EVENT_MESSAGE);
    lithe_event_free(&event, 1);
    client_reset(client);
    event = next_event(server, LITHE_EVENT_CLOSED);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_ws_free(ws));
}

static void check_event_stream(lithe_server_t server) {
    static char data[4096];
    lithe_sse_options_t options = LITHE_SSE_OPTIONS_INIT;
    options.send_queue_bytes = 64 * 1024;
    options.events = 1;
    options.user_data = 2;
    memset(data, 'x', sizeof data - 1);
    int client;
    lithe_sse_t sse = open_events(server, &options, &client);
    while (lithe_sse_send_text(sse, NULL, data, 200) == LITHE_OK) {
    }
    CHECK_CODE(LITHE_ERR_FULL, lithe_sse_send_text(sse, NULL, data, 0));
    lithe_event_t event;
    char byte[1024];
    while (lithe_server_wait(server, &event, 1, 0) == 0) {
        client_read(client, byte, sizeof byte);
    }
    CHECK(event.kind == LITHE_EVENT_WRITABLE && event.handle == sse && event.user_data == 2);
    CHECK(event.handle_kind == LITHE_HANDLE_SSE);
    CHECK_OK(lithe_sse_send_text(sse, NULL, data, 0));
    client_reset(client);
    event = next_event(server, LITHE_EVENT_CLOSED);
    CHECK(event.handle == sse && event.clean == 0);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_sse_free(sse));

    sse = open_events(server, &options, &client);
    CHECK_OK(lithe_sse_close(sse));
    event = next_event(server, LITHE_EVENT_CLOSED);
    CHECK(event.handle == sse && event.clean == 1);
    CHECK_OK(lithe_sse_free(sse));
    close(client);
}

/* A host that takes no events makes the peer wait: nothing is lost, and nothing piles up. */
static void check_slow_host(lithe_server_t server) {
    enum { CHUNK = 16 * 1024, QUEUE = 64 * 1024 };
    static char data[CHUNK];
    int client;
    lithe_ws_options_t options = as_events(3);
    options.receive_queue_bytes = QUEUE;
    lithe_ws_t ws = open_event_ws(server, &options, &client);
    struct timeval soon = {0, 200 * 1000};
    CHECK(setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon) == 0);
    unsigned char head[8] = {0x82, 0x80 | 126, CHUNK >> 8, CHUNK & 0xff, 0, 0, 0, 0};
    size_t sent = 0, accepted = 0;
    for (;;) {
        /* Frames one behind the other, until the sockets are full. */
        size_t at = sent % (sizeof head + CHUNK);
        const char *from = at < sizeof head ? (char *)head + at : data + (at - sizeof head);
        size_t len = at < sizeof head ? sizeof head - at : sizeof head + CHUNK - at;
        ssize_t n = send(client, from, len, MSG_NOSIGNAL);
        if (n < 0) {
            CHECK(errno == EAGAIN || errno == EWOULDBLOCK);
            break;
        }
        sent += (size_t)n;
        CHECK(sent < 256u * 1024 * 1024);
    }
    size_t whole = sent / (sizeof head + CHUNK);
    CHECK(whole * CHUNK > QUEUE);
    while (accepted < whole) {
        lithe_event_t event = next_event(server, LITHE_EVENT_MESSAGE);
        CHECK(event.message.len == CHUNK);
        lithe_event_free(&event, 1);
        accepted++;
    }
    check_no_event(server);
    /* No event comes of a handle that was freed. */
    CHECK_OK(lithe_ws_free(ws));
    close(client);
    check_no_event(server);
}

/* A paused connection gives no messages and holds its peer up; what came before the end comes. */
static void check_pause(lithe_server_t server) {
    int client;
    lithe_ws_options_t options = as_events(9);
    lithe_ws_t ws = open_event_ws(server, &options, &client);
    CHECK_OK(lithe_ws_pause(ws));
    CHECK_OK(lithe_ws_pause(ws));
    client_send_frame(client, 0x81, "first", 5);
    client_send_frame(client, 0x81, "second", 6);
    client_send_frame(client, 0x88, "\x03\xe8", 2);
    char data[16];
    size_t len;
    /* The answer to the close tells that all of it has come in. */
    CHECK(client_read_frame(client, data, sizeof data, &len) == 0x88);
    lithe_event_t event;
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 50));
    CHECK_OK(lithe_ws_resume(ws));
    event = next_event(server, LITHE_EVENT_MESSAGE);
    CHECK(event.message.len == 5);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_ws_pause(ws));
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 50));
    CHECK_OK(lithe_ws_resume(ws));
    event = next_event(server, LITHE_EVENT_MESSAGE);
    CHECK(event.message.len == 6);
    lithe_event_free(&event, 1);
    event = next_event(server, LITHE_EVENT_CLOSED);
    CHECK(event.code == 1000 && event.clean == 1);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_ws_free(ws));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_pause(ws));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_resume(ws));
    close(client);

    /* Without messages that wait, the end comes. */
    ws = open_event_ws(server, &options, &client);
    CHECK_OK(lithe_ws_pause(ws));
    client_reset(client);
    event = next_event(server, LITHE_EVENT_CLOSED);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_ws_free(ws));

    /* A host that has paused until there is room is told to go on, and so comes to the end. */
    options.send_queue_bytes = 64 * 1024;
    ws = open_event_ws(server, &options, &client);
    client_send_frame(client, 0x81, "left", 4);
    struct pollfd events = {lithe_server_event_fd(server), POLLIN, 0};
    CHECK(poll(&events, 1, LONG_MS) == 1);
    CHECK_OK(lithe_ws_pause(ws));
    fill(server, ws);
    client_reset(client);
    next_event(server, LITHE_EVENT_WRITABLE);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_send_text(ws, "more", 0));
    CHECK_OK(lithe_ws_resume(ws));
    event = next_event(server, LITHE_EVENT_MESSAGE);
    CHECK(event.message.len == 4);
    lithe_event_free(&event, 1);
    event = next_event(server, LITHE_EVENT_CLOSED);
    CHECK(event.clean == 0);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_ws_free(ws));

    ws = open_websocket(server, NULL, &client);
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_ws_pause(ws));
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_ws_resume(ws));
    CHECK_OK(lithe_ws_free(ws));
    close(client);
}

int main(void) {
    lithe_server_t server = start();
    check_writable(server);
    check_writable_after_waiting(server);
    check_event_stream(server);
    check_slow_host(server);
    check_pause(server);
    CHECK_OK(lithe_server_free(server));
    return 0;
}
