/* Sixteen threads use one handle, most of them blocked in it for ever, while others free it: each
 * call returns a code, everyone is woken, and the handle is freed exactly once. */
#include "check.h"

#define THREADS 16
#define FREEING 3
#define ROUNDS 20

typedef int64_t (*call)(uint64_t handle);

/* What is done with one kind of handle. */
struct kind {
    const char *name;
    const call *calls;
    size_t count;
    int32_t (*free)(uint64_t handle);
};

struct target {
    const struct kind *kind;
    uint64_t handle;
    pthread_barrier_t ready;
    /* How many calls there shall be before the handle is freed. Any number is reached as long as
     * there is one for each thread, though all of them may block. */
    unsigned int enough;
    unsigned int made;
    unsigned int freed;
};

struct hammer {
    struct target *target;
    size_t number;
};

static void free_one(int32_t (*free)(uint64_t), uint64_t handle, int64_t code) {
    if (code == LITHE_OK) {
        CHECK_OK(free(handle));
    } else {
        CHECK(handle == 0);
    }
}

static void *hammer(void *argument) {
    const struct hammer *hammer = (const struct hammer *)argument;
    struct target *target = hammer->target;
    const struct kind *kind = target->kind;
    pthread_barrier_wait(&target->ready);
    if (hammer->number < FREEING) {
        while (__atomic_load_n(&target->made, __ATOMIC_RELAXED) < target->enough) {
            sched_yield();
        }
        int32_t code = kind->free(target->handle);
        CHECK(code == LITHE_OK || code == LITHE_ERR_BAD_HANDLE);
        __atomic_fetch_add(&target->freed, code == LITHE_OK, __ATOMIC_RELAXED);
    }
    for (size_t i = hammer->number;; i++) {
        /* Counted before: most calls do not return before the handle is freed. */
        __atomic_fetch_add(&target->made, 1, __ATOMIC_RELAXED);
        int64_t code = kind->calls[i % kind->count](target->handle);
        CHECK(code != LITHE_ERR_PANIC);
        if (code == LITHE_ERR_BAD_HANDLE) {
            return NULL;
        }
    }
}

