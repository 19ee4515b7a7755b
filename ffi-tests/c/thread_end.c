/* Calls from destructors that run while a thread ends, when the library's own memory of the thread
 * is gone: they work, and fail, as at any other time. */
#include "check.h"

static pthread_key_t key;
static int done;

struct ending {
    lithe_server_t server;
    lithe_ws_t ws;
    lithe_sse_t sse;
};

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
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_ws_close_info(ending->ws, NULL, 1));
    CHECK_OK(lithe_ws_close(ending->ws, 0, NULL, 0));
    CHECK_OK(lithe_sse_free(ending->sse));
    done = 1;
}

static void *run(void *argument) {
    struct ending *ending = (struct ending *)argument;
    /* So that there is something that is gone later. */
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_port(7));
    CHECK_OK(lithe_ws_send_text(ending->ws, "first words", 0));
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
    CHECK(pthread_key_create(&key, end) == 0);
    join_thread(start_thread(run, &ending));
    CHECK(done);
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
