/* Events in batches: what comes, in which order, and what happens to a host that is slow. */
#include "check.h"

#include <errno.h>
#include <poll.h>

#define CAPACITY 64

static lithe_ws_options_t as_events(uint64_t user_data) {
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    options.events = 1;
    options.user_data = user_data;
    return options;
}

/* The next event, which must be of that kind. */
static lithe_event_t next(lithe_server_t server, lithe_event_kind kind) {
    lithe_event_t event;
    CHECK_CODE(1, lithe_server_wait(server, &event, 1, LONG_MS));
    CHECK(event.kind == kind);
    return event;
}

static void check_nothing(lithe_server_t server) {
    lithe_event_t event;
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 0));
}

static int is_readable(int fd) {
    struct pollfd poll_fd = {fd, POLLIN, 0};
    CHECK(poll(&poll_fd, 1, 0) >= 0);
    return poll_fd.revents == POLLIN;
}

/* A WebSocket in events, its LITHE_EVENT_OPEN taken; its request came as an event too. */
static lithe_ws_t open_ws(lithe_server_t server, const lithe_ws_options_t *options, int *client) {
    char head[1024];
    lithe_ws_t ws;
    *client = client_connect_slow(server);
    client_handshake(*client, "/", "");
    lithe_event_t event = next(server, LITHE_EVENT_REQUEST);
    CHECK(event.user_data == 0 && event.message.data == NULL);
    CHECK(event.handle_kind == LITHE_HANDLE_REQUEST);
    CHECK_OK(lithe_ws_accept(event.handle, options, &ws));
    CHECK_OK(lithe_request_free(event.handle));
    event = next(server, LITHE_EVENT_OPEN);
    CHECK(event.handle == ws && event.user_data == options->user_data);
    CHECK(event.handle_kind == LITHE_HANDLE_WS);
    client_read_until(*client, "\r\n\r\n", head, sizeof head);
    return ws;
}

static void check_conversation(lithe_server_t server) {
    int client;
    char data[16];
    size_t len;
    lithe_ws_options_t options = as_events(UINT64_MAX - 7);
    lithe_ws_t ws = open_ws(server, &options, &client);

    client_send_frame(client, 0x81, "text", 4);
    lithe_event_t event = next(server, LITHE_EVENT_MESSAGE);
    CHECK(event.handle == ws && event.user_data == options.user_data);
    CHECK(event.message.kind == LITHE_TEXT && event.message.len == 4);
    CHECK(memcmp(event.message.data, "text", 4) == 0);
    lithe_event_free(&event, 1);
    lithe_event_free(&event, 1);
    client_send_frame(client, 0x82, "", 0);
    event = next(server, LITHE_EVENT_MESSAGE);
    CHECK(event.message.kind == LITHE_BINARY && event.message.len == 0);
    lithe_event_free(&event, 1);

    lithe_message_t message;
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_ws_receive(ws, &message, 0));
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_ws_receive_many(ws, &message, 1, 0));

    CHECK_OK(lithe_ws_send_text(ws, "answer", 0));
    CHECK(client_read_frame(client, data, sizeof data, &len) == 0x81 && len == 6);

    client_send_frame(client, 0x88, "\x0f\xa0" "bye", 5);
    event = next(server, LITHE_EVENT_CLOSED);
    CHECK(event.handle == ws && event.code == 4000 && event.clean == 1);
    CHECK(event.message.len == 3 && memcmp(event.message.data, "bye", 3) == 0);
    lithe_event_free(&event, 1);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_send_text(ws, "late", 0));
    CHECK_OK(lithe_ws_free(ws));
    check_nothing(server);
    close(client);
}

