/* Calls random sequences of all functions of the library on several threads, with good, stale,
 * foreign and made-up handles, and with arguments that make no sense, while clients do what they
 * want: every function returns what the header says that it can, in time, and nothing is left over
 * once all handles are freed.
 *
 *     api_fuzz SECONDS [SEED]
 *
 * prints its seed, and at the end for each function how often it was called, and with success. The
 * same seed makes each thread call the same functions; how they meet is up to the system. */
#include "fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <time.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define THREADS 4
#define CLIENT_THREADS 2
#define SLOTS 24
#define ROUND_MS 2500
/* A call that nothing wakes is cut short after this, and given up for lost after that. */
#define PATIENCE_MS 60
#define STUCK_MS 120000
/* What may be in use at the end of a round, and was not at the end of the first. */
#define GROWTH (512 * 1024)

/* What the header says of a function; the test writes this table. The last entry is empty. */
struct entry {
    const char *name;
    /* A bit for each code that it can return: 1 << -code. */
    uint32_t codes;
    /* Whether it can also return a number that is not negative. */
    int counts;
};
extern const struct entry every_function[];

struct fuzzer {
    struct random random;
    /* What the thread is at, for the one that watches. */
    size_t op;
    uint64_t calls;
    uint64_t subject;
    /* How deep in handlers. */
    int depth;
    /* The thread's own. */
    lithe_message_t message;
    lithe_options_t options;
    char scratch[8192];
};

typedef int64_t (*run)(struct fuzzer *);

struct op {
    const char *name;
    run run;
    /* How often it is called, in proportion to the others. */
    unsigned int weight;
};

static struct fuzzer fuzzers[THREADS];
static __thread struct fuzzer *self;
static uint64_t pools[KINDS][SLOTS];
static size_t latest[KINDS];
static int over;
static uint64_t lent, given_back;
static uint64_t logged;

/* ---- Random numbers and handles ---- */

