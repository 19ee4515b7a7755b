/* A host that leaves SIGPIPE at its default survives writing to connections whose peer has gone,
 * and a handler of the host's never runs on a thread of the library. */
#include "check.h"

#include <signal.h>

static pthread_t main_thread;
static volatile sig_atomic_t handled_here;
static volatile sig_atomic_t handled_elsewhere;

static void on_signal(int signal) {
    (void)signal;
    if (pthread_equal(pthread_self(), main_thread)) {
        handled_here = 1;
    } else {
        handled_elsewhere = 1;
    }
}

/* The server does not read on, because the host does not, and so learns by writing that the peer
 * has gone: the first write has it answered with a reset, the next one would raise SIGPIPE. */
static void check_sigpipe(lithe_server_t server) {
    static char data[20000];
    const char frames[] = "\x81\x81\0\0\0\0x" "\x89\x80\0\0\0\0";
    size_t len;
    int client;
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    options.receive_queue_bytes = 1;
    lithe_ws_t ws = open_websocket(server, &options, &client);
    client_send(client, frames, sizeof frames - 1);
    CHECK(client_read_frame(client, data, sizeof data, &len) == 0x8a);
    CHECK(close(client) == 0);
    int32_t code;
    do {
        code = lithe_ws_send(ws, LITHE_BINARY, data, sizeof data, LONG_MS);
    } while (code == LITHE_OK);
    CHECK(code == LITHE_ERR_CLOSED);
    CHECK_OK(lithe_ws_free(ws));
}

static void check_handler(void) {
    struct sigaction action;
    sigset_t blocked;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    main_thread = pthread_self();

    /* While this thread blocks it, the signal goes to any other that does not. */
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    CHECK(pthread_sigmask(SIG_BLOCK, &blocked, NULL) == 0);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    lithe_server_t second = start();
    CHECK_OK(lithe_server_free(second));
    CHECK(!handled_here && !handled_elsewhere);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &blocked, NULL) == 0);
    CHECK(handled_here && !handled_elsewhere);
}

int main(void) {
    sigset_t before, after;
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &before) == 0);
    lithe_server_t server = start();
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &after) == 0);
    for (int number = 1; number < 32; number++) {
        CHECK(sigismember(&before, number) == sigismember(&after, number));
    }

    for (int i = 0; i < 20; i++) {
        check_sigpipe(server);
    }
    check_handler();
    CHECK_OK(lithe_server_free(server));
    return 0;
}