/* What is sent in the middle of a batch leaves, though the host does not ask for the next one. */
static void check_patience(lithe_server_t server) {
    int client;
    char data[16];
    size_t len;
    lithe_ws_options_t options = as_events(8);
    lithe_ws_t ws = open_ws(server, &options, &client);
    for (int i = 0; i < 50; i++) {
        client_send_frame(client, 0x81, "ping", 4);
        lithe_event_t event = next(server, LITHE_EVENT_MESSAGE);
        CHECK_OK(lithe_ws_send_message(ws, &event.message, 0));
        CHECK(client_read_frame(client, data, sizeof data, &len) == 0x81 && len == 4);
        lithe_event_free(&event, 1);
        CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_send_message(ws, &event.message, 0));
    }
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_send_message(ws, NULL, 0));
    CHECK_OK(lithe_ws_free(ws));
    close(client);
}

/* A batch holds many events; those of one connection are in order, the close comes last. */
static void check_order(lithe_server_t server) {
    enum { CLIENTS = 3, MESSAGES = 100 };
    int clients[CLIENTS];
    lithe_ws_t ws[CLIENTS];
    int got[CLIENTS] = {0};
    for (int i = 0; i < CLIENTS; i++) {
        lithe_ws_options_t options = as_events((uint64_t)i);
        ws[i] = open_ws(server, &options, &clients[i]);
    }
    for (int m = 0; m < MESSAGES; m++) {
        for (int i = 0; i < CLIENTS; i++) {
            char byte = (char)m;
            client_send_frame(clients[i], 0x82, &byte, 1);
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        client_send_frame(clients[i], 0x88, "\x03\xe8", 2);
    }
    int closed = 0;
    while (closed < CLIENTS) {
        lithe_event_t events[CAPACITY];
        int32_t count = lithe_server_wait(server, events, CAPACITY, LONG_MS);
        CHECK(count > 0 && count <= CAPACITY);
        for (int32_t e = 0; e < count; e++) {
            int i = (int)events[e].user_data;
            CHECK(events[e].handle == ws[i]);
            if (events[e].kind == LITHE_EVENT_CLOSED) {
                CHECK(got[i] == MESSAGES && events[e].code == 1000 && events[e].clean == 1);
                closed++;
            } else {
                CHECK(events[e].kind == LITHE_EVENT_MESSAGE);
                CHECK(events[e].message.data[0] == (char)got[i]);
                got[i]++;
            }
        }
        lithe_event_free(events, (size_t)count);
    }
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_OK(lithe_ws_free(ws[i]));
        close(clients[i]);
    }
}

/* Sends until the queue is full and stays so, and the last send was told. The kernel's own buffers
 * take their share a little later, which a send that waits sees to. */
static void fill(lithe_server_t server, lithe_ws_t ws) {
    static char data[4096];
    int32_t code;
    while ((code = lithe_ws_send(ws, LITHE_BINARY, data, sizeof data, 200)) == LITHE_OK) {
    }
    CHECK(code == LITHE_ERR_TIMEOUT);
    CHECK_CODE(LITHE_ERR_FULL, lithe_ws_send(ws, LITHE_BINARY, data, sizeof data, 0));
    check_nothing(server);
}

