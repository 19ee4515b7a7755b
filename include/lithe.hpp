/*
 * Lithe for C++11 and newer: what lithe.h gives out, in classes that free it.
 *
 *     lithe::server server;
 *     lithe::request request;
 *     if (server.start() != LITHE_OK)
 *         return std::fprintf(stderr, "%s\n", lithe_last_error()), 1;
 *     while (server.accept(request) == LITHE_OK)
 *         request.respond(200, "hello\n");
 *
 * This is a thin layer: lithe.h is the manual, of ownership, blocking, threads and errors too. Each
 * function here is the one of that name there, with the handle left out. Handles are objects that
 * can be moved but not copied, and whose end is that of the handle; an empty one, such as one that
 * was moved from, is a bad handle. raw() is for what is only in lithe.h.
 *
 * Errors are the codes of lithe.h. Nothing throws, but for std::bad_alloc where a std::string is
 * made, and works without exceptions and type information. Whoever wants exceptions defines
 * LITHE_EXCEPTIONS before including this, and writes lithe::check(server.start()).
 */

#ifndef LITHE_HPP
#define LITHE_HPP

#include "lithe.h"

#include <cstddef>
#include <cstdint>
#include <string>
#if __cplusplus >= 201703L
#include <string_view>
#endif
#include <utility>
#include <vector>

#ifdef LITHE_EXCEPTIONS
#include <stdexcept>
#endif

namespace lithe {

/// Waits for ever.
constexpr std::int32_t forever = -1;

#ifdef LITHE_EXCEPTIONS
/// A code of lithe.h, with lithe_last_error() as its text.
class error : public std::runtime_error {
public:
    explicit error(std::int64_t code)
        : std::runtime_error(lithe_last_error()), code_(static_cast<std::int32_t>(code)) {}
    std::int32_t code() const noexcept { return code_; }

private:
    std::int32_t code_;
};

/// Throws an error for a negative number, and returns any other.
template <typename Code>
Code check(Code code) {
    if (code < 0)
        throw error(code);
    return code;
}
#endif

/// Text, or bytes, that belong to something else: to what they were asked of, or to the caller.
struct text : lithe_string_t {
    text() noexcept : lithe_string_t{nullptr, 0} {}
    text(const char *terminated) noexcept : lithe_string_t{terminated, LITHE_CSTR} {}
    text(const char *bytes, std::size_t size) noexcept : lithe_string_t{bytes, size} {}
    text(const std::string &string) noexcept : lithe_string_t{string.data(), string.size()} {}
    text(lithe_string_t string) noexcept : lithe_string_t(string) {}

