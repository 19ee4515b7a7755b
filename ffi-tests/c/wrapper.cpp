// lithe.hpp: objects end what they own, once, wherever they were moved to meanwhile.
extern "C" {
#include "check.h"
}
#define LITHE_EXCEPTIONS
#include <lithe.hpp>

static const char *const LAST_WORDS = "last words of a message that is too long for a short string";

static void check_text() {
    CHECK(!lithe::text() && lithe::text("") && lithe::text() == lithe::text(""));
    CHECK(lithe::text("abc") == std::string("abc") && lithe::text("abc") != "ab");
    CHECK(lithe::text("abcd", 3) == "abc" && lithe::text("abcd", 3).str().size() == 3);
    CHECK(lithe::text("abc").size() == 3 && lithe::text().str().empty());
}

static void check_handles_that_are_empty(const lithe::server &server) {
    lithe::websocket ws;
    lithe::message message;
    lithe::request request;
    CHECK(!ws && !request && request.method().size() == 0 && !request.is_websocket());
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, ws.receive(message, 0));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, ws.send("text"));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, ws.accept(request));
    CHECK(ws.pause() == LITHE_ERR_BAD_HANDLE && ws.resume() == LITHE_ERR_BAD_HANDLE);
    CHECK_CODE(LITHE_ERR_TIMEOUT, server.accept(request, 0));
    try {
        lithe::check(request.respond(200, "nobody"));
        CHECK(!"an error is thrown");
    } catch (const lithe::error &error) {
        CHECK(error.code() == LITHE_ERR_BAD_HANDLE && strlen(error.what()) > 0);
    }
    CHECK(lithe::check(server.port()) > 0);
}

static void check_requests(const lithe::server &server) {
    char response[1024];
    lithe::request request;
    int client = client_connect(server.raw());
    client_get(client, "/path?query", "X-Name: value\r\nLast-Event-ID: 7\r\n");
    CHECK_OK(server.accept(request, LONG_MS));
    CHECK(request.method() == "GET" && request.path() == "/path" && request.query() == "query");
    CHECK(request.header("x-name") == "value" && !request.header(std::string("x-none")));
    CHECK(request.last_event_id() == "7" && request.body() && request.body().size() == 0);
    lithe_header_t first;
    CHECK(request.header_count() >= 3);
    CHECK_OK(request.header_at(0, first));
    CHECK(lithe::text(first.name) == "host");
    CHECK_OK(request.respond(201, "made", { lithe::header("x-made", "by C++") }));
    CHECK_CODE(LITHE_ERR_WRONG_STATE, request.respond(200, "again"));
    client_read_until(client, "\r\n\r\nmade", response, sizeof response);
    CHECK(strstr(response, " 201 ") && strstr(response, "x-made: by C++\r\n"));

    // The next request takes the place of the one before.
    client_get(client, "/", "");
    CHECK_OK(server.accept(request, LONG_MS));
    CHECK_OK(request.respond(200, std::string("text")));
    client_read_until(client, "\r\n\r\ntext", response, sizeof response);
    CHECK(strstr(response, "content-type: text/plain; charset=utf-8\r\n"));

    // One that was never answered is, when its owner ends.
    client_get(client, "/", "");
    CHECK_OK(server.accept(request, LONG_MS));
    { lithe::request owner = std::move(request); }
    CHECK(!request);
    client_read_until(client, "\r\n", response, sizeof response);
    CHECK(strstr(response, " 503 "));
    close(client);
}

static lithe::websocket open_in_cpp(const lithe::server &server, int *client,
                                    const lithe::websocket_options &options = {}) {
    char response[1024];
    lithe::request request;
    lithe::websocket ws;
    *client = client_connect(server.raw());
    client_handshake(*client, "/", "");
    CHECK_OK(server.accept(request, LONG_MS));
    CHECK(request.is_websocket());
    CHECK_OK(ws.accept(request, options));
    client_read_until(*client, "\r\n\r\n", response, sizeof response);
    return ws;
}

