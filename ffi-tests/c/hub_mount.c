/* Hubs that are mounted on a server: clients of the library's own protocol, and who lets them in. */
#include "check.h"

/* Of alice, who may subscribe to news.*, until 2100; signed with SECRET by HS256. */
#define TOKEN \
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMCw" \
    "ibGl0aGUiOnsic3Vic2NyaWJlIjpbIm5ld3MuKiJdfX0.OqIf11rARqoK2U4OkLsUCUC4kVeq49jxfjwBd7-nfTs"
#define SECRET "0123456789abcdef0123456789abcdef"

static lithe_hub_t create(void) {
    lithe_hub_t hub;
    CHECK_OK(lithe_hub_create(NULL, &hub));
    return hub;
}

static void publish(lithe_hub_t hub, const char *channel, const char *data) {
    CHECK_OK(lithe_publish(hub, channel, LITHE_CSTR, data, LITHE_CSTR, NULL, NULL));
}

static int get(lithe_server_t server, const char *path, const char *headers) {
    int client = client_connect(server);
    client_get(client, path, headers);
    return client;
}

/* Reads until that has come. */
static void expect(int client, const char *part) {
    char text[16384];
    client_read_until(client, part, text, sizeof text);
}

static void check_public(lithe_server_t server) {
    lithe_hub_t hub = create();
    CHECK_OK(lithe_server_mount(server, hub, "/public", NULL));
    int client = get(server, "/public/sse?channel=news.sport&channel=lithe.secret", "");
    expect(client, "HTTP/1.1 200 OK\r\n");
    expect(client, "event: lithe.error\ndata: {\"type\":\"error\",\"channel\":\"lithe.secret\"");
    expect(client, "event: lithe.sub\n");
    publish(hub, "news.sport", "goal");
    expect(client, "data: goal\nid: ");
    /* Below the path nothing reaches the host, beside it all does. */
    int lost = get(server, "/public/nothing", "");
    expect(lost, "HTTP/1.1 404 Not Found\r\n");
    int other = get(server, "/publicity", "");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_request_respond_text(request, 200, "text/plain", "from the host"));
    CHECK_OK(lithe_request_free(request));
    expect(other, "from the host");
    close(other);
    close(lost);
    close(client);
    CHECK_OK(lithe_hub_free(hub));
}

static void check_tokens(lithe_server_t server) {
    lithe_hub_t hub = create();
    lithe_mount_options_t options = LITHE_MOUNT_OPTIONS_INIT;
    options.authorize = LITHE_AUTHORIZE_JWT;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_mount(server, hub, "/jwt", &options));
    CHECK(strstr(lithe_last_error(), "no key") != NULL);
    options.jwt_key.ptr = SECRET;
    options.jwt_key.len = LITHE_CSTR;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_mount(server, hub, "/jwt", &options));
    options.jwt_algorithm = "none";
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_mount(server, hub, "/jwt", &options));
    options.jwt_algorithm = "RS256";
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_mount(server, hub, "/jwt", &options));
    options.jwt_algorithm = "HS256";
    options.jwt_key_file = "/there/is/no/file";
    CHECK_CODE(LITHE_ERR_IO, lithe_server_mount(server, hub, "/jwt", &options));
    options.jwt_key_file = NULL;
    options.cookie = "session";
    CHECK_OK(lithe_server_mount(server, hub, "/jwt", &options));

    int client = get(server, "/jwt/sse?channel=news.sport", "");
    expect(client, "HTTP/1.1 401 ");
    close(client);
    client = get(server, "/jwt/sse?channel=news.sport", "Authorization: Bearer nonsense\r\n");
    expect(client, "HTTP/1.1 401 ");
    close(client);
    client = get(server, "/jwt/sse?channel=news.sport&channel=other",
                 "Cookie: session=" TOKEN "\r\n");
    expect(client, "HTTP/1.1 200 OK\r\n");
    expect(client, "event: lithe.error\ndata: {\"type\":\"error\",\"channel\":\"other\"");
    expect(client, "event: lithe.sub\n");
    publish(hub, "news.sport", "goal");
    expect(client, "data: goal\n");
    close(client);
    CHECK_OK(lithe_hub_free(hub));
}

static lithe_authorization_info_t info_of(lithe_authorization_t authorization) {
    lithe_authorization_info_t info = LITHE_AUTHORIZATION_INFO_INIT;
    CHECK_OK(lithe_authorization_info(authorization, &info));
    return info;
}

static lithe_authorization_t next_question(lithe_server_t server) {
    lithe_authorization_t authorization;
    CHECK_OK(lithe_server_authorize(server, &authorization, LONG_MS));
    return authorization;
}