/* A full queue is told once, and so is the room in it; the same for an event stream. */
static void check_writable(lithe_server_t server) {
    static char got[4096], data[4096];
    int client;
    lithe_ws_options_t options = as_events(1);
    options.send_queue_bytes = 64 * 1024;
    lithe_ws_t ws = open_ws(server, &options, &client);
    fill(server, ws);
    lithe_event_t event;
    size_t len;
    while (lithe_server_wait(server, &event, 1, 0) == 0) {
        client_read_frame(client, got, sizeof got, &len);
    }
    CHECK(event.kind == LITHE_EVENT_WRITABLE && event.handle == ws && event.user_data == 1);
    CHECK(lithe_ws_queued(ws) <= options.send_queue_bytes / 2);
    CHECK_OK(lithe_ws_send(ws, LITHE_BINARY, data, sizeof data, 0));
    check_nothing(server);
    client_reset(client);
    event = next(server, LITHE_EVENT_CLOSED);
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
    lithe_ws_t ws = open_ws(server, &options, &client);
    while ((code = lithe_ws_send(ws, LITHE_BINARY, data, sizeof data, 50)) == LITHE_OK) {
        queued++;
    }
    CHECK(code == LITHE_ERR_TIMEOUT);
    while (queued-- > 0) {
        CHECK(client_read_frame(client, got, sizeof got, &len) == 0x82 && len == sizeof data);
    }
    client_send_frame(client, 0x81, "all there", 9);
    lithe_event_t event = next(server, LITHE_EVENT_MESSAGE);
    lithe_event_free(&event, 1);
    client_reset(client);
    event = next(server, LITHE_EVENT_CLOSED);
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
    event = next(server, LITHE_EVENT_CLOSED);
    CHECK(event.handle == sse && event.clean == 0);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_sse_free(sse));

    sse = open_events(server, &options, &client);
    CHECK_OK(lithe_sse_close(sse));
    event = next(server, LITHE_EVENT_CLOSED);
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
    lithe_ws_t ws = open_ws(server, &options, &client);
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
        lithe_event_t event = next(server, LITHE_EVENT_MESSAGE);
        CHECK(event.message.len == CHUNK);
        lithe_event_free(&event, 1);
        accepted++;
    }
    check_nothing(server);
    /* No event comes of a handle that was freed. */
    CHECK_OK(lithe_ws_free(ws));
    close(client);
    check_nothing(server);
}

/* A paused connection gives no messages and holds its peer up; what came before the end comes. */
static void check_pause(lithe_server_t server) {
    int client;
    lithe_ws_options_t options = as_events(9);
    lithe_ws_t ws = open_ws(server, &options, &client);
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
    event = next(server, LITHE_EVENT_MESSAGE);
    CHECK(event.message.len == 5);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_ws_pause(ws));
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 50));
    CHECK_OK(lithe_ws_resume(ws));
    event = next(server, LITHE_EVENT_MESSAGE);
    CHECK(event.message.len == 6);
    lithe_event_free(&event, 1);
    event = next(server, LITHE_EVENT_CLOSED);
    CHECK(event.code == 1000 && event.clean == 1);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_ws_free(ws));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_pause(ws));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_resume(ws));
    close(client);

    /* Without messages that wait, the end comes. */
    ws = open_ws(server, &options, &client);
    CHECK_OK(lithe_ws_pause(ws));
    client_reset(client);
    event = next(server, LITHE_EVENT_CLOSED);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_ws_free(ws));

    /* A host that has paused until there is room is told to go on, and so comes to the end. */
    options.send_queue_bytes = 64 * 1024;
    ws = open_ws(server, &options, &client);
    client_send_frame(client, 0x81, "left", 4);
    struct pollfd events = {lithe_server_event_fd(server), POLLIN, 0};
    CHECK(poll(&events, 1, LONG_MS) == 1);
    CHECK_OK(lithe_ws_pause(ws));
    fill(server, ws);
    client_reset(client);
    next(server, LITHE_EVENT_WRITABLE);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_send_text(ws, "more", 0));
    CHECK_OK(lithe_ws_resume(ws));
    event = next(server, LITHE_EVENT_MESSAGE);
    CHECK(event.message.len == 4);
    lithe_event_free(&event, 1);
    event = next(server, LITHE_EVENT_CLOSED);
    CHECK(event.clean == 0);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_ws_free(ws));

    ws = open_websocket(server, NULL, &client);
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_ws_pause(ws));
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_ws_resume(ws));
    CHECK_OK(lithe_ws_free(ws));
    close(client);
}

static void *wait_for_wake(void *argument) {
    lithe_event_t event;
    CHECK_CODE(0, lithe_server_wait(*(lithe_server_t *)argument, &event, 1, LONG_MS));
    return NULL;
}

static void check_wake(lithe_server_t server) {
    lithe_event_t event;
    CHECK_OK(lithe_server_wake(server));
    CHECK_OK(lithe_server_wake(server));
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, -1));
    pthread_t thread = start_thread(wait_for_wake, &server);
    CHECK_OK(lithe_server_wake(server));
    join_thread(thread);
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 20));
}

