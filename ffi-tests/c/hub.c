/* What is published on a hub reaches the WebSockets that are subscribed, in order and each once, or
 * they are told that they have missed something. */
#include "check.h"

static lithe_hub_t create(const lithe_channel_options_t *channel) {
    lithe_hub_t hub;
    lithe_hub_options_t options = LITHE_HUB_OPTIONS_INIT;
    options.namespaces = &channel;
    options.namespace_count = channel == NULL ? 0 : 1;
    CHECK_OK(lithe_hub_create(&options, &hub));
    return hub;
}

static lithe_position_t publish(lithe_hub_t hub, const char *channel, const char *data) {
    lithe_published_t published = LITHE_PUBLISHED_INIT;
    CHECK_OK(lithe_publish(hub, channel, LITHE_CSTR, data, LITHE_CSTR, NULL, &published));
    return published.position;
}

static void subscribe(lithe_ws_t ws, lithe_hub_t hub, const char *channels) {
    CHECK_OK(lithe_ws_subscribe(ws, hub, channels, LITHE_CSTR, NULL));
}

/* The next frame is that text. */
static void expect(int client, const char *text) {
    char got[1024];
    size_t len;
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x81);
    if (len != strlen(text) || memcmp(got, text, len) != 0) {
        fprintf(stderr, "got %.*s, not %s\n", (int)len, got, text);
        exit(1);
    }
}

/* The next frame closes the WebSocket with that code. */
static void expect_close(int client, int code) {
    unsigned char got[125];
    size_t len;
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x88);
    CHECK(len >= 2 && (got[0] << 8 | got[1]) == code);
}

static void check_fan_out(lithe_server_t server) {
    int clients[5];
    lithe_ws_t ws[5];
    char text[20];
    lithe_published_t published = LITHE_PUBLISHED_INIT;
    lithe_hub_stats_t stats = LITHE_HUB_STATS_INIT;
    lithe_hub_t hub = create(NULL);
    for (int i = 0; i < 5; i++) {
        ws[i] = open_websocket(server, NULL, &clients[i]);
        subscribe(ws[i], hub, "news.sport");
        subscribe(ws[i], hub, "news.sport");
    }
    CHECK_OK(lithe_publish(hub, "news.sport", 10, "first", 5, NULL, &published));
    CHECK(published.receivers == 5 && published.duplicate == 0);
    CHECK(published.position.epoch != 0 && published.position.offset == 1);
    for (int n = 0; n < 100; n++) {
        snprintf(text, sizeof text, "number %d", n);
        publish(hub, "news.sport", text);
        publish(hub, "news.weather", "rain");
    }
    for (int i = 0; i < 5; i++) {
        expect(clients[i], "first");
        for (int n = 0; n < 100; n++) {
            snprintf(text, sizeof text, "number %d", n);
            expect(clients[i], text);
        }
    }
    CHECK_OK(lithe_hub_stats(hub, &stats));
    CHECK(stats.subscribers == 5 && stats.published == 201 && stats.delivered == 505);
    CHECK(stats.channels == 2 && stats.history_bytes > 0);

    /* What ends on one side is over on the other. */
    CHECK_OK(lithe_ws_free(ws[0]));
    expect_close(clients[0], 1000);
    CHECK_OK(lithe_ws_close(ws[1], 0, NULL, 0));
    expect_close(clients[1], 1000);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_subscribe(ws[1], hub, "a", 1, NULL));
    client_reset(clients[2]);
    CHECK_OK(lithe_ws_close_info(ws[2], NULL, LONG_MS));
    CHECK_OK(lithe_ws_unsubscribe(ws[3], hub, "news.sport", 10));
    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_ws_unsubscribe(ws[3], hub, "news.sport", 10));
    do {
        CHECK_OK(lithe_publish(hub, "news.sport", 10, "last", 4, NULL, &published));
        expect(clients[4], "last");
    } while (published.receivers > 1);
    CHECK(published.receivers == 1);
    CHECK_OK(lithe_ws_send_text(ws[3], "nothing but this", -1));
    expect(clients[3], "nothing but this");
    for (int i = 1; i < 5; i++) {
        CHECK_OK(lithe_ws_free(ws[i]));
    }
    for (int i = 0; i < 5; i++) {
        if (i != 2) {
            close(clients[i]);
        }
    }
    CHECK_OK(lithe_hub_free(hub));
}

