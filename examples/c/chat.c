/* A chat: a page, a WebSocket for each person, and an event stream of who is there.
 *
 *     make demo                    or     make examples && target/c/chat [PORT [FILE | REDIS_URL]]
 *
 * No line is lost, and none comes twice, also when this program is killed and started again. What was
 * said is appended to FILE, or else to lithe-chat-PORT.txt in the directory for temporary files, and
 * read from there at the next start. With the URL of a Redis in its place, such as
 * redis://127.0.0.1:6379, the lines are kept there, and several of these programs are one chat.
 *
 * On the WebSocket, /chat, a browser first says "NAME<tab>CURSOR", where the cursor is how far it has
 * read, and then "KEY<tab>TEXT" for each line. What it is not sure of it says again with the same
 * key, by which the hub takes it once. It gets the frames of the hub's protocol in JSON; the data of a
 * publication is "NAME<tab>TEXT", and its key that of the line. The event stream, /people, has the
 * names of all who are there, one on each line, whenever that changes.
 *
 * Each conversation has a thread of its own. Nobody ever waits for a slow reader: the hub sends to
 * each at its own pace.
 */
#define _POSIX_C_SOURCE 200809L

#include <lithe.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_PORT "8080"
#define CHANNEL "room"
#define KEPT_LINES 1000
#define MAX_PEOPLE 500
#define MAX_NAME 40
#define MAX_KEY 64
#define MAX_MESSAGE 4000

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

static lithe_hub_t hub;
static char *page;

/* What was said, where no Redis keeps it. */
static FILE *history;
static pthread_mutex_t history_lock = PTHREAD_MUTEX_INITIALIZER;

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

/* Publishes "KEY<tab>NAME<tab>TEXT", unless it was published before. */
static int32_t publish(const char *line, size_t len) {
    const char *data = (const char *)memchr(line, '\t', len) + 1;
    lithe_publish_options_t options = LITHE_PUBLISH_OPTIONS_INIT;
    options.key.ptr = line;
    options.key.len = (size_t)(data - line) - 1;
    options.idempotency_key = options.key;
    return lithe_publish(hub, CHANNEL, LITHE_CSTR, data, len - (size_t)(data - line), &options, NULL);
}

/* Says a line to everyone. It is in the file before anyone sees it; there it begins with a line end
 * and ends with a tab, so that one that was cut short, by a kill or a full disk, can be told. */
static int32_t say(const char *key, const char *name, const char *text) {
    char line[1 + MAX_KEY + 1 + MAX_NAME + 1 + MAX_MESSAGE + 1 + 1];
    size_t len = (size_t)sprintf(line, "\n%s\t%s\t%s\t", key, name, text);
    int32_t code = LITHE_ERR_IO;
    if (history == NULL) {
        return publish(line + 1, len - 2);
    }
    pthread_mutex_lock(&history_lock);
    if (write(fileno(history), line, len) == (ssize_t)len) {
        code = publish(line + 1, len - 2);
    }
    pthread_mutex_unlock(&history_lock);
    return code;
}

/* Publishes what was said before this program was started; the hub keeps the newest of it. */
static int read_history(const char *path) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    history = fopen(path, "a+");
    if (history == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 0;
    }
    rewind(history);
    while ((len = getline(&line, &capacity, history)) >= 0) {
        size_t tabs = 0;
        len -= len > 0 && line[len - 1] == '\n';
        for (ssize_t i = 0; i < len; i++) {
            tabs += line[i] == '\t';
        }
        if (tabs == 3 && line[len - 1] == '\t') {
            publish(line, (size_t)len - 1);
        }
    }
    free(line);
    return 1;
}

/* Copies text, with spaces for control characters. */
static void copy_text(char *to, const char *from, size_t len) {
    for (size_t i = 0; i < len; i++) {
        to[i] = (unsigned char)from[i] < ' ' ? ' ' : from[i];
    }
    to[len] = '\0';
}

/* Copies what there is room for, up to the end of a character. */
static void copy_name(char name[MAX_NAME + 1], const char *from, size_t len) {
    if (len > MAX_NAME) {
        len = MAX_NAME;
        while (len > 0 && ((unsigned char)from[len] & 0xc0) == 0x80) {
            len--;
        }
    }
    copy_text(name, from, len);
}