/* The descriptor can be read exactly while there is something to take. */
static void check_event_fd(lithe_server_t server) {
    int fd = lithe_server_event_fd(server);
    CHECK(fd >= 0 && lithe_server_event_fd(server) == fd);
    CHECK(!is_readable(fd));
    CHECK_OK(lithe_server_wake(server));
    CHECK(is_readable(fd));
    lithe_event_t event;
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 0));
    CHECK(!is_readable(fd));

    int client;
    struct pollfd poll_fd = {fd, POLLIN, 0};
    lithe_ws_options_t options = as_events(4);
    lithe_ws_t ws = open_ws(server, &options, &client);
    CHECK(!is_readable(fd));
    client_send_frame(client, 0x81, "one", 3);
    client_send_frame(client, 0x81, "two", 3);
    for (int i = 0; i < 2; i++) {
        CHECK(poll(&poll_fd, 1, LONG_MS) == 1 && is_readable(fd));
        event = next(server, LITHE_EVENT_MESSAGE);
        lithe_event_free(&event, 1);
    }
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 0));
    CHECK(!is_readable(fd));
    client_reset(client);
    CHECK(poll(&poll_fd, 1, LONG_MS) == 1);
    event = next(server, LITHE_EVENT_CLOSED);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_ws_free(ws));
}

/* A connection that never runs out of messages leaves the others their turn, also in small batches;
 * and so do requests. */
static void check_fairness(lithe_server_t server) {
    enum { FLOOD = 200 };
    int flooding, quiet;
    lithe_ws_options_t options = as_events(10);
    lithe_ws_t flood = open_ws(server, &options, &flooding);
    lithe_ws_t other = open_ws(server, &options, &quiet);
    for (int i = 0; i < FLOOD; i++) {
        client_send_frame(flooding, 0x81, "flood", 5);
    }
    lithe_event_t event = next(server, LITHE_EVENT_MESSAGE);
    CHECK(event.handle == flood);
    lithe_event_free(&event, 1);
    client_send_frame(quiet, 0x81, "quiet", 5);
    int before = 0;
    for (;;) {
        event = next(server, LITHE_EVENT_MESSAGE);
        lithe_ws_t of = event.handle;
        lithe_event_free(&event, 1);
        if (of == other) {
            break;
        }
        CHECK(before++ < FLOOD - 1);
    }
    /* With one of each listed, they alternate. */
    client_send_frame(quiet, 0x81, "one", 3);
    client_send_frame(quiet, 0x81, "two", 3);
    int turns = 0, seen = 0;
    while (seen < 2 && turns < FLOOD) {
        event = next(server, LITHE_EVENT_MESSAGE);
        seen += event.handle == other;
        turns++;
        lithe_event_free(&event, 1);
    }
    CHECK(seen == 2);
    CHECK_OK(lithe_ws_free(flood));
    CHECK_OK(lithe_ws_free(other));
    close(flooding);
    close(quiet);
}

/* A host that reads what it should not read from the descriptor harms nobody but itself. */
static void check_stolen_signal(lithe_server_t server) {
    char byte;
    lithe_event_t event;
    int fd = lithe_server_event_fd(server);
    CHECK_OK(lithe_server_wake(server));
    CHECK(read(fd, &byte, 1) == 1);
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 0));
    CHECK_OK(lithe_server_wake(server));
    CHECK(is_readable(fd));
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 0));
    CHECK(!is_readable(fd));
}

/* A wake-up is not lost on a request whose client has gone. */
static void check_wake_beside_nothing(lithe_server_t server) {
    lithe_event_t event;
    lithe_server_stats_t stats = LITHE_SERVER_STATS_INIT;
    int client = client_connect(server);
    client_get(client, "/", "");
    do {
        CHECK_OK(lithe_server_stats(server, &stats));
    } while (stats.waiting_requests == 0);
    client_reset(client);
    do {
        CHECK_OK(lithe_server_stats(server, &stats));
    } while (stats.http_open > 0);
    CHECK_OK(lithe_server_wake(server));
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, -1));
}

