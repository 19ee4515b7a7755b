/* What clients get of a hub in the forms that tell of positions and gaps: event streams, and frames
 * in JSON. */
#include "check.h"

static void publish(lithe_hub_t hub, const char *channel, const char *data) {
    CHECK_OK(lithe_publish(hub, channel, LITHE_CSTR, data, LITHE_CSTR, NULL, NULL));
}

/* The cursor of one channel. */
static void position_of(lithe_hub_t hub, const char *channel, char *cursor, size_t size) {
    lithe_position_t position;
    CHECK_OK(lithe_hub_position(hub, channel, LITHE_CSTR, &position));
    snprintf(cursor, size, "%llx-%llu", (unsigned long long)position.epoch,
             (unsigned long long)position.offset);
}

/* Reads an event up to its end, chunk headers left out, and checks that it has that in it. */
static void expect_event(int client, const char *part) {
    char event[8192];
    client_read_until(client, "\n\n", event, sizeof event);
    if (strstr(event, part) == NULL) {
        fprintf(stderr, "no %s in: %s\n", part, event);
        exit(1);
    }
}

static void expect_frame(int client, const char *part) {
    char frame[8192];
    size_t len;
    CHECK(client_read_frame(client, frame, sizeof frame - 1, &len) == 0x81);
    frame[len] = '\0';
    if (strstr(frame, part) == NULL) {
        fprintf(stderr, "no %s in: %s\n", part, frame);
        exit(1);
    }
}

static void check_events(lithe_server_t server) {
    int client;
    char cursor[64], id[128];
    lithe_publish_options_t options = LITHE_PUBLISH_OPTIONS_INIT;
    lithe_subscribe_options_t how = LITHE_SUBSCRIBE_OPTIONS_INIT;
    lithe_hub_t hub;
    CHECK_OK(lithe_hub_create(NULL, &hub));
    lithe_sse_t sse = open_events(server, NULL, &client);
    CHECK_OK(lithe_sse_subscribe(sse, hub, "news", 4, NULL));
    expect_event(client, "event: lithe.sub\ndata: {\"type\":\"sub\",\"channel\":\"news\"");
    options.name.ptr = "flash";
    options.name.len = 5;
    CHECK_OK(lithe_publish(hub, "news", 4, "two\nlines", 9, &options, NULL));
    expect_event(client, "event: flash\ndata: two\ndata: lines\nid: ");
    publish(hub, "news", "more");
    position_of(hub, "news", cursor, sizeof cursor);
    snprintf(id, sizeof id, "data: more\nid: %s\n\n", cursor);
    expect_event(client, id);
    CHECK_OK(lithe_publish(hub, "news", 4, "\xff", 1, NULL, NULL));
    expect_event(client, "data: data:application/octet-stream;base64,/w==\n");
    /* The host's own events go between them. */
    CHECK_OK(lithe_sse_send_text(sse, "own", "event", -1));
    expect_event(client, "data: event\nevent: own\n");
    CHECK_OK(lithe_sse_free(sse));
    close(client);

    /* It comes back, by another connection and in another form. */
    publish(hub, "news", "while away");
    client = client_connect(server);
    snprintf(id, sizeof id, "Last-Event-ID: %s\r\n", cursor);
    client_get(client, "/", id);
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_request_last_event_id(request, &how.cursor));
    CHECK_OK(lithe_sse_open(request, NULL, &sse));
    how.format = LITHE_FORMAT_JSON;
    CHECK_OK(lithe_sse_subscribe(sse, hub, "news", 4, &how));
    CHECK_OK(lithe_request_free(request));
    expect_event(client, "\"recovered\":true,\"was_recovering\":true");
    expect_event(client, "\"base64\":\"/w==\"");
    expect_event(client, "\"data\":\"while away\"");
    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_sse_unsubscribe(sse, hub, "other", 5));
    CHECK_OK(lithe_sse_unsubscribe(sse, hub, "news", 4));
    publish(hub, "news", "not this");
    how.cursor.ptr = "123456789abc-7";
    how.cursor.len = LITHE_CSTR;
    CHECK_OK(lithe_sse_subscribe(sse, hub, "news", 4, &how));
    expect_event(client, "\"recovered\":false");
    expect_event(client, "event: lithe.gap\ndata: {\"type\":\"gap\",\"channel\":\"news\",\"reason\":"
                         "\"epoch\"");
    how.format = LITHE_FORMAT_BINARY;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_subscribe(sse, hub, "a", 1, &how));
    CHECK_OK(lithe_sse_close(sse));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_sse_subscribe(sse, hub, "a", 1, NULL));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_sse_subscribe(hub, hub, "a", 1, NULL));
    CHECK_OK(lithe_sse_free(sse));
    close(client);
    CHECK_OK(lithe_hub_free(hub));
}