/* Where the tab in a message is; behind its end when it has none. */
static size_t find_tab(const lithe_message_t *message) {
    const char *tab = memchr(message->data, '\t', message->len);
    return tab != NULL ? (size_t)(tab - message->data) : message->len;
}

/* Begins a conversation: takes the name, and has all that the browser has not read delivered to it. */
static int32_t greet(lithe_ws_t ws, const lithe_message_t *hello, char name[MAX_NAME + 1]) {
    lithe_subscribe_options_t options = LITHE_SUBSCRIBE_OPTIONS_INIT;
    size_t tab = find_tab(hello);
    copy_name(name, hello->data, tab);
    options.format = LITHE_FORMAT_JSON;
    options.after_gap = LITHE_AFTER_GAP_OLDEST;
    if (tab + 1 < hello->len) {
        options.cursor.ptr = hello->data + tab + 1;
        options.cursor.len = hello->len - tab - 1;
    } else {
        /* It has read nothing. There is no such place, so it is told of a gap, and gets all. */
        options.cursor.ptr = "0-0";
        options.cursor.len = LITHE_CSTR;
    }
    return lithe_ws_subscribe(ws, hub, CHANNEL, LITHE_CSTR, &options);
}

/* Takes a line from a browser. */
static void take_line(lithe_ws_t ws, const char *name, const lithe_message_t *message) {
    char key[MAX_KEY + 1], text[MAX_MESSAGE + 1];
    size_t tab = find_tab(message);
    if (tab == 0 || tab > MAX_KEY || tab == message->len) {
        lithe_ws_close(ws, 1008, "this is no line", LITHE_CSTR);
        return;
    }
    copy_text(key, message->data, tab);
    copy_text(text, message->data + tab + 1, message->len - tab - 1);
    if (say(key, name, text) != LITHE_OK) {
        /* The browser comes back and says it again. */
        lithe_ws_close(ws, 1013, "nothing can be said just now", LITHE_CSTR);
    }
}

/* One conversation. */
static void *converse(void *argument) {
    lithe_ws_t ws = *(lithe_ws_t *)argument;
    char name[MAX_NAME + 1];
    lithe_message_t message = LITHE_MESSAGE_INIT;
    free(argument);

    if (lithe_ws_receive(ws, &message, 10000) == LITHE_OK && message.kind == LITHE_TEXT &&
        greet(ws, &message, name) == LITHE_OK) {
        lithe_message_free(&message);
        if (enter(ws, name)) {
            while (lithe_ws_receive(ws, &message, -1) == LITHE_OK) {
                if (message.kind == LITHE_TEXT) {
                    take_line(ws, name, &message);
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
    options.max_message_bytes = MAX_MESSAGE;
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

/* Makes the hub, which keeps what was said for those who come, and come back. */
static int32_t make_hub(const char *redis_url) {
    lithe_channel_options_t lines = LITHE_CHANNEL_OPTIONS_INIT;
    const lithe_channel_options_t *namespaces[] = { &lines };
    lithe_hub_options_t options = LITHE_HUB_OPTIONS_INIT;
    lines.pattern = CHANNEL;
    lines.history_size = KEPT_LINES;
    lines.history_age_ms = -1;
    lines.idempotency_keys = KEPT_LINES;
    lines.idempotency_age_ms = -1;
    options.namespaces = namespaces;
    options.namespace_count = 1;
    options.replay_limit = KEPT_LINES;
    options.replay_limit_bytes = -1;
    options.redis_url = redis_url;
    int32_t code = lithe_hub_create(&options, &hub);
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
    char path[1024];
    const char *where = argc > 2 ? argv[2] : path;
    int in_redis = argc > 2 && strncmp(where, "redis://", strlen("redis://")) == 0;

    page = read_page();
    if (page == NULL || make_hub(in_redis ? where : NULL) != LITHE_OK ||
        start(argc > 1 ? argv[1] : getenv("PORT"), &server) != LITHE_OK) {
        return 1;
    }
    const char *directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/lithe-chat-%d.txt", directory != NULL ? directory : "/tmp",
             lithe_server_port(server));
    if (!in_redis && !read_history(where)) {
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
    printf("Chat on http://127.0.0.1:%d (Ctrl-C ends it), kept in %s\n",
           lithe_server_port(server), where);
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
    lithe_hub_free(hub);
    if (history != NULL) {
        fclose(history);
    }
    free(page);
    return 0;
}