/* Blocking and events, side by side on one server. */
static void check_mixed(lithe_server_t server) {
    int blocking_client, event_client;
    lithe_message_t messages[4];
    lithe_ws_options_t options = as_events(5);
    lithe_ws_t blocking = open_websocket(server, NULL, &blocking_client);
    lithe_ws_t evented = open_ws(server, &options, &event_client);
    client_send_frame(blocking_client, 0x81, "first", 5);
    client_send_frame(blocking_client, 0x82, "second", 6);
    client_send_frame(event_client, 0x81, "third", 5);
    CHECK_OK(lithe_ws_receive(blocking, messages, LONG_MS));
    CHECK(messages[0].len == 5 && memcmp(messages[0].data, "first", 5) == 0);
    lithe_message_free(messages);

    char small[5];
    lithe_message_kind kind;
    size_t len;
    CHECK_CODE(LITHE_ERR_TOO_SMALL,
               lithe_ws_receive_into(blocking, small, sizeof small, &kind, &len, LONG_MS));
    CHECK(len == 6 && kind == 0);
    CHECK_CODE(LITHE_ERR_TOO_SMALL, lithe_ws_receive_into(blocking, NULL, 0, &kind, &len, 0));
    char buffer[6];
    CHECK_OK(lithe_ws_receive_into(blocking, buffer, sizeof buffer, &kind, &len, 0));
    CHECK(len == 6 && kind == LITHE_BINARY && memcmp(buffer, "second", 6) == 0);
    CHECK_CODE(LITHE_ERR_TIMEOUT,
               lithe_ws_receive_into(blocking, buffer, sizeof buffer, &kind, &len, 0));

    for (int i = 0; i < 6; i++) {
        client_send_frame(blocking_client, 0x81, "many", 4);
    }
    int got = 0;
    while (got < 6) {
        int32_t count = lithe_ws_receive_many(blocking, messages, 4, LONG_MS);
        CHECK(count >= 1 && count <= 4);
        for (int32_t i = 0; i < count; i++) {
            CHECK(messages[i].len == 4);
            lithe_message_free(&messages[i]);
        }
        got += count;
    }
    CHECK(got == 6);
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_ws_receive_many(blocking, messages, 4, 0));

    lithe_event_t event = next(server, LITHE_EVENT_MESSAGE);
    CHECK(event.handle == evented);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_ws_free(blocking));
    CHECK_OK(lithe_ws_free(evented));
    close(blocking_client);
    close(event_client);
}

static void check_misuse(lithe_server_t server) {
    lithe_event_t event;
    lithe_message_t message;
    lithe_message_kind kind;
    size_t len;
    char byte;
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_wait(0, &event, 1, 0));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_wait(server + 1, &event, 1, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_wait(server, NULL, 1, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_wait(server, &event, 0, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_wait(server, &event, SIZE_MAX / 8, -2));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_wake(7));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_event_fd(7));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_begin_drain(7, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_begin_drain(server, -2));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_receive_many(server, &message, 1, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_receive_many(server, NULL, 1, 0));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_receive_into(server, &byte, 1, &kind, &len, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_receive_into(server, NULL, 1, &kind, &len, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_receive_into(server, &byte, 1, NULL, &len, 0));
    lithe_event_free(NULL, 3);

    lithe_ws_t ws;
    lithe_ws_options_t options = as_events(0);
    options.events = 2;
    int client = client_connect(server);
    client_handshake(client, "/", "");
    event = next(server, LITHE_EVENT_REQUEST);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_accept(event.handle, &options, &ws));
    CHECK_OK(lithe_request_free(event.handle));
    close(client);
}