    /// Whether there is any text at all, be it empty. A header that did not come is none.
    explicit operator bool() const noexcept { return ptr != nullptr; }
    const char *data() const noexcept { return ptr; }
    std::size_t size() const noexcept {
        return !ptr ? 0 : len == LITHE_CSTR ? std::char_traits<char>::length(ptr) : len;
    }
    std::string str() const { return ptr ? std::string(ptr, size()) : std::string(); }
#if __cplusplus >= 201703L
    text(std::string_view view) noexcept : lithe_string_t{view.data(), view.size()} {}
    operator std::string_view() const noexcept { return {ptr, size()}; }
#endif
    friend bool operator==(const text &a, const text &b) noexcept {
        return a.size() == b.size()
            && (a.size() == 0 || std::char_traits<char>::compare(a.ptr, b.ptr, a.size()) == 0);
    }
    friend bool operator!=(const text &a, const text &b) noexcept { return !(a == b); }
};

/// The structs of lithe.h, initialized with their defaults.
struct server_config : lithe_server_config_t {
    server_config() noexcept : lithe_server_config_t LITHE_SERVER_CONFIG_INIT {}
};
struct drain_report : lithe_drain_report_t {
    drain_report() noexcept : lithe_drain_report_t LITHE_DRAIN_REPORT_INIT {}
};
struct websocket_options : lithe_ws_options_t {
    websocket_options() noexcept : lithe_ws_options_t LITHE_WS_OPTIONS_INIT {}
};
struct close_info : lithe_ws_close_info_t {
    close_info() noexcept : lithe_ws_close_info_t LITHE_WS_CLOSE_INFO_INIT {}
};
struct event_stream_options : lithe_sse_options_t {
    event_stream_options() noexcept : lithe_sse_options_t LITHE_SSE_OPTIONS_INIT {}
};
struct stream_event : lithe_sse_event_t {
    stream_event() noexcept : lithe_sse_event_t LITHE_SSE_EVENT_INIT {}
};
struct hub_options : lithe_hub_options_t {
    hub_options() noexcept : lithe_hub_options_t LITHE_HUB_OPTIONS_INIT {}
};
struct channel_options : lithe_channel_options_t {
    channel_options() noexcept : lithe_channel_options_t LITHE_CHANNEL_OPTIONS_INIT {}
};
struct publish_options : lithe_publish_options_t {
    publish_options() noexcept : lithe_publish_options_t LITHE_PUBLISH_OPTIONS_INIT {}
};
struct publish_result : lithe_published_t {
    publish_result() noexcept : lithe_published_t LITHE_PUBLISHED_INIT {}
};
struct hub_stats : lithe_hub_stats_t {
    hub_stats() noexcept : lithe_hub_stats_t LITHE_HUB_STATS_INIT {}
};
struct history_ends : lithe_history_t {
    history_ends() noexcept : lithe_history_t LITHE_HISTORY_INIT {}
};
struct subscribe_options : lithe_subscribe_options_t {
    subscribe_options() noexcept : lithe_subscribe_options_t LITHE_SUBSCRIBE_OPTIONS_INIT {}
};
struct mount_options : lithe_mount_options_t {
    mount_options() noexcept : lithe_mount_options_t LITHE_MOUNT_OPTIONS_INIT {}
};
struct authorization_info : lithe_authorization_info_t {
    authorization_info() noexcept : lithe_authorization_info_t LITHE_AUTHORIZATION_INFO_INIT {}
};
struct grant : lithe_grant_t {
    grant() noexcept : lithe_grant_t LITHE_GRANT_INIT {}
};
struct revocation : lithe_revocation_t {
    revocation() noexcept : lithe_revocation_t LITHE_REVOCATION_INIT {}
};
struct header : lithe_header_t {
    header() noexcept : lithe_header_t{text(), text()} {}
    header(text key, text content) noexcept : lithe_header_t{key, content} {}
};

/// Owns a handle, and ends it with `Free`.
template <std::int32_t (*Free)(std::uint64_t)>
class handle {
public:
    handle() noexcept : raw_(0) {}
    explicit handle(std::uint64_t raw) noexcept : raw_(raw) {}
    handle(handle &&other) noexcept : raw_(other.release()) {}
    handle &operator=(handle &&other) noexcept {
        reset(other.release());
        return *this;
    }
    ~handle() { reset(); }

    explicit operator bool() const noexcept { return raw_ != 0; }
    std::uint64_t raw() const noexcept { return raw_; }
    /// Ends the handle, and owns another.
    void reset(std::uint64_t raw = 0) noexcept {
        const std::uint64_t old = raw_;
        raw_ = raw;
        if (old != 0 && old != raw)
            Free(old);
    }
    /// Leaves the handle to the caller.
    std::uint64_t release() noexcept {
        const std::uint64_t raw = raw_;
        raw_ = 0;
        return raw;
    }

protected:
    /// The text that a function gives, or none.
    text get(std::int32_t (*function)(std::uint64_t, lithe_string_t *)) const noexcept {
        text result;
        return function(raw_, &result) == LITHE_OK ? result : text();
    }
    /// Owns the handle that a function has made.
    std::int32_t own(std::int32_t code, std::uint64_t made) noexcept {
        reset(made);
        return code;
    }

private:
    std::uint64_t raw_;
};

/// A message that was received.
class message {
public:
    message() noexcept : raw_ LITHE_MESSAGE_INIT {}
    /// Takes the message out of a struct, such as that in an event.
    explicit message(lithe_message_t &raw) noexcept : raw_(raw) {
        raw = lithe_message_t LITHE_MESSAGE_INIT;
    }
    message(message &&other) noexcept : message(other.raw_) {}
    message &operator=(message &&other) noexcept {
        std::swap(raw_, other.raw_);
        return *this;
    }
    ~message() { lithe_message_free(&raw_); }

    lithe_message_kind kind() const noexcept { return raw_.kind; }
    bool is_text() const noexcept { return raw_.kind == LITHE_TEXT; }
    const char *data() const noexcept { return raw_.data; }
    std::size_t size() const noexcept { return raw_.len; }
    /// Valid for as long as the message is.
    lithe::text text() const noexcept { return lithe::text(raw_.data, raw_.len); }
    std::string str() const { return text().str(); }
    /// For the functions of lithe.h that take a message.
    const lithe_message_t *raw() const noexcept { return &raw_; }
    /// Where a function of lithe.h puts a message; the one that was there is freed.
    lithe_message_t *out() noexcept {
        lithe_message_free(&raw_);
        return &raw_;
    }

private:
    lithe_message_t raw_;
};

/// What lithe_server_wait gives at once. Messages that are not taken out are freed with it.
class event_batch {
public:
    explicit event_batch(std::size_t capacity) : events_(capacity), size_(0) {}
    event_batch(const event_batch &) = delete;
    event_batch &operator=(const event_batch &) = delete;
    ~event_batch() { clear(); }

