/* Requests go to the handler of their route; those without one are answered by the library. */
#include "check.h"

/* What the handlers saw. */
static struct {
    char said[256];
    void *user_data;
    pthread_t thread;
} seen;

static char first_data, second_data;

static void say(lithe_request_t request, void *user_data) {
    lithe_string_t method, path;
    CHECK_OK(lithe_request_method(request, &method));
    CHECK_OK(lithe_request_path(request, &path));
    snprintf(seen.said, sizeof seen.said, "%s %s", method.ptr, path.ptr);
    seen.user_data = user_data;
    seen.thread = pthread_self();
    CHECK_OK(lithe_request_respond_text(request, 200, "text/plain", "routed"));
}

static void capture(lithe_request_t request, void *user_data) {
    lithe_string_t room, rest;
    (void)user_data;
    CHECK_OK(lithe_request_param(request, "room", &room));
    CHECK_OK(lithe_request_param(request, "rest", &rest));
    snprintf(seen.said, sizeof seen.said, "%s|%s", room.ptr, rest.ptr);
    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_request_param(request, "other", &room));
    CHECK(is(room, ""));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_param(request, NULL, &room));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_param(request, "room", NULL));
    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_request_param(request, "\xff", &room));
    CHECK_OK(lithe_request_respond(request, 204, NULL, 0, NULL, 0));
}

static void forget(lithe_request_t request, void *user_data) {
    (void)request;
    (void)user_data;
}

static void free_at_once(lithe_request_t request, void *user_data) {
    (void)user_data;
    CHECK_OK(lithe_request_respond(request, 204, NULL, 0, NULL, 0));
    CHECK_OK(lithe_request_free(request));
}

static lithe_request_t kept;

static void keep(lithe_request_t request, void *user_data) {
    (void)user_data;
    CHECK_OK(lithe_request_keep(request));
    kept = request;
}

/* From within the library's own call, any function may be called. */
static void add_route(lithe_request_t request, void *user_data) {
    lithe_server_t server = *(lithe_server_t *)user_data;
    CHECK_OK(lithe_server_route(server, "GET", "/late", say, &second_data, NULL));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_serve(request, 0));
    CHECK_OK(lithe_request_respond(request, 204, NULL, 0, NULL, 0));
}

static void echo(lithe_request_t request, void *user_data) {
    lithe_ws_t ws;
    (void)user_data;
    CHECK_OK(lithe_ws_accept(request, NULL, &ws));
    CHECK_OK(lithe_ws_send_text(ws, "welcome", LONG_MS));
    CHECK_OK(lithe_ws_free(ws));
}

/* Sends a request, has it served, and says with which status. Its head goes to `head`. */
static int served(lithe_server_t server, const char *request_line, char head[1024]) {
    char request[512];
    int client = client_connect(server);
    int len = snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
                       request_line);
    client_send(client, request, (size_t)len);
    memset(&seen, 0, sizeof seen);
    CHECK_OK(lithe_server_serve(server, LONG_MS));
    client_read_until(client, "\r\n\r\n", head, 1024);
    close(client);
    return atoi(head + strlen("HTTP/1.1 "));
}