static void check_patterns_and_forms(lithe_server_t server) {
    int client, other;
    char got[16];
    size_t len;
    lithe_subscribe_options_t options = LITHE_SUBSCRIBE_OPTIONS_INIT;
    lithe_hub_t hub = create(NULL), second = create(NULL);
    lithe_ws_t ws = open_websocket(server, NULL, &client);
    subscribe(ws, hub, "logs.*, alerts.**, a.b");
    /* Several hubs on one WebSocket. */
    subscribe(ws, second, "logs.app");
    publish(hub, "logs.app", "one");
    expect(client, "one");
    publish(hub, "logs.app.deep", "not this");
    publish(hub, "alerts.disk.full", "two");
    expect(client, "two");
    publish(second, "logs.app", "three");
    expect(client, "three");
    CHECK_OK(lithe_ws_unsubscribe(ws, hub, "logs.*", LITHE_CSTR));
    publish(hub, "logs.app", "not this");
    CHECK_OK(lithe_publish(hub, "a.b", 3, "\xff\xfe", 2, NULL, NULL));
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x82 && len == 2);

    lithe_ws_t bytes = open_websocket(server, NULL, &other);
    options.format = LITHE_FORMAT_BINARY;
    CHECK_OK(lithe_ws_subscribe(bytes, hub, "a.b", 3, &options));
    publish(hub, "a.b", "text");
    CHECK(client_read_frame(other, got, sizeof got, &len) == 0x82 && len == 4);
    expect(client, "text");
    options.format = LITHE_FORMAT_DATA;
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_ws_subscribe(bytes, hub, "c", 1, &options));
    CHECK_OK(lithe_ws_free(bytes));
    CHECK_OK(lithe_ws_free(ws));
    close(other);
    close(client);
    CHECK_OK(lithe_hub_free(second));
    CHECK_OK(lithe_hub_free(hub));
}

/* A client that comes back gets what it has missed, or is told that it cannot. */
static void check_cursor(lithe_server_t server) {
    int client;
    char cursor[64];
    lithe_subscribe_options_t options = LITHE_SUBSCRIBE_OPTIONS_INIT;
    lithe_channel_options_t channel = LITHE_CHANNEL_OPTIONS_INIT;
    lithe_hub_stats_t stats = LITHE_HUB_STATS_INIT;
    channel.history_size = 3;
    channel.backlog = 1;
    lithe_hub_t hub = create(&channel);
    lithe_position_t position = publish(hub, "a", "1");
    snprintf(cursor, sizeof cursor, "%llx-%llu", (unsigned long long)position.epoch,
             (unsigned long long)position.offset);
    publish(hub, "a", "2");
    publish(hub, "a", "3");
    options.cursor.ptr = cursor;
    options.cursor.len = LITHE_CSTR;
    lithe_ws_t ws = open_websocket(server, NULL, &client);
    CHECK_OK(lithe_ws_subscribe(ws, hub, "a", 1, &options));
    expect(client, "2");
    expect(client, "3");
    publish(hub, "a", "4");
    expect(client, "4");
    CHECK_OK(lithe_ws_free(ws));
    close(client);

    /* 2 is gone. */
    publish(hub, "a", "5");
    ws = open_websocket(server, NULL, &client);
    CHECK_OK(lithe_ws_subscribe(ws, hub, "a", 1, &options));
    expect_close(client, 4204);
    CHECK_OK(lithe_ws_free(ws));
    close(client);

    options.ignore_gaps = 1;
    options.after_gap = LITHE_AFTER_GAP_OLDEST;
    ws = open_websocket(server, NULL, &client);
    CHECK_OK(lithe_ws_subscribe(ws, hub, "a", 1, &options));
    expect(client, "3");
    expect(client, "4");
    expect(client, "5");
    CHECK_OK(lithe_hub_stats(hub, &stats));
    CHECK(stats.gaps_expired == 2 && stats.gaps_slow == 0);
    CHECK_OK(lithe_ws_free(ws));
    close(client);
    CHECK_OK(lithe_hub_free(hub));
}

