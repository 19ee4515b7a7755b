/* Events in batches: what comes, and in which order. */
#include "check.h"

#define CAPACITY 64

static void check_conversation(lithe_server_t server) {
    int client;
    char data[16];
    size_t len;
    lithe_ws_options_t options = as_events(UINT64_MAX - 7);
    lithe_ws_t ws = open_event_ws(server, &options, &client);

    client_send_frame(client, 0x81, "text", 4);
    lithe_event_t event = next_event(server, LITHE_EVENT_MESSAGE);
    CHECK(event.handle == ws && event.user_data == options.user_data);
    CHECK(event.message.kind == LITHE_TEXT && event.message.len == 4);
    CHECK(memcmp(event.message.data, "text", 4) == 0);
    lithe_event_free(&event, 1);
    lithe_event_free(&event, 1);
    client_send_frame(client, 0x82, "", 0);
    event = next_event(server, LITHE_EVENT_MESSAGE);
    CHECK(event.message.kind == LITHE_BINARY && event.message.len == 0);
    lithe_event_free(&event, 1);

    lithe_message_t message;
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_ws_receive(ws, &message, 0));
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_ws_receive_many(ws, &message, 1, 0));

    CHECK_OK(lithe_ws_send_text(ws, "answer", 0));
    CHECK(client_read_frame(client, data, sizeof data, &len) == 0x81 && len == 6);

    client_send_frame(client, 0x88, "\x0f\xa0" "bye", 5);
    event = next_event(server, LITHE_EVENT_CLOSED);
    CHECK(event.handle == ws && event.code == 4000 && event.clean == 1);
    CHECK(event.message.len == 3 && memcmp(event.message.data, "bye", 3) == 0);
    lithe_event_free(&event, 1);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_send_text(ws, "late", 0));
    CHECK_OK(lithe_ws_free(ws));
    check_no_event(server);
    close(client);
}

/* What is sent in the middle of a batch leaves, though the host does not ask for the next one. */
static void check_patience(lithe_server_t server) {
    int client;
    char data[16];
    size_t len;
    lithe_ws_options_t options = as_events(8);
    lithe_ws_t ws = open_event_ws(server, &options, &client);
    for (int i = 0; i < 50; i++) {
        client_send_frame(client, 0x81, "ping", 4);
        lithe_event_t event = next_event(server, LITHE_EVENT_MESSAGE);
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
        ws[i] = open_event_ws(server, &options, &clients[i]);
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

/* A connection that never runs out of messages leaves the others their turn, also in small batches;
 * and so do requests. */
static void check_fairness(lithe_server_t server) {
    enum { FLOOD = 200 };
    int flooding, quiet;
    lithe_ws_options_t options = as_events(10);
    lithe_ws_t flood = open_event_ws(server, &options, &flooding);
    lithe_ws_t other = open_event_ws(server, &options, &quiet);
    for (int i = 0; i < FLOOD; i++) {
        client_send_frame(flooding, 0x81, "flood", 5);
    }
    lithe_event_t event = next_event(server, LITHE_EVENT_MESSAGE);
    CHECK(event.handle == flood);
    lithe_event_free(&event, 1);
    client_send_frame(quiet, 0x81, "quiet", 5);
    int before = 0;
    for (;;) {
        event = next_event(server, LITHE_EVENT_MESSAGE);
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
        event = next_event(server, LITHE_EVENT_MESSAGE);
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

/* Blocking and events, side by side on one server. */
static void check_mixed(lithe_server_t server) {
    int blocking_client, event_client;
    lithe_message_t messages[4];
    lithe_ws_options_t options = as_events(5);
    lithe_ws_t blocking = open_websocket(server, NULL, &blocking_client);
    lithe_ws_t evented = open_event_ws(server, &options, &event_client);
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

    lithe_event_t event = next_event(server, LITHE_EVENT_MESSAGE);
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
    event = next_event(server, LITHE_EVENT_REQUEST);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_accept(event.handle, &options, &ws));
    CHECK_OK(lithe_request_free(event.handle));
    close(client);
}

int main(void) {
    lithe_server_t server = start();
    check_conversation(server);
    check_patience(server);
    check_order(server);
    check_fairness(server);
    check_mixed(server);
    check_misuse(server);
    CHECK_OK(lithe_server_free(server));
    return 0;
}
