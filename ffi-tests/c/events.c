/* Event streams, and the ways in which they end. */
#include "check.h"

static void check_fields(lithe_server_t server) {
    char got[1024];
    int client;
    lithe_sse_options_t options = LITHE_SSE_OPTIONS_INIT;
    options.retry_ms = 1500;
    lithe_sse_t sse = open_events(server, &options, &client);
    client_read_until(client, "retry: 1500\n\n", got, sizeof got);

    lithe_sse_event_t event = LITHE_SSE_EVENT_INIT;
    event.data.ptr = "two\r\nlines, and more";
    event.data.len = 10;
    event.name.ptr = "news";
    event.name.len = LITHE_CSTR;
    event.id.ptr = "7";
    event.id.len = LITHE_CSTR;
    event.comment.ptr = "a comment";
    event.comment.len = LITHE_CSTR;
    event.retry_ms = 2500;
    CHECK_OK(lithe_sse_send(sse, &event, -1));
    client_read_until(client, "\n\n", got, sizeof got);
    CHECK(strstr(got, ": a comment\n") != NULL);
    CHECK(strstr(got, "data: two\ndata: lines\n") != NULL);
    CHECK(strstr(got, "event: news\n") != NULL);
    CHECK(strstr(got, "id: 7\n") != NULL);
    CHECK(strstr(got, "retry: 2500\n") != NULL);

    CHECK_OK(lithe_sse_send_text(sse, "tick", "now", 0));
    client_read_until(client, "\n\n", got, sizeof got);
    CHECK(strstr(got, "data: now\nevent: tick\n") != NULL);
    CHECK_OK(lithe_sse_send_text(sse, NULL, "plain", 0));
    client_read_until(client, "\n\n", got, sizeof got);
    CHECK(strstr(got, "data: plain\n") != NULL && strstr(got, "event:") == NULL);

    /* Freed while it is open: ended after what is queued. */
    CHECK_OK(lithe_sse_send_text(sse, NULL, "last words", 0));
    CHECK_OK(lithe_sse_free(sse));
    client_read_until(client, "data: last words\n\n", got, sizeof got);
    close(client);
}

static void *wait_closed(void *argument) {
    CHECK_OK(lithe_sse_wait_closed(*(lithe_sse_t *)argument, -1));
    return NULL;
}

static void *send_until_closed(void *argument) {
    static char data[65536];
    int32_t code;
    memset(data, 'x', sizeof data - 1);
    do {
        code = lithe_sse_send_text(*(lithe_sse_t *)argument, NULL, data, -1);
    } while (code == LITHE_OK);
    CHECK(code == LITHE_ERR_CLOSED);
    return NULL;
}

static void check_ends(void) {
    int client;
    lithe_server_t server = start();

    lithe_sse_t sse = open_events(server, NULL, &client);
    pthread_t waiter = start_thread(wait_closed, &sse);
    client_reset(client);
    join_thread(waiter);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_sse_send_text(sse, NULL, "x", -1));
    CHECK_OK(lithe_sse_free(sse));

    sse = open_events(server, NULL, &client);
    waiter = start_thread(wait_closed, &sse);
    pthread_t sender = start_thread(send_until_closed, &sse);
    CHECK_OK(lithe_sse_close(sse));
    join_thread(waiter);
    join_thread(sender);
    CHECK_OK(lithe_sse_free(sse));
    close(client);

    sse = open_events(server, NULL, &client);
    waiter = start_thread(wait_closed, &sse);
    sender = start_thread(send_until_closed, &sse);
    CHECK_OK(lithe_server_stop(server));
    join_thread(waiter);
    join_thread(sender);
    CHECK_OK(lithe_sse_free(sse));
    close(client);
    CHECK_OK(lithe_server_free(server));
}

/* A drain gives the client a time to come back after, and ends the stream. */
static void check_drain(void) {
    char got[256];
    int client;
    lithe_drain_report_t report = LITHE_DRAIN_REPORT_INIT;
    lithe_server_t server = start();
    lithe_sse_t sse = open_events(server, NULL, &client);
    CHECK_OK(lithe_server_drain(server, LONG_MS, &report));
    CHECK(report.drained == 1 && report.cut == 0);
    client_read_until(client, "\n\n", got, sizeof got);
    CHECK(strstr(got, "retry: ") != NULL);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_sse_send_text(sse, NULL, "x", -1));
    CHECK_OK(lithe_sse_free(sse));
    CHECK_OK(lithe_server_free(server));
    close(client);
}

int main(void) {
    lithe_server_t server = start();
    check_fields(server);
    CHECK_OK(lithe_server_free(server));
    check_ends();
    check_drain();
    return 0;
}