static void check_slow_client(lithe_server_t server) {
    static char large[100000];
    int client;
    lithe_ws_options_t ws_options = LITHE_WS_OPTIONS_INIT;
    lithe_ws_close_info_t info = LITHE_WS_CLOSE_INFO_INIT;
    lithe_channel_options_t channel = LITHE_CHANNEL_OPTIONS_INIT;
    lithe_published_t published = LITHE_PUBLISHED_INIT;
    channel.pattern = "feed.*";
    channel.overflow = LITHE_OVERFLOW_DISCONNECT;
    channel.history_size = -1;
    channel.backlog = 4;
    lithe_hub_t hub = create(&channel);
    ws_options.send_queue_bytes = sizeof large;
    client = client_connect_slow(server);
    client_handshake(client, "/", "");
    lithe_request_t request = next_request(server);
    lithe_ws_t ws;
    CHECK_OK(lithe_ws_accept(request, &ws_options, &ws));
    CHECK_OK(lithe_request_free(request));
    subscribe(ws, hub, "feed.one");
    /* The publisher does not wait, whatever the client does. */
    do {
        CHECK_OK(lithe_publish(hub, "feed.one", 8, large, sizeof large, NULL, &published));
    } while (published.receivers == 1);
    client_reset(client);
    CHECK_OK(lithe_ws_close_info(ws, &info, LONG_MS));
    CHECK_OK(lithe_ws_free(ws));
    CHECK_OK(lithe_hub_free(hub));
}

static void check_publish_options(lithe_server_t server) {
    int client;
    lithe_publish_options_t options = LITHE_PUBLISH_OPTIONS_INIT;
    lithe_published_t first = LITHE_PUBLISHED_INIT, again = LITHE_PUBLISHED_INIT;
    lithe_hub_stats_t stats = LITHE_HUB_STATS_INIT;
    lithe_hub_t hub = create(NULL);
    lithe_ws_t ws = open_websocket(server, NULL, &client);
    subscribe(ws, hub, "a");
    options.idempotency_key.ptr = "attempt 1";
    options.idempotency_key.len = LITHE_CSTR;
    CHECK_OK(lithe_publish(hub, "a", 1, "once", 4, &options, &first));
    CHECK_OK(lithe_publish(hub, "a", 1, "once", 4, &options, &again));
    CHECK(first.duplicate == 0 && again.duplicate == 1);
    CHECK(first.position.epoch == again.position.epoch && again.position.offset == 1);
    publish(hub, "a", "twice");
    expect(client, "once");
    expect(client, "twice");
    CHECK_OK(lithe_hub_stats(hub, &stats));
    CHECK(stats.published == 2 && stats.duplicates == 1);
    CHECK_OK(lithe_ws_free(ws));
    close(client);
    CHECK_OK(lithe_hub_free(hub));
}