/* Returns once the handle is freed and every thread was told so. */
static void hammer_on(const struct kind *kind, uint64_t handle, int round) {
    pthread_t threads[THREADS];
    struct hammer hammers[THREADS];
    struct target target;
    memset(&target, 0, sizeof target);
    target.kind = kind;
    target.handle = handle;
    target.enough = (unsigned int)round % (THREADS - FREEING + 1);
    CHECK(pthread_barrier_init(&target.ready, NULL, THREADS) == 0);
    for (size_t i = 0; i < THREADS; i++) {
        hammers[i].target = &target;
        hammers[i].number = i;
        threads[i] = start_thread(hammer, &hammers[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        join_thread(threads[i]);
    }
    CHECK(target.freed == 1);
    CHECK(pthread_barrier_destroy(&target.ready) == 0);
}

/* ---- WebSockets ---- */

static int64_t ws_receive(uint64_t ws) {
    lithe_message_t message;
    int32_t code = lithe_ws_receive(ws, &message, -1);
    lithe_message_free(&message);
    return code;
}

static int64_t ws_receive_many(uint64_t ws) {
    lithe_message_t messages[4];
    int32_t got = lithe_ws_receive_many(ws, messages, 4, -1);
    for (int32_t i = 0; i < got; i++) {
        lithe_message_free(&messages[i]);
    }
    return got;
}

static int64_t ws_receive_into(uint64_t ws) {
    char buffer[64];
    lithe_message_kind kind;
    size_t len;
    return lithe_ws_receive_into(ws, buffer, sizeof buffer, &kind, &len, -1);
}

static int64_t ws_send(uint64_t ws) {
    static const char data[32 * 1024];
    return lithe_ws_send(ws, LITHE_BINARY, data, sizeof data, -1);
}

static int64_t ws_send_many(uint64_t ws) {
    lithe_buffer_t buffer;
    int32_t results[2];
    const uint64_t both[2] = { ws, ws };
    CHECK_OK(lithe_buffer_create(LITHE_TEXT, "text", 4, &buffer));
    CHECK(lithe_ws_send_many(both, 2, buffer, results) >= 0);
    CHECK_OK(lithe_buffer_free(buffer));
    return results[1];
}

static int64_t ws_queued(uint64_t ws) {
    return lithe_ws_queued(ws);
}

static int64_t ws_protocol(uint64_t ws) {
    lithe_string_t protocol;
    return lithe_ws_protocol(ws, &protocol);
}

static int64_t ws_close_info(uint64_t ws) {
    return lithe_ws_close_info(ws, NULL, -1);
}

static int64_t ws_close(uint64_t ws) {
    return lithe_ws_close(ws, 4000, "over", LITHE_CSTR);
}

static const call ws_calls[] = { ws_receive,   ws_send,      ws_receive_many, ws_queued, ws_receive_into,
                                 ws_send_many, ws_close_info, ws_send,        ws_protocol };
static const call ws_calls_and_close[] = { ws_receive, ws_send,  ws_receive_many, ws_close_info,
                                           ws_close,   ws_send_many, ws_receive_into };
static const struct kind websocket = { "WebSocket", ws_calls, 9, lithe_ws_free };
static const struct kind closed_websocket = { "closed WebSocket", ws_calls_and_close, 7,
                                              lithe_ws_free };

/* ---- Event streams ---- */

static int64_t sse_send(uint64_t sse) {
    static char data[16 * 1024];
    lithe_sse_event_t event = LITHE_SSE_EVENT_INIT;
    event.data.ptr = data;
    event.data.len = sizeof data;
    return lithe_sse_send(sse, &event, -1);
}

static int64_t sse_wait_closed(uint64_t sse) {
    return lithe_sse_wait_closed(sse, -1);
}

static int64_t sse_queued(uint64_t sse) {
    return lithe_sse_queued(sse);
}

static int64_t sse_close(uint64_t sse) {
    return lithe_sse_close(sse);
}

static const call sse_calls[] = { sse_send, sse_wait_closed, sse_send, sse_queued };
static const call sse_calls_and_close[] = { sse_send, sse_wait_closed, sse_close };
static const struct kind event_stream = { "event stream", sse_calls, 4, lithe_sse_free };
static const struct kind closed_stream = { "closed stream", sse_calls_and_close, 3, lithe_sse_free };

/* ---- Requests and responses ---- */

static int64_t request_accept(uint64_t request) {
    lithe_ws_t ws;
    int32_t code = lithe_ws_accept(request, NULL, &ws);
    free_one(lithe_ws_free, ws, code);
    return code;
}

static int64_t request_open(uint64_t request) {
    lithe_sse_t sse;
    int32_t code = lithe_sse_open(request, NULL, &sse);
    free_one(lithe_sse_free, sse, code);
    return code;
}

static int64_t request_respond(uint64_t request) {
    return lithe_request_respond_text(request, 200, "text/plain", "hello");
}

static int64_t request_stream(uint64_t request) {
    lithe_response_t response;
    int32_t code = lithe_request_respond_stream(request, 200, NULL, 0, NULL, &response);
    free_one(lithe_response_free, response, code);
    return code;
}

static int64_t request_read(uint64_t request) {
    char buffer[16];
    size_t len;
    return lithe_request_read(request, buffer, sizeof buffer, &len, -1);
}

static int64_t request_texts(uint64_t request) {
    lithe_string_t text;
    lithe_header_t header;
    lithe_request_query_param(request, "a", &text);
    lithe_request_last_event_id(request, &text);
    lithe_request_header_at(request, 0, &header);
    return lithe_request_path(request, &text);
}

static int64_t request_watch(uint64_t request) {
    return lithe_request_watch(request, 7);
}

static const call request_calls[] = { request_read,   request_texts,  request_read,
                                      request_accept, request_watch,  request_stream,
                                      request_open,   request_respond };
static const call read_calls[] = { request_read, request_texts, request_watch };
static const struct kind request_kind = { "request", request_calls, 8, lithe_request_free };
static const struct kind read_request = { "request that is read", read_calls, 3,
                                          lithe_request_free };

static int64_t response_write(uint64_t response) {
    static const char data[16 * 1024];
    return lithe_response_write(response, data, sizeof data, -1);
}

static int64_t response_wait_closed(uint64_t response) {
    return lithe_response_wait_closed(response, -1);
}

static int64_t response_queued(uint64_t response) {
    return lithe_response_queued(response);
}

static int64_t response_finish(uint64_t response) {
    return lithe_response_finish(response);
}

static const call response_calls[] = { response_write, response_wait_closed, response_write,
                                       response_queued };
static const call response_calls_and_finish[] = { response_write, response_wait_closed,
                                                  response_finish };
static const struct kind response_kind = { "response", response_calls, 4, lithe_response_free };
static const struct kind finished_response = { "finished response", response_calls_and_finish, 3,
                                               lithe_response_free };

/* ---- What has no connection ---- */

static int64_t buffer_send(uint64_t buffer) {
    return lithe_ws_send_many(NULL, 0, buffer, NULL);
}

static const call buffer_calls[] = { buffer_send };
static const struct kind buffer_kind = { "buffer", buffer_calls, 1, lithe_buffer_free };

static int64_t codec_encode(uint64_t codec) {
    char buffer[2048];
    static const char data[1500];
    size_t len;
    return lithe_codec_encode_message(codec, LITHE_BINARY, data, sizeof data, buffer, sizeof buffer,
                                      &len);
}

static int64_t codec_decode(uint64_t codec) {
    char frame[] = "\x82\x84\0\0\0\0data";
    size_t used;
    lithe_item_t items[2];
    int32_t got = lithe_codec_decode(codec, frame, 10, &used, items, 2);
    for (int32_t i = 0; i < got; i++) {
        lithe_message_free(&items[i].message);
    }
    return got;
}

static int64_t codec_close_code(uint64_t codec) {
    return lithe_codec_close_code(codec);
}

static const call codec_calls[] = { codec_encode, codec_decode, codec_close_code };
static const struct kind codec_kind = { "codec", codec_calls, 3, lithe_codec_free };

static int64_t options_set(uint64_t options) {
    return lithe_options_set(options, "origins", "https://example.com");
}

static int64_t options_set_int(uint64_t options) {
    return lithe_options_set_int(options, "user_data", -1);
}

static int64_t options_pointer(uint64_t options) {
    return lithe_options_pointer(options) != NULL ? LITHE_OK : LITHE_ERR_BAD_HANDLE;
}

static const call options_calls[] = { options_set, options_set_int, options_pointer };
static const struct kind options_kind = { "options", options_calls, 3, lithe_options_free };

/* ---- Servers ---- */

static int64_t server_accept(uint64_t server) {
    lithe_request_t request;
    int32_t code = lithe_server_accept(server, &request, -1);
    free_one(lithe_request_free, request, code);
    return code;
}

static int64_t server_wait(uint64_t server) {
    lithe_event_t events[4];
    int32_t got = lithe_server_wait(server, events, 4, -1);
    for (int32_t i = 0; i < got; i++) {
        if (events[i].kind == LITHE_EVENT_REQUEST) {
            CHECK_OK(lithe_request_free(events[i].handle));
        }
        lithe_message_free(&events[i].message);
    }
    return got;
}

static int64_t server_serve(uint64_t server) {
    return lithe_server_serve(server, -1);
}

static int64_t server_wake(uint64_t server) {
    return lithe_server_wake(server);
}

static int64_t server_asked(uint64_t server) {
    lithe_string_t address;
    lithe_server_stats_t stats = LITHE_SERVER_STATS_INIT;
    lithe_message_t metrics = LITHE_MESSAGE_INIT;
    lithe_server_stats(server, &stats);
    lithe_server_metrics(server, &metrics);
    lithe_message_free(&metrics);
    lithe_server_event_fd(server);
    lithe_server_route(server, "GET", "/{a}", NULL, NULL, NULL);
    return lithe_server_address(server, &address);
}

static int64_t server_drain(uint64_t server) {
    return lithe_server_drain(server, -1, NULL);
}

static int64_t server_begin_drain(uint64_t server) {
    return lithe_server_begin_drain(server, -1);
}

static int64_t server_stop(uint64_t server) {
    return lithe_server_stop(server);
}

static const call server_calls[] = { server_accept, server_wait, server_asked, server_serve,
                                     server_wait,   server_wake, server_accept };
static const call server_calls_and_stop[] = { server_accept, server_wait, server_drain,
                                              server_asked,  server_stop, server_serve,
                                              server_begin_drain };
static const struct kind server_kind = { "server", server_calls, 7, lithe_server_free };
static const struct kind stopped_server = { "stopped server", server_calls_and_stop, 7,
                                            lithe_server_free };

/* What waits for ever on a connection is told that it has ended when the server goes. */
static void *wait_on_ws(void *ws) {
    CHECK_CODE(LITHE_ERR_CLOSED, ws_receive(*(uint64_t *)ws));
    return NULL;
}

static void *wait_on_sse(void *sse) {
    CHECK_OK(lithe_sse_wait_closed(*(uint64_t *)sse, -1));
    return NULL;
}

static void *wait_on_request(void *request) {
    CHECK_CODE(LITHE_ERR_CLOSED, request_read(*(uint64_t *)request));
    return NULL;
}

static lithe_request_t streamed_request(lithe_server_t server, int *client) {
    static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n";
    *client = client_connect(server);
    client_send(*client, head, sizeof head - 1);
    return next_request(server);
}

static lithe_response_t streamed_response(lithe_server_t server, int *client) {
    lithe_response_t response;
    *client = client_connect_slow(server);
    client_get(*client, "/", "");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_request_respond_stream(request, 200, NULL, 0, NULL, &response));
    CHECK_OK(lithe_request_free(request));
    return response;
}

static lithe_server_t start_streaming(void) {
    lithe_server_t server;
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    config.stream_bodies = 1;
    CHECK_OK(lithe_server_start(&config, &server));
    return server;
}

static void hammer_on_connections(lithe_server_t server, int round) {
    int client;
    lithe_codec_t codec;
    lithe_buffer_t buffer;
    lithe_options_t options;
    /* The clients answer nothing, not even a close. */
    lithe_ws_options_t plain = LITHE_WS_OPTIONS_INIT;
    plain.peer_timeout_ms = 50;
    plain.close_timeout_ms = 50;
    lithe_ws_options_t events = plain;
    events.events = 1;

    uint64_t ws = open_websocket(server, &plain, &client);
    hammer_on(&websocket, ws, round);
    close(client);
    ws = open_websocket(server, &plain, &client);
    hammer_on(&closed_websocket, ws, round);
    close(client);
    ws = open_websocket(server, round % 2 == 0 ? &events : &plain, &client);
    client_send_frame(client, 0x81, "hello", 5);
    client_reset(client);
    hammer_on(&websocket, ws, round);

    uint64_t sse = open_events(server, NULL, &client);
    hammer_on(&event_stream, sse, round);
    close(client);
    sse = open_events(server, NULL, &client);
    hammer_on(&closed_stream, sse, round);
    client_reset(client);

    hammer_on(&read_request, streamed_request(server, &client), round);
    close(client);
    hammer_on(&request_kind, streamed_request(server, &client), round);
    close(client);
    client = client_connect(server);
    client_handshake(client, "/", "");
    hammer_on(&request_kind, next_request(server), round);
    close(client);

    hammer_on(&response_kind, streamed_response(server, &client), round);
    close(client);
    hammer_on(&finished_response, streamed_response(server, &client), round);
    close(client);

    CHECK_OK(lithe_buffer_create(LITHE_TEXT, "text", 4, &buffer));
    hammer_on(&buffer_kind, buffer, round);
    CHECK_OK(lithe_codec_create(LITHE_ROLE_SERVER, NULL, &codec));
    hammer_on(&codec_kind, codec, round);
    CHECK_OK(lithe_options_create(LITHE_OPTIONS_WS, &options));
    hammer_on(&options_kind, options, round);
}

static void hammer_on_server(const struct kind *kind, int round) {
    int ws_client, sse_client, client;
    lithe_server_t server = start_streaming();
    lithe_ws_t ws = open_websocket(server, NULL, &ws_client);
    lithe_sse_t sse = open_events(server, NULL, &sse_client);
    lithe_request_t request = streamed_request(server, &client);
    pthread_t waiting[] = { start_thread(wait_on_ws, &ws), start_thread(wait_on_sse, &sse),
                            start_thread(wait_on_request, &request) };
    hammer_on(kind, server, round);
    for (size_t i = 0; i < 3; i++) {
        join_thread(waiting[i]);
    }
    CHECK_OK(lithe_ws_free(ws));
    CHECK_OK(lithe_sse_free(sse));
    CHECK_OK(lithe_request_free(request));
    close(client);
    close(ws_client);
    close(sse_client);
}

int main(int argc, char **argv) {
    const int rounds = argc > 1 && argv[1][0] != '\0' ? atoi(argv[1]) : ROUNDS;
    lithe_server_t server = start_streaming();
    for (int round = 0; round < rounds; round++) {
        hammer_on_connections(server, round);
        hammer_on_server(&server_kind, round);
        hammer_on_server(&stopped_server, round);
    }
    CHECK_OK(lithe_server_free(server));
    return 0;
}