static void check_websockets(const lithe::server &server) {
    char got[125];
    size_t len;
    int client;
    lithe::message message, kept;
    lithe::buffer buffer;
    {
        lithe::websocket ws = open_in_cpp(server, &client);
        client_send_frame(client, 0x81, LAST_WORDS, strlen(LAST_WORDS));
        client_send_frame(client, 0x82, "bytes", 5);
        CHECK_OK(ws.receive(message, LONG_MS));
        kept = std::move(message);
        CHECK_OK(ws.receive(message, LONG_MS));
        CHECK(kept.is_text() && kept.text() == LAST_WORDS && kept.str() == LAST_WORDS);
        CHECK(message.kind() == LITHE_BINARY && message.text() == "bytes");
        CHECK_OK(ws.send(kept));
        CHECK_OK(ws.send("text", 0));
        CHECK_OK(ws.send_binary(std::string("\0\1", 2)));
        CHECK_OK(buffer.create("shared"));
        CHECK_OK(ws.send(buffer));
        CHECK_OK(buffer.create(message));
        CHECK_OK(ws.send(buffer));
        CHECK(client_read_frame(client, got, sizeof got, &len) == 0x81);
        CHECK(lithe::text(got, len) == LAST_WORDS);
        CHECK(client_read_frame(client, got, sizeof got, &len) == 0x81 && len == 4);
        CHECK(client_read_frame(client, got, sizeof got, &len) == 0x82 && len == 2 && got[1] == 1);
        CHECK(client_read_frame(client, got, sizeof got, &len) == 0x81 && len == 6);
        CHECK(client_read_frame(client, got, sizeof got, &len) == 0x82 && len == 5);
        CHECK_CODE(LITHE_ERR_TIMEOUT, ws.receive(message, 0));
        CHECK(message.size() == 0 && ws.protocol().size() == 0);
    }
    // It was closed as it went out of scope; what it has received lives on.
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x88);
    CHECK(len == 2 && memcmp(got, "\x03\xe8", 2) == 0 && kept.text() == LAST_WORDS);
    close(client);

    lithe::close_info info;
    lithe::websocket ws = open_in_cpp(server, &client);
    CHECK_OK(ws.close(4000, "done"));
    CHECK(client_read_frame(client, got, sizeof got, &len) == 0x88 && len == 6);
    client_send_frame(client, 0x88, "\x0f\xa0", 2);
    CHECK_OK(ws.wait_closed(info, LONG_MS));
    CHECK(info.code == 4000 && info.clean == 1 && ws.queued() == 0);
    close(client);

    // Over to C and back.
    ws = open_in_cpp(server, &client);
    lithe_ws_t raw = ws.release();
    CHECK(!ws);
    CHECK_OK(lithe_ws_send_text(raw, "from C", -1));
    CHECK_OK(lithe::websocket(raw).send("from C++"));
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_ws_free(raw));
    close(client);
}

static void check_event_streams(const lithe::server &server) {
    char response[1024];
    lithe::request request;
    lithe::event_stream stream;
    int client = client_connect(server.raw());
    client_get(client, "/", "");
    CHECK_OK(server.accept(request, LONG_MS));
    CHECK_OK(stream.open(request));
    lithe::stream_event event;
    event.name = lithe::text("tick");
    event.data = lithe::text("1\n2");
    CHECK_OK(stream.send(event));
    CHECK_OK(stream.send(std::string("3")));
    client_read_until(client, "data: 1\ndata: 2\nevent: tick\n\n", response, sizeof response);
    client_read_until(client, "data: 3\n\n", response, sizeof response);
    CHECK_CODE(LITHE_ERR_TIMEOUT, stream.wait_closed(0));
    CHECK_OK(stream.close());
    CHECK_OK(stream.wait_closed(LONG_MS));
    close(client);
}

static void check_event_batches(const lithe::server &server) {
    int client;
    lithe::websocket_options options;
    options.events = 1;
    options.user_data = 42;
    lithe::event_batch events(8);
    lithe::message message;
    lithe::websocket ws = open_in_cpp(server, &client, options);
    client_send_frame(client, 0x81, LAST_WORDS, strlen(LAST_WORDS));
    client_send_frame(client, 0x81, LAST_WORDS, strlen(LAST_WORDS));
    for (int messages = 0; messages < 2;) {
        CHECK(server.wait(events, LONG_MS) == (int)events.size());
        for (lithe_event_t &event : events) {
            CHECK(event.handle == ws.raw() && event.user_data == 42);
            if (event.kind == LITHE_EVENT_MESSAGE && messages++ == 0)
                message = lithe::message(event.message);
        }
    }
    CHECK_OK(ws.pause());
    client_send_frame(client, 0x81, LAST_WORDS, strlen(LAST_WORDS));
    CHECK_OK(ws.resume());
    CHECK(server.wait(events, LONG_MS) == 1 && events.begin()->kind == LITHE_EVENT_MESSAGE);
    CHECK_OK(server.wake());
    CHECK(server.wait(events, LONG_MS) == 0 && events.begin() == events.end());
    CHECK(message.text() == LAST_WORDS);
    close(client);
}