static void check_routing(lithe_server_t server) {
    char head[1024];
    CHECK(served(server, "GET /a", head) == 200);
    CHECK(strcmp(seen.said, "GET /a") == 0 && seen.user_data == &first_data);
    CHECK(pthread_equal(seen.thread, pthread_self()));
    CHECK(served(server, "POST /a?x=1", head) == 200);
    CHECK(strcmp(seen.said, "POST /a") == 0 && seen.user_data == &second_data);
    CHECK(served(server, "HEAD /a", head) == 200);
    CHECK(strcmp(seen.said, "HEAD /a") == 0 && seen.user_data == &first_data);
    CHECK(strstr(head, "content-length: 6\r\n") != NULL);
    CHECK(served(server, "PURGE /any", head) == 200);

    CHECK(served(server, "DELETE /a", head) == 405);
    CHECK(strstr(head, "allow: GET, HEAD, OPTIONS, POST\r\n") != NULL);
    CHECK(served(server, "OPTIONS /a", head) == 204);
    CHECK(strstr(head, "allow: GET, HEAD, OPTIONS, POST\r\n") != NULL);
    CHECK(served(server, "GET /a/", head) == 404);
    CHECK(served(server, "GET /", head) == 404);
    CHECK(served(server, "OPTIONS *", head) == 404);

    CHECK(served(server, "GET /room/caf%C3%A9%2F%201/x/%2e%2E/y%ff", head) == 204);
    CHECK(strcmp(seen.said, "caf\xc3\xa9/ 1|x/../y\xef\xbf\xbd") == 0);
    CHECK(served(server, "GET /forget", head) == 503);
    CHECK(served(server, "GET /none", head) == 503);
    CHECK(served(server, "GET /free", head) == 204);

    CHECK(served(server, "GET /late", head) == 404);
    CHECK(served(server, "GET /add", head) == 204);
    CHECK(served(server, "GET /late", head) == 200);
    CHECK(seen.user_data == &second_data);
}

/* A handler may leave the answer to another time, and thread. */
static void *answer_late(void *argument) {
    (void)argument;
    CHECK_OK(lithe_request_respond_text(kept, 200, "text/plain", "late"));
    CHECK_OK(lithe_request_free(kept));
    return NULL;
}

static void check_keep(lithe_server_t server) {
    char head[1024];
    int client = client_connect(server);
    client_get(client, "/keep", "");
    CHECK_OK(lithe_server_serve(server, LONG_MS));
    join_thread(start_thread(answer_late, NULL));
    client_read_until(client, "\r\n\r\nlate", head, sizeof head);
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_keep(kept));
    close(client);
}

static void check_websocket(lithe_server_t server) {
    char text[1024];
    size_t len;
    int client = client_connect(server);
    client_handshake(client, "/echo", "");
    CHECK_OK(lithe_server_serve(server, LONG_MS));
    client_read_until(client, "\r\n\r\n", text, sizeof text);
    CHECK(client_read_frame(client, text, sizeof text, &len) == 0x81 && len == 7);
    close(client);
}

/* A host that dispatches by itself. */
static void check_user_data(lithe_server_t server) {
    void *user_data = &seen;
    int client = client_connect(server);
    client_get(client, "/none", "");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_request_user_data(request, &user_data));
    CHECK(user_data == &first_data);
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_user_data(request, NULL));
    CHECK_OK(lithe_request_dispatch(request));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_dispatch(request));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_free(request));
    close(client);

    client = client_connect(server);
    client_get(client, "/nowhere", "");
    request = next_request(server);
    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_request_user_data(request, &user_data));
    CHECK(user_data == NULL);
    CHECK_OK(lithe_request_respond(request, 200, NULL, 0, NULL, 0));
    CHECK_OK(lithe_request_dispatch(request));
    close(client);
}

static void check_query(lithe_server_t server) {
    lithe_string_t value;
    int client = client_connect(server);
    client_get(client, "/?a=1&b+c=d%20e%2Bf&a=2&empty=&flag&bad=%ff&nul=x%00y", "");
    lithe_request_t request = next_request(server);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(lithe_request_query_param(request, "a", &value));
        CHECK(is(value, "1"));
        CHECK_OK(lithe_request_query_param(request, "b c", &value));
        CHECK(is(value, "d e+f"));
        CHECK_OK(lithe_request_query_param(request, "empty", &value));
        CHECK(is(value, ""));
        CHECK_OK(lithe_request_query_param(request, "flag", &value));
        CHECK(is(value, ""));
        CHECK_OK(lithe_request_query_param(request, "bad", &value));
        CHECK(is(value, "\xef\xbf\xbd"));
        CHECK_OK(lithe_request_query_param(request, "nul", &value));
        CHECK(value.len == 3 && memcmp(value.ptr, "x\0y", 4) == 0);
        CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_request_query_param(request, "A", &value));
        CHECK(is(value, ""));
    }
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_query_param(request, NULL, &value));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_request_query_param(request, "a", NULL));
    CHECK_OK(lithe_request_free(request));
    close(client);
}