    lithe_event_t *begin() noexcept { return events_.data(); }
    lithe_event_t *end() noexcept { return events_.data() + size_; }
    std::size_t size() const noexcept { return size_; }
    void clear() noexcept {
        lithe_event_free(events_.data(), size_);
        size_ = 0;
    }

private:
    friend class server;
    std::vector<lithe_event_t> events_;
    std::size_t size_;
};

class request : public handle<lithe_request_free> {
public:
    using handle::handle;

    /// The texts are valid until the request is freed or another one is put here.
    lithe::text method() const noexcept { return get(lithe_request_method); }
    lithe::text path() const noexcept { return get(lithe_request_path); }
    lithe::text query() const noexcept { return get(lithe_request_query); }
    lithe::text peer() const noexcept { return get(lithe_request_peer); }
    lithe::text body() const noexcept { return get(lithe_request_body); }
    lithe::text protocols() const noexcept { return get(lithe_request_protocols); }
    /// No text when the client comes for the first time.
    lithe::text last_event_id() const noexcept { return get(lithe_request_last_event_id); }
    /// No text when there is no such header.
    lithe::text header(lithe::text name) const noexcept {
        lithe::text value;
        const std::int32_t code = lithe_request_header(raw(), name.ptr, name.len, &value);
        return code == LITHE_OK ? value : lithe::text();
    }
    std::int32_t header_count() const noexcept { return lithe_request_header_count(raw()); }
    std::int32_t header_at(std::size_t index, lithe_header_t &header) const noexcept {
        return lithe_request_header_at(raw(), index, &header);
    }
    bool is_websocket() const noexcept { return lithe_request_is_websocket(raw()) == 1; }

    std::int32_t respond(std::int32_t status, lithe::text body,
                         const std::vector<lithe_header_t> &headers) const noexcept {
        return lithe_request_respond(raw(), status, headers.data(), headers.size(), body.ptr,
                                     body.len);
    }
    std::int32_t respond(std::int32_t status, lithe::text body,
                         lithe::text type = "text/plain; charset=utf-8") const noexcept {
        const lithe_header_t header = {LITHE_STRING("content-type"), type};
        return lithe_request_respond(raw(), status, &header, 1, body.ptr, body.len);
    }
};

/// A page of a channel's history, as lithe_hub_history gives it, and frees it.
class publication_page {
public:
    explicit publication_page(std::size_t capacity) : publications_(capacity), size_(0) {}
    publication_page(const publication_page &) = delete;
    publication_page &operator=(const publication_page &) = delete;
    ~publication_page() { clear(); }

    const lithe_publication_t *begin() const noexcept { return publications_.data(); }
    const lithe_publication_t *end() const noexcept { return publications_.data() + size_; }
    std::size_t size() const noexcept { return size_; }
    void clear() noexcept {
        lithe_publication_free(publications_.data(), size_);
        size_ = 0;
    }

private:
    friend class hub;
    std::vector<lithe_publication_t> publications_;
    std::size_t size_;
};

/// Declared before the servers that it is mounted on, it ends behind them.
class hub : public handle<lithe_hub_free> {
public:
    using handle::handle;

    /// Ends the hub that was here, and makes another.
    std::int32_t create(const lithe_hub_options_t *options = nullptr) noexcept {
        reset();
        lithe_hub_t made = 0;
        const std::int32_t code = lithe_hub_create(options, &made);
        return own(code, made);
    }
    std::int32_t create(const lithe_hub_options_t &options) noexcept { return create(&options); }
    std::int32_t publish(text channel, text data, const lithe_publish_options_t *options = nullptr,
                         lithe_published_t *result = nullptr) const noexcept {
        return lithe_publish(raw(), channel.ptr, channel.len, data.ptr, data.len, options, result);
    }
    std::int32_t publish(text channel, text data, const lithe_publish_options_t &options,
                         lithe_published_t *result = nullptr) const noexcept {
        return publish(channel, data, &options, result);
    }
    /// Frees the publications that were there.
    std::int32_t history(text channel, publication_page &page, std::uint64_t after = 0,
                         lithe_history_t *ends = nullptr) const noexcept {
        page.clear();
        const std::int32_t count =
            lithe_hub_history(raw(), channel.ptr, channel.len, after, page.publications_.data(),
                              page.publications_.size(), ends);
        page.size_ = count > 0 ? static_cast<std::size_t>(count) : 0;
        return count;
    }
    std::int32_t position(text channel, lithe_position_t &position) const noexcept {
        return lithe_hub_position(raw(), channel.ptr, channel.len, &position);
    }
    std::int32_t revoke(const lithe_revocation_t &revocation) const noexcept {
        return lithe_hub_revoke(raw(), &revocation);
    }
    std::int32_t health() const noexcept { return lithe_hub_health(raw()); }
    std::int32_t stats(hub_stats &stats) const noexcept { return lithe_hub_stats(raw(), &stats); }
};

/// What the host is asked about a client of a hub. One that is not answered refuses at its end.
class authorization : public handle<lithe_authorization_free> {
public:
    using handle::handle;

