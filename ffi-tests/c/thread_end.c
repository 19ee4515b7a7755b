/* Calls from destructors that run while a thread ends, when the library's own memory of the thread
 * is gone: they work, and fail, as at any other time. */
#include "check.h"

static pthread_key_t key;
static int done;

/* What is used up by the calls of one time. */
struct turn {
    lithe_server_t drained;
    lithe_server_t stopped;
    lithe_request_t handshake;
    int client;
    lithe_ws_t ws;
};

struct ending {
    lithe_server_t server;
    lithe_ws_t ws;
    lithe_sse_t sse;
    struct turn before;
    struct turn last;
};

static struct turn make_turn(lithe_server_t server) {
    struct turn turn;
    turn.drained = start();
    turn.stopped = start();
    turn.client = client_connect(server);
    client_handshake(turn.client, "/", "");
    turn.handshake = next_request(server);
    turn.ws = 0;
    return turn;
}

/* The calls that wait for the library's threads, or give them something to begin with. */
static void take_turn(struct ending *ending, struct turn *turn) {
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_ws_close_info(ending->ws, NULL, 1));
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_sse_wait_closed(ending->sse, 1));
    CHECK_OK(lithe_ws_accept(turn->handshake, NULL, &turn->ws));
    CHECK_OK(lithe_ws_send_text(turn->ws, "welcome", 0));
    CHECK_OK(lithe_request_free(turn->handshake));
    CHECK_OK(lithe_server_drain(turn->drained, LONG_MS, NULL));
    CHECK_OK(lithe_server_free(turn->drained));
    CHECK_OK(lithe_server_stop(turn->stopped));
    CHECK_OK(lithe_server_free(turn->stopped));
}

static void check_welcome(struct turn *turn) {
    char text[256];
    size_t len;
    client_read_until(turn->client, "\r\n\r\n", text, sizeof text);
    CHECK(client_read_frame(turn->client, text, sizeof text, &len) == 0x81 && len == 7);
    CHECK_OK(lithe_ws_free(turn->ws));
    close(turn->client);
}

static void end(void *argument) {
    struct ending *ending = (struct ending *)argument;
    lithe_event_t event;
    lithe_message_t message;
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_port(7));
    CHECK(lithe_last_error() != NULL);
    CHECK_OK(lithe_ws_send_text(ending->ws, "last words", 0));
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_ws_receive(ending->ws, &message, 1));
    CHECK_OK(lithe_sse_send_text(ending->sse, NULL, "last words", 0));
    CHECK_CODE(0, lithe_server_wait(ending->server, &event, 1, 1));
    take_turn(ending, &ending->last);
    CHECK_OK(lithe_ws_close(ending->ws, 0, NULL, 0));
    CHECK_OK(lithe_sse_free(ending->sse));
    done = 1;
}

static void *run(void *argument) {
    struct ending *ending = (struct ending *)argument;
    /* So that there is something that is gone later. */
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_port(7));
    CHECK_OK(lithe_ws_send_text(ending->ws, "first words", 0));
    take_turn(ending, &ending->before);
    CHECK(pthread_setspecific(key, argument) == 0);
    return NULL;
}

int main(void) {
    int ws_client, sse_client;
    char text[64];
    size_t len;
    struct ending ending;
    ending.server = start();
    ending.ws = open_websocket(ending.server, NULL, &ws_client);
    ending.sse = open_events(ending.server, NULL, &sse_client);
    ending.before = make_turn(ending.server);
    ending.last = make_turn(ending.server);
    CHECK(pthread_key_create(&key, end) == 0);
    join_thread(start_thread(run, &ending));
    CHECK(done);
    check_welcome(&ending.before);
    check_welcome(&ending.last);
    CHECK(client_read_frame(ws_client, text, sizeof text, &len) == 0x81 && len == 11);
    CHECK(client_read_frame(ws_client, text, sizeof text, &len) == 0x81 && len == 10);
    CHECK(client_read_frame(ws_client, text, sizeof text, &len) == 0x88);
    client_read_until(sse_client, "last words\n\n", text, sizeof text);
    CHECK_OK(lithe_ws_free(ending.ws));
    CHECK_OK(lithe_server_free(ending.server));
    close(ws_client);
    close(sse_client);
    return 0;
}