static void mount_asking(lithe_server_t server, lithe_hub_t hub, const char *path, int32_t timeout) {
    lithe_mount_options_t options = LITHE_MOUNT_OPTIONS_INIT;
    options.authorize = LITHE_AUTHORIZE_HOST;
    options.authorize_timeout_ms = timeout;
    CHECK_OK(lithe_server_mount(server, hub, path, &options));
}

/* Lets a client in as that. */
static void let_in(lithe_authorization_t authorization, const char *subject, uint64_t tag) {
    lithe_grant_t grant = LITHE_GRANT_INIT;
    grant.allow = 1;
    grant.subject.ptr = subject;
    grant.subject.len = LITHE_CSTR;
    grant.tag = tag;
    CHECK_OK(lithe_authorization_answer(authorization, &grant));
    CHECK_OK(lithe_authorization_free(authorization));
}

/* A thread that lets everybody in as bob, and to channel b alone, until the server is stopped. */
static void *answer_all(void *argument) {
    lithe_authorization_t authorization;
    int32_t code;
    while ((code = lithe_server_authorize(*(lithe_server_t *)argument, &authorization, -1)) ==
           LITHE_OK) {
        lithe_authorization_info_t info = info_of(authorization);
        if (info.action == LITHE_ACTION_CONNECT) {
            let_in(authorization, "bob", 77);
            continue;
        }
        CHECK(is(info.subject, "bob") && info.tag == 77 && info.token.len == 0);
        lithe_grant_t grant = LITHE_GRANT_INIT;
        grant.allow = info.action == LITHE_ACTION_SUBSCRIBE && is(info.channel, "b");
        CHECK_OK(lithe_authorization_answer(authorization, &grant));
        CHECK_OK(lithe_authorization_free(authorization));
    }
    CHECK(code == LITHE_ERR_SHUTTING_DOWN);
    return NULL;
}

static void check_question(lithe_server_t server) {
    lithe_string_t value;
    lithe_hub_t hub = create();
    mount_asking(server, hub, "/host", 0);
    int client = get(server, "/host/sse?channel=a", "Authorization: Bearer sesame\r\nX-App: 7\r\n");
    lithe_authorization_t none = 1, authorization = next_question(server);
    lithe_authorization_info_t info = info_of(authorization);
    CHECK(info.action == LITHE_ACTION_CONNECT && info.renews == 0 && info.tag == 0);
    CHECK(is(info.token, "sesame") && is(info.channel, "") && is(info.subject, ""));
    CHECK(is(info.query, "channel=a") && is(info.peer, "127.0.0.1"));
    CHECK_OK(lithe_authorization_header(authorization, "x-app", &value));
    CHECK(is(value, "7"));
    CHECK_CODE(LITHE_ERR_NOT_FOUND, lithe_authorization_header(authorization, "x-other", &value));
    CHECK(is(value, ""));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_authorization_info(authorization, NULL));
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_server_authorize(server, &none, 0));
    CHECK(none == 0);
    CHECK_OK(lithe_authorization_answer(authorization, NULL));
    CHECK_OK(lithe_authorization_free(authorization));
    expect(client, "HTTP/1.1 403 ");
    close(client);
    CHECK_OK(lithe_hub_free(hub));
}

static void check_answers(lithe_server_t server) {
    lithe_hub_t hub = create();
    lithe_grant_t grant = LITHE_GRANT_INIT;
    mount_asking(server, hub, "/ask", 0);
    struct {
        lithe_refusal refusal;
        const char *status;
    } refusals[] = { { 0, "HTTP/1.1 403 " },
                     { LITHE_REFUSAL_DENIED, "HTTP/1.1 403 " },
                     { LITHE_REFUSAL_MISSING, "HTTP/1.1 401 " },
                     { LITHE_REFUSAL_INVALID, "HTTP/1.1 401 " },
                     { LITHE_REFUSAL_EXPIRED, "HTTP/1.1 401 " } };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        int client = get(server, "/ask/sse?channel=a", "");
        lithe_authorization_t authorization = next_question(server);
        grant.refusal = refusals[i].refusal;
        CHECK_OK(lithe_authorization_answer(authorization, &grant));
        CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_authorization_answer(authorization, &grant));
        CHECK_OK(lithe_authorization_free(authorization));
        CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_authorization_free(authorization));
        expect(client, refusals[i].status);
        close(client);
    }
    /* Freed without an answer: it may try again. */
    int client = get(server, "/ask/sse?channel=a", "");
    CHECK_OK(lithe_authorization_free(next_question(server)));
    expect(client, "retry: ");
    close(client);

    /* What makes no sense is no answer. */
    client = get(server, "/ask/sse?channel=a&channel=b", "");
    lithe_authorization_t authorization = next_question(server);
    grant.refusal = 6;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_authorization_answer(authorization, &grant));
    grant.refusal = 0;
    grant.allow = 2;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_authorization_answer(authorization, &grant));
    grant.allow = 1;
    grant.subject.ptr = "two\nlines";
    grant.subject.len = LITHE_CSTR;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_authorization_answer(authorization, &grant));
    let_in(authorization, "bob", 77);
    close(client);
    CHECK_OK(lithe_hub_free(hub));
}

