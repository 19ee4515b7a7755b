/* Children of a fork: those from before the library was used may use it, those from after are told
 * so by every function, whatever the parent's other threads were at; the parent goes on. */
#include "check.h"

#include <sys/wait.h>

#define CHILDREN 20

typedef void (*function)(void);

/* Every exported function; the test writes this table. The last entry is empty. */
struct entry {
    const char *name;
    function call;
};
extern const struct entry every_function[];

/* What every function is called as: whatever it takes, these are NULL, 0 and handles that are none.
 * The calling conventions of C let a function ignore arguments. */
typedef int32_t (*with_nothing)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

static const char *const work_in_children[] = { "lithe_abi_version", "lithe_client_free",
                                                "lithe_event_free", "lithe_last_error",
                                                "lithe_message_free", "lithe_publication_free",
                                                "lithe_strerror", "lithe_version" };

static int works_in_children(const char *name) {
    for (size_t i = 0; i < sizeof work_in_children / sizeof work_in_children[0]; i++) {
        if (strcmp(work_in_children[i], name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Forks, and checks that the child does what it shall. It says so over a pipe, because valgrind has
 * a word in how it exits: memory that only the parent's other threads knew of is lost to it. */
static void in_child(void (*run)(void *), void *argument) {
    int ends[2];
    char said = 0;
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        run(argument);
        CHECK(write(ends[1], "k", 1) == 1);
        _exit(0);
    }
    close(ends[1]);
    CHECK(read(ends[0], &said, 1) == 1 && said == 'k');
    close(ends[0]);
    CHECK(waitpid(child, NULL, 0) == child);
}

static void use_library(void *argument) {
    (void)argument;
    int client;
    lithe_server_t server = start();
    lithe_ws_t ws = open_websocket(server, NULL, &client);
    CHECK_OK(lithe_ws_send_text(ws, "hello", 0));
    CHECK_OK(lithe_ws_free(ws));
    CHECK_OK(lithe_server_free(server));
}

static void be_refused(void *argument) {
    lithe_message_t *message = (lithe_message_t *)argument;
    int refused = 0;
    for (const struct entry *entry = every_function; entry->name != NULL; entry++) {
        if (works_in_children(entry->name)) {
            continue;
        }
        if (strcmp(entry->name, "lithe_options_pointer") == 0) {
            CHECK(lithe_options_pointer(0) == NULL);
            continue;
        }
        int32_t code = ((with_nothing)entry->call)(0, 0, 0, 0, 0, 0);
        if (code != LITHE_ERR_FORKED) {
            fprintf(stderr, "%s returned %d in a child\n", entry->name, (int)code);
            _exit(1);
        }
        refused++;
    }
    CHECK(refused > 30);
    CHECK(strstr(lithe_last_error(), "forked") != NULL);
    CHECK(strcmp(lithe_strerror(LITHE_ERR_FORKED), "forked") == 0);
    CHECK(lithe_abi_version() == LITHE_ABI_VERSION && strlen(lithe_version()) > 0);
    CHECK(memcmp(message->data, "received", message->len) == 0);
    lithe_message_free(message);
    lithe_message_free(message);
}

struct busy {
    pthread_mutex_t lock;
    int stop;
    lithe_server_t server;
    lithe_ws_t ws;
};

static int is_stopped(struct busy *busy) {
    pthread_mutex_lock(&busy->lock);
    int stop = busy->stop;
    pthread_mutex_unlock(&busy->lock);
    return stop;
}

static void say_nothing(void *user_data, lithe_log_level level, const char *target,
                        const char *message) {
    (void)user_data, (void)level, (void)target, (void)message;
}

/* Takes as many of the library's locks as often as it can. */
static void *hammer(void *argument) {
    struct busy *busy = (struct busy *)argument;
    lithe_message_t message = LITHE_MESSAGE_INIT;
    lithe_request_t request;
    while (!is_stopped(busy)) {
        int32_t sent = lithe_ws_send_text(busy->ws, "busy", 0);
        CHECK(sent == LITHE_OK || sent == LITHE_ERR_FULL);
        CHECK(lithe_ws_queued(busy->ws) >= 0);
        CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_ws_receive(busy->ws, &message, 0));
        CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_server_accept(busy->server, &request, 0));
        CHECK_OK(lithe_log_set(LITHE_LOG_TRACE, say_nothing, NULL));
    }
    return NULL;
}

/* Reads what the others send until the connection ends. */
static void *drain(void *argument) {
    const int client = *(const int *)argument;
    char buffer[4096];
    while (recv(client, buffer, sizeof buffer, 0) > 0) {
    }
    return NULL;
}

int main(void) {
    in_child(use_library, NULL);
    CHECK_OK(lithe_log_set(LITHE_LOG_WARN, say_nothing, NULL));
    in_child(use_library, NULL);

    int client, busy_client;
    lithe_message_t message = LITHE_MESSAGE_INIT;
    struct busy busy = { PTHREAD_MUTEX_INITIALIZER, 0, start(), 0 };
    lithe_ws_t ws = open_websocket(busy.server, NULL, &client);
    busy.ws = open_websocket(busy.server, NULL, &busy_client);
    pthread_t threads[] = { start_thread(hammer, &busy), start_thread(hammer, &busy),
                            start_thread(hammer, &busy), start_thread(drain, &busy_client) };

    for (int i = 0; i < CHILDREN; i++) {
        client_send_frame(client, 0x81, "received", 8);
        CHECK_OK(lithe_ws_receive(ws, &message, LONG_MS));
        in_child(be_refused, &message);
        CHECK(message.len == 8 && memcmp(message.data, "received", 8) == 0);
        lithe_message_free(&message);
    }

    pthread_mutex_lock(&busy.lock);
    busy.stop = 1;
    pthread_mutex_unlock(&busy.lock);
    for (size_t i = 0; i < 3; i++) {
        join_thread(threads[i]);
    }
    shutdown(busy_client, SHUT_RDWR);
    join_thread(threads[3]);
    CHECK_OK(lithe_log_set(LITHE_LOG_OFF, NULL, NULL));
    CHECK_OK(lithe_ws_free(busy.ws));
    CHECK_OK(lithe_ws_free(ws));
    CHECK_OK(lithe_server_free(busy.server));
    close(client);
    close(busy_client);
    return 0;
}
