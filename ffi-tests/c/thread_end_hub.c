/* Servers and hubs that destructors begin, use and end while their thread ends, when the library's own
 * memory of the thread is gone, and that of others too. */
#include "check.h"

#define KEYS \
    "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\"," \
    "\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}]}"

static pthread_key_t key;
static int done;

struct ending {
    lithe_server_t server;
    lithe_ws_t ws;
    lithe_sse_t sse;
    int client;
    const char *key_file;
};

static void publish(lithe_hub_t hub, const char *data, int32_t code) {
    CHECK_CODE(code, lithe_publish(hub, "news", LITHE_CSTR, data, LITHE_CSTR, NULL, NULL));
}

/* A server from its start to its end. */
static void begin_and_end_server(void) {
    lithe_event_t event;
    lithe_request_t request;
    lithe_response_t response;
    lithe_response_options_t options = LITHE_RESPONSE_OPTIONS_INIT;
    lithe_message_t metrics = LITHE_MESSAGE_INIT;
    lithe_server_stats_t stats = LITHE_SERVER_STATS_INIT;
    char text[1024];
    lithe_server_t server = start();
    int client = client_connect(server);
    client_get(client, "/", "");
    CHECK_OK(lithe_server_accept(server, &request, LONG_MS));
    CHECK_OK(lithe_request_respond_stream(request, 200, NULL, 0, &options, &response));
    CHECK_OK(lithe_response_write(response, "body", 4, LONG_MS));
    CHECK_OK(lithe_response_finish(response));
    CHECK_OK(lithe_response_free(response));
    CHECK_OK(lithe_request_free(request));
    client_read_until(client, "body", text, sizeof text);
    close(client);
    CHECK_OK(lithe_server_stats(server, &stats));
    CHECK_OK(lithe_server_metrics(server, &metrics));
    lithe_message_free(&metrics);
    CHECK_OK(lithe_server_wake(server));
    CHECK_OK(lithe_server_begin_drain(server, LONG_MS));
    while (lithe_server_wait(server, &event, 1, LONG_MS) == 0) {
    }
    CHECK(event.kind == LITHE_EVENT_DRAINED);
    CHECK_OK(lithe_server_free(server));
}

/* The same of a hub, whose subscribers are another server's. */
static void begin_and_end_hub(struct ending *ending, const char *path) {
    lithe_hub_t hub;
    lithe_publication_t publication;
    lithe_hub_options_t options = LITHE_HUB_OPTIONS_INIT;
    lithe_mount_options_t mount = LITHE_MOUNT_OPTIONS_INIT;
    lithe_revocation_t revocation = LITHE_REVOCATION_INIT;
    options.longest_token_ms = 1000;
    CHECK_OK(lithe_hub_create(&options, &hub));
    CHECK_OK(lithe_ws_subscribe(ending->ws, hub, "news", LITHE_CSTR, NULL));
    CHECK_OK(lithe_sse_subscribe(ending->sse, hub, "news", LITHE_CSTR, NULL));
    publish(hub, "words", LITHE_OK);
    CHECK_CODE(1, lithe_hub_history(hub, "news", LITHE_CSTR, 0, &publication, 1, NULL));
    lithe_publication_free(&publication, 1);
    mount.authorize = LITHE_AUTHORIZE_JWT;
    mount.jwt_key_file = ending->key_file;
    CHECK_OK(lithe_server_mount(ending->server, hub, path, &mount));
    revocation.subject.ptr = "alice";
    revocation.subject.len = LITHE_CSTR;
    CHECK_OK(lithe_hub_revoke(hub, &revocation));
    CHECK_OK(lithe_sse_unsubscribe(ending->sse, hub, "news", LITHE_CSTR));
    CHECK_OK(lithe_hub_free(hub));
}

/* Of one whose Redis does not answer. */
static void publish_in_vain(void) {
    lithe_hub_t hub;
    lithe_hub_options_t options = LITHE_HUB_OPTIONS_INIT;
    options.redis_url = "redis://127.0.0.1:1";
    CHECK_OK(lithe_hub_create(&options, &hub));
    publish(hub, "words", LITHE_ERR_IO);
    CHECK_OK(lithe_hub_free(hub));
}

static void end(void *argument) {
    struct ending *ending = (struct ending *)argument;
    begin_and_end_server();
    begin_and_end_hub(ending, done == 0 ? "/second" : "/third");
    publish_in_vain();
    done++;
}

/* Only the end of this thread needs random numbers. */
static void *run_server(void *argument) {
    begin_and_end_server();
    CHECK(pthread_setspecific(key, argument) == 0);
    return NULL;
}

static void *run(void *argument) {
    struct ending *ending = (struct ending *)argument;
    /* So that there is something that is gone later. */
    begin_and_end_server();
    begin_and_end_hub(ending, "/first");
    publish_in_vain();
    CHECK(pthread_setspecific(key, argument) == 0);
    return NULL;
}

int main(void) {
    char file[] = "/tmp/lithe-keys-XXXXXX", text[64];
    size_t len;
    int sse_client, keys = mkstemp(file);
    CHECK(keys >= 0 && write(keys, KEYS, strlen(KEYS)) == (ssize_t)strlen(KEYS));
    close(keys);
    struct ending ending;
    ending.key_file = file;
    ending.server = start();
    ending.ws = open_websocket(ending.server, NULL, &ending.client);
    ending.sse = open_events(ending.server, NULL, &sse_client);
    CHECK(pthread_key_create(&key, end) == 0);
    join_thread(start_thread(run, &ending));
    CHECK(done == 1);
    join_thread(start_thread(run_server, &ending));
    CHECK(done == 2);
    CHECK(unlink(file) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(client_read_frame(ending.client, text, sizeof text, &len) == 0x81 && len == 5);
    }
    CHECK_OK(lithe_ws_free(ending.ws));
    CHECK_OK(lithe_sse_free(ending.sse));
    CHECK_OK(lithe_server_free(ending.server));
    close(ending.client);
    close(sse_client);
    return 0;
}