    /// The texts are valid until the question is freed or another one is put here.
    std::int32_t info(authorization_info &info) const noexcept {
        return lithe_authorization_info(raw(), &info);
    }
    /// No text when there is no such header.
    lithe::text header(const char *name) const noexcept {
        lithe::text value;
        const std::int32_t code = lithe_authorization_header(raw(), name, &value);
        return code == LITHE_OK ? value : lithe::text();
    }
    std::int32_t answer(const lithe_grant_t &grant) const noexcept {
        return lithe_authorization_answer(raw(), &grant);
    }
};

class server : public handle<lithe_server_free> {
public:
    using handle::handle;

    /// Ends the server that was here, and starts another.
    std::int32_t start(const lithe_server_config_t *config = nullptr) noexcept {
        reset();
        lithe_server_t made = 0;
        const std::int32_t code = lithe_server_start(config, &made);
        return own(code, made);
    }
    std::int32_t start(const lithe_server_config_t &config) noexcept { return start(&config); }
    std::int32_t port() const noexcept { return lithe_server_port(raw()); }
    text address() const noexcept { return get(lithe_server_address); }
    /// Frees the request that was there.
    std::int32_t accept(request &next, std::int32_t timeout_ms = forever) const noexcept {
        next.reset();
        lithe_request_t made = 0;
        const std::int32_t code = lithe_server_accept(raw(), &made, timeout_ms);
        next.reset(made);
        return code;
    }
    std::int32_t mount(const hub &mounted, const char *path,
                       const lithe_mount_options_t *options = nullptr) const noexcept {
        return lithe_server_mount(raw(), mounted.raw(), path, options);
    }
    std::int32_t mount(const hub &mounted, const char *path,
                       const lithe_mount_options_t &options) const noexcept {
        return mount(mounted, path, &options);
    }
    /// Frees the question that was there.
    std::int32_t authorize(authorization &next, std::int32_t timeout_ms = forever) const noexcept {
        next.reset();
        lithe_authorization_t made = 0;
        const std::int32_t code = lithe_server_authorize(raw(), &made, timeout_ms);
        next.reset(made);
        return code;
    }
    /// Frees the events that were there.
    std::int32_t wait(event_batch &events, std::int32_t timeout_ms = forever) const noexcept {
        events.clear();
        const std::int32_t count =
            lithe_server_wait(raw(), events.begin(), events.events_.size(), timeout_ms);
        events.size_ = count > 0 ? static_cast<std::size_t>(count) : 0;
        return count;
    }
    std::int32_t wake() const noexcept { return lithe_server_wake(raw()); }
    int event_fd() const noexcept { return lithe_server_event_fd(raw()); }
    std::int32_t drain(std::int32_t timeout_ms, drain_report *report = nullptr) const noexcept {
        return lithe_server_drain(raw(), timeout_ms, report);
    }
    std::int32_t begin_drain(std::int32_t timeout_ms) const noexcept {
        return lithe_server_begin_drain(raw(), timeout_ms);
    }
    std::int32_t stop() const noexcept { return lithe_server_stop(raw()); }
};

/// A message for many WebSockets, which is encoded once.
class buffer : public handle<lithe_buffer_free> {
public:
    using handle::handle;

    std::int32_t create(text data, lithe_message_kind kind = LITHE_TEXT) noexcept {
        lithe_buffer_t made = 0;
        const std::int32_t code = lithe_buffer_create(kind, data.ptr, data.size(), &made);
        return own(code, made);
    }
    /// Of what was received, without a copy.
    std::int32_t create(const message &from) noexcept {
        lithe_buffer_t made = 0;
        const std::int32_t code = lithe_buffer_from_message(from.raw(), &made);
        return own(code, made);
    }
};

class websocket : public handle<lithe_ws_free> {
public:
    using handle::handle;

