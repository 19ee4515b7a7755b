/* Events for hosts that have sockets of their own. */
#include "check.h"

static void check_format(const lithe_sse_event_t *event, const char *expected) {
    char buffer[256];
    size_t len = 99;
    size_t needed = strlen(expected);

    CHECK_CODE(LITHE_ERR_TOO_SMALL, lithe_sse_format(event, NULL, 0, &len));
    CHECK(len == needed);
    memset(buffer, '#', sizeof buffer);
    CHECK_CODE(LITHE_ERR_TOO_SMALL, lithe_sse_format(event, buffer, needed - 1, &len));
    CHECK(len == needed && buffer[0] == '#');
    CHECK_OK(lithe_sse_format(event, buffer, needed, &len));
    CHECK(len == needed && memcmp(buffer, expected, needed) == 0 && buffer[needed] == '#');
    CHECK_OK(lithe_sse_format(event, buffer, sizeof buffer, &len));
    CHECK(len == needed && memcmp(buffer, expected, needed) == 0 && buffer[needed] == '#');
}

int main(void) {
    char buffer[64];
    size_t len = 99;
    lithe_sse_event_t event = LITHE_SSE_EVENT_INIT;
    const lithe_string_t none = { NULL, 0 };
    const lithe_string_t two_lines = LITHE_STRING("two\r\nlines");
    const lithe_string_t name = LITHE_STRING("progress");
    const lithe_string_t id = { "7 and more", 1 };
    const lithe_string_t comment = LITHE_STRING("ready");
    const lithe_string_t not_utf8 = LITHE_STRING("\xff");

    check_format(&event, "\n");
    event.data = two_lines;
    check_format(&event, "data: two\ndata: lines\n\n");
    event.name = name;
    event.id = id;
    event.comment = comment;
    event.retry_ms = 3000;
    check_format(&event, ": ready\ndata: two\ndata: lines\nevent: progress\nid: 7\nretry: 3000\n\n");

    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_format(&event, NULL, sizeof buffer * 2, &len));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_format(&event, buffer, sizeof buffer, NULL));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_format(NULL, buffer, sizeof buffer, &len));
    CHECK(len == 0);
    event.name = two_lines;
    len = 99;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_format(&event, buffer, sizeof buffer, &len));
    CHECK(len == 0);
    event.name = none;
    event.data = not_utf8;
    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_sse_format(&event, buffer, sizeof buffer, &len));
    event.size = 3;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_sse_format(&event, buffer, sizeof buffer, &len));
    return 0;
}