/* A host with one thread drains: it takes the ends of its connections, and then that of the drain. */
static void check_drain(lithe_server_t server) {
    int client;
    lithe_ws_options_t options = as_events(6);
    lithe_ws_t ws = open_ws(server, &options, &client);
    CHECK_OK(lithe_server_begin_drain(server, LONG_MS));
    char data[16];
    size_t len;
    CHECK(client_read_frame(client, data, sizeof data, &len) == 0x88);
    client_send_frame(client, 0x88, data, len);
    lithe_event_t event = next(server, LITHE_EVENT_CLOSED);
    CHECK(event.handle == ws && event.code == 1001 && event.clean == 1);
    lithe_event_free(&event, 1);
    CHECK_OK(lithe_ws_free(ws));
    close(client);
    event = next(server, LITHE_EVENT_DRAINED);
    CHECK(event.handle == server && event.handle_kind == LITHE_HANDLE_SERVER);
    /* Which is told once, however often the drain was begun. */
    CHECK_OK(lithe_server_begin_drain(server, 0));
    CHECK_CODE(0, lithe_server_wait(server, &event, 1, 100));
    lithe_drain_report_t report = LITHE_DRAIN_REPORT_INIT;
    CHECK_OK(lithe_server_drain(server, 0, &report));
    CHECK(report.drained >= 1 && report.cut == 0);
    CHECK_CODE(LITHE_ERR_SHUTTING_DOWN, lithe_server_wait(server, &event, 1, -1));
    CHECK_CODE(LITHE_ERR_SHUTTING_DOWN, lithe_server_begin_drain(server, 0));
}

/* A client of an event stream is told when to come back, in the time that the host has set. */
static void check_reconnect(void) {
    char line[256];
    int client;
    lithe_server_t server;
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    config.reconnect_ms = 500;
    CHECK_OK(lithe_server_start(&config, &server));
    lithe_sse_t sse = open_events(server, NULL, &client);
    CHECK_OK(lithe_server_begin_drain(server, LONG_MS));
    client_read_until(client, "retry: ", line, sizeof line);
    client_read_until(client, "\n", line, sizeof line);
    CHECK(atoi(line) >= 50 && atoi(line) <= 500);
    lithe_event_t event = next(server, LITHE_EVENT_DRAINED);
    CHECK(event.handle == server);
    CHECK_OK(lithe_sse_free(sse));
    CHECK_OK(lithe_server_free(server));
    close(client);
    config.reconnect_ms = -1;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_start(&config, &server));
}

/* The ends of connections that are cut by a stop can still be taken. */
static void check_stop(void) {
    int client;
    lithe_server_t server = start();
    lithe_ws_options_t options = as_events(7);
    lithe_ws_t ws = open_ws(server, &options, &client);
    int fd = lithe_server_event_fd(server);
    CHECK(fd >= 0);
    CHECK_OK(lithe_server_stop(server));
    CHECK(is_readable(fd));
    lithe_event_t event = next(server, LITHE_EVENT_CLOSED);
    CHECK(event.handle == ws && event.clean == 0);
    lithe_event_free(&event, 1);
    CHECK_CODE(LITHE_ERR_SHUTTING_DOWN, lithe_server_wait(server, &event, 1, -1));
    CHECK(is_readable(fd));
    CHECK_OK(lithe_ws_free(ws));
    CHECK_OK(lithe_server_free(server));
    close(client);
}

int main(void) {
    lithe_server_t server = start();
    check_conversation(server);
    check_patience(server);
    check_order(server);
    check_writable(server);
    check_writable_after_waiting(server);
    check_event_stream(server);
    check_slow_host(server);
    check_pause(server);
    check_fairness(server);
    check_wake(server);
    check_event_fd(server);
    check_stolen_signal(server);
    check_wake_beside_nothing(server);
    check_mixed(server);
    check_misuse(server);
    check_drain(server);
    CHECK_OK(lithe_server_free(server));
    check_stop();
    check_reconnect();
    return 0;
}
