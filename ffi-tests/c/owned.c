/* Memory of the host's that is sent as it is: freed exactly once, whatever becomes of it. */
#include "check.h"

#define LARGE (1024 * 1024)

/* A piece of memory that is lent, and how often it was given back. */
struct lent {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char *data;
    lithe_ws_t ws;
    int freed;
};

static void lend(struct lent *lent, lithe_ws_t ws, size_t len) {
    CHECK(pthread_mutex_init(&lent->lock, NULL) == 0);
    CHECK(pthread_cond_init(&lent->changed, NULL) == 0);
    lent->data = (char *)malloc(len);
    CHECK(lent->data != NULL);
    memset(lent->data, 'x', len);
    lent->ws = ws;
    lent->freed = 0;
}

/* May call what never blocks, even about the very connection. */
static void give_back(void *arg) {
    struct lent *lent = (struct lent *)arg;
    int64_t queued = lithe_ws_queued(lent->ws);
    CHECK(queued >= 0 || queued == LITHE_ERR_BAD_HANDLE);
    pthread_mutex_lock(&lent->lock);
    lent->freed++;
    free(lent->data);
    lent->data = NULL;
    pthread_cond_broadcast(&lent->changed);
    pthread_mutex_unlock(&lent->lock);
}

static int times_freed(struct lent *lent) {
    pthread_mutex_lock(&lent->lock);
    int freed = lent->freed;
    pthread_mutex_unlock(&lent->lock);
    return freed;
}

static void wait_freed(struct lent *lent) {
    pthread_mutex_lock(&lent->lock);
    while (lent->freed == 0) {
        pthread_cond_wait(&lent->changed, &lent->lock);
    }
    CHECK(lent->freed == 1);
    pthread_mutex_unlock(&lent->lock);
}

/* A call that fails has given the memory back when it returns. */
#define CHECK_FAILS(code, handle, kind, len, timeout_ms)                                           \
    do {                                                                                           \
        struct lent lent_;                                                                         \
        lend(&lent_, ws, 16);                                                                      \
        CHECK_CODE(code, lithe_ws_send_owned(handle, kind, lent_.data, len, give_back, &lent_,     \
                                             timeout_ms));                                         \
        CHECK(times_freed(&lent_) == 1);                                                           \
    } while (0)

static void check_sent(lithe_server_t server, size_t len, int32_t kind) {
    static char received[LARGE];
    size_t got;
    int client;
    struct lent lent;
    lithe_ws_t ws = open_websocket(server, NULL, &client);
    lend(&lent, ws, LARGE);
    CHECK_OK(lithe_ws_send_owned(ws, kind, lent.data, len, give_back, &lent, -1));
    CHECK(client_read_frame(client, received, sizeof received, &got) == (0x80 | kind));
    CHECK(got == len);
    for (size_t i = 0; i < len; i++) {
        CHECK(received[i] == 'x');
    }
    wait_freed(&lent);
    CHECK_OK(lithe_ws_free(ws));
    close(client);
    CHECK(times_freed(&lent) == 1);
}

static void check_failures(lithe_server_t server) {
    int client;
    lithe_ws_t ws = open_websocket(server, NULL, &client);
    CHECK_FAILS(LITHE_ERR_BAD_HANDLE, 0, LITHE_TEXT, 16, -1);
    CHECK_FAILS(LITHE_ERR_BAD_HANDLE, server, LITHE_TEXT, 16, -1);
    CHECK_FAILS(LITHE_ERR_BAD_ARGUMENT, ws, 7, 16, -1);
    CHECK_FAILS(LITHE_ERR_BAD_ARGUMENT, ws, LITHE_TEXT, 16, -2);
    CHECK_FAILS(LITHE_ERR_TOO_LARGE, ws, LITHE_BINARY, (size_t)-1, -1);

    struct lent lent;
    lend(&lent, ws, 16);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT,
               lithe_ws_send_owned(ws, LITHE_TEXT, NULL, 16, give_back, &lent, -1));
    CHECK(times_freed(&lent) == 1);
    lend(&lent, ws, 16);
    lent.data[7] = '\xff';
    CHECK_CODE(LITHE_ERR_NOT_UTF8,
               lithe_ws_send_owned(ws, LITHE_TEXT, lent.data, 16, give_back, &lent, -1));
    CHECK(times_freed(&lent) == 1);

    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_ws_send_owned(ws, LITHE_TEXT, "\xff", 1, NULL, NULL, -1));
    CHECK_OK(lithe_ws_send_owned(ws, LITHE_TEXT, "for ever", 8, NULL, NULL, -1));
    CHECK_OK(lithe_ws_close(ws, 0, NULL, 0));
    CHECK_FAILS(LITHE_ERR_CLOSED, ws, LITHE_TEXT, 16, -1);
    CHECK_FAILS(LITHE_ERR_CLOSED, ws, LITHE_TEXT, 16, 0);
    CHECK_OK(lithe_ws_free(ws));
    CHECK_FAILS(LITHE_ERR_BAD_HANDLE, ws, LITHE_TEXT, 16, 0);
    close(client);
}

/* A WebSocket whose client does not read: the first message stays in the queue. */
static lithe_ws_t open_stuck(lithe_server_t server, int *client, struct lent *lent) {
    static const size_t len = 16 * LARGE;
    char head[1024];
    lithe_ws_t ws;
    *client = client_connect_slow(server);
    client_handshake(*client, "/", "");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_ws_accept(request, NULL, &ws));
    CHECK_OK(lithe_request_free(request));
    client_read_until(*client, "\r\n\r\n", head, sizeof head);
    lend(lent, ws, len);
    CHECK_OK(lithe_ws_send_owned(ws, LITHE_BINARY, lent->data, len, give_back, lent, 0));
    CHECK_FAILS(LITHE_ERR_FULL, ws, LITHE_BINARY, 16, 0);
    CHECK_FAILS(LITHE_ERR_TIMEOUT, ws, LITHE_BINARY, 16, 1);
    CHECK(times_freed(lent) == 0);
    return ws;
}

int main(void) {
    int client;
    struct lent lent;
    lithe_server_t server = start();
    check_sent(server, 0, LITHE_TEXT);
    check_sent(server, 5, LITHE_BINARY);
    check_sent(server, LARGE, LITHE_TEXT);
    check_sent(server, LARGE, LITHE_BINARY);
    check_failures(server);

    /* What is never sent is given back when the client has gone, and when the server stops. */
    lithe_ws_t ws = open_stuck(server, &client, &lent);
    client_reset(client);
    wait_freed(&lent);
    CHECK_OK(lithe_ws_free(ws));
    ws = open_stuck(server, &client, &lent);
    CHECK_OK(lithe_server_stop(server));
    wait_freed(&lent);
    CHECK_OK(lithe_ws_free(ws));
    CHECK_OK(lithe_server_free(server));
    CHECK(times_freed(&lent) == 1);
    close(client);
    return 0;
}