    /// Ends the WebSocket that was here.
    std::int32_t accept(const request &from, const lithe_ws_options_t *options = nullptr) noexcept {
        lithe_ws_t made = 0;
        const std::int32_t code = lithe_ws_accept(from.raw(), options, &made);
        return own(code, made);
    }
    std::int32_t accept(const request &from, const lithe_ws_options_t &options) noexcept {
        return accept(from, &options);
    }
    text protocol() const noexcept { return get(lithe_ws_protocol); }
    /// Frees the message that was there.
    std::int32_t receive(message &next, std::int32_t timeout_ms = forever) const noexcept {
        return lithe_ws_receive(raw(), next.out(), timeout_ms);
    }
    std::int32_t send(text data, std::int32_t timeout_ms = forever) const noexcept {
        return lithe_ws_send(raw(), LITHE_TEXT, data.ptr, data.size(), timeout_ms);
    }
    std::int32_t send_binary(text data, std::int32_t timeout_ms = forever) const noexcept {
        return lithe_ws_send(raw(), LITHE_BINARY, data.ptr, data.size(), timeout_ms);
    }
    /// Sends what was received, as text or as bytes, without a copy if it is large.
    std::int32_t send(const message &data, std::int32_t timeout_ms = forever) const noexcept {
        return lithe_ws_send_message(raw(), data.raw(), timeout_ms);
    }
    std::int32_t send(const buffer &data, std::int32_t timeout_ms = forever) const noexcept {
        return lithe_ws_send_buffer(raw(), data.raw(), timeout_ms);
    }
    /// For a WebSocket whose messages come as events.
    std::int32_t pause() const noexcept { return lithe_ws_pause(raw()); }
    std::int32_t resume() const noexcept { return lithe_ws_resume(raw()); }
    std::int32_t close(std::int32_t code = 0, text reason = text()) const noexcept {
        return lithe_ws_close(raw(), code, reason.ptr, reason.len);
    }
    std::int32_t wait_closed(close_info &info, std::int32_t timeout_ms = forever) const noexcept {
        return lithe_ws_close_info(raw(), &info, timeout_ms);
    }
    std::int64_t queued() const noexcept { return lithe_ws_queued(raw()); }
    std::int32_t subscribe(const hub &to, text channels,
                           const lithe_subscribe_options_t *options = nullptr) const noexcept {
        return lithe_ws_subscribe(raw(), to.raw(), channels.ptr, channels.len, options);
    }
    std::int32_t subscribe(const hub &to, text channels,
                           const lithe_subscribe_options_t &options) const noexcept {
        return subscribe(to, channels, &options);
    }
    std::int32_t unsubscribe(const hub &from, text channel) const noexcept {
        return lithe_ws_unsubscribe(raw(), from.raw(), channel.ptr, channel.len);
    }
};

class event_stream : public handle<lithe_sse_free> {
public:
    using handle::handle;

    /// Ends the event stream that was here.
    std::int32_t open(const request &from, const lithe_sse_options_t *options = nullptr) noexcept {
        lithe_sse_t made = 0;
        const std::int32_t code = lithe_sse_open(from.raw(), options, &made);
        return own(code, made);
    }
    std::int32_t open(const request &from, const lithe_sse_options_t &options) noexcept {
        return open(from, &options);
    }
    std::int32_t send(const lithe_sse_event_t &event,
                      std::int32_t timeout_ms = forever) const noexcept {
        return lithe_sse_send(raw(), &event, timeout_ms);
    }
    std::int32_t send(text data, std::int32_t timeout_ms = forever) const noexcept {
        stream_event event;
        event.data = data;
        return send(event, timeout_ms);
    }
    std::int32_t wait_closed(std::int32_t timeout_ms = forever) const noexcept {
        return lithe_sse_wait_closed(raw(), timeout_ms);
    }
    std::int32_t close() const noexcept { return lithe_sse_close(raw()); }
    std::int64_t queued() const noexcept { return lithe_sse_queued(raw()); }
    std::int32_t subscribe(const hub &to, text channels,
                           const lithe_subscribe_options_t *options = nullptr) const noexcept {
        return lithe_sse_subscribe(raw(), to.raw(), channels.ptr, channels.len, options);
    }
    std::int32_t subscribe(const hub &to, text channels,
                           const lithe_subscribe_options_t &options) const noexcept {
        return subscribe(to, channels, &options);
    }
    std::int32_t unsubscribe(const hub &from, text channel) const noexcept {
        return lithe_sse_unsubscribe(raw(), from.raw(), channel.ptr, channel.len);
    }
};

}  // namespace lithe

#endif  /* LITHE_HPP */