#define CLIENTS 100

/* Many at once, each of which gets the channel that it may have, and is told of the other. */
static void check_many(void) {
    int clients[CLIENTS];
    lithe_server_t server = start();
    lithe_hub_t hub = create();
    mount_asking(server, hub, "/ask", LONG_MS);
    pthread_t thread = start_thread(answer_all, &server);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = get(server, "/ask/sse?channel=a&channel=b", "");
    }
    for (int i = 0; i < CLIENTS; i++) {
        expect(clients[i], "event: lithe.error\ndata: {\"type\":\"error\",\"channel\":\"a\"");
        expect(clients[i], "event: lithe.sub\ndata: {\"type\":\"sub\",\"channel\":\"b\"");
    }
    publish(hub, "a", "not this");
    publish(hub, "b", "but this");
    for (int i = 0; i < CLIENTS; i++) {
        expect(clients[i], "data: but this\n");
        close(clients[i]);
    }
    CHECK_OK(lithe_server_stop(server));
    join_thread(thread);
    CHECK_OK(lithe_server_free(server));
    CHECK_OK(lithe_hub_free(hub));
}

/* Questions come as events too, and those that nobody answers are over in time. */
static void check_events_and_deadline(void) {
    lithe_server_t server = start();
    lithe_event_t event;
    lithe_hub_t hub = create();
    mount_asking(server, hub, "/ask", 50);
    int client = get(server, "/ask/sse?channel=a", "");
    while (lithe_server_wait(server, &event, 1, LONG_MS) == 0) {
    }
    CHECK(event.kind == LITHE_EVENT_AUTHORIZE && event.handle_kind == LITHE_HANDLE_AUTHORIZATION);
    expect(client, "retry: ");
    lithe_grant_t grant = LITHE_GRANT_INIT;
    grant.allow = 1;
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_authorization_answer(event.handle, &grant));
    CHECK_OK(lithe_authorization_free(event.handle));
    close(client);
    CHECK_OK(lithe_server_free(server));
    CHECK_OK(lithe_hub_free(hub));
}

static void *blocked_authorize(void *argument) {
    lithe_authorization_t authorization = 1;
    CHECK_CODE(LITHE_ERR_SHUTTING_DOWN,
               lithe_server_authorize(*(lithe_server_t *)argument, &authorization, -1));
    CHECK(authorization == 0);
    return NULL;
}

static void check_stop(void) {
    lithe_server_t server = start();
    lithe_hub_t hub = create();
    mount_asking(server, hub, "/ask", 0);
    int client = get(server, "/ask/sse?channel=a", "");
    lithe_authorization_t authorization = next_question(server);
    pthread_t thread = start_thread(blocked_authorize, &server);
    CHECK_OK(lithe_server_stop(server));
    join_thread(thread);
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_authorization_answer(authorization, NULL));
    CHECK_OK(lithe_authorization_free(authorization));
    CHECK_OK(lithe_server_free(server));
    CHECK_OK(lithe_hub_free(hub));
    close(client);
}

static void check_misuse(lithe_server_t server) {
    lithe_hub_t hub = create();
    lithe_mount_options_t options = LITHE_MOUNT_OPTIONS_INIT;
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_mount(server, server, "/x", NULL));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_server_mount(hub, hub, "/x", NULL));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_mount(server, hub, NULL, NULL));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_mount(server, hub, "/", NULL));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_mount(server, hub, "/x/{y}", NULL));
    CHECK_CODE(LITHE_ERR_NOT_UTF8, lithe_server_mount(server, hub, "/\xff", NULL));
    options.authorize = 4;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_mount(server, hub, "/x", &options));
    options.authorize = 0;
    options.retry_ms = -1;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_mount(server, hub, "/x", &options));
    options.retry_ms = 0;
    options.keep_alive_ms = -1;
    options.max_connections = -1;
    options.origins = "*";
    CHECK_OK(lithe_server_mount(server, hub, "/x", &options));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_mount(server, hub, "/x", &options));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, lithe_server_mount(server, hub, "/x/y", &options));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_authorization_answer(hub, NULL));
    CHECK_OK(lithe_hub_free(hub));
}

int main(void) {
    lithe_server_t server = start();
    check_public(server);
    check_tokens(server);
    check_question(server);
    check_answers(server);
    check_misuse(server);
    CHECK_OK(lithe_server_free(server));
    check_many();
    check_events_and_deadline();
    check_stop();
    return 0;
}
