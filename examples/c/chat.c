/* A chat: a page, a WebSocket for each person, and an event stream of who is there.
 *
 *     make demo                    or     make examples && target/c/chat [PORT]
 *
 * What goes over the wire is plain text. On the WebSocket, /chat, a browser first says its name and
 * then whatever the person types; it gets "name\ntext" for each message. The event stream, /people,
 * has the names of all who are there, one on each line, whenever that changes.
 *
 * Each conversation has a thread of its own. Nobody ever waits for a slow reader: everything is sent
 * with a timeout of 0, and whoever's send queue is full is dropped and will reconnect.
 */
#define _POSIX_C_SOURCE 200809L

#include <lithe.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PORT "8080"
#define MAX_PEOPLE 500
#define MAX_NAME 40
#define MAX_TEXT 4000

struct person {
    lithe_ws_t ws;
    char name[MAX_NAME + 1];
};

/* Everyone who is there, and everyone who watches who is there. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t left;
    struct person people[MAX_PEOPLE];
    size_t person_count;
    lithe_sse_t watchers[MAX_PEOPLE];
    size_t watcher_count;
    size_t thread_count;
} room = { .lock = PTHREAD_MUTEX_INITIALIZER, .left = PTHREAD_COND_INITIALIZER };

static char *page;

/* The names of all who are there. With the lock held. */
static const char *people_names(void) {
    static char names[MAX_PEOPLE * (MAX_NAME + 1) + 1];
    char *end = names;
    *end = '\0';
    for (size_t i = 0; i < room.person_count; i++) {
        end += sprintf(end, "%s%s", i > 0 ? "\n" : "", room.people[i].name);
    }
    return names;
}

/* Tells every watcher who is there. With the lock held. */
static void announce_people(void) {
    const char *names = people_names();
    for (size_t i = 0; i < room.watcher_count;) {
        if (lithe_sse_send_text(room.watchers[i], "people", names, 0) == LITHE_OK) {
            i++;
        } else {
            /* Gone, or too slow. */
            lithe_sse_free(room.watchers[i]);
            room.watchers[i] = room.watchers[--room.watcher_count];
        }
    }
}

static int enter(lithe_ws_t ws, const char *name) {
    int entered = 0;
    pthread_mutex_lock(&room.lock);
    if (room.person_count < MAX_PEOPLE) {
        struct person *person = &room.people[room.person_count++];
        person->ws = ws;
        strcpy(person->name, name);
        announce_people();
        entered = 1;
    }
    pthread_mutex_unlock(&room.lock);
    return entered;
}

static void leave(lithe_ws_t ws) {
    pthread_mutex_lock(&room.lock);
    for (size_t i = 0; i < room.person_count; i++) {
        if (room.people[i].ws == ws) {
            memmove(&room.people[i], &room.people[i + 1],
                    (room.person_count - i - 1) * sizeof room.people[0]);
            room.person_count--;
            announce_people();
            break;
        }
    }
    pthread_mutex_unlock(&room.lock);
}

/* Sends everyone a message. */
static void say(const char *name, const lithe_message_t *message) {
    char text[MAX_NAME + 1 + MAX_TEXT];
    size_t name_len = strlen(name);
    memcpy(text, name, name_len);
    text[name_len] = '\n';
    memcpy(text + name_len + 1, message->data, message->len);

    pthread_mutex_lock(&room.lock);
    for (size_t i = 0; i < room.person_count; i++) {
        lithe_ws_t ws = room.people[i].ws;
        if (lithe_ws_send(ws, LITHE_TEXT, text, name_len + 1 + message->len, 0) == LITHE_ERR_FULL) {
            /* Wakes the person's own thread, which sees to the rest. */
            lithe_ws_close(ws, 1013, "too slow", LITHE_CSTR);
        }
    }
    pthread_mutex_unlock(&room.lock);
}

/* Takes a name out of a message: what fits, up to the end of a character, on one line. */
static void take_name(const lithe_message_t *message, char name[MAX_NAME + 1]) {
    size_t len = message->len < MAX_NAME ? message->len : MAX_NAME;
    if (len < message->len) {
        while (len > 0 && ((unsigned char)message->data[len] & 0xc0) == 0x80) {
            len--;
        }
    }
    memcpy(name, message->data, len);
    name[len] = '\0';
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] < ' ') {
            name[i] = ' ';
        }
    }
}

/* One conversation. */
static void *converse(void *argument) {
    lithe_ws_t ws = *(lithe_ws_t *)argument;
    char name[MAX_NAME + 1];
    lithe_message_t message = LITHE_MESSAGE_INIT;
    free(argument);

    if (lithe_ws_receive(ws, &message, 10000) == LITHE_OK && message.kind == LITHE_TEXT) {
        take_name(&message, name);
        lithe_message_free(&message);
        if (enter(ws, name)) {
            while (lithe_ws_receive(ws, &message, -1) == LITHE_OK) {
                if (message.kind == LITHE_TEXT) {
                    say(name, &message);
                }
                lithe_message_free(&message);
            }
            leave(ws);
        } else {
            lithe_ws_close(ws, 1013, "the room is full", LITHE_CSTR);
        }
    }
    lithe_message_free(&message);
    lithe_ws_free(ws);

    pthread_mutex_lock(&room.lock);
    room.thread_count--;
    pthread_cond_signal(&room.left);
    pthread_mutex_unlock(&room.lock);
    return NULL;
}