static void check_history(void) {
    lithe_publication_t page[3];
    lithe_history_t history = LITHE_HISTORY_INIT;
    lithe_position_t position;
    lithe_publish_options_t options = LITHE_PUBLISH_OPTIONS_INIT;
    lithe_channel_options_t channel = LITHE_CHANNEL_OPTIONS_INIT;
    channel.history_size = 4;
    channel.backlog = 1;
    lithe_hub_t hub = create(&channel);
    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_hub_position(hub, "a", 1, &position));
    CHECK(position.epoch == 0 && position.offset == 0);
    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_hub_history(hub, "a", 1, 0, page, 3, &history));
    options.name.ptr = "progress";
    options.name.len = LITHE_CSTR;
    options.key.ptr = "download 7";
    options.key.len = LITHE_CSTR;
    for (int n = 0; n < 6; n++) {
        CHECK_OK(lithe_publish(hub, "a", 1, "\0abc", 4, n == 5 ? &options : NULL, NULL));
    }
    CHECK_OK(lithe_hub_position(hub, "a", 1, &position));
    CHECK(position.epoch != 0 && position.offset == 6);
    CHECK(lithe_hub_history(hub, "a", 1, 0, page, 3, &history) == 3);
    CHECK(history.from.offset == 2 && history.to.offset == 6);
    CHECK(history.to.epoch == position.epoch);
    for (uint64_t n = 0; n < 3; n++) {
        CHECK(page[n].position.offset == 3 + n && page[n].position.epoch == position.epoch);
        CHECK(page[n].len == 4 && memcmp(page[n].data, "\0abc", 4) == 0 && page[n].time_ms > 0);
        CHECK(is(page[n].name, "") && is(page[n].key, ""));
    }
    lithe_publication_free(page, 3);
    CHECK(page[0].data == NULL && page[0].len == 0 && page[2].owner == NULL);
    lithe_publication_free(page, 3);
    CHECK(lithe_hub_history(hub, "a", 1, 5, page, 3, NULL) == 1);
    CHECK(is(page[0].name, "progress") && is(page[0].key, "download 7"));
    /* It outlives the hub. */
    CHECK_OK(lithe_hub_free(hub));
    CHECK(memcmp(page[0].data, "\0abc", 4) == 0);
    lithe_publication_free(page, 1);
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_hub_history(hub, "a", 1, 0, page, 3, NULL));
    lithe_publication_free(NULL, 7);
}

static void check_presence(lithe_server_t server) {
    int clients[3];
    lithe_ws_t ws[3];
    lithe_client_t there[4];
    lithe_subscribe_options_t options = LITHE_SUBSCRIBE_OPTIONS_INIT;
    lithe_channel_options_t channel = LITHE_CHANNEL_OPTIONS_INIT;
    channel.presence = LITHE_PRESENCE_LISTED;
    lithe_hub_t hub = create(&channel);
    CHECK(lithe_hub_presence(hub, "room", 4, NULL, 0) == 0);
    for (int i = 0; i < 3; i++) {
        ws[i] = open_websocket(server, NULL, &clients[i]);
        options.client.ptr = i == 0 ? "alice" : "bob";
        options.client.len = LITHE_CSTR;
        options.info.ptr = "\0{}";
        options.info.len = 3;
        CHECK_OK(lithe_ws_subscribe(ws[i], hub, "room", 4, &options));
    }
    CHECK(lithe_hub_presence(hub, "room", 4, NULL, 0) == 2);
    CHECK(lithe_hub_presence(hub, "room", 4, there, 4) == 2);
    int alice = strcmp(there[0].id.ptr, "alice") != 0;
    CHECK(is(there[alice].id, "alice") && is(there[1 - alice].id, "bob"));
    CHECK(there[0].info.len == 3 && memcmp(there[0].info.ptr, "\0{}", 4) == 0);
    lithe_client_free(there, 2);
    lithe_client_free(there, 2);
    CHECK(lithe_hub_presence(hub, "room", 4, there, 1) == 2);
    lithe_client_free(there, 1);
    /* Bob has another connection. */
    CHECK_OK(lithe_ws_free(ws[1]));
    CHECK(lithe_hub_presence(hub, "room", 4, NULL, 0) == 2);
    CHECK_OK(lithe_ws_unsubscribe(ws[2], hub, "room", 4));
    CHECK(lithe_hub_presence(hub, "room", 4, NULL, 0) == 1);
    CHECK_OK(lithe_ws_close(ws[0], 0, NULL, 0));
    CHECK(lithe_hub_presence(hub, "room", 4, NULL, 0) == 0);
    CHECK_OK(lithe_ws_free(ws[0]));
    CHECK_OK(lithe_ws_free(ws[2]));
    for (int i = 0; i < 3; i++) {
        close(clients[i]);
    }
    CHECK_OK(lithe_hub_free(hub));
}