static void check_refused_routes(lithe_server_t server) {
    lithe_route_options_t options = LITHE_ROUTE_OPTIONS_INIT;
    const struct {
        const char *method, *pattern, *words;
    } refused[] = {
        { "GET", NULL, "NULL" },           { "GET", "", "slash" },
        { "GET", "a", "slash" },           { "GET", "/{", "/{" },
        { "GET", "/{*a}/b", "Catch-all" }, { "get", "/b", "upper case" },
        { "", "/b", "no method" },         { "GET", "/a", "already" },
        { "GET", "/b/:id", "{name}" },     { "GET", "/{b}/{b}", "twice" },
        { NULL, "/any", "already" },       { "GET", "/room/{other}/{*rest}", "conflict" },
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_route(server, refused[i].method,
                                                              refused[i].pattern, say, NULL, NULL));
        CHECK(strstr(lithe_last_error(), refused[i].words) != NULL);
    }
    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_server_route(server, NULL, "/\xff", say, NULL, NULL));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_route(0, NULL, "/b", say, NULL, NULL));
    options.stream_body = 2;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_route(server, NULL, "/b", say, NULL, &options));
    options.stream_body = 0;
    options.timeout_ms = -2;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_route(server, NULL, "/b", say, NULL, &options));
    options.timeout_ms = 0;
    options.max_body_bytes = -2;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_route(server, NULL, "/b", say, NULL, &options));
    options.size = 0;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_route(server, NULL, "/b", say, NULL, &options));
}

static void *serve(void *server) {
    while (lithe_server_serve(*(lithe_server_t *)server, -1) == LITHE_OK) {
    }
    return NULL;
}

/* Several threads may serve, until the server is stopped. */
static void check_threads(lithe_server_t server) {
    pthread_t threads[4];
    char head[1024];
    for (size_t i = 0; i < 4; i++) {
        threads[i] = start_thread(serve, &server);
    }
    for (int i = 0; i < 50; i++) {
        int client = client_connect(server);
        client_get(client, "/room/1/2", "");
        client_read_until(client, "\r\n\r\n", head, sizeof head);
        CHECK(strncmp(head, "HTTP/1.1 204 ", 13) == 0);
        close(client);
    }
    CHECK_OK(lithe_server_stop(server));
    for (size_t i = 0; i < 4; i++) {
        join_thread(threads[i]);
    }
}

int main(void) {
    lithe_server_t server = start();
    CHECK_OK(lithe_server_route(server, "GET", "/a", say, &first_data, NULL));
    CHECK_OK(lithe_server_route(server, "POST", "/a", say, &second_data, NULL));
    CHECK_OK(lithe_server_route(server, NULL, "/any", say, NULL, NULL));
    CHECK_OK(lithe_server_route(server, "GET", "/room/{room}/{*rest}", capture, NULL, NULL));
    CHECK_OK(lithe_server_route(server, "GET", "/forget", forget, NULL, NULL));
    CHECK_OK(lithe_server_route(server, "GET", "/none", NULL, &first_data, NULL));
    CHECK_OK(lithe_server_route(server, "GET", "/free", free_at_once, NULL, NULL));
    CHECK_OK(lithe_server_route(server, "GET", "/keep", keep, NULL, NULL));
    CHECK_OK(lithe_server_route(server, "GET", "/add", add_route, &server, NULL));
    CHECK_OK(lithe_server_route(server, "GET", "/echo", echo, NULL, NULL));

    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_server_serve(server, 0));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_serve(server, -2));
    check_refused_routes(server);
    check_routing(server);
    check_keep(server);
    check_websocket(server);
    check_user_data(server);
    check_query(server);
    check_threads(server);
    CHECK_CODE(LITHE_ERR_SHUTTING_DOWN, lithe_server_serve(server, -1));
    CHECK_OK(lithe_server_free(server));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_serve(server, -1));
    return 0;
}