static void start_conversation(lithe_request_t request) {
    pthread_t thread;
    lithe_ws_options_t options = LITHE_WS_OPTIONS_INIT;
    lithe_ws_t *ws = malloc(sizeof *ws);
    if (ws == NULL) {
        return;
    }
    options.max_message_bytes = MAX_TEXT;
    options.send_queue_bytes = 256 * 1024;
    if (lithe_ws_accept(request, &options, ws) != LITHE_OK) {
        lithe_request_respond_text(request, 426, "text/plain", "This is for WebSockets.\n");
        free(ws);
        return;
    }
    pthread_mutex_lock(&room.lock);
    if (pthread_create(&thread, NULL, converse, ws) == 0) {
        pthread_detach(thread);
        room.thread_count++;
    } else {
        lithe_ws_free(*ws);
        free(ws);
    }
    pthread_mutex_unlock(&room.lock);
}

static void start_watching(lithe_request_t request) {
    lithe_sse_t sse;
    pthread_mutex_lock(&room.lock);
    if (room.watcher_count == MAX_PEOPLE) {
        /* Some may have gone without anyone noticing. */
        announce_people();
    }
    if (room.watcher_count == MAX_PEOPLE) {
        lithe_request_respond_text(request, 503, "text/plain", "Too many are watching.\n");
    } else if (lithe_sse_open(request, NULL, &sse) == LITHE_OK) {
        lithe_sse_send_text(sse, "people", people_names(), 0);
        room.watchers[room.watcher_count++] = sse;
    }
    pthread_mutex_unlock(&room.lock);
}

static void answer(lithe_request_t request) {
    lithe_string_t path;
    lithe_request_path(request, &path);
    if (strcmp(path.ptr, "/") == 0) {
        lithe_request_respond_text(request, 200, "text/html; charset=utf-8", page);
    } else if (strcmp(path.ptr, "/chat") == 0) {
        start_conversation(request);
    } else if (strcmp(path.ptr, "/people") == 0) {
        start_watching(request);
    } else {
        lithe_request_respond_text(request, 404, "text/plain", "Not here.\n");
    }
}

/* Takes requests until the server is stopped. */
static void *serve(void *argument) {
    lithe_server_t server = *(lithe_server_t *)argument;
    lithe_request_t request;
    while (lithe_server_accept(server, &request, -1) == LITHE_OK) {
        answer(request);
        lithe_request_free(request);
    }
    return NULL;
}

/* Reads chat.html, which lies beside this file. */
static char *read_page(void) {
    char path[1024];
    char *text = NULL;
    snprintf(path, sizeof path, "%.*shtml", (int)(strlen(__FILE__) - strlen("c")), __FILE__);
    FILE *file = fopen(path, "rb");
    if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
        long size = ftell(file);
        text = size < 0 ? NULL : calloc(1, (size_t)size + 1);
        rewind(file);
        if (text != NULL && fread(text, 1, (size_t)size, file) != (size_t)size) {
            free(text);
            text = NULL;
        }
    }
    if (text == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    }
    if (file != NULL) {
        fclose(file);
    }
    return text;
}

/* Listens on the port that was asked for; where none was, on any if the default one is taken. */
static int32_t start(const char *port, lithe_server_t *server) {
    char address[64];
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    config.address = address;
    snprintf(address, sizeof address, "127.0.0.1:%s", port != NULL ? port : DEFAULT_PORT);
    int32_t code = lithe_server_start(&config, server);
    if (code == LITHE_ERR_IO && port == NULL) {
        printf("Port " DEFAULT_PORT " is taken, so it is another one.\n");
        strcpy(address, "127.0.0.1:0");
        code = lithe_server_start(&config, server);
    }
    if (code != LITHE_OK) {
        fprintf(stderr, "%s\n", lithe_last_error());
    }
    return code;
}

int main(int argc, char **argv) {
    int signal_number;
    sigset_t ends;
    pthread_t server_thread;
    lithe_server_t server;
    lithe_drain_report_t report = LITHE_DRAIN_REPORT_INIT;

    page = read_page();
    if (page == NULL || start(argc > 1 ? argv[1] : getenv("PORT"), &server) != LITHE_OK) {
        return 1;
    }
    /* Ctrl-C is waited for below, and interrupts no thread. */
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    if (pthread_create(&server_thread, NULL, serve, &server) != 0) {
        fprintf(stderr, "no thread to serve with\n");
        return 1;
    }
    printf("Chat on http://127.0.0.1:%d (Ctrl-C ends it)\n", lithe_server_port(server));
    fflush(stdout);
    sigwait(&ends, &signal_number);

    /* Browsers are told to come back later; every thread gets LITHE_ERR_CLOSED and ends. */
    lithe_server_drain(server, 10000, &report);
    printf("\n%d connections closed kindly, %d cut.\n", (int)report.drained, (int)report.cut);
    pthread_join(server_thread, NULL);
    pthread_mutex_lock(&room.lock);
    while (room.thread_count > 0) {
        pthread_cond_wait(&room.left, &room.lock);
    }
    for (size_t i = 0; i < room.watcher_count; i++) {
        lithe_sse_free(room.watchers[i]);
    }
    pthread_mutex_unlock(&room.lock);
    lithe_server_free(server);
    free(page);
    return 0;
}