/* Deliveries that come too often for a client come together. */
static void check_interval(lithe_server_t server) {
    int client;
    lithe_publish_options_t options = LITHE_PUBLISH_OPTIONS_INIT;
    lithe_channel_options_t channel = LITHE_CHANNEL_OPTIONS_INIT;
    channel.overflow = LITHE_OVERFLOW_LATEST;
    channel.min_interval_ms = 300;
    lithe_hub_t hub = create(&channel);
    lithe_ws_t ws = open_websocket(server, NULL, &client);
    subscribe(ws, hub, "progress");
    options.key.ptr = "k";
    options.key.len = 1;
    CHECK_OK(lithe_publish(hub, "progress", 8, "0", 1, &options, NULL));
    expect(client, "0");
    for (int n = 1; n <= 9; n++) {
        char text[2] = { (char)('0' + n), 0 };
        CHECK_OK(lithe_publish(hub, "progress", 8, text, 1, &options, NULL));
    }
    /* Where this thread was slower than the interval some of the others come too. */
    char got[8], last = '0';
    size_t len;
    do {
        CHECK(client_read_frame(client, got, sizeof got, &len) == 0x81 && len == 1);
        CHECK(got[0] > last);
        last = got[0];
    } while (last != '9');
    CHECK_OK(lithe_ws_free(ws));
    close(client);
    CHECK_OK(lithe_hub_free(hub));
}

