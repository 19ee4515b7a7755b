/* A callback on one of the library's threads asks the server something while that is stopped. */
#include "check.h"

#include <poll.h>

struct asking {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    lithe_server_t server;
    int has_begun;
    int32_t answer;
};

/* Longer than a stop waits for connections before it goes on to end the threads. */
#define PATIENCE_MS 2500

/* Asks until the server is stopped; that one thread does so does not keep the others from ending. */
static void ask(void *argument) {
    struct asking *asking = (struct asking *)argument;
    lithe_server_stats_t stats = LITHE_SERVER_STATS_INIT;
    lithe_message_t metrics = LITHE_MESSAGE_INIT;
    pthread_mutex_lock(&asking->lock);
    asking->has_begun = 1;
    pthread_cond_signal(&asking->changed);
    pthread_mutex_unlock(&asking->lock);
    for (int waited = 0; waited < PATIENCE_MS; waited += 5) {
        asking->answer = lithe_server_stats(asking->server, &stats);
        if (asking->answer != LITHE_OK) {
            break;
        }
        poll(NULL, 0, 5);
    }
    int32_t begun = lithe_server_begin_drain(asking->server, 0);
    CHECK(begun == asking->answer);
    CHECK_CODE(asking->answer, lithe_server_metrics(asking->server, &metrics));
    lithe_message_free(&metrics);
}

/* Stops the server while the callback runs that belongs to that one of its WebSockets: each of its
 * two workers has some. */
static void check_stop(int which) {
    enum { CLIENTS = 4, SIZE = 1024 * 1024 };
    static char data[SIZE], received[SIZE];
    int clients[CLIENTS];
    lithe_ws_t ws[CLIENTS];
    struct asking asking = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0 };
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    size_t len;

    config.workers = 2;
    CHECK_OK(lithe_server_start(&config, &asking.server));
    for (int i = 0; i < CLIENTS; i++) {
        ws[i] = open_websocket(asking.server, NULL, &clients[i]);
    }
    CHECK_OK(lithe_ws_send_owned(ws[which], LITHE_BINARY, data, SIZE, ask, &asking, 0));
    CHECK(client_read_frame(clients[which], received, SIZE, &len) == 0x82 && len == SIZE);
    pthread_mutex_lock(&asking.lock);
    while (!asking.has_begun) {
        pthread_cond_wait(&asking.changed, &asking.lock);
    }
    pthread_mutex_unlock(&asking.lock);
    CHECK_OK(lithe_server_stop(asking.server));

    /* Its threads have ended, and so has the callback. */
    CHECK(asking.answer == LITHE_OK || asking.answer == LITHE_ERR_SHUTTING_DOWN);
    CHECK_OK(lithe_server_free(asking.server));
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_OK(lithe_ws_free(ws[i]));
        close(clients[i]);
    }
}

int main(void) {
    check_stop(0);
    check_stop(1);
    return 0;
}