uint64_t next_random(struct random *random) {
    /* SplitMix64. */
    uint64_t z = (random->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

size_t below(struct random *random, size_t limit) {
    return (size_t)(next_random(random) % limit);
}

int percent(struct random *random, unsigned int probability) {
    return below(random, 100) < probability;
}

int is_over(void) {
    return __atomic_load_n(&over, __ATOMIC_ACQUIRE);
}

static size_t slots_of(enum kind kind) {
    return kind == SERVER || kind == HUB ? 3 : SLOTS;
}

uint64_t pick(struct random *random, enum kind kind) {
    unsigned int dice = (unsigned int)below(random, 100);
    if (dice < 5) {
        kind = (enum kind)(1 + below(random, KINDS - 1));
    } else if (dice < 7) {
        return next_random(random) >> below(random, 64);
    } else if (dice < 8) {
        return 0;
    }
    size_t slot = below(random, slots_of(kind));
    if (percent(random, 50)) {
        slot = __atomic_load_n(&latest[kind], __ATOMIC_RELAXED);
    }
    uint64_t handle = __atomic_load_n(&pools[kind][slot], __ATOMIC_ACQUIRE);
    if (dice < 10) {
        /* A generation that is far away, so that it is nobody's. */
        handle ^= (uint64_t)1 << (48 + below(random, 8));
    }
    return handle;
}

/* For a handle that another thread may free at the same time. */
static void free_handle(enum kind kind, uint64_t handle) {
    static int32_t (*const frees[KINDS])(uint64_t) = {
        NULL,           lithe_server_free, lithe_request_free,  lithe_ws_free,     lithe_sse_free,
        lithe_buffer_free, lithe_response_free, lithe_codec_free, lithe_options_free,
        lithe_hub_free, lithe_authorization_free,
    };
    int32_t code = frees[kind](handle);
    CHECK(code == LITHE_OK || code == LITHE_ERR_BAD_HANDLE);
}

void publish(struct random *random, enum kind kind, uint64_t handle) {
    size_t slot = below(random, slots_of(kind));
    uint64_t before = __atomic_exchange_n(&pools[kind][slot], handle, __ATOMIC_ACQ_REL);
    __atomic_store_n(&latest[kind], slot, __ATOMIC_RELAXED);
    if (before != 0) {
        free_handle(kind, before);
    }
}

void free_all(void) {
    for (int kind = SERVER; kind < KINDS; kind++) {
        for (size_t slot = 0; slot < SLOTS; slot++) {
            uint64_t handle = __atomic_exchange_n(&pools[kind][slot], 0, __ATOMIC_ACQ_REL);
            if (handle != 0) {
                free_handle((enum kind)kind, handle);
            }
        }
    }
}

/* ---- Arguments ---- */

#define R (&f->random)

/* A handle, which is what the call waits on if it blocks. */
static uint64_t of(struct fuzzer *f, enum kind kind) {
    uint64_t handle = pick(R, kind);
    __atomic_store_n(&f->subject, handle, __ATOMIC_RELAXED);
    return handle;
}

static int32_t timeout(struct fuzzer *f) {
    unsigned int dice = (unsigned int)below(R, 100);
    if (dice < 70) {
        return 0;
    }
    if (dice < 92) {
        return (int32_t)below(R, 5);
    }
    if (dice < 95) {
        return -2 - (int32_t)below(R, INT_MAX);
    }
    return dice < 97 ? INT_MAX : -1;
}

/* Now and then NULL. */
static void *or_null(struct fuzzer *f, void *place) {
    return percent(R, 2) ? NULL : place;
}

static int32_t message_kind(struct fuzzer *f) {
    return percent(R, 95) ? 1 + (int32_t)below(R, 2) : (int32_t)next_random(R);
}

/* Data that can be read `*len` bytes from; NULL, or a length that no memory has, now and then. */
static const void *data(struct fuzzer *f, size_t *len) {
    static char all[128 * 1024];
    unsigned int dice = (unsigned int)below(R, 100);
    *len = below(R, dice < 80 ? 200 : dice < 97 ? 8 * 1024 : sizeof all);
    if (percent(R, 1)) {
        *len = (size_t)-2 - below(R, SIZE_MAX / 4);
    }
    return percent(R, 2) ? NULL : all + below(R, *len < sizeof all ? sizeof all - *len : 1);
}

/* NUL-terminated text, which may be none, or no text. */
static const char *text(struct fuzzer *f) {
    static const char *const texts[] = {
        "", "a", "name", "GET", "POST", "/", "/a", "/{a}", "/{a}/{*rest}", "/files/{*path}", "/{",
        "/{a}/{a}", "{}", "*", "host", "Last-Event-ID", "text/plain", "x, y", "a\nb", "\xff",
        "caf\xc3\xa9", "permessage-deflate", "permessage-deflate; client_max_window_bits",
        "dGhlIHNhbXBsZSBub25jZQ==", "data: x\r\n\r\n", "max_connections", "address", "user_data",
        "-1", "0", "7", "99999999999999999999",
    };
    return percent(R, 3) ? NULL : texts[below(R, sizeof texts / sizeof texts[0])];
}

static lithe_string_t string(struct fuzzer *f) {
    const char *ptr = text(f);
    lithe_string_t string = { ptr, ptr == NULL ? 0 : strlen(ptr) };
    if (percent(R, 40)) {
        string.len = LITHE_CSTR;
    } else if (percent(R, 1)) {
        string.len = (size_t)-2;
    }
    return string;
}

/* The names of channels, patterns, and what is neither. */
static const char *channels(struct fuzzer *f) {
    static const char *const names[] = { "a", "a.b", "a.b.c", "news", "a.*", "a.**", "**", "*",
                                         "a,b", "a.b, a.**, news", "lithe.x" };
    return percent(R, 95) ? names[below(R, sizeof names / sizeof names[0])] : text(f);
}

/* A number for a field: mostly the default. */
static int32_t number(struct fuzzer *f) {
    static const int32_t numbers[] = { 1, 2, 10, 100, 1000, 100000, -1, -1, -2, INT_MAX, INT_MIN };
    return percent(R, 70) ? 0 : numbers[below(R, sizeof numbers / sizeof numbers[0])];
}

static int32_t flag(struct fuzzer *f) {
    return percent(R, 98) ? (int32_t)below(R, 2) : number(f);
}

/* A struct, and room behind it for the fields of a later version. */
union room {
    size_t size;
    lithe_server_config_t server;
    lithe_drain_report_t drain;
    lithe_server_stats_t stats;
    lithe_response_options_t response;
    lithe_route_options_t route;
    lithe_ws_options_t ws;
    lithe_ws_close_info_t info;
    lithe_sse_options_t sse;
    lithe_sse_event_t event;
    lithe_codec_options_t codec;
    lithe_hub_options_t hub;
    lithe_channel_options_t channel;
    lithe_publish_options_t publish;
    lithe_published_t published;
    lithe_hub_stats_t hub_stats;
    lithe_history_t history;
    lithe_subscribe_options_t subscribe;
    lithe_mount_options_t mount;
    lithe_authorization_info_t asked;
    lithe_grant_t grant;
    lithe_revocation_t revocation;
    uint64_t words[64];
};

/* Sets the size, which is almost always right; behind the struct there are zeros, almost always. */
static void prepare(struct fuzzer *f, union room *room, size_t size) {
    static const size_t sizes[] = { 0, 1, 7, 8, SIZE_MAX };
    memset(room, 0, sizeof *room);
    room->size = size;
    if (percent(R, 2)) {
        room->size = percent(R, 70) ? size + 8 * below(R, 3) : sizes[below(R, 5)];
        room->words[size / 8] = percent(R, 30);
    }
}

/* The options of that kind that the thread itself has set by name. */
static const void *named_options(struct fuzzer *f, int32_t kind) {
    if (f->options != 0) {
        CHECK_OK(lithe_options_free(f->options));
    }
    CHECK_OK(lithe_options_create(kind, &f->options));
    lithe_options_set(f->options, text(f), text(f));
    lithe_options_set_int(f->options, "events", flag(f));
    return lithe_options_pointer(f->options);
}

/* Options that are NULL, set by name, or in `room`: then it returns `room`, which is still to be
 * filled in. */
static const void *options_in(struct fuzzer *f, union room *room, int32_t kind, size_t size) {
    prepare(f, room, size);
    unsigned int dice = (unsigned int)below(R, 100);
    return dice < 20 ? NULL : dice < 30 ? named_options(f, kind) : room;
}

static const lithe_server_config_t *server_config(struct fuzzer *f, union room *room) {
    static const char *const addresses[] = { "127.0.0.1:0", "127.0.0.1:99999", "nonsense", "\xff",
                                             "", "[::1]:0" };
    const void *options = options_in(f, room, LITHE_OPTIONS_SERVER, sizeof room->server);
    lithe_server_config_t *o = &room->server;
    o->workers = 1 + (int32_t)below(R, 2);
    o->stream_bodies = flag(f);
    if (percent(R, 30)) {
        o->address = percent(R, 80) ? NULL : addresses[below(R, 6)];
        o->static_dir = percent(R, 90) ? NULL : percent(R, 50) ? "." : text(f);
        o->tls_cert_file = percent(R, 97) ? NULL : text(f);
        o->tls_key_file = percent(R, 97) ? NULL : text(f);
        o->metrics_path = percent(R, 90) ? NULL : text(f);
        o->workers = percent(R, 95) ? o->workers : number(f);
        o->max_connections = number(f);
        o->max_connections_per_ip = number(f);
        o->max_waiting_requests = number(f);
        o->max_header_bytes = number(f);
        o->max_body_bytes = number(f);
        o->handshake_timeout_ms = number(f);
        o->header_timeout_ms = number(f);
        o->body_timeout_ms = number(f);
        o->request_timeout_ms = number(f);
        o->idle_timeout_ms = number(f);
        o->write_timeout_ms = number(f);
        o->reconnect_ms = number(f);
    }
    return options;
}

static const lithe_ws_options_t *ws_options(struct fuzzer *f, union room *room) {
    const void *options = options_in(f, room, LITHE_OPTIONS_WS, sizeof room->ws);
    lithe_ws_options_t *o = &room->ws;
    o->events = flag(f);
    o->user_data = next_random(R);
    o->origins = percent(R, 50) ? "*" : text(f);
    if (percent(R, 30)) {
        o->protocols = text(f);
        o->max_message_bytes = number(f);
        o->send_queue_bytes = number(f);
        o->receive_queue_bytes = number(f);
        o->max_messages_per_second = number(f);
        o->ping_interval_ms = number(f);
        o->peer_timeout_ms = number(f);
        o->idle_timeout_ms = number(f);
        o->close_timeout_ms = number(f);
        o->compression = percent(R, 50) ? LITHE_COMPRESSION_AUTO : number(f);
    }
    return options;
}

static const lithe_sse_options_t *sse_options(struct fuzzer *f, union room *room) {
    const void *options = options_in(f, room, LITHE_OPTIONS_SSE, sizeof room->sse);
    lithe_sse_options_t *o = &room->sse;
    o->send_queue_bytes = number(f);
    o->keep_alive_ms = number(f);
    o->retry_ms = number(f);
    o->events = flag(f);
    o->user_data = next_random(R);
    return options;
}

static const lithe_response_options_t *response_options(struct fuzzer *f, union room *room) {
    const void *options = options_in(f, room, LITHE_OPTIONS_RESPONSE, sizeof room->response);
    lithe_response_options_t *o = &room->response;
    o->send_queue_bytes = number(f);
    o->events = flag(f);
    o->user_data = next_random(R);
    return options;
}

static const lithe_route_options_t *route_options(struct fuzzer *f, union room *room) {
    const void *options = options_in(f, room, LITHE_OPTIONS_ROUTE, sizeof room->route);
    lithe_route_options_t *o = &room->route;
    o->max_body_bytes = number(f);
    o->timeout_ms = number(f);
    o->stream_body = flag(f);
    return options;
}

static const lithe_codec_options_t *codec_options(struct fuzzer *f, union room *room) {
    const void *options = options_in(f, room, LITHE_OPTIONS_CODEC, sizeof room->codec);
    lithe_codec_options_t *o = &room->codec;
    o->max_message_bytes = number(f);
    o->extensions = percent(R, 50) ? NULL : percent(R, 80) ? "permessage-deflate" : text(f);
    return options;
}

static const lithe_hub_options_t *hub_options(struct fuzzer *f, union room *room,
                                              union room *channel,
                                              const lithe_channel_options_t **namespace) {
    const void *options = options_in(f, room, LITHE_OPTIONS_HUB, sizeof room->hub);
    lithe_hub_options_t *o = &room->hub;
    o->history_budget_bytes = number(f);
    o->replay_limit = number(f);
    o->replay_limit_bytes = number(f);
    o->max_pattern_channels = number(f);
    o->longest_token_ms = number(f);
    *namespace =
        (const lithe_channel_options_t *)options_in(f, channel, LITHE_OPTIONS_CHANNEL,
                                                    sizeof channel->channel);
    lithe_channel_options_t *c = &channel->channel;
    c->pattern = percent(R, 40) ? NULL : channels(f);
    c->history_size = number(f);
    c->history_age_ms = number(f);
    c->backlog = number(f);
    c->overflow = (int32_t)below(R, percent(R, 95) ? 5 : 99);
    c->after_gap = (int32_t)below(R, percent(R, 95) ? 3 : 99);
    c->min_interval_ms = percent(R, 80) ? 0 : number(f);
    c->presence = (int32_t)below(R, percent(R, 95) ? 3 : 99);
    c->idempotency_keys = number(f);
    c->idempotency_age_ms = number(f);
    /* One that another call of this has set by name is gone. */
    if (options == room && *namespace != NULL) {
        o->namespaces = namespace;
        o->namespace_count = below(R, 2);
    }
    return options == room || options == NULL ? options : NULL;
}

static const lithe_publish_options_t *publish_options(struct fuzzer *f, union room *room) {
    const void *options = options_in(f, room, LITHE_OPTIONS_PUBLISH, sizeof room->publish);
    lithe_publish_options_t *o = &room->publish;
    o->name = string(f);
    o->key = string(f);
    if (percent(R, 30)) {
        o->idempotency_key = string(f);
    }
    return options;
}

static const lithe_mount_options_t *mount_options(struct fuzzer *f, union room *room) {
    const void *options = options_in(f, room, LITHE_OPTIONS_MOUNT, sizeof room->mount);
    lithe_mount_options_t *o = &room->mount;
    o->authorize = percent(R, 80) ? LITHE_AUTHORIZE_HOST : (int32_t)below(R, 5);
    if (percent(R, 20)) {
        o->authorize_timeout_ms = number(f);
        o->origins = text(f);
        o->cookie = text(f);
        o->max_channels = number(f);
        o->max_connections = number(f);
        o->max_in_flight_bytes = number(f);
        o->keep_alive_ms = number(f);
        o->retry_ms = number(f);
        o->jwt_algorithm = percent(R, 50) ? "HS256" : text(f);
        o->jwt_key = string(f);
        o->jwt_key_file = percent(R, 90) ? NULL : text(f);
        o->jwt_issuer = text(f);
        o->jwt_audience = text(f);
    }
    return options;
}

static const lithe_grant_t *grant(struct fuzzer *f, union room *room) {
    const void *options = options_in(f, room, LITHE_OPTIONS_GRANT, sizeof room->grant);
    lithe_grant_t *o = &room->grant;
    o->allow = percent(R, 80) ? 1 : flag(f);
    o->tag = next_random(R);
    if (percent(R, 30)) {
        o->refusal = (int32_t)below(R, 7);
        o->subject = string(f);
        o->info = string(f);
        o->expires_in_ms = number(f);
    }
    return options;
}

static const lithe_subscribe_options_t *subscribe_options(struct fuzzer *f, union room *room) {
    const void *options = options_in(f, room, LITHE_OPTIONS_SUBSCRIBE, sizeof room->subscribe);
    lithe_subscribe_options_t *o = &room->subscribe;
    if (percent(R, 30)) {
        o->cursor.ptr = percent(R, 60) ? "1234567890ab-3" : text(f);
        o->cursor.len = LITHE_CSTR;
    }
    o->format = (int32_t)below(R, percent(R, 95) ? 4 : 99);
    o->after_gap = (int32_t)below(R, percent(R, 95) ? 3 : 99);
    o->ignore_gaps = flag(f);
    o->strict_ids = flag(f);
    if (percent(R, 30)) {
        o->client = string(f);
        o->info = string(f);
    }
    return options;
}

static const lithe_sse_event_t *sse_event(struct fuzzer *f, union room *room) {
    const void *options = options_in(f, room, LITHE_OPTIONS_EVENT, sizeof room->event);
    lithe_sse_event_t *o = &room->event;
    o->data.ptr = data(f, &o->data.len);
    if (o->data.ptr == NULL && percent(R, 90)) {
        o->data.len = 0;
    }
    if (percent(R, 30)) {
        o->name = string(f);
        o->id = string(f);
        o->comment = string(f);
        o->retry_ms = number(f);
    }
    return options == NULL && percent(R, 90) ? o : options;
}

/* Headers that are good, bad, or not there. */
static const lithe_header_t *headers(struct fuzzer *f, lithe_header_t array[3], size_t *count) {
    static const lithe_header_t good[] = { LITHE_HEADER("Content-Type", "text/plain"),
                                           LITHE_HEADER("X-A", "b"),
                                           LITHE_HEADER("Content-Length", "500") };
    *count = below(R, 4);
    for (size_t i = 0; i < 3; i++) {
        array[i] = good[percent(R, 90) ? below(R, 2) : 2];
        if (percent(R, 3)) {
            array[i].name = string(f);
            array[i].value = string(f);
        }
    }
    if (percent(R, 1)) {
        *count = SIZE_MAX / 8;
    }
    return percent(R, 1) ? NULL : array;
}

static int32_t status(struct fuzzer *f) {
    static const int32_t statuses[] = { 200, 204, 304, 404, 503, 599, 100, 101, 199, 600, -1, 0 };
    return percent(R, 80) ? 200 : statuses[below(R, 12)];
}

/* Where a result goes; its length, which is not more than there is room for. */
static void *buffer(struct fuzzer *f, size_t *capacity) {
    *capacity = below(R, percent(R, 80) ? sizeof f->scratch : 64);
    return or_null(f, f->scratch);
}

/* ---- What happens to requests ---- */

static void published(struct fuzzer *f, int64_t code, enum kind kind, uint64_t handle) {
    if (code == LITHE_OK) {
        CHECK(handle >> 56 == (uint64_t)kind);
        publish(R, kind, handle);
    } else {
        CHECK(handle == 0);
    }
}

static int64_t answer(struct fuzzer *f, uint64_t request);

/* The handler of all routes. */
static void handle_request(lithe_request_t request, void *user_data) {
    struct fuzzer *f = self;
    CHECK(user_data == (void *)fuzzers);
    f->depth++;
    if (percent(R, 80)) {
        answer(f, request);
    }
    if (percent(R, 5) && f->depth < 3) {
        lithe_server_serve(pick(R, SERVER), 0);
    }
    unsigned int dice = (unsigned int)below(R, 100);
    if (dice < 5) {
        free_handle(REQUEST, request);
    } else if (dice < 15 && lithe_request_keep(request) == LITHE_OK) {
        publish(R, REQUEST, request);
    }
    f->depth--;
}

static void allow(lithe_authorization_t authorization) {
    lithe_grant_t yes = LITHE_GRANT_INIT;
    yes.allow = 1;
    lithe_authorization_answer(authorization, &yes);
}

static void count_line(void *user_data, lithe_log_level level, const char *target, const char *line) {
    CHECK(level >= LITHE_LOG_ERROR && level <= LITHE_LOG_TRACE && user_data == (void *)&logged);
    __atomic_fetch_add(&logged, strlen(target) + strlen(line), __ATOMIC_RELAXED);
}

static void give_back(void *lent_memory) {
    free(lent_memory);
    __atomic_fetch_add(&given_back, 1, __ATOMIC_RELAXED);
}

/* ---- One function for each of the library's, in the order of the header ---- */

#define OP(name) static int64_t do_##name(struct fuzzer *f)

OP(lithe_version) {
    (void)f;
    CHECK(lithe_version()[0] != '\0');
    return 0;
}

OP(lithe_abi_version) {
    (void)f;
    CHECK(lithe_abi_version() == LITHE_ABI_VERSION);
    return 0;
}

OP(lithe_strerror) {
    CHECK(lithe_strerror((int32_t)next_random(R) >> below(R, 32))[0] != '\0');
    return 0;
}

OP(lithe_last_error) {
    (void)f;
    CHECK(strlen(lithe_last_error()) < 4096);
    return 0;
}

OP(lithe_log_set) {
    int32_t level = percent(R, 90) ? (int32_t)below(R, 6) : number(f);
    return lithe_log_set(level, percent(R, 50) ? count_line : NULL, &logged);
}

OP(lithe_message_free) {
    lithe_message_free(percent(R, 5) ? NULL : &f->message);
    return 0;
}

OP(lithe_server_start) {
    union room room;
    lithe_server_t server = 0;
    const lithe_server_config_t *config = server_config(f, &room);
    if (percent(R, 2)) {
        return lithe_server_start(config, NULL);
    }
    int64_t code = lithe_server_start(config, &server);
    if (code == LITHE_OK) {
        lithe_server_route(server, NULL, "/a/{*rest}", handle_request, fuzzers, NULL);
        lithe_mount_options_t ask = LITHE_MOUNT_OPTIONS_INIT;
        ask.authorize = LITHE_AUTHORIZE_HOST;
        lithe_server_mount(server, pick(R, HUB), "/hub", &ask);
    }
    published(f, code, SERVER, server);
    return code;
}

OP(lithe_server_port) {
    return lithe_server_port(of(f, SERVER));
}

OP(lithe_server_address) {
    lithe_string_t address;
    return lithe_server_address(of(f, SERVER), or_null(f, &address));
}

OP(lithe_server_accept) {
    lithe_request_t request = 0;
    if (percent(R, 2)) {
        return lithe_server_accept(of(f, SERVER), NULL, timeout(f));
    }
    int64_t code = lithe_server_accept(of(f, SERVER), &request, timeout(f));
    if (code == LITHE_OK && percent(R, 30)) {
        answer(f, request);
    }
    published(f, code, REQUEST, request);
    return code;
}

OP(lithe_server_drain) {
    union room room;
    prepare(f, &room, sizeof room.drain);
    return lithe_server_drain(of(f, SERVER), timeout(f), or_null(f, &room));
}

OP(lithe_server_begin_drain) {
    return lithe_server_begin_drain(of(f, SERVER), timeout(f));
}

OP(lithe_server_stop) {
    return lithe_server_stop(of(f, SERVER));
}

OP(lithe_server_free) {
    return lithe_server_free(of(f, SERVER));
}

OP(lithe_server_stats) {
    union room room;
    prepare(f, &room, sizeof room.stats);
    return lithe_server_stats(of(f, SERVER), or_null(f, &room));
}

OP(lithe_server_metrics) {
    lithe_message_t metrics = LITHE_MESSAGE_INIT;
    int64_t code = lithe_server_metrics(of(f, SERVER), or_null(f, &metrics));
    CHECK(code == LITHE_OK || metrics.data == NULL);
    lithe_message_free(&metrics);
    return code;
}

OP(lithe_server_wait) {
    lithe_event_t events[32];
    size_t capacity = below(R, 33);
    uint64_t server = of(f, SERVER);
    int32_t got = lithe_server_wait(server, or_null(f, events), capacity, timeout(f));
    for (int32_t i = 0; i < got; i++) {
        CHECK(events[i].kind >= LITHE_EVENT_REQUEST && events[i].kind <= LITHE_EVENT_AUTHORIZE);
        if (events[i].kind == LITHE_EVENT_AUTHORIZE) {
            if (percent(R, 50)) {
                allow(events[i].handle);
            }
            publish(R, AUTHORIZATION, events[i].handle);
            continue;
        }
        if (events[i].kind == LITHE_EVENT_REQUEST) {
            if (percent(R, 50)) {
                answer(f, events[i].handle);
            }
            publish(R, REQUEST, events[i].handle);
        } else if (events[i].kind == LITHE_EVENT_MESSAGE && percent(R, 30)) {
            lithe_ws_send_message(events[i].handle, &events[i].message, 0);
            lithe_message_free(&f->message);
            f->message = events[i].message;
            lithe_message_t empty = LITHE_MESSAGE_INIT;
            events[i].message = empty;
        }
    }
    if (got > 0) {
        lithe_event_free(events, (size_t)got);
    }
    return got;
}

OP(lithe_server_wake) {
    return lithe_server_wake(of(f, SERVER));
}

OP(lithe_server_event_fd) {
    return lithe_server_event_fd(of(f, SERVER));
}

OP(lithe_event_free) {
    lithe_event_t events[2];
    memset(events, 0, sizeof events);
    lithe_event_free(or_null(f, events), below(R, 3));
    lithe_event_free(NULL, next_random(R));
    return 0;
}

#define TEXT_OF_REQUEST(name)                                                                      \
    OP(name) {                                                                                     \
        lithe_string_t text;                                                                       \
        return name(of(f, REQUEST), or_null(f, &text));                                            \
    }
TEXT_OF_REQUEST(lithe_request_method)
TEXT_OF_REQUEST(lithe_request_path)
TEXT_OF_REQUEST(lithe_request_query)
TEXT_OF_REQUEST(lithe_request_peer)
TEXT_OF_REQUEST(lithe_request_body)
TEXT_OF_REQUEST(lithe_request_protocols)
TEXT_OF_REQUEST(lithe_request_last_event_id)

OP(lithe_request_query_param) {
    lithe_string_t value;
    return lithe_request_query_param(of(f, REQUEST), percent(R, 50) ? "name" : text(f),
                                     or_null(f, &value));
}

OP(lithe_request_read) {
    size_t capacity, len = 1;
    void *room = buffer(f, &capacity);
    return lithe_request_read(of(f, REQUEST), room, capacity, or_null(f, &len), timeout(f));
}

OP(lithe_request_watch) {
    return lithe_request_watch(of(f, REQUEST), next_random(R));
}

OP(lithe_request_keep) {
    return lithe_request_keep(of(f, REQUEST));
}

OP(lithe_request_header) {
    lithe_string_t name = string(f), value;
    if (percent(R, 50)) {
        name.ptr = "host";
        name.len = 4;
    }
    return lithe_request_header(of(f, REQUEST), name.ptr, name.len, or_null(f, &value));
}

OP(lithe_request_header_count) {
    return lithe_request_header_count(of(f, REQUEST));
}

OP(lithe_request_header_at) {
    lithe_header_t header;
    size_t index = percent(R, 90) ? below(R, 5) : next_random(R);
    return lithe_request_header_at(of(f, REQUEST), index, or_null(f, &header));
}

OP(lithe_request_is_websocket) {
    return lithe_request_is_websocket(of(f, REQUEST));
}

OP(lithe_request_respond) {
    lithe_header_t array[3];
    size_t count, len;
    const lithe_header_t *all = headers(f, array, &count);
    const void *body = data(f, &len);
    return lithe_request_respond(of(f, REQUEST), status(f), all, count, body, len);
}

OP(lithe_request_respond_text) {
    return lithe_request_respond_text(of(f, REQUEST), status(f), text(f), text(f));
}

OP(lithe_request_free) {
    return lithe_request_free(of(f, REQUEST));
}

static int64_t respond_stream(struct fuzzer *f, uint64_t request) {
    lithe_header_t array[3];
    size_t count;
    union room room;
    lithe_response_t response = 0;
    const lithe_header_t *all = headers(f, array, &count);
    const lithe_response_options_t *options = response_options(f, &room);
    if (percent(R, 2)) {
        return lithe_request_respond_stream(request, 200, all, count, options, NULL);
    }
    int64_t code =
        lithe_request_respond_stream(request, status(f), all, count, options, &response);
    published(f, code, RESPONSE, response);
    return code;
}

OP(lithe_request_respond_stream) {
    return respond_stream(f, of(f, REQUEST));
}

OP(lithe_response_write) {
    size_t len;
    const void *bytes = data(f, &len);
    return lithe_response_write(of(f, RESPONSE), bytes, len, timeout(f));
}

OP(lithe_response_finish) {
    return lithe_response_finish(of(f, RESPONSE));
}

OP(lithe_response_wait_closed) {
    return lithe_response_wait_closed(of(f, RESPONSE), timeout(f));
}

OP(lithe_response_queued) {
    return lithe_response_queued(of(f, RESPONSE));
}

OP(lithe_response_free) {
    return lithe_response_free(of(f, RESPONSE));
}

OP(lithe_server_route) {
    union room room;
    return lithe_server_route(of(f, SERVER), text(f), text(f), percent(R, 80) ? handle_request : NULL,
                              fuzzers, route_options(f, &room));
}

OP(lithe_server_serve) {
    return lithe_server_serve(of(f, SERVER), timeout(f));
}

OP(lithe_request_dispatch) {
    return lithe_request_dispatch(of(f, REQUEST));
}

OP(lithe_request_param) {
    lithe_string_t value;
    return lithe_request_param(of(f, REQUEST), percent(R, 50) ? "rest" : text(f),
                               or_null(f, &value));
}

OP(lithe_request_user_data) {
    void *user_data;
    return lithe_request_user_data(of(f, REQUEST), or_null(f, &user_data));
}

static int64_t accept_ws(struct fuzzer *f, uint64_t request) {
    union room room;
    lithe_ws_t ws = 0;
    const lithe_ws_options_t *options = ws_options(f, &room);
    if (percent(R, 2)) {
        return lithe_ws_accept(request, options, NULL);
    }
    int64_t code = lithe_ws_accept(request, options, &ws);
    published(f, code, WS, ws);
    return code;
}

OP(lithe_ws_accept) {
    return accept_ws(f, of(f, REQUEST));
}

OP(lithe_ws_protocol) {
    lithe_string_t protocol;
    return lithe_ws_protocol(of(f, WS), or_null(f, &protocol));
}

OP(lithe_ws_receive) {
    if (percent(R, 2)) {
        return lithe_ws_receive(of(f, WS), NULL, timeout(f));
    }
    lithe_message_t message = LITHE_MESSAGE_INIT;
    int64_t code = lithe_ws_receive(of(f, WS), &message, timeout(f));
    if (code == LITHE_OK) {
        lithe_message_free(&f->message);
        f->message = message;
    }
    return code;
}

OP(lithe_ws_receive_many) {
    lithe_message_t messages[8];
    size_t capacity = below(R, 9);
    int32_t got = lithe_ws_receive_many(of(f, WS), or_null(f, messages), capacity, timeout(f));
    for (int32_t i = 0; i < got; i++) {
        lithe_message_free(&messages[i]);
    }
    return got;
}

OP(lithe_ws_receive_into) {
    lithe_message_kind kind;
    size_t capacity, len;
    void *room = buffer(f, &capacity);
    return lithe_ws_receive_into(of(f, WS), room, capacity, or_null(f, &kind), or_null(f, &len),
                                 timeout(f));
}

OP(lithe_ws_send) {
    size_t len;
    const void *payload = data(f, &len);
    return lithe_ws_send(of(f, WS), message_kind(f), payload, len, timeout(f));
}

OP(lithe_ws_send_text) {
    return lithe_ws_send_text(of(f, WS), text(f), timeout(f));
}

OP(lithe_ws_send_message) {
    return lithe_ws_send_message(of(f, WS), or_null(f, &f->message), timeout(f));
}

OP(lithe_ws_pause) {
    return lithe_ws_pause(of(f, WS));
}

OP(lithe_ws_resume) {
    return lithe_ws_resume(of(f, WS));
}

OP(lithe_ws_close) {
    lithe_string_t reason = string(f);
    int32_t code = percent(R, 70) ? 1000 + (int32_t)below(R, 4000) : (int32_t)next_random(R);
    return lithe_ws_close(of(f, WS), code, reason.ptr, reason.len);
}

OP(lithe_ws_close_info) {
    union room room;
    prepare(f, &room, sizeof room.info);
    return lithe_ws_close_info(of(f, WS), or_null(f, &room), timeout(f));
}

OP(lithe_ws_queued) {
    return lithe_ws_queued(of(f, WS));
}

OP(lithe_ws_free) {
    return lithe_ws_free(of(f, WS));
}

static int64_t open_sse(struct fuzzer *f, uint64_t request) {
    union room room;
    lithe_sse_t sse = 0;
    const lithe_sse_options_t *options = sse_options(f, &room);
    if (percent(R, 2)) {
        return lithe_sse_open(request, options, NULL);
    }
    int64_t code = lithe_sse_open(request, options, &sse);
    published(f, code, SSE, sse);
    return code;
}

OP(lithe_sse_open) {
    return open_sse(f, of(f, REQUEST));
}

/* Gives a request one of the answers that there are. */
static int64_t answer(struct fuzzer *f, uint64_t request) {
    if (lithe_request_is_websocket(request) == 1 && percent(R, 90)) {
        return accept_ws(f, request);
    }
    switch (below(R, 3)) {
    case 0:
        return open_sse(f, request);
    case 1:
        return respond_stream(f, request);
    default:
        return lithe_request_respond_text(request, 200, "text/plain", "hello");
    }
}

OP(lithe_sse_send) {
    union room room;
    return lithe_sse_send(of(f, SSE), sse_event(f, &room), timeout(f));
}

OP(lithe_sse_send_text) {
    return lithe_sse_send_text(of(f, SSE), text(f), text(f), timeout(f));
}

OP(lithe_sse_wait_closed) {
    return lithe_sse_wait_closed(of(f, SSE), timeout(f));
}

OP(lithe_sse_close) {
    return lithe_sse_close(of(f, SSE));
}

OP(lithe_sse_queued) {
    return lithe_sse_queued(of(f, SSE));
}

OP(lithe_sse_free) {
    return lithe_sse_free(of(f, SSE));
}

OP(lithe_sse_format) {
    union room room;
    size_t capacity, len;
    void *out = buffer(f, &capacity);
    return lithe_sse_format(sse_event(f, &room), out, capacity, or_null(f, &len));
}

OP(lithe_ws_send_owned) {
    size_t len;
    const void *from = data(f, &len);
    void *memory = NULL;
    if (from != NULL && len <= PTRDIFF_MAX) {
        memory = malloc(len + 1);
        CHECK(memory != NULL);
        memcpy(memory, from, len);
    }
    __atomic_fetch_add(&lent, 1, __ATOMIC_RELAXED);
    return lithe_ws_send_owned(of(f, WS), message_kind(f), memory, len, give_back, memory,
                               timeout(f));
}

OP(lithe_buffer_create) {
    size_t len;
    lithe_buffer_t buffer = 0;
    const void *from = data(f, &len);
    if (percent(R, 2)) {
        return lithe_buffer_create(message_kind(f), from, len, NULL);
    }
    int64_t code = lithe_buffer_create(message_kind(f), from, len, &buffer);
    published(f, code, BUFFER, buffer);
    return code;
}

OP(lithe_buffer_from_message) {
    lithe_buffer_t buffer = 0;
    if (percent(R, 2)) {
        return lithe_buffer_from_message(&f->message, NULL);
    }
    int64_t code = lithe_buffer_from_message(or_null(f, &f->message), &buffer);
    published(f, code, BUFFER, buffer);
    return code;
}

OP(lithe_buffer_free) {
    return lithe_buffer_free(of(f, BUFFER));
}

OP(lithe_ws_send_buffer) {
    uint64_t buffer = pick(R, BUFFER);
    return lithe_ws_send_buffer(of(f, WS), buffer, timeout(f));
}

/* Handles for a send to many; says how many in `count`. */
static const uint64_t *many(struct fuzzer *f, enum kind kind, uint64_t array[16], size_t *count) {
    for (size_t i = 0; i < 16; i++) {
        array[i] = pick(R, kind);
    }
    *count = below(R, 17);
    if (percent(R, 2)) {
        *count = SIZE_MAX / 16;
    }
    return percent(R, 2) ? NULL : array;
}

OP(lithe_ws_send_many) {
    uint64_t array[16];
    int32_t results[16];
    size_t count;
    const uint64_t *all = many(f, WS, array, &count);
    int32_t taken = lithe_ws_send_many(all, count, of(f, BUFFER), or_null(f, results));
    CHECK(taken <= 16);
    return taken;
}

OP(lithe_sse_send_many) {
    union room room;
    uint64_t array[16];
    int32_t results[16];
    size_t count;
    const uint64_t *all = many(f, SSE, array, &count);
    int32_t taken = lithe_sse_send_many(all, count, sse_event(f, &room), or_null(f, results));
    CHECK(taken <= 16);
    return taken;
}

OP(lithe_hub_create) {
    union room room, channel;
    const lithe_channel_options_t *namespace;
    lithe_hub_t hub = 0;
    const lithe_hub_options_t *options = hub_options(f, &room, &channel, &namespace);
    if (percent(R, 2)) {
        return lithe_hub_create(options, NULL);
    }
    int64_t code = lithe_hub_create(options, &hub);
    published(f, code, HUB, hub);
    return code;
}

OP(lithe_publish) {
    union room room, result;
    size_t len;
    const void *payload = data(f, &len);
    prepare(f, &result, sizeof result.published);
    return lithe_publish(of(f, HUB), channels(f), LITHE_CSTR, payload, len,
                         publish_options(f, &room), or_null(f, &result));
}

OP(lithe_hub_position) {
    lithe_position_t position;
    return lithe_hub_position(of(f, HUB), channels(f), LITHE_CSTR, or_null(f, &position));
}

OP(lithe_hub_health) {
    return lithe_hub_health(of(f, HUB));
}

OP(lithe_hub_stats) {
    union room room;
    prepare(f, &room, sizeof room.hub_stats);
    return lithe_hub_stats(of(f, HUB), or_null(f, &room));
}

OP(lithe_hub_history) {
    union room room;
    lithe_publication_t publications[8];
    prepare(f, &room, sizeof room.history);
    int32_t got = lithe_hub_history(of(f, HUB), channels(f), LITHE_CSTR,
                                    percent(R, 70) ? below(R, 5) : next_random(R),
                                    or_null(f, publications), below(R, 9), or_null(f, &room));
    if (got > 0) {
        lithe_publication_free(publications, (size_t)got);
        lithe_publication_free(publications, (size_t)got);
    }
    return got;
}

OP(lithe_publication_free) {
    lithe_publication_t publications[2];
    memset(publications, 0, sizeof publications);
    lithe_publication_free(or_null(f, publications), below(R, 3));
    return 0;
}

OP(lithe_hub_presence) {
    lithe_client_t clients[4];
    size_t capacity = below(R, 5);
    int32_t there =
        lithe_hub_presence(of(f, HUB), channels(f), LITHE_CSTR, or_null(f, clients), capacity);
    if (there > 0) {
        lithe_client_free(clients, (size_t)there < capacity ? (size_t)there : capacity);
    }
    return there;
}

OP(lithe_client_free) {
    lithe_client_t clients[2];
    memset(clients, 0, sizeof clients);
    lithe_client_free(or_null(f, clients), below(R, 3));
    return 0;
}

OP(lithe_hub_revoke) {
    union room room;
    const void *options = options_in(f, &room, LITHE_OPTIONS_REVOCATION, sizeof room.revocation);
    lithe_revocation_t *o = &room.revocation;
    unsigned int dice = (unsigned int)below(R, 100);
    if (dice < 30 || dice > 95) {
        o->token_id = string(f);
    }
    if (dice >= 30 && dice < 70) {
        o->subject = string(f);
    }
    if (dice >= 50) {
        o->channel.ptr = channels(f);
        o->channel.len = LITHE_CSTR;
    }
    o->issued_before_ms = number(f);
    o->until_ms = percent(R, 70) ? 0 : (int64_t)next_random(R);
    return lithe_hub_revoke(of(f, HUB), (const lithe_revocation_t *)options);
}

OP(lithe_hub_free) {
    return lithe_hub_free(of(f, HUB));
}

OP(lithe_ws_subscribe) {
    union room room;
    uint64_t hub = pick(R, HUB);
    return lithe_ws_subscribe(of(f, WS), hub, channels(f), LITHE_CSTR,
                              subscribe_options(f, &room));
}

OP(lithe_ws_unsubscribe) {
    uint64_t hub = pick(R, HUB);
    return lithe_ws_unsubscribe(of(f, WS), hub, channels(f), LITHE_CSTR);
}

OP(lithe_sse_subscribe) {
    union room room;
    uint64_t hub = pick(R, HUB);
    return lithe_sse_subscribe(of(f, SSE), hub, channels(f), LITHE_CSTR,
                               subscribe_options(f, &room));
}

OP(lithe_sse_unsubscribe) {
    uint64_t hub = pick(R, HUB);
    return lithe_sse_unsubscribe(of(f, SSE), hub, channels(f), LITHE_CSTR);
}

OP(lithe_server_mount) {
    static const char *const paths[] = { "/hub", "/h", "/a/b", "/h/i", "/", "hub", "/{h}" };
    union room room;
    uint64_t hub = pick(R, HUB);
    return lithe_server_mount(of(f, SERVER), hub, percent(R, 95) ? paths[below(R, 7)] : text(f),
                              mount_options(f, &room));
}

OP(lithe_server_authorize) {
    lithe_authorization_t authorization = 0;
    if (percent(R, 2)) {
        return lithe_server_authorize(of(f, SERVER), NULL, timeout(f));
    }
    int64_t code = lithe_server_authorize(of(f, SERVER), &authorization, timeout(f));
    if (code == LITHE_OK && percent(R, 50)) {
        allow(authorization);
    }
    published(f, code, AUTHORIZATION, authorization);
    return code;
}

OP(lithe_authorization_info) {
    union room room;
    prepare(f, &room, sizeof room.asked);
    return lithe_authorization_info(of(f, AUTHORIZATION), or_null(f, &room));
}

OP(lithe_authorization_header) {
    lithe_string_t value;
    return lithe_authorization_header(of(f, AUTHORIZATION), percent(R, 50) ? "host" : text(f),
                                      or_null(f, &value));
}

OP(lithe_authorization_answer) {
    union room room;
    return lithe_authorization_answer(of(f, AUTHORIZATION), grant(f, &room));
}

OP(lithe_authorization_free) {
    return lithe_authorization_free(of(f, AUTHORIZATION));
}

OP(lithe_codec_create) {
    union room room;
    lithe_codec_t codec = 0;
    const lithe_codec_options_t *options = codec_options(f, &room);
    lithe_role role = percent(R, 95) ? 1 + (int32_t)below(R, 2) : number(f);
    if (percent(R, 2)) {
        return lithe_codec_create(role, options, NULL);
    }
    int64_t code = lithe_codec_create(role, options, &codec);
    published(f, code, CODEC, codec);
    return code;
}

OP(lithe_codec_decode) {
    unsigned char bytes[512];
    lithe_item_t items[8];
    size_t len = below(R, sizeof bytes), capacity = below(R, 9), used = 0;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (unsigned char)next_random(R);
    }
    if (percent(R, 90)) {
        /* A frame, masked or not, that is there as a whole. */
        len = 6 + 8 + below(R, 100);
        bytes[0] = (unsigned char)(0x81 + below(R, 2));
        bytes[1] = (unsigned char)((percent(R, 50) ? 0x80 : 0) | (len - 6));
        memset(bytes + 2, 0, 4);
        memset(bytes + 6, 'x', len - 6);
    }
    if (percent(R, 1)) {
        len = SIZE_MAX / 2 + 1;
    }
    int32_t got = lithe_codec_decode(of(f, CODEC), or_null(f, bytes), len, or_null(f, &used),
                                     or_null(f, items), capacity);
    CHECK(got <= 8 && used <= sizeof bytes);
    for (int32_t i = 0; i < got; i++) {
        CHECK(items[i].kind >= LITHE_ITEM_MESSAGE && items[i].kind <= LITHE_ITEM_CLOSE);
        lithe_message_free(&items[i].message);
    }
    return got;
}

OP(lithe_codec_encode_message) {
    size_t data_len, capacity, len;
    const void *payload = data(f, &data_len);
    void *out = buffer(f, &capacity);
    return lithe_codec_encode_message(of(f, CODEC), message_kind(f), payload, data_len, out,
                                      capacity, or_null(f, &len));
}

#define ENCODES_CONTROL(name)                                                                      \
    OP(name) {                                                                                     \
        size_t data_len, capacity, len;                                                            \
        const void *payload = data(f, &data_len);                                                  \
        void *out = buffer(f, &capacity);                                                          \
        return name(of(f, CODEC), payload, data_len, out, capacity, or_null(f, &len));             \
    }
ENCODES_CONTROL(lithe_codec_encode_ping)
ENCODES_CONTROL(lithe_codec_encode_pong)

OP(lithe_codec_encode_close) {
    size_t capacity, len;
    void *out = buffer(f, &capacity);
    lithe_string_t reason = string(f);
    int32_t code = percent(R, 70) ? 1000 + (int32_t)below(R, 20) : number(f);
    return lithe_codec_encode_close(of(f, CODEC), code, reason.ptr, reason.len, out, capacity,
                                    or_null(f, &len));
}

OP(lithe_codec_close_code) {
    return lithe_codec_close_code(of(f, CODEC));
}

OP(lithe_codec_accept_key) {
    size_t capacity, len;
    void *out = buffer(f, &capacity);
    return lithe_codec_accept_key(percent(R, 50) ? "dGhlIHNhbXBsZSBub25jZQ==" : text(f), out,
                                  capacity, or_null(f, &len));
}

OP(lithe_codec_create_key) {
    size_t capacity, len;
    void *out = buffer(f, &capacity);
    return lithe_codec_create_key(out, capacity, or_null(f, &len));
}

OP(lithe_codec_extensions) {
    size_t capacity, len;
    void *out = buffer(f, &capacity);
    return lithe_codec_extensions(percent(R, 50) ? "permessage-deflate" : text(f), out, capacity,
                                  or_null(f, &len));
}

OP(lithe_codec_free) {
    return lithe_codec_free(of(f, CODEC));
}

OP(lithe_options_create) {
    lithe_options_t options = 0;
    lithe_options_kind kind = percent(R, 95) ? 1 + (int32_t)below(R, 13) : number(f);
    if (percent(R, 2)) {
        return lithe_options_create(kind, NULL);
    }
    int64_t code = lithe_options_create(kind, &options);
    published(f, code, OPTIONS, options);
    return code;
}

OP(lithe_options_set) {
    return lithe_options_set(of(f, OPTIONS), text(f), text(f));
}

OP(lithe_options_set_int) {
    return lithe_options_set_int(of(f, OPTIONS), percent(R, 50) ? "user_data" : text(f),
                                 (int64_t)next_random(R));
}

OP(lithe_options_pointer) {
    CHECK(lithe_options_pointer(of(f, OPTIONS)) != (const void *)f);
    return 0;
}

OP(lithe_options_free) {
    return lithe_options_free(of(f, OPTIONS));
}

#define CALL(name, weight) { #name, do_##name, weight }
static const struct op ops[] = {
    CALL(lithe_version, 5),
    CALL(lithe_abi_version, 5),
    CALL(lithe_strerror, 5),
    CALL(lithe_last_error, 10),
    CALL(lithe_log_set, 1),
    CALL(lithe_message_free, 5),
    CALL(lithe_server_start, 2),
    CALL(lithe_server_port, 10),
    CALL(lithe_server_address, 10),
    CALL(lithe_server_accept, 100),
    CALL(lithe_server_drain, 1),
    CALL(lithe_server_begin_drain, 1),
    CALL(lithe_server_stop, 1),
    CALL(lithe_server_free, 1),
    CALL(lithe_server_stats, 10),
    CALL(lithe_server_metrics, 5),
    CALL(lithe_server_wait, 100),
    CALL(lithe_server_wake, 20),
    CALL(lithe_server_event_fd, 10),
    CALL(lithe_event_free, 10),
    CALL(lithe_request_method, 10),
    CALL(lithe_request_path, 10),
    CALL(lithe_request_query, 10),
    CALL(lithe_request_peer, 10),
    CALL(lithe_request_query_param, 20),
    CALL(lithe_request_body, 10),
    CALL(lithe_request_read, 60),
    CALL(lithe_request_watch, 20),
    CALL(lithe_request_protocols, 10),
    CALL(lithe_request_last_event_id, 10),
    CALL(lithe_request_keep, 10),
    CALL(lithe_request_header, 20),
    CALL(lithe_request_header_count, 10),
    CALL(lithe_request_header_at, 20),
    CALL(lithe_request_is_websocket, 10),
    CALL(lithe_request_respond, 30),
    CALL(lithe_request_respond_text, 30),
    CALL(lithe_request_free, 20),
    CALL(lithe_request_respond_stream, 40),
    CALL(lithe_response_write, 60),
    CALL(lithe_response_finish, 20),
    CALL(lithe_response_wait_closed, 20),
    CALL(lithe_response_queued, 10),
    CALL(lithe_response_free, 10),
    CALL(lithe_server_route, 10),
    CALL(lithe_server_serve, 40),
    CALL(lithe_request_dispatch, 20),
    CALL(lithe_request_param, 20),
    CALL(lithe_request_user_data, 10),
    CALL(lithe_ws_accept, 60),
    CALL(lithe_ws_protocol, 10),
    CALL(lithe_ws_receive, 60),
    CALL(lithe_ws_receive_many, 60),
    CALL(lithe_ws_receive_into, 60),
    CALL(lithe_ws_send, 80),
    CALL(lithe_ws_send_text, 40),
    CALL(lithe_ws_send_message, 40),
    CALL(lithe_ws_pause, 5),
    CALL(lithe_ws_resume, 10),
    CALL(lithe_ws_close, 10),
    CALL(lithe_ws_close_info, 20),
    CALL(lithe_ws_queued, 20),
    CALL(lithe_ws_free, 10),
    CALL(lithe_sse_open, 40),
    CALL(lithe_sse_send, 60),
    CALL(lithe_sse_send_text, 40),
    CALL(lithe_sse_wait_closed, 20),
    CALL(lithe_sse_close, 10),
    CALL(lithe_sse_queued, 20),
    CALL(lithe_sse_free, 10),
    CALL(lithe_sse_format, 20),
    CALL(lithe_ws_send_owned, 40),
    CALL(lithe_buffer_create, 20),
    CALL(lithe_buffer_from_message, 10),
    CALL(lithe_buffer_free, 10),
    CALL(lithe_ws_send_buffer, 40),
    CALL(lithe_ws_send_many, 40),
    CALL(lithe_sse_send_many, 40),
    CALL(lithe_hub_create, 5),
    CALL(lithe_publish, 60),
    CALL(lithe_hub_position, 20),
    CALL(lithe_hub_health, 5),
    CALL(lithe_hub_stats, 5),
    CALL(lithe_hub_history, 20),
    CALL(lithe_publication_free, 5),
    CALL(lithe_hub_presence, 20),
    CALL(lithe_client_free, 5),
    CALL(lithe_hub_revoke, 20),
    CALL(lithe_hub_free, 2),
    CALL(lithe_ws_subscribe, 40),
    CALL(lithe_ws_unsubscribe, 20),
    CALL(lithe_sse_subscribe, 40),
    CALL(lithe_sse_unsubscribe, 20),
    CALL(lithe_server_mount, 5),
    CALL(lithe_server_authorize, 60),
    CALL(lithe_authorization_info, 20),
    CALL(lithe_authorization_header, 20),
    CALL(lithe_authorization_answer, 40),
    CALL(lithe_authorization_free, 10),
    CALL(lithe_codec_create, 20),
    CALL(lithe_codec_decode, 40),
    CALL(lithe_codec_encode_message, 20),
    CALL(lithe_codec_encode_ping, 20),
    CALL(lithe_codec_encode_pong, 20),
    CALL(lithe_codec_encode_close, 2),
    CALL(lithe_codec_close_code, 10),
    CALL(lithe_codec_accept_key, 10),
    CALL(lithe_codec_create_key, 10),
    CALL(lithe_codec_extensions, 10),
    CALL(lithe_codec_free, 5),
    CALL(lithe_options_create, 10),
    CALL(lithe_options_set, 40),
    CALL(lithe_options_set_int, 20),
    CALL(lithe_options_pointer, 10),
    CALL(lithe_options_free, 5),
};
#define OPS (sizeof ops / sizeof ops[0])

static const struct entry *entries[OPS];
static uint64_t called[OPS], succeeded[OPS];
/* What was complained of. */
static uint32_t told[OPS];

/* ---- The run ---- */

/* Every function of the header is called here, and nothing else. */
static void match_entries(void) {
    size_t count = 0;
    for (const struct entry *entry = every_function; entry->name != NULL; entry++, count++) {
        size_t op = 0;
        while (op < OPS && strcmp(ops[op].name, entry->name) != 0) {
            op++;
        }
        if (op == OPS) {
            fprintf(stderr, "%s is not called; it needs a place in the table above\n", entry->name);
            exit(1);
        }
        entries[op] = entry;
    }
    CHECK(count == OPS);
}

static size_t random_op(struct random *random) {
    size_t sum = 0, op = 0;
    for (size_t i = 0; i < OPS; i++) {
        sum += ops[i].weight;
    }
    size_t at = below(random, sum);
    while (at >= ops[op].weight) {
        at -= ops[op++].weight;
    }
    return op;
}

static void check_result(size_t op, int64_t result) {
    int is_allowed = result >= 0 ? result == 0 || entries[op]->counts
                                 : result > -32 && (entries[op]->codes >> -result & 1);
    if (!is_allowed) {
        /* Once for each code; a positive number counts as none. */
        uint32_t bit = (uint32_t)1 << (result < 0 && result > -32 ? -result : 0);
        if (!(__atomic_fetch_or(&told[op], bit, __ATOMIC_RELAXED) & bit)) {
            fprintf(stderr, "%s returned %lld (%s), which its documentation does not say: %s\n",
                    ops[op].name, (long long)result,
                    result < 0 ? lithe_strerror((int32_t)result) : "a number", lithe_last_error());
        }
    }
    __atomic_fetch_add(&called[op], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&succeeded[op], result >= 0, __ATOMIC_RELAXED);
}

static void *run_fuzzer(void *argument) {
    struct fuzzer *f = self = argument;
    while (!is_over()) {
        size_t op = random_op(R);
        __atomic_store_n(&f->op, op, __ATOMIC_RELAXED);
        __atomic_store_n(&f->subject, 0, __ATOMIC_RELAXED);
        int64_t result = ops[op].run(f);
        check_result(op, result);
        __atomic_fetch_add(&f->calls, 1, __ATOMIC_RELEASE);
    }
    lithe_message_free(&f->message);
    if (f->options != 0) {
        CHECK_OK(lithe_options_free(f->options));
        f->options = 0;
    }
    __atomic_store_n(&f->op, OPS, __ATOMIC_RELEASE);
    return NULL;
}

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Ends what a thread waits on that has been waiting for a while: it must be woken by that. */
static void end_wait(uint64_t subject) {
    enum kind kind = (enum kind)(subject >> 56);
    if (kind == SERVER) {
        lithe_server_wake(subject);
        lithe_server_stop(subject);
    } else if (kind > SERVER && kind < KINDS) {
        free_handle(kind, subject);
    }
}

/* Watches over the threads until the time is over and all of them have ended. */
static void watch(uint64_t end) {
    uint64_t calls[THREADS] = { 0 }, since[THREADS];
    size_t running = THREADS;
    for (size_t i = 0; i < THREADS; i++) {
        since[i] = now_ms();
    }
    while (running > 0) {
        poll(NULL, 0, 10);
        uint64_t now = now_ms();
        if (now >= end) {
            __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
        }
        running = 0;
        for (size_t i = 0; i < THREADS; i++) {
            struct fuzzer *f = &fuzzers[i];
            uint64_t made = __atomic_load_n(&f->calls, __ATOMIC_ACQUIRE);
            size_t op = __atomic_load_n(&f->op, __ATOMIC_ACQUIRE);
            if (op == OPS) {
                continue;
            }
            running++;
            if (made != calls[i]) {
                calls[i] = made;
                since[i] = now;
            } else if (now - since[i] > STUCK_MS) {
                fprintf(stderr, "thread %u hangs in %s\n", (unsigned int)i, ops[op].name);
                abort();
            } else if (now - since[i] > PATIENCE_MS) {
                end_wait(__atomic_load_n(&f->subject, __ATOMIC_RELAXED));
            }
        }
    }
}

/* How many entries a directory has. */
static size_t entries_of(const char *path) {
    size_t count = 0;
    DIR *directory = opendir(path);
    if (directory != NULL) {
        while (readdir(directory) != NULL) {
            count++;
        }
        closedir(directory);
    }
    return count;
}

/* Bytes in use, where the C library can tell. */
static size_t in_use(void) {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#else
    return 0;
#endif
}

static void run_round(struct random *random, uint64_t end) {
    pthread_t threads[THREADS + CLIENT_THREADS];
    uint64_t seeds[CLIENT_THREADS];
    __atomic_store_n(&over, 0, __ATOMIC_RELEASE);
    for (size_t i = 0; i < THREADS; i++) {
        memset(&fuzzers[i], 0, sizeof fuzzers[i]);
        fuzzers[i].random.state = next_random(random);
        threads[i] = start_thread(run_fuzzer, &fuzzers[i]);
    }
    for (size_t i = 0; i < CLIENT_THREADS; i++) {
        seeds[i] = next_random(random);
        threads[THREADS + i] = start_thread(run_clients, &seeds[i]);
    }
    watch(end);
    for (size_t i = 0; i < THREADS + CLIENT_THREADS; i++) {
        join_thread(threads[i]);
    }
    CHECK_OK(lithe_log_set(LITHE_LOG_OFF, NULL, NULL));
    free_all();
    CHECK(lent == given_back);
}

int main(int argc, char **argv) {
    CHECK(argc >= 2);
    uint64_t seconds = strtoull(argv[1], NULL, 10);
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : now_ms() ^ (uint64_t)getpid() << 32;
    struct random random = { seed };
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    match_entries();
#ifdef __GLIBC__
    /* So that mallinfo tells of all memory. */
    mallopt(M_ARENA_MAX, 1);
#endif

    uint64_t end = now_ms() + seconds * 1000;
    run_round(&random, now_ms() + ROUND_MS);
    const size_t descriptors = entries_of("/proc/self/fd");
    const size_t threads = entries_of("/proc/self/task");
    const size_t bytes = in_use();
    do {
        run_round(&random, now_ms() + ROUND_MS);
        CHECK(entries_of("/proc/self/fd") == descriptors);
        CHECK(entries_of("/proc/self/task") == threads);
        if (in_use() > bytes + GROWTH) {
            fprintf(stderr, "%lu bytes are left over\n", (unsigned long)(in_use() - bytes));
            exit(1);
        }
    } while (now_ms() < end);

    uint32_t failed = 0;
    for (size_t op = 0; op < OPS; op++) {
        printf("%s %llu %llu\n", ops[op].name, (unsigned long long)called[op],
               (unsigned long long)succeeded[op]);
        failed |= told[op];
    }
    return failed != 0;
}