static void check_misuse(lithe_server_t server) {
    int client;
    static char many[20000];
    lithe_hub_t hub = 1;
    lithe_hub_options_t options = LITHE_HUB_OPTIONS_INIT;
    lithe_channel_options_t channel = LITHE_CHANNEL_OPTIONS_INIT;
    const lithe_channel_options_t *namespaces[] = { &channel, NULL };
    lithe_publish_options_t publish_options = LITHE_PUBLISH_OPTIONS_INIT;
    lithe_published_t published = LITHE_PUBLISHED_INIT;
    lithe_subscribe_options_t how = LITHE_SUBSCRIBE_OPTIONS_INIT;

    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_hub_create(NULL, NULL));
    options.namespaces = namespaces;
    options.namespace_count = 2;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_hub_create(&options, &hub));
    CHECK(hub == 0);
    options.namespace_count = 1;
    channel.pattern = "a.**.b";
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_hub_create(&options, &hub));
    CHECK(strstr(lithe_last_error(), "**") != NULL);
    channel.pattern = "\xff";
    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_hub_create(&options, &hub));
    channel.pattern = NULL;
    channel.overflow = 5;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_hub_create(&options, &hub));
    CHECK(strstr(lithe_last_error(), "overflow") != NULL);
    channel.overflow = 0;
    channel.history_size = -2;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_hub_create(&options, &hub));
    channel.history_size = 0;
    channel.size = 3;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_hub_create(&options, &hub));
    channel.size = sizeof channel;
    options.history_budget_bytes = -1;
    options.replay_limit = -1;
    options.replay_limit_bytes = -1;
    options.max_pattern_channels = -1;
    channel.history_age_ms = -1;
    channel.idempotency_keys = -1;
    channel.idempotency_age_ms = -1;
    CHECK_OK(lithe_hub_create(&options, &hub));

    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_publish(hub, "a..b", LITHE_CSTR, "x", 1, NULL, NULL));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_publish(hub, "a.*", LITHE_CSTR, "x", 1, NULL, NULL));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_publish(hub, NULL, 0, "x", 1, NULL, NULL));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_publish(hub, "a", 1, NULL, 1, NULL, NULL));
    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_publish(hub, "\xff", 1, "x", 1, NULL, NULL));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_publish(0, "a", 1, "x", 1, NULL, NULL));
    publish_options.name.ptr = "lithe.gap";
    publish_options.name.len = LITHE_CSTR;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_publish(hub, "a", 1, "x", 1, &publish_options, NULL));
    publish_options.name.ptr = "two\nlines";
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_publish(hub, "a", 1, "x", 1, &publish_options, NULL));
    published.size = 0;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_publish(hub, "a", 1, "x", 1, NULL, &published));
    lithe_position_t position;
    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_hub_position(hub, "a", 1, &position));
    char *large = malloc(16 * 1024 * 1024 + 1);
    CHECK(large != NULL);
    memset(large, 'x', 16 * 1024 * 1024 + 1);
    CHECK_CODE(LITHE_ERR_TOO_LARGE,
               lithe_publish(hub, "a", 1, large, 16 * 1024 * 1024 + 1, NULL, NULL));
    free(large);

    lithe_ws_t ws = open_websocket(server, NULL, &client);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_subscribe(ws, hub, "", 0, NULL));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_subscribe(ws, hub, NULL, 0, NULL));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_subscribe(ws, hub, "a b", 3, NULL));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_subscribe(ws, ws, "a", 1, NULL));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_subscribe(hub, hub, "a", 1, NULL));
    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_ws_unsubscribe(ws, hub, "a", 1));
    how.format = 77;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_subscribe(ws, hub, "a", 1, &how));
    how.format = 0;
    how.ignore_gaps = 2;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_subscribe(ws, hub, "a", 1, &how));
    how.ignore_gaps = 0;
    how.client.ptr = "";
    how.client.len = LITHE_CSTR;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_ws_subscribe(ws, hub, "a", 1, &how));
    /* 256 are subscribed to, or none of them. */
    for (int n = 0; n <= 256; n++) {
        snprintf(many + strlen(many), 8, "c%d,", n);
    }
    CHECK_CODE(LITHE_ERR_FULL, lithe_ws_subscribe(ws, hub, many, LITHE_CSTR, NULL));
    many[strlen(many) - 5] = '\0';
    subscribe(ws, hub, many);
    subscribe(ws, hub, "c0");
    CHECK_CODE(LITHE_ERR_FULL, lithe_ws_subscribe(ws, hub, "d", 1, NULL));
    publish(hub, "c255", "the last one");
    expect(client, "the last one");
    /* A hub that is freed while it is in use. */
    CHECK_OK(lithe_hub_free(hub));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_hub_free(hub));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_publish(hub, "c0", 2, "x", 1, NULL, NULL));
    CHECK_OK(lithe_ws_send_text(ws, "still open", -1));
    expect(client, "still open");
    CHECK_OK(lithe_ws_free(ws));
    close(client);
}

/* A server that stops lets go of its subscribers. */
static void check_stop(void) {
    int client;
    lithe_published_t published = LITHE_PUBLISHED_INIT;
    lithe_hub_t hub = create(NULL);
    lithe_server_t server = start();
    lithe_ws_t ws = open_websocket(server, NULL, &client);
    subscribe(ws, hub, "a");
    CHECK_OK(lithe_server_stop(server));
    CHECK_OK(lithe_publish(hub, "a", 1, "x", 1, NULL, &published));
    CHECK(published.receivers == 0);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_subscribe(ws, hub, "b", 1, NULL));
    CHECK_OK(lithe_ws_free(ws));
    CHECK_OK(lithe_server_free(server));
    close(client);
    CHECK_OK(lithe_hub_free(hub));
}

int main(void) {
    lithe_server_t server = start();
    check_fan_out(server);
    check_patterns_and_forms(server);
    check_cursor(server);
    check_slow_client(server);
    check_publish_options(server);
    check_history();
    check_presence(server);
    check_interval(server);
    check_misuse(server);
    CHECK_OK(lithe_server_free(server));
    check_stop();
    return 0;
}