/* The value of a field of a frame. */
static void value_of(const char *frame, const char *field, char *value, size_t size) {
    const char *at = strstr(frame, field);
    CHECK(at != NULL);
    at += strlen(field);
    size_t len = strcspn(at, "\"");
    CHECK(len < size);
    memcpy(value, at, len);
    value[len] = '\0';
}

static void check_frames(lithe_server_t server) {
    int client;
    char cursor[1024], frame[8192];
    size_t len;
    lithe_subscribe_options_t how = LITHE_SUBSCRIBE_OPTIONS_INIT;
    lithe_channel_options_t channel = LITHE_CHANNEL_OPTIONS_INIT;
    const lithe_channel_options_t *namespaces[] = { &channel };
    lithe_hub_options_t options = LITHE_HUB_OPTIONS_INIT;
    lithe_hub_t hub;
    channel.presence = LITHE_PRESENCE_ANNOUNCED;
    options.namespaces = namespaces;
    options.namespace_count = 1;
    CHECK_OK(lithe_hub_create(&options, &hub));
    lithe_ws_t ws = open_websocket(server, NULL, &client);
    how.format = LITHE_FORMAT_JSON;
    CHECK_OK(lithe_ws_subscribe(ws, hub, "room", 4, &how));
    expect_frame(client, "{\"type\":\"sub\",\"channel\":\"room\",");
    publish(hub, "room", "say \"hello\"");
    expect_frame(client, "\"data\":\"say \\\"hello\\\"\"");

    /* Another one comes and goes. */
    int other;
    lithe_ws_t second = open_websocket(server, NULL, &other);
    how.client.ptr = "alice";
    how.client.len = 5;
    how.info.ptr = "{}";
    how.info.len = 2;
    CHECK_OK(lithe_ws_subscribe(second, hub, "room", 4, &how));
    expect_frame(client, "{\"type\":\"presence\",\"channel\":\"room\",\"kind\":\"joined\",\"client\":"
                         "\"alice\"");
    CHECK_OK(lithe_ws_free(second));
    expect_frame(client, "\"kind\":\"left\"");
    close(other);

    /* With several channels the cursor has a frame of its own, behind what it is about. */
    CHECK_OK(lithe_ws_subscribe(ws, hub, "alerts.*", LITHE_CSTR, NULL));
    do {
        CHECK(client_read_frame(client, frame, sizeof frame - 1, &len) == 0x81);
        frame[len] = '\0';
    } while (strstr(frame, "{\"type\":\"cursor\"") == NULL);
    publish(hub, "alerts.disk", "full");
    expect_frame(client, "\"channel\":\"alerts.disk\"");
    CHECK(client_read_frame(client, frame, sizeof frame - 1, &len) == 0x81);
    frame[len] = '\0';
    value_of(frame, "\"cursor\":\"", cursor, sizeof cursor);
    CHECK_OK(lithe_ws_free(ws));
    close(client);

    publish(hub, "room", "missed");
    publish(hub, "alerts.disk", "empty");
    ws = open_websocket(server, NULL, &client);
    lithe_subscribe_options_t back = LITHE_SUBSCRIBE_OPTIONS_INIT;
    back.format = LITHE_FORMAT_JSON;
    back.cursor.ptr = cursor;
    back.cursor.len = LITHE_CSTR;
    CHECK_OK(lithe_ws_subscribe(ws, hub, "room, alerts.*", LITHE_CSTR, &back));
    int missed = 0, empty = 0;
    do {
        CHECK(client_read_frame(client, frame, sizeof frame - 1, &len) == 0x81);
        frame[len] = '\0';
        CHECK(strstr(frame, "\"gap\"") == NULL && strstr(frame, "\"data\":\"full\"") == NULL);
        missed += strstr(frame, "\"data\":\"missed\"") != NULL;
        empty += strstr(frame, "\"data\":\"empty\"") != NULL;
    } while (missed == 0 || empty == 0);
    CHECK(missed == 1 && empty == 1);
    CHECK_OK(lithe_ws_free(ws));
    close(client);
    CHECK_OK(lithe_hub_free(hub));
}

int main(void) {
    lithe_server_t server = start();
    check_events(server);
    check_frames(server);
    CHECK_OK(lithe_server_free(server));
    return 0;
}