static void check_hubs(const lithe::server &server) {
    char response[4096], got[125];
    size_t len;
    int ws_client, client = client_connect(server.raw());
    lithe::hub hub, moved;
    lithe::hub_options options;
    options.longest_token_ms = 60000;
    CHECK_OK(moved.create(options));
    hub = std::move(moved);
    CHECK(hub && !moved && hub.health() == 1);
    CHECK_CODE(LITHE_ERR_BAD_HANDLE, moved.publish("news", "lost"));

    lithe::request request;
    lithe::event_stream stream;
    client_get(client, "/", "");
    CHECK_OK(server.accept(request, LONG_MS));
    CHECK_OK(stream.open(request));
    CHECK_OK(stream.subscribe(hub, "news"));
    lithe::websocket ws = open_in_cpp(server, &ws_client);
    lithe::subscribe_options as_json;
    as_json.format = LITHE_FORMAT_JSON;
    CHECK_OK(ws.subscribe(hub, std::string("news"), as_json));
    CHECK(client_read_frame(ws_client, got, sizeof got, &len) == 0x81);
    CHECK(lithe::text(got, len).str().find("\"sub\"") != std::string::npos);

    lithe::publish_result published;
    lithe::publish_options once;
    once.idempotency_key = lithe::text("once");
    for (int again = 0; again < 2; again++) {
        CHECK_OK(hub.publish("news", "read all about it", once, &published));
        CHECK(published.position.offset == 1 && published.duplicate == again);
        CHECK(published.receivers == 2);
    }
    client_read_until(client, "data: read all about it\n", response, sizeof response);
    CHECK(client_read_frame(ws_client, got, sizeof got, &len) == 0x81);
    CHECK(lithe::text(got, len).str().find("read all about it") != std::string::npos);
    CHECK_OK(ws.unsubscribe(hub, "news"));
    CHECK_CODE(LITHE_ERR_NOT_FOUND, ws.unsubscribe(hub, "news"));
    CHECK_OK(stream.unsubscribe(hub, "news"));

    lithe::history_ends ends;
    lithe::publication_page page(1);
    lithe_position_t position;
    CHECK_OK(hub.publish("news", std::string("two\0words", 9)));
    CHECK_OK(hub.position("news", position));
    CHECK(hub.history("news", page, 0, &ends) == 1 && page.size() == 1);
    CHECK(ends.to.offset == 2 && ends.to.epoch == position.epoch && position.offset == 2);
    CHECK(lithe::text(page.begin()->data, page.begin()->len) == "read all about it");
    CHECK(hub.history("news", page, 1) == 1 && page.begin()->len == 9);
    CHECK(hub.history("news", page, 2) == 0 && page.begin() == page.end());
    lithe::hub_stats stats;
    CHECK_OK(hub.stats(stats));
    CHECK(stats.published == 2 && stats.duplicates == 1);
    lithe::revocation revocation;
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, hub.revoke(revocation));
    revocation.subject = lithe::text("mallory");
    CHECK_OK(hub.revoke(revocation));
    close(ws_client);
    close(client);
}

static void check_questions(const lithe::hub &hub, const lithe::server &server) {
    char response[4096];
    lithe::authorization question;
    lithe::authorization_info info;
    lithe::grant grant;
    lithe::mount_options options;
    options.authorize = LITHE_AUTHORIZE_HOST;
    CHECK_OK(server.mount(hub, "/hub", options));
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, server.mount(hub, "/hub"));
    int client = client_connect(server.raw());
    client_get(client, "/hub/sse?channel=news", "X-Name: value\r\n");
    CHECK_OK(server.authorize(question, LONG_MS));
    CHECK_OK(question.info(info));
    CHECK(info.action == LITHE_ACTION_CONNECT && lithe::text(info.query) == "channel=news");
    CHECK(question.header("x-name") == "value" && !question.header("x-none"));
    grant.allow = 1;
    CHECK_OK(question.answer(grant));
    // The one about the channel takes its place, and is the last one freed.
    CHECK_OK(server.authorize(question, LONG_MS));
    CHECK_OK(question.answer(grant));
    client_read_until(client, "event: lithe.sub\n", response, sizeof response);
    CHECK_OK(hub.publish("news", "words"));
    client_read_until(client, "data: words\n", response, sizeof response);
    close(client);
    // Without an answer, the client is to try again.
    client = client_connect(server.raw());
    client_get(client, "/hub/sse?channel=news", "");
    CHECK_OK(server.authorize(question, LONG_MS));
    { lithe::authorization owner = std::move(question); }
    client_read_until(client, "retry: ", response, sizeof response);
    CHECK_CODE(LITHE_ERR_TIMEOUT, server.authorize(question, 0));
    CHECK(!question);
    close(client);
}

int main() {
    lithe::hub hub;
    lithe::server server, moved;
    lithe::server_config config;
    lithe::drain_report report;
    config.address = "nowhere";
    CHECK_CODE(LITHE_ERR_BAD_ARGUMENT, moved.start(config));
    CHECK(!moved);
    CHECK_OK(moved.start());
    server = std::move(moved);
    CHECK(server && !moved && server.address().str().find("127.0.0.1:") == 0);
    check_text();
    check_handles_that_are_empty(server);
    check_requests(server);
    check_websockets(server);
    check_event_streams(server);
    check_event_batches(server);
    check_hubs(server);
    CHECK_OK(hub.create());
    check_questions(hub, server);
    CHECK_OK(server.drain(LONG_MS, &report));
    lithe::request none;
    CHECK_CODE(LITHE_ERR_SHUTTING_DOWN, server.accept(none));
    return 0;
}
