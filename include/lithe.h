/*
 * Lithe: Server-Sent Events and WebSockets for your own program.
 *
 * This header is the manual of the C interface. It is C99 and C++11. It is generated from the
 * sources of the library: do not edit it.
 *
 *     lithe_server_t server;
 *     lithe_request_t request;
 *     if (lithe_server_start(NULL, &server) != LITHE_OK)
 *         return fprintf(stderr, "%s\n", lithe_last_error()), 1;
 *     while (lithe_server_accept(server, &request, -1) == LITHE_OK) {
 *         lithe_request_respond_text(request, 200, "text/plain", "hello\n");
 *         lithe_request_free(request);
 *     }
 *     lithe_server_free(server);
 *
 * Handles. Servers, requests, WebSockets, event streams, hubs and the like are named by 64-bit numbers,
 * which are never 0. Each is ended once by the lithe_..._free of its kind, which also ends what it
 * names. A handle that was freed, is of another kind or never existed is told from a good one:
 * using it is LITHE_ERR_BAD_HANDLE, and nothing worse.
 *
 * Errors. A function that can fail returns LITHE_OK, which is 0, or one of the negative LITHE_ERR_
 * codes; one that counts returns a number that is not negative, or such a code. lithe_strerror
 * names a code, lithe_last_error says what happened in words. The documentation of a function lists
 * the codes it can return, without their LITHE_ERR_; any of them can return PANIC and FORKED as
 * well, and those that make a handle FULL.
 *
 * Memory. What goes in is borrowed for the call, and copied. A text that comes out belongs to the
 * handle it was asked of and is valid until that handle is freed; a message that comes out belongs
 * to the host until lithe_message_free. Where a result goes must be a place to write to, and is
 * NULL only where the function says so. A struct that begins with its size is initialized with its
 * LITHE_..._INIT, so that the library knows which fields it has.
 *
 * Text is UTF-8, given as a pointer and a length in bytes. Where the documentation says so the
 * length may be LITHE_CSTR, for text that ends with a NUL; where there is no length, it does.
 *
 * Threads. Every function may be called on any thread, at the same time, with the same handle, but
 * none in a signal handler. A function that blocks says so, and takes a timeout in milliseconds: -1
 * waits for ever, 0 does not wait at all. Whoever waits is woken with LITHE_ERR_CLOSED when what it
 * waits on is closed. The library runs threads of its own; it calls into the host only where
 * lithe_log_set, lithe_ws_send_owned and lithe_server_route say so, installs no signal handler and
 * prints nothing.
 *
 * Forks. The library's threads do not exist in a child of fork(). Once a process has started a
 * server or been given any other handle, whoever is forked from it gets LITHE_ERR_FORKED from every
 * function that can fail, at once; lithe_message_free and those that only name or tell something
 * work. So a host that runs as several processes forks first. What a child may always do is exec.
 * The library's descriptors are closed by that. A child that goes on without it, and does not
 * close them, holds the server's address and its connections until it ends.
 */

#ifndef LITHE_H
#define LITHE_H

#include <stddef.h>
#include <stdint.h>

/** In the place of a length: the text ends with a NUL. */
#define LITHE_CSTR ((size_t)-1)

/** Initializes a lithe_string_t with NUL-terminated text. */
#define LITHE_STRING(text) { (text), LITHE_CSTR }

/** Initializes a lithe_header_t with NUL-terminated texts. */
#define LITHE_HEADER(name, value) { LITHE_STRING(name), LITHE_STRING(value) }

/** Initializes a lithe_message_t, so that it may be freed before it was ever filled. */
#define LITHE_MESSAGE_INIT { 0, NULL, 0, { NULL, NULL, NULL, NULL } }

/** Initializes a lithe_server_config_t with the defaults. */
#define LITHE_SERVER_CONFIG_INIT \
    { sizeof(lithe_server_config_t), NULL, NULL, NULL, NULL, NULL, \
      0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/** Initializes a lithe_response_options_t with the defaults. */
#define LITHE_RESPONSE_OPTIONS_INIT { sizeof(lithe_response_options_t), 0, 0, 0 }

/** Initializes a lithe_route_options_t with what the server does. */
#define LITHE_ROUTE_OPTIONS_INIT { sizeof(lithe_route_options_t), 0, 0, 0 }

/** Initializes a lithe_drain_report_t. */
#define LITHE_DRAIN_REPORT_INIT { sizeof(lithe_drain_report_t), 0, 0 }

/** Initializes a lithe_ws_options_t with the defaults. */
#define LITHE_WS_OPTIONS_INIT \
    { sizeof(lithe_ws_options_t), NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/** Initializes a lithe_ws_close_info_t. */
#define LITHE_WS_CLOSE_INFO_INIT { sizeof(lithe_ws_close_info_t), 0, 0, { NULL, 0 } }

/** Initializes a lithe_sse_options_t with the defaults. */
#define LITHE_SSE_OPTIONS_INIT { sizeof(lithe_sse_options_t), 0, 0, 0, 0, 0 }

/** Initializes a lithe_server_stats_t. */
#define LITHE_SERVER_STATS_INIT \
    { sizeof(lithe_server_stats_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/** Initializes a lithe_channel_options_t with the defaults. */
#define LITHE_CHANNEL_OPTIONS_INIT \
    { sizeof(lithe_channel_options_t), NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/** Initializes a lithe_hub_options_t with the defaults. */
#define LITHE_HUB_OPTIONS_INIT \
    { sizeof(lithe_hub_options_t), 0, 0, 0, 0, NULL, 0, NULL, NULL, NULL, 0, 0, 0 }

/** Initializes a lithe_publish_options_t without any of them. */
#define LITHE_PUBLISH_OPTIONS_INIT \
    { sizeof(lithe_publish_options_t), { NULL, 0 }, { NULL, 0 }, { NULL, 0 } }

/** Initializes a lithe_published_t. */
#define LITHE_PUBLISHED_INIT { sizeof(lithe_published_t), { 0, 0 }, 0, 0 }

/** Initializes a lithe_hub_stats_t. */
#define LITHE_HUB_STATS_INIT \
    { sizeof(lithe_hub_stats_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/** Initializes a lithe_history_t. */
#define LITHE_HISTORY_INIT { sizeof(lithe_history_t), { 0, 0 }, { 0, 0 } }

/** Initializes a lithe_subscribe_options_t with the defaults. */
#define LITHE_SUBSCRIBE_OPTIONS_INIT \
    { sizeof(lithe_subscribe_options_t), { NULL, 0 }, 0, 0, 0, 0, { NULL, 0 }, { NULL, 0 } }

/** Initializes a lithe_mount_options_t with the defaults. */
#define LITHE_MOUNT_OPTIONS_INIT \
    { sizeof(lithe_mount_options_t), 0, 0, NULL, NULL, 0, 0, 0, 0, 0, NULL, { NULL, 0 }, NULL, NULL, NULL }

/** Initializes a lithe_authorization_info_t. */
#define LITHE_AUTHORIZATION_INFO_INIT \
    { sizeof(lithe_authorization_info_t), 0, 0, 0, \
      { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 } }

/** Initializes a lithe_grant_t that refuses. */
#define LITHE_GRANT_INIT { sizeof(lithe_grant_t), 0, 0, { NULL, 0 }, { NULL, 0 }, 0, 0 }

/** Initializes a lithe_revocation_t of nothing. */
#define LITHE_REVOCATION_INIT \
    { sizeof(lithe_revocation_t), { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, 0, 0 }

/** Initializes a lithe_codec_options_t with the defaults. */
#define LITHE_CODEC_OPTIONS_INIT { sizeof(lithe_codec_options_t), 0, NULL }

/** Initializes a lithe_sse_event_t without any fields. */
#define LITHE_SSE_EVENT_INIT \
    { sizeof(lithe_sse_event_t), { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, 0 }


/**
 * The version of the ABI that this header describes. It grows when a program has to be compiled
 * anew, and not when functions or fields are added.
 */
#define LITHE_ABI_VERSION 1

/**
 * Success.
 */
#define LITHE_OK 0

/**
 * The connection, or this end of it, is closed. Nothing more can be sent or received.
 */
#define LITHE_ERR_CLOSED -1

/**
 * What was waited for did not happen in time.
 */
#define LITHE_ERR_TIMEOUT -2

/**
 * There is no room now: a send queue is full (with a timeout of 0), or the handles have run out.
 */
#define LITHE_ERR_FULL -3

/**
 * The handle was freed, is of another kind, or never existed.
 */
#define LITHE_ERR_BAD_HANDLE -4

/**
 * An argument makes no sense: a null pointer, a number out of range, a malformed name.
 */
#define LITHE_ERR_BAD_ARGUMENT -5

/**
 * Text is not UTF-8.
 */
#define LITHE_ERR_NOT_UTF8 -6

/**
 * More bytes than can be handled.
 */
#define LITHE_ERR_TOO_LARGE -7

/**
 * Not possible now, such as answering a request twice.
 */
#define LITHE_ERR_WRONG_STATE -8

/**
 * There is nothing by that name or number.
 */
#define LITHE_ERR_NOT_FOUND -9

/**
 * The operating system refused: an address is in use, a file cannot be read.
 */
#define LITHE_ERR_IO -10

/**
 * The server is stopped.
 */
#define LITHE_ERR_SHUTTING_DOWN -11

/**
 * The client may not connect, and was told so.
 */
#define LITHE_ERR_REFUSED -12

/**
 * A bug in Lithe. The call had no effect that can be relied on; other handles are not affected.
 */
#define LITHE_ERR_PANIC -13

/**
 * The process was forked from one that had used Lithe. The library's threads do not exist in it.
 */
#define LITHE_ERR_FORKED -14

/**
 * The host's buffer has no room for the result. Nothing was written to it, nor taken from Lithe.
 */
#define LITHE_ERR_TOO_SMALL -15

/**
 * The peer has broken the protocol.
 */
#define LITHE_ERR_PROTOCOL -16

/**
 * How grave an event is: LITHE_LOG_ERROR to LITHE_LOG_TRACE.
 */
typedef int32_t lithe_log_level;

/**
 * Gets one event of the library: how grave it is, the part of the library that it comes from, and
 * what happened. Both texts are NUL-terminated UTF-8, valid during the call.
 *
 * It is called on any thread, also on several at once, and must return soon: connections wait.
 * What the functions of Lithe that it calls have to log is left out.
 */
typedef void (*lithe_log_callback)(void *user_data,
                                   lithe_log_level level,
                                   const char *target,
                                   const char *message);

/**
 * LITHE_TEXT or LITHE_BINARY.
 */
typedef int32_t lithe_message_kind;

/**
 * A message that was received. It belongs to the host until it is handed to lithe_message_free.
 *
 * Only one copy of a filled struct may be freed. `data` is not NUL-terminated: it points straight
 * into the buffer that the message was received in.
 */
typedef struct lithe_message_t {
    /**
     * LITHE_TEXT or LITHE_BINARY; 0 in an empty struct.
     */
    lithe_message_kind kind;
    /**
     * The payload. Never NULL in a message that was received.
     */
    const char *data;
    /**
     * The length of the payload in bytes.
     */
    size_t len;
    /**
     * Private.
     */
    void *owner[4];
} lithe_message_t;

/**
 * How a server shall run. To be initialized with LITHE_SERVER_CONFIG_INIT, which asks for the
 * defaults; a field that is 0 or NULL does so too. -1 in the place of a limit or a time is no
 * limit. All texts are NUL-terminated, and all are copied.
 */
typedef struct lithe_server_config_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * Where to listen, "host:port". Port 0 lets the system choose one (see lithe_server_port);
     * "[::]:80" listens on all addresses. Default: "127.0.0.1:0".
     */
    const char *address;
    /**
     * A directory. Its files answer the requests for them, and an index.html those for where it
     * is; all others go to the host. Default: none.
     */
    const char *static_dir;
    /**
     * A PEM file with the certificate chain for TLS, together with tls_key_file. Default: no TLS.
     */
    const char *tls_cert_file;
    /**
     * A PEM file with the private key for TLS.
     */
    const char *tls_key_file;
    /**
     * A path that answers with the server's metrics, as Prometheus reads them. Default: none.
     */
    const char *metrics_path;
    /**
     * How many threads serve connections. Default: one for each processor.
     */
    int32_t workers;
    /**
     * How many connections there may be; one more is told to come back later. Default: 100,000.
     */
    int32_t max_connections;
    /**
     * How many connections one client address may hold. Default: 1,024.
     */
    int32_t max_connections_per_ip;
    /**
     * How many requests may wait for lithe_server_accept; one more is told to come back later:
     * 503, or to an EventSource, which gives up on anything but success, an empty stream with a
     * time to reconnect after. Default: 1,024.
     */
    int32_t max_waiting_requests;
    /**
     * The largest head of a request in bytes; a larger one is answered with 431. Default: 16 KiB.
     */
    int64_t max_header_bytes;
    /**
     * The largest body of a request in bytes; a larger one is answered with 413. Routes may have
     * other limits. Default: 2 MiB.
     */
    int64_t max_body_bytes;
    /**
     * How long a new connection may take to its first byte, TLS included. Default: 10 s.
     */
    int32_t handshake_timeout_ms;
    /**
     * How long the head of a request may take to arrive. Default: 10 s.
     */
    int32_t header_timeout_ms;
    /**
     * For how long in all a client may leave the server waiting for the body of a request; 500
     * bytes received make good for a second. Default: 20 s.
     */
    int32_t body_timeout_ms;
    /**
     * How long the host may take to answer a request; then the client is told 504. While the host
     * reads the body, each piece that it reads gives it that time anew, and the time in which it
     * waits for the client does not count. Default: 30 s.
     */
    int32_t request_timeout_ms;
    /**
     * How long a connection may lie idle between two requests. Default: 60 s.
     */
    int32_t idle_timeout_ms;
    /**
     * How long a client may take no byte of a response or event stream. Default: 30 s.
     */
    int32_t write_timeout_ms;
    /**
     * 1: requests reach the host before their bodies, which lithe_request_read reads. Routes may
     * say otherwise. Default: they reach it with their bodies.
     */
    int32_t stream_bodies;
    /**
     * How long a client is asked to stay away at most when the server drains or is too busy; each
     * is given a time of its own, from a tenth of this on, so that they do not come back all at
     * once. Default: 10 s.
     */
    int32_t reconnect_ms;
} lithe_server_config_t;

/**
 * A server: lithe_server_start gives it, lithe_server_free takes it back.
 */
typedef uint64_t lithe_server_t;

/**
 * A piece of text, or of bytes, and its length in bytes.
 *
 * One that a host gets from Lithe is never NULL and has a NUL after its last byte, which `len`
 * does not count. In one that a host hands in, `len` may be LITHE_CSTR, and a NULL `ptr` stands
 * for no text at all.
 */
typedef struct lithe_string_t {
    /**
     * The first byte.
     */
    const char *ptr;
    /**
     * How many bytes.
     */
    size_t len;
} lithe_string_t;

/**
 * A request: lithe_server_accept gives it, lithe_request_free takes it back.
 */
typedef uint64_t lithe_request_t;

/**
 * What came of a drain. To be initialized with LITHE_DRAIN_REPORT_INIT.
 */
typedef struct lithe_drain_report_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * Connections that ended by themselves once they were asked to.
     */
    uint64_t drained;
    /**
     * Connections that were still open when the time was over, and were cut.
     */
    uint64_t cut;
} lithe_drain_report_t;

/**
 * What a server has counted since it was started, and what there is at present. To be initialized
 * with LITHE_SERVER_STATS_INIT.
 *
 * The bytes of HTTP are all that went over its connections, encryption not included.
 */
typedef struct lithe_server_stats_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * Connections accepted from the system, those that were refused included.
     */
    uint64_t accepted;
    /**
     * Connections refused because there were too many.
     */
    uint64_t refused;
    /**
     * Failures to accept a connection, for want of file descriptors or memory.
     */
    uint64_t accept_errors;
    /**
     * How often clients have run into a limit. The metrics tell each limit apart.
     */
    uint64_t limit_hits;
    /**
     * Connections that ended by themselves in a drain.
     */
    uint64_t drained;
    /**
     * Connections that a drain has cut.
     */
    uint64_t cut;
    /**
     * Requests, those that Lithe has answered by itself included.
     */
    uint64_t requests;
    /**
     * Responses, those that begin a WebSocket or an event stream included.
     */
    uint64_t responses;
    /**
     * At present: requests that wait for the host to take them.
     */
    uint64_t waiting_requests;
    /**
     * At present: HTTP connections that are neither of those below.
     */
    uint64_t http_open;
    /**
     * Bytes received.
     */
    uint64_t http_bytes_in;
    /**
     * Bytes sent.
     */
    uint64_t http_bytes_out;
    /**
     * At present: WebSockets.
     */
    uint64_t ws_open;
    /**
     * At present: bytes that wait to be sent on them.
     */
    uint64_t ws_queued_bytes;
    /**
     * Messages received.
     */
    uint64_t ws_messages_in;
    /**
     * Bytes of these messages.
     */
    uint64_t ws_bytes_in;
    /**
     * Messages queued to be sent.
     */
    uint64_t ws_messages_out;
    /**
     * Bytes sent, as they are encoded.
     */
    uint64_t ws_bytes_out;
    /**
     * At present: event streams.
     */
    uint64_t sse_open;
    /**
     * At present: bytes that wait to be sent on them.
     */
    uint64_t sse_queued_bytes;
    /**
     * Events queued to be sent.
     */
    uint64_t sse_events_out;
    /**
     * Bytes sent, as they are encoded.
     */
    uint64_t sse_bytes_out;
} lithe_server_stats_t;

/**
 * What has happened: LITHE_EVENT_REQUEST and so on.
 */
typedef int32_t lithe_event_kind;

/**
 * What a handle names: LITHE_HANDLE_REQUEST and so on.
 */
typedef int32_t lithe_handle_kind;

/**
 * Something that has happened.
 */
typedef struct lithe_event_t {
    /**
     * LITHE_EVENT_REQUEST and so on. A program passes over kinds that it does not know.
     */
    lithe_event_kind kind;
    /**
     * Of LITHE_EVENT_CLOSED: the close code, else 0.
     */
    int32_t code;
    /**
     * Of LITHE_EVENT_CLOSED: whether the end was clean, else 0.
     */
    int32_t clean;
    /**
     * What kind of handle `handle` is: LITHE_HANDLE_WS and so on.
     */
    lithe_handle_kind handle_kind;
    /**
     * What it has happened to.
     */
    uint64_t handle;
    /**
     * The host's own number for it: `user_data` of the options that it was accepted or opened
     * with; of LITHE_EVENT_REQUEST, that of the request's route. It has room for a pointer.
     */
    uint64_t user_data;
    /**
     * Of LITHE_EVENT_MESSAGE: the message. Of LITHE_EVENT_CLOSED: the reason, as text. Else empty.
     */
    struct lithe_message_t message;
    /**
     * 0. Room for what later versions tell.
     */
    uint64_t reserved[4];
} lithe_event_t;

/**
 * A header of a request or response: its name and its value.
 */
typedef struct lithe_header_t {
    /**
     * In any case for a response; in lower case in a request.
     */
    struct lithe_string_t name;
    /**
     * May hold bytes that are not UTF-8.
     */
    struct lithe_string_t value;
} lithe_header_t;

/**
 * How a streamed response shall behave. To be initialized with LITHE_RESPONSE_OPTIONS_INIT, which
 * asks for the defaults; a field that is 0 does so too.
 */
typedef struct lithe_response_options_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * How much may wait to be sent before lithe_response_write waits; -1 for no limit. Default:
     * 1 MiB.
     */
    int64_t send_queue_bytes;
    /**
     * 1: what happens to the response, which is its end and room in its queue, comes out of
     * lithe_server_wait. Default: 0.
     */
    int32_t events;
    /**
     * The host's own number for the response, which its events bear.
     */
    uint64_t user_data;
} lithe_response_options_t;

/**
 * A streamed response: lithe_request_respond_stream gives it, lithe_response_free takes it back.
 */
typedef uint64_t lithe_response_t;

/**
 * Answers a request, on the thread that called lithe_request_dispatch or lithe_server_serve. When
 * it returns, the request is freed, unless it has called lithe_request_keep: one that it has not
 * answered is answered with 503. What it has answered the request with, a WebSocket say, goes on.
 */
typedef void (*lithe_request_handler)(lithe_request_t request, void *user_data);

/**
 * What a route does in another way than its server. To be initialized with
 * LITHE_ROUTE_OPTIONS_INIT; a field that is 0 asks for what the server does.
 */
typedef struct lithe_route_options_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * The largest body of a request in bytes, also a larger one than the server allows; -1 for no
     * limit. A larger one is answered with 413.
     */
    int64_t max_body_bytes;
    /**
     * How long the host may take to answer a request; -1 for no limit. Then the client is told
     * 504.
     */
    int32_t timeout_ms;
    /**
     * 1: requests reach the host before their bodies, which lithe_request_read reads. -1: they
     * reach it with their bodies.
     */
    int32_t stream_body;
} lithe_route_options_t;

/**
 * LITHE_COMPRESSION_OFF or LITHE_COMPRESSION_AUTO; 0 is the default.
 */
typedef int32_t lithe_compression;

/**
 * How a WebSocket shall behave. To be initialized with LITHE_WS_OPTIONS_INIT, which asks for the
 * defaults; a field that is 0 or NULL does so too. -1 in the place of a limit or a time is none.
 */
typedef struct lithe_ws_options_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * The subprotocols that the host speaks, the most wanted first, with commas between them.
     * The first that the client offers too is agreed on. Default: none.
     */
    const char *protocols;
    /**
     * The pages that may connect, as a browser names them: origins such as
     * "https://app.example.com", with commas between them, or "*" for all. A client that is no
     * browser names none, and may always connect. Default: pages from the server's own host.
     */
    const char *origins;
    /**
     * The largest message that is received; a larger one closes the connection with 1009.
     * Default: 16 MiB.
     */
    int64_t max_message_bytes;
    /**
     * How much may wait to be sent before lithe_ws_send waits. Default: 1 MiB.
     */
    int64_t send_queue_bytes;
    /**
     * How much may wait for lithe_ws_receive before the connection is no longer read, so that TCP
     * slows the peer down. Default: 256 KiB.
     */
    int64_t receive_queue_bytes;
    /**
     * How many messages a peer may send per second; more close the connection with 1008. Default:
     * no limit.
     */
    int32_t max_messages_per_second;
    /**
     * After how long without a byte from the peer it is sent a ping. Default: 25 s.
     */
    int32_t ping_interval_ms;
    /**
     * How long after a ping without an answer, or without taking a byte of what is sent to it, a
     * peer counts as dead. Default: 20 s. Cannot be -1.
     */
    int32_t peer_timeout_ms;
    /**
     * After how long without a message from the peer the connection is closed with 1001. Default:
     * never.
     */
    int32_t idle_timeout_ms;
    /**
     * How long the peer may take to answer a close before it is cut. Default: 5 s. Cannot be -1.
     */
    int32_t close_timeout_ms;
    /**
     * LITHE_COMPRESSION_OFF or LITHE_COMPRESSION_AUTO. Default: off.
     */
    lithe_compression compression;
    /**
     * 1: what happens on the WebSocket comes out of lithe_server_wait, and lithe_ws_receive is
     * not for it. Default: 0.
     */
    int32_t events;
    /**
     * The host's own number for the WebSocket, which its events bear.
     */
    uint64_t user_data;
} lithe_ws_options_t;

/**
 * A WebSocket: lithe_ws_accept gives it, lithe_ws_free takes it back.
 */
typedef uint64_t lithe_ws_t;

/**
 * How a WebSocket ended. To be initialized with LITHE_WS_CLOSE_INFO_INIT.
 */
typedef struct lithe_ws_close_info_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * The close code (RFC 6455, section 7.4): what the peer sent, or what this side closed with
     * when it was first. 1005 when the peer sent none, 1006 when the connection broke.
     */
    int32_t code;
    /**
     * 1 when both sides have said that they close, else 0.
     */
    int32_t clean;
    /**
     * The reason that came with the code, or what went wrong. Valid until lithe_ws_free.
     */
    struct lithe_string_t reason;
} lithe_ws_close_info_t;

/**
 * How an event stream shall behave. To be initialized with LITHE_SSE_OPTIONS_INIT, which asks for
 * the defaults; a field that is 0 does so too.
 */
typedef struct lithe_sse_options_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * How much may wait to be sent before lithe_sse_send waits; -1 for no limit. Default: 1 MiB.
     */
    int64_t send_queue_bytes;
    /**
     * After how long without an event a comment is sent, so that proxies keep the connection open
     * and a client that has vanished is noticed; -1 for never. Default: 15 s.
     */
    int32_t keep_alive_ms;
    /**
     * How long the client shall wait before it reconnects. Default, and -1: the client's own, a
     * few seconds.
     */
    int32_t retry_ms;
    /**
     * 1: what happens on the stream, which is its end and room in its queue, comes out of
     * lithe_server_wait. Default: 0.
     */
    int32_t events;
    /**
     * The host's own number for the stream, which its events bear.
     */
    uint64_t user_data;
} lithe_sse_options_t;

/**
 * An event stream: lithe_sse_open gives it, lithe_sse_free takes it back.
 */
typedef uint64_t lithe_sse_t;

/**
 * An event. To be initialized with LITHE_SSE_EVENT_INIT; fields that are left NULL or 0 are not
 * sent. The lengths of the texts may be LITHE_CSTR.
 */
typedef struct lithe_sse_event_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * What the client gets; any line ends in it arrive as newlines.
     */
    struct lithe_string_t data;
    /**
     * The event's type, by which the client picks the listener; "message" when there is none.
     * Without a line end or NUL.
     */
    struct lithe_string_t name;
    /**
     * What the client sends as Last-Event-ID when it reconnects. Without a line end or NUL. Empty,
     * but not NULL, makes the client forget the last one.
     */
    struct lithe_string_t id;
    /**
     * A comment, which the client ignores.
     */
    struct lithe_string_t comment;
    /**
     * How long the client shall wait before it reconnects, in milliseconds.
     */
    int64_t retry_ms;
} lithe_sse_event_t;

/**
 * Takes memory back that was handed to lithe_ws_send_owned; `arg` is what was given with it.
 *
 * It is called on any thread, and must return soon: connections wait. It may call those functions
 * of Lithe that never block.
 */
typedef void (*lithe_free_callback)(void *arg);

/**
 * A message for many WebSockets: lithe_buffer_create gives it, lithe_buffer_free takes it back.
 */
typedef uint64_t lithe_buffer_t;

/**
 * What becomes of publications that a subscriber does not read in time: LITHE_OVERFLOW_RESUME and
 * so on; 0 is the default.
 */
typedef int32_t lithe_overflow;

/**
 * Where a subscriber goes on that has missed something: LITHE_AFTER_GAP_NEWEST or
 * LITHE_AFTER_GAP_OLDEST; 0 is the default.
 */
typedef int32_t lithe_after_gap;

/**
 * Whether a channel knows who is on it: LITHE_PRESENCE_OFF and so on; 0 is the default.
 */
typedef int32_t lithe_presence;

/**
 * How the channels of a namespace shall behave. To be initialized with LITHE_CHANNEL_OPTIONS_INIT,
 * which asks for the defaults; a field that is 0 or NULL does so too.
 */
typedef struct lithe_channel_options_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * Which channels: a pattern such as "prices.*", where "*" is one segment, or "chat.**", where
     * "**" is all that follow. Where several fit, the one with the most segments that are no
     * wildcards counts. NULL: all that are in no other namespace.
     */
    const char *pattern;
    /**
     * How many publications are kept for those who come back; -1 for none: whoever was away and
     * missed something is told of a gap. Default: 1,000.
     */
    int64_t history_size;
    /**
     * For how long they are kept; -1 for no limit. Default: 5 minutes.
     */
    int64_t history_age_ms;
    /**
     * How many publications are kept for subscribers who have yet to read them, where the history
     * holds fewer, and however old they are. Default: 256.
     */
    int64_t backlog;
    /**
     * What becomes of publications that a subscriber does not read in time.
     */
    lithe_overflow overflow;
    /**
     * Where a subscriber goes on that was too slow for LITHE_OVERFLOW_RESUME.
     */
    lithe_after_gap after_gap;
    /**
     * The shortest time between two deliveries to one subscriber: what is published meanwhile is
     * delivered together, or with LITHE_OVERFLOW_LATEST the newest of each key. Default: no delay.
     */
    int32_t min_interval_ms;
    /**
     * Whether the channels know who is on them.
     */
    lithe_presence presence;
    /**
     * How many idempotency keys a channel remembers; -1 for none. Default: 1,000.
     */
    int64_t idempotency_keys;
    /**
     * For how long it remembers them; -1 for no limit. Default: 5 minutes.
     */
    int64_t idempotency_age_ms;
} lithe_channel_options_t;

/**
 * How a hub shall behave. To be initialized with LITHE_HUB_OPTIONS_INIT, which asks for the
 * defaults; a field that is 0 or NULL does so too. -1 in the place of a limit is none.
 */
typedef struct lithe_hub_options_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * The bytes that all channels with all their publications may take together. When there are
     * more, the channels that were not used for the longest time lose their oldest publications:
     * who comes back for them is told of a gap. Default: 64 MiB.
     */
    int64_t history_budget_bytes;
    /**
     * How many publications are replayed at most on a channel to one who comes back; who has
     * missed more is told of a gap. Default: 1,000.
     */
    int64_t replay_limit;
    /**
     * The same in bytes of data. Default: 1 MiB.
     */
    int64_t replay_limit_bytes;
    /**
     * How many channels one subscriber may have by patterns. Default: 10,000.
     */
    int64_t max_pattern_channels;
    /**
     * The options of namespaces: an array of `namespace_count` pointers, or NULL.
     */
    const struct lithe_channel_options_t *const *namespaces;
    /**
     * How many namespaces there are.
     */
    size_t namespace_count;
    /**
     * The Redis or Valkey, such as "redis://redis.internal:6379", by which this hub is one with those
     * of other processes that have the same namespaces; with redis_sentinel the Sentinels, with
     * redis_cluster some nodes of the cluster, with commas between them. Default: none, the history
     * is in memory.
     */
    const char *redis_url;
    /**
     * What all keys in Redis begin with. Default: "lithe".
     */
    const char *redis_prefix;
    /**
     * The name of the master that Sentinels watch over. Default: no Sentinels.
     */
    const char *redis_sentinel;
    /**
     * 1: it is a cluster.
     */
    int32_t redis_cluster;
    /**
     * How long lithe_publish may wait for Redis. Default: 5 s. Cannot be -1.
     */
    int32_t publish_timeout_ms;
    /**
     * How long tokens live at most, so that some can be revoked (lithe_hub_revoke): a revocation is
     * remembered for as long. Tokens that live longer are refused then, with LITHE_AUTHORIZE_JWT. At
     * most ten years. Default: tokens live as long as they say, and none can be revoked. Cannot be -1.
     */
    int64_t longest_token_ms;
} lithe_hub_options_t;

/**
 * A hub: lithe_hub_create gives it, lithe_hub_free takes it back.
 */
typedef uint64_t lithe_hub_t;

/**
 * What is to be known about a publication besides its data. To be initialized with
 * LITHE_PUBLISH_OPTIONS_INIT. Each text has at most 255 bytes and no control characters, and its
 * length may be LITHE_CSTR.
 */
typedef struct lithe_publish_options_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * What kind of message it is: the type of the event in an event stream. Cannot begin with
     * "lithe.".
     */
    struct lithe_string_t name;
    /**
     * What it is about: with LITHE_OVERFLOW_LATEST it takes the place of earlier ones with the
     * same key.
     */
    struct lithe_string_t key;
    /**
     * Names this attempt to publish: what was published on the channel before with the same one is
     * not published again.
     */
    struct lithe_string_t idempotency_key;
} lithe_publish_options_t;

/**
 * A place in the history of a channel: right after the publication with that offset.
 *
 * As text, which is what clients present as their cursor, it is the epoch in hexadecimal digits, a
 * hyphen and the offset in decimal digits: "9f3a61c20b7e-42".
 */
typedef struct lithe_position_t {
    /**
     * Which history: a random number, which is another one whenever the channel's history was
     * begun anew.
     */
    uint64_t epoch;
    /**
     * The number of the publication. The first is 1, each one after it 1 more; 0 is the beginning.
     */
    uint64_t offset;
} lithe_position_t;

/**
 * What became of a publication. To be initialized with LITHE_PUBLISHED_INIT.
 */
typedef struct lithe_published_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * Where it is in the channel's history.
     */
    struct lithe_position_t position;
    /**
     * How many subscribers the channel has.
     */
    int32_t receivers;
    /**
     * 1 when it was published before, with the same idempotency key; then that is where it is.
     */
    int32_t duplicate;
} lithe_published_t;

/**
 * What a hub holds and has done. To be initialized with LITHE_HUB_STATS_INIT.
 */
typedef struct lithe_hub_stats_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * At present: channels.
     */
    uint64_t channels;
    /**
     * At present: subscribers.
     */
    uint64_t subscribers;
    /**
     * At present: bytes that channels and their publications take.
     */
    uint64_t history_bytes;
    /**
     * The bytes that they may take.
     */
    uint64_t history_budget_bytes;
    /**
     * Messages that were published.
     */
    uint64_t published;
    /**
     * Messages that were not, because their idempotency key was known.
     */
    uint64_t duplicates;
    /**
     * Publications that subscribers have got.
     */
    uint64_t delivered;
    /**
     * Channels that were dropped to keep to the budget.
     */
    uint64_t channels_lost;
    /**
     * Gaps that subscribers were told of because the history no longer held what they had missed.
     */
    uint64_t gaps_expired;
    /**
     * Because their cursor belonged to another history, or to other channels.
     */
    uint64_t gaps_epoch;
    /**
     * Because their cursor was ahead of the history.
     */
    uint64_t gaps_ahead;
    /**
     * Because they had missed more than is replayed.
     */
    uint64_t gaps_limit;
    /**
     * Because they were too slow.
     */
    uint64_t gaps_slow;
    /**
     * Because publications were lost between the nodes.
     */
    uint64_t gaps_backplane;
} lithe_hub_stats_t;

/**
 * A publication in the history of a channel. It belongs to the host until lithe_publication_free.
 */
typedef struct lithe_publication_t {
    /**
     * Where it is in the history.
     */
    struct lithe_position_t position;
    /**
     * When it was published, in milliseconds since 1970.
     */
    uint64_t time_ms;
    /**
     * What was published. Never NULL, not NUL-terminated.
     */
    const char *data;
    /**
     * The length of the data in bytes.
     */
    size_t len;
    /**
     * What kind of message it is; empty when that was not said.
     */
    struct lithe_string_t name;
    /**
     * What it is about; empty when that was not said.
     */
    struct lithe_string_t key;
    /**
     * Private.
     */
    void *owner;
    /**
     * 0. Room for what later versions tell.
     */
    uint64_t reserved[2];
} lithe_publication_t;

/**
 * How far the history of a channel goes. To be initialized with LITHE_HISTORY_INIT.
 */
typedef struct lithe_history_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * After this it begins: what was published before is gone.
     */
    struct lithe_position_t from;
    /**
     * Here it ends, whether or not all up to here was asked for.
     */
    struct lithe_position_t to;
} lithe_history_t;

/**
 * A client that is on a channel. It belongs to the host until lithe_client_free.
 */
typedef struct lithe_client_t {
    /**
     * Who it is.
     */
    struct lithe_string_t id;
    /**
     * What others may know of it; bytes, with a NUL behind them.
     */
    struct lithe_string_t info;
    /**
     * Private.
     */
    void *owner;
    /**
     * 0. Room for what later versions tell.
     */
    uint64_t reserved[2];
} lithe_client_t;

/**
 * In which form publications are delivered: LITHE_FORMAT_DATA and so on; 0 is the default.
 */
typedef int32_t lithe_format;

/**
 * How a connection is subscribed to a hub. To be initialized with LITHE_SUBSCRIBE_OPTIONS_INIT, which
 * asks for the defaults; a field that is 0 or NULL does so too.
 *
 * All but the cursor holds for everything that the connection gets of that hub. It is said when the
 * connection is first subscribed to it; whatever is said later must be the same.
 */
typedef struct lithe_subscribe_options_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * Where the client left off: the cursor that it got last, such as its Last-Event-ID, or a
     * position as text (lithe_position_t). It belongs to the very list of channels that it was got
     * for. Empty: with what is published from now on.
     */
    struct lithe_string_t cursor;
    /**
     * In which form publications are delivered.
     */
    lithe_format format;
    /**
     * Where it goes on when it has missed something while it was away.
     */
    lithe_after_gap after_gap;
    /**
     * 1: a client that has missed something is not sent away, though it cannot be told so. Default: a
     * WebSocket that gets LITHE_FORMAT_DATA or LITHE_FORMAT_BINARY is closed with 4204 then.
     */
    int32_t ignore_gaps;
    /**
     * 1: on an event stream every event has the cursor for its id, also where it is longer than 256
     * bytes. Default: then only the last of those that are written together has it.
     */
    int32_t strict_ids;
    /**
     * Who it is: where the channel's options ask for presence, others see it by that on each channel
     * that it is subscribed to by name. Two connections with the same name are one client. At most
     * 255 bytes, without control characters. Default: nobody.
     */
    struct lithe_string_t client;
    /**
     * What others may know of it; any bytes.
     */
    struct lithe_string_t info;
} lithe_subscribe_options_t;

/**
 * Who says what clients may do: LITHE_AUTHORIZE_PUBLIC and so on; 0 is the default.
 */
typedef int32_t lithe_authorize;

/**
 * How a hub is served. To be initialized with LITHE_MOUNT_OPTIONS_INIT, which asks for the
 * defaults; a field that is 0 or NULL does so too. -1 in the place of a limit or a time is none.
 */
typedef struct lithe_mount_options_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * Who says what clients may do.
     */
    lithe_authorize authorize;
    /**
     * How long the host may take to answer a question; then the client is refused, and may try
     * again. Default: 5 s. Cannot be -1.
     */
    int32_t authorize_timeout_ms;
    /**
     * The pages that may connect, as a browser names them, with commas between them, or "*" for
     * all, as in lithe_ws_options_t; then the cookies of pages from other hosts do not count.
     * Default: pages from the server's own host.
     */
    const char *origins;
    /**
     * The cookie that may hold a token. Default: "lithe_token".
     */
    const char *cookie;
    /**
     * How many channels and patterns a client may be subscribed to. Default, and the most: 256.
     */
    int32_t max_channels;
    /**
     * How many clients there may be; one more is told to come back later, in a way that an
     * EventSource understands. Default: no limit but the server's.
     */
    int32_t max_connections;
    /**
     * About how many bytes are on their way to a client at a time; what comes meanwhile stays in the
     * hub, once for all. Default: 64 KiB. Cannot be -1.
     */
    int64_t max_in_flight_bytes;
    /**
     * After how long without an event a comment is sent on an event stream. Default: 15 s.
     */
    int32_t keep_alive_ms;
    /**
     * How long clients wait at most before they reconnect; each is given a time of its own, from a
     * third of this on. Default: 3 s. Cannot be -1.
     */
    int32_t retry_ms;
    /**
     * How the tokens are signed, for LITHE_AUTHORIZE_JWT: "HS256" and so on for a secret, "RS256",
     * "PS256", "ES256", "EdDSA" and so on for a public key.
     */
    const char *jwt_algorithm;
    /**
     * The secret, or the public key in PEM, that their signatures are checked with.
     */
    struct lithe_string_t jwt_key;
    /**
     * A file with keys (RFC 7517, JSON Web Key Set), besides that one or in its place. It is read
     * again when it has changed.
     */
    const char *jwt_key_file;
    /**
     * Who they have to be from (iss). Default: anybody who has the key.
     */
    const char *jwt_issuer;
    /**
     * Who they have to be for (aud). Default: tokens that are for somebody in particular are refused.
     */
    const char *jwt_audience;
} lithe_mount_options_t;

/**
 * A question of who may do what: LITHE_EVENT_AUTHORIZE or lithe_server_authorize gives it,
 * lithe_authorization_free takes it back.
 */
typedef uint64_t lithe_authorization_t;

/**
 * What a client wants to do: LITHE_ACTION_CONNECT and so on.
 */
typedef int32_t lithe_action;

/**
 * What the host is asked. To be initialized with LITHE_AUTHORIZATION_INFO_INIT. The texts are valid
 * until lithe_authorization_free.
 */
typedef struct lithe_authorization_info_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * What the client wants to do.
     */
    lithe_action action;
    /**
     * Of LITHE_ACTION_CONNECT: 1 when the client is connected already and presents a new token, which
     * has to be for the same `subject`.
     */
    int32_t renews;
    /**
     * Of a client that is connected: the number that it was let in with.
     */
    uint64_t tag;
    /**
     * Of a client that is connected: the name that it was let in by, or empty.
     */
    struct lithe_string_t subject;
    /**
     * On which channel, or on all channels of which pattern; empty for LITHE_ACTION_CONNECT.
     */
    struct lithe_string_t channel;
    /**
     * Of LITHE_ACTION_CONNECT: the token that it presents; empty when there is none. It comes from
     * the Authorization header, a cookie, or a message of the client's.
     */
    struct lithe_string_t token;
    /**
     * Of LITHE_ACTION_CONNECT: the query of its request, without the question mark.
     */
    struct lithe_string_t query;
    /**
     * Of LITHE_ACTION_CONNECT: the address that the connection comes from, without the port.
     */
    struct lithe_string_t peer;
} lithe_authorization_info_t;

/**
 * Why a client may not connect: LITHE_REFUSAL_DENIED and so on; 0 is the default.
 */
typedef int32_t lithe_refusal;

/**
 * The host's answer. To be initialized with LITHE_GRANT_INIT, which refuses.
 */
typedef struct lithe_grant_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * 1: the client may. 0: it may not.
     */
    int32_t allow;
    /**
     * Why a client may not connect. LITHE_REFUSAL_UNAVAILABLE counts for every action: the client
     * may try again.
     */
    lithe_refusal refusal;
    /**
     * Of LITHE_ACTION_CONNECT: who the client is, by which others see it where presence is on. At
     * most 255 bytes, without control characters. Default: a guest.
     */
    struct lithe_string_t subject;
    /**
     * Of LITHE_ACTION_CONNECT: what others may know of it; any bytes.
     */
    struct lithe_string_t info;
    /**
     * Of LITHE_ACTION_CONNECT: in what time it has to present a new token. Default, and -1: never.
     */
    int64_t expires_in_ms;
    /**
     * Of LITHE_ACTION_CONNECT: the host's own number for the client, which later questions bear.
     */
    uint64_t tag;
} lithe_grant_t;

/**
 * What does not hold any more, although a token says so: `token_id`, `subject`, `channel`, or a
 * channel of a subject. To be initialized with LITHE_REVOCATION_INIT. The lengths of texts may be
 * LITHE_CSTR.
 */
typedef struct lithe_revocation_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * One token, by its number (jti).
     */
    struct lithe_string_t token_id;
    /**
     * All tokens of whom they name (sub); with `channel`, the channel in those alone.
     */
    struct lithe_string_t subject;
    /**
     * A channel, or all channels of a pattern, in all tokens.
     */
    struct lithe_string_t channel;
    /**
     * Of a subject or a channel: only in tokens that were issued before then (iat), in milliseconds
     * since 1970. The time of a token is in seconds: who gets one in the very second is hit as well.
     * Default: before now.
     */
    int64_t issued_before_ms;
    /**
     * When the last of these tokens has expired, in milliseconds since 1970, so that it need not be
     * remembered for longer. Default: as long from now as `longest_token_ms` of the hub says.
     */
    int64_t until_ms;
} lithe_revocation_t;

/**
 * LITHE_ROLE_SERVER or LITHE_ROLE_CLIENT.
 */
typedef int32_t lithe_role;

/**
 * How a codec shall work. To be initialized with LITHE_CODEC_OPTIONS_INIT, which asks for the
 * defaults; a field that is 0 or NULL does so too.
 */
typedef struct lithe_codec_options_t {
    /**
     * The size of this struct, which tells its version.
     */
    size_t size;
    /**
     * The largest message that is received; -1 for no limit. Default: 16 MiB.
     */
    int64_t max_message_bytes;
    /**
     * The Sec-WebSocket-Extensions that the server has answered with (see
     * lithe_codec_extensions), the same for both ends. Messages of 1 KiB and more are then
     * compressed. NUL-terminated. Default: none.
     */
    const char *extensions;
} lithe_codec_options_t;

/**
 * One end of a WebSocket without its socket: lithe_codec_create gives it, lithe_codec_free takes
 * it back. The host moves the bytes, and does the handshake before them.
 */
typedef uint64_t lithe_codec_t;

/**
 * What a peer has sent: LITHE_ITEM_MESSAGE and so on.
 */
typedef int32_t lithe_item_kind;

/**
 * Something that a peer has sent.
 */
typedef struct lithe_item_t {
    /**
     * LITHE_ITEM_MESSAGE and so on.
     */
    lithe_item_kind kind;
    /**
     * Of LITHE_ITEM_CLOSE: the close code, 1005 when the peer has sent none; else 0.
     */
    int32_t code;
    /**
     * The message, what a ping or pong holds, or the reason of a close. It belongs to the host
     * until lithe_message_free.
     */
    struct lithe_message_t message;
    /**
     * 0. Room for what later versions tell.
     */
    uint64_t reserved[2];
} lithe_item_t;

/**
 * Which struct it is: LITHE_OPTIONS_SERVER and so on.
 */
typedef int32_t lithe_options_kind;

/**
 * A struct whose fields are set by their names: lithe_options_create gives it, lithe_options_free
 * takes it back.
 */
typedef uint64_t lithe_options_t;

/**
 * Nothing.
 */
#define LITHE_LOG_OFF 0

/**
 * Something failed that should not have: a bug.
 */
#define LITHE_LOG_ERROR 1

/**
 * Something that deserves attention, such as a limit that keeps connections out.
 */
#define LITHE_LOG_WARN 2

/**
 * What an operator wants to know, such as the address that a server listens on.
 */
#define LITHE_LOG_INFO 3

/**
 * What a developer wants to know, such as why a connection ended.
 */
#define LITHE_LOG_DEBUG 4

/**
 * Every step.
 */
#define LITHE_LOG_TRACE 5

/**
 * A message of UTF-8 text. Lithe has checked that it is, and so may a host rely on it.
 */
#define LITHE_TEXT 1

/**
 * A message of bytes.
 */
#define LITHE_BINARY 2

/**
 * A request has come in: `handle` is a lithe_request_t, which the host answers and frees, or hands
 * to lithe_request_dispatch.
 */
#define LITHE_EVENT_REQUEST 1

/**
 * A WebSocket has finished its handshake: `handle` is the lithe_ws_t, as in the events below.
 */
#define LITHE_EVENT_OPEN 2

/**
 * A message has come in: `message`, which belongs to the host.
 */
#define LITHE_EVENT_MESSAGE 3

/**
 * There is room again: a send, be it one to many, was told FULL, and since then the send queue has
 * fallen to half, or the connection has ended while it was paused (see lithe_ws_pause).
 */
#define LITHE_EVENT_WRITABLE 4

/**
 * A WebSocket, event stream or streamed response has ended: its last event, whichever side has
 * ended it. Of a WebSocket `code` is the close code, `clean` is 1 when both sides have said that
 * they close, and `message` is the reason (see lithe_ws_close_info_t); of an event stream `clean`
 * is 1 when the server has ended it, 0 when the client has gone; of a response it is 1 when it was
 * finished and all of it has left the send queue, else 0.
 *
 * The handle is still to be freed, by the function for its `handle_kind`.
 */
#define LITHE_EVENT_CLOSED 5

/**
 * A drain that lithe_server_begin_drain has begun is over: `handle` is the lithe_server_t. It comes
 * once, behind the LITHE_EVENT_CLOSED of the connections, whichever threads these go to.
 */
#define LITHE_EVENT_DRAINED 6

/**
 * The body of a request that lithe_request_watch was called for can be read on: a
 * lithe_request_read was told TIMEOUT, and since then more has come, or the end, or an error,
 * which the next one returns. `handle` is the lithe_request_t.
 */
#define LITHE_EVENT_READABLE 7

/**
 * A client of a hub that was mounted with LITHE_AUTHORIZE_HOST wants to do something: `handle` is
 * the lithe_authorization_t, which the host answers (lithe_authorization_answer) and frees.
 */
#define LITHE_EVENT_AUTHORIZE 8

/**
 * A lithe_server_t.
 */
#define LITHE_HANDLE_SERVER 1

/**
 * A lithe_request_t.
 */
#define LITHE_HANDLE_REQUEST 2

/**
 * A lithe_ws_t.
 */
#define LITHE_HANDLE_WS 3

/**
 * A lithe_sse_t.
 */
#define LITHE_HANDLE_SSE 4

/**
 * A lithe_response_t.
 */
#define LITHE_HANDLE_RESPONSE 6

/**
 * A lithe_authorization_t.
 */
#define LITHE_HANDLE_AUTHORIZATION 10

/**
 * Messages are not compressed. The default: compression costs time, and secrets beside text that
 * an attacker chooses can be guessed from the size of the result.
 */
#define LITHE_COMPRESSION_OFF -1

/**
 * Messages of 1 KiB and more are compressed for clients that offer it (permessage-deflate).
 */
#define LITHE_COMPRESSION_AUTO 1

/**
 * The subscriber reads on in the channel's history whenever it can. When the history has moved
 * past it, it is told of one gap, and goes on as lithe_after_gap says. The default.
 */
#define LITHE_OVERFLOW_RESUME 1

/**
 * Of the publications with the same key only the newest is kept and delivered. Whoever reads in
 * time gets all of them.
 */
#define LITHE_OVERFLOW_LATEST 2

/**
 * The subscriber is told of the gap, and goes on with the oldest publication that there is.
 */
#define LITHE_OVERFLOW_DROP_OLDEST 3

/**
 * The subscriber's connection is closed, a WebSocket with 4201.
 */
#define LITHE_OVERFLOW_DISCONNECT 4

/**
 * With what is published from now on: it has to fetch the state anyway. The default.
 */
#define LITHE_AFTER_GAP_NEWEST 1

/**
 * With the oldest publication that there still is.
 */
#define LITHE_AFTER_GAP_OLDEST 2

/**
 * It does not. The default.
 */
#define LITHE_PRESENCE_OFF -1

/**
 * It does, and can be asked: lithe_hub_presence.
 */
#define LITHE_PRESENCE_LISTED 1

/**
 * Its subscribers are also told of who joins and who leaves.
 */
#define LITHE_PRESENCE_ANNOUNCED 2

/**
 * What was published, and nothing else: on a WebSocket a message of text if it is UTF-8, else one of
 * bytes. The default.
 */
#define LITHE_FORMAT_DATA 1

/**
 * The same, but on a WebSocket always a message of bytes.
 */
#define LITHE_FORMAT_BINARY 2

/**
 * An object in JSON, which names the channel and the position: a frame "pub" of the hub's protocol
 * for WebSockets, in which there are also frames that tell of gaps, of who comes and goes, and of
 * the cursor. On an event stream it is the data of the event.
 */
#define LITHE_FORMAT_JSON 3

/**
 * Everybody may subscribe to every channel, read its history and see who is on it; nobody may
 * publish. The default.
 */
#define LITHE_AUTHORIZE_PUBLIC 1

/**
 * The host is asked: LITHE_EVENT_AUTHORIZE, or lithe_server_authorize.
 */
#define LITHE_AUTHORIZE_HOST 2

/**
 * JSON Web Tokens say so, in the lists "subscribe", "publish", "history" and "presence" of their claim
 * "lithe".
 */
#define LITHE_AUTHORIZE_JWT 3

/**
 * Connect, or go on with a new token.
 */
#define LITHE_ACTION_CONNECT 1

/**
 * Get what is published on a channel from now on, and what it has missed since its cursor.
 */
#define LITHE_ACTION_SUBSCRIBE 2

/**
 * Read publications of a channel from before it came.
 */
#define LITHE_ACTION_HISTORY 3

/**
 * Publish on a channel.
 */
#define LITHE_ACTION_PUBLISH 4

/**
 * See who is on a channel.
 */
#define LITHE_ACTION_PRESENCE 5

/**
 * It is known, and may not: 403. The default.
 */
#define LITHE_REFUSAL_DENIED 1

/**
 * It presents no token, and has to: 401.
 */
#define LITHE_REFUSAL_MISSING 2

/**
 * Its token is not valid: 401.
 */
#define LITHE_REFUSAL_INVALID 3

/**
 * Its token was valid once: 401.
 */
#define LITHE_REFUSAL_EXPIRED 4

/**
 * It cannot be found out now; it may try again.
 */
#define LITHE_REFUSAL_UNAVAILABLE 5

/**
 * The end that was connected to.
 */
#define LITHE_ROLE_SERVER 1

/**
 * The end that connects. It masks what it sends.
 */
#define LITHE_ROLE_CLIENT 2

/**
 * A message.
 */
#define LITHE_ITEM_MESSAGE 1

/**
 * A ping, to be answered with a pong that holds the same (lithe_codec_encode_pong).
 */
#define LITHE_ITEM_PING 2

/**
 * A pong.
 */
#define LITHE_ITEM_PONG 3

/**
 * The peer closes: to be answered with lithe_codec_encode_close, unless this end has closed
 * before. It is the last item.
 */
#define LITHE_ITEM_CLOSE 4

/**
 * A lithe_server_config_t.
 */
#define LITHE_OPTIONS_SERVER 1

/**
 * A lithe_ws_options_t.
 */
#define LITHE_OPTIONS_WS 2

/**
 * A lithe_sse_options_t.
 */
#define LITHE_OPTIONS_SSE 3

/**
 * A lithe_sse_event_t.
 */
#define LITHE_OPTIONS_EVENT 4

/**
 * A lithe_response_options_t.
 */
#define LITHE_OPTIONS_RESPONSE 5

/**
 * A lithe_route_options_t.
 */
#define LITHE_OPTIONS_ROUTE 6

/**
 * A lithe_codec_options_t.
 */
#define LITHE_OPTIONS_CODEC 7

/**
 * A lithe_hub_options_t. Its array of namespaces is set as a number, which is its address.
 */
#define LITHE_OPTIONS_HUB 8

/**
 * A lithe_channel_options_t.
 */
#define LITHE_OPTIONS_CHANNEL 9

/**
 * A lithe_publish_options_t.
 */
#define LITHE_OPTIONS_PUBLISH 10

/**
 * A lithe_subscribe_options_t.
 */
#define LITHE_OPTIONS_SUBSCRIBE 11

/**
 * A lithe_mount_options_t.
 */
#define LITHE_OPTIONS_MOUNT 12

/**
 * A lithe_grant_t.
 */
#define LITHE_OPTIONS_GRANT 13

/**
 * A lithe_revocation_t.
 */
#define LITHE_OPTIONS_REVOCATION 14

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library that is linked, such as "0.1.0". NUL-terminated, lives for ever.
 * Never blocks. Never NULL.
 */
const char *lithe_version(void);

/**
 * The version of the ABI that the linked library speaks. A program that was compiled with this
 * header needs it to be LITHE_ABI_VERSION. Never blocks.
 */
int32_t lithe_abi_version(void);

/**
 * Names an error code in a few English words, such as "bad handle". Takes any number; one that is
 * no code is an "unknown error".
 *
 * The text is NUL-terminated and lives for ever. Never blocks. Never NULL.
 */
const char *lithe_strerror(int32_t code);

/**
 * What went wrong in this thread's last call that failed, in words:
 * "bind 127.0.0.1:80: permission denied". Empty when none has failed yet.
 *
 * The text is NUL-terminated and belongs to the calling thread; it is valid until the thread's
 * next call of any other function of this library. Never blocks. Never NULL.
 */
const char *lithe_last_error(void);

/**
 * Has the library's events of `level` and graver given to `callback`, in place of an earlier one.
 * NULL, or LITHE_LOG_OFF, ends it: without a callback the library says nothing at all.
 *
 * When this returns, the earlier callback is not running and will not be called again. Blocks for
 * as long as that takes. The callback and what `user_data` points to must be good until then.
 *
 * Errors: BAD_ARGUMENT for a level that there is not, WRONG_STATE inside the callback.
 */
int32_t lithe_log_set(lithe_log_level level, lithe_log_callback callback, void *user_data);

/**
 * Gives a message back, and makes its struct empty. An empty struct, and NULL, are left as they
 * are, so freeing twice is harmless. Never blocks.
 */
void lithe_message_free(struct lithe_message_t *message);

/**
 * Starts a server: when this returns, it is listening. It runs on threads of its own, which block
 * all signals, until lithe_server_stop or lithe_server_free.
 *
 * `config` may be NULL for the defaults. On an error `*server` is 0. Blocks for as long as the
 * system takes to start threads and to read the files of the configuration. Errors: BAD_ARGUMENT
 * for a setting that makes no sense, NOT_UTF8, IO when the address cannot be listened on or a file
 * cannot be read.
 */
int32_t lithe_server_start(const struct lithe_server_config_t *config, lithe_server_t *server);

/**
 * The port that the server listens on. Never blocks. Errors: BAD_HANDLE.
 */
int32_t lithe_server_port(lithe_server_t server);

/**
 * The address that the server listens on, with its port, such as "127.0.0.1:8080".
 *
 * The text is valid until lithe_server_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
 */
int32_t lithe_server_address(lithe_server_t server, struct lithe_string_t *address);

/**
 * Waits for the next request, for `timeout_ms` at most. The host answers it exactly once: with
 * lithe_request_respond, lithe_request_respond_stream, lithe_ws_accept or lithe_sse_open; then, or
 * instead, it ends the handle with lithe_request_free.
 *
 * Several threads may wait; each request goes to one of them. On an error `*request` is 0. Blocks.
 * Errors: BAD_HANDLE, BAD_ARGUMENT, TIMEOUT, SHUTTING_DOWN when the server is stopped.
 */
int32_t lithe_server_accept(lithe_server_t server, lithe_request_t *request, int32_t timeout_ms);

/**
 * Parts from all clients kindly, and stops the server: takes no new connections, ends event
 * streams with a time to come back after, closes WebSockets with 1001, and waits up to
 * `timeout_ms` for the clients and the host to be done; then it cuts the rest.
 *
 * Requests that came in before still reach lithe_server_accept or lithe_server_wait meanwhile, so
 * the threads that call them go on until they say SHUTTING_DOWN. `report` may be NULL. Blocks.
 * Errors: BAD_HANDLE, BAD_ARGUMENT, SHUTTING_DOWN when the server is stopped already, WRONG_STATE
 * inside a callback that runs on a thread of the library.
 */
int32_t lithe_server_drain(lithe_server_t server,
                           int32_t timeout_ms,
                           struct lithe_drain_report_t *report);

/**
 * Begins what lithe_server_drain does, and returns at once: the end of it is the event
 * LITHE_EVENT_DRAINED of lithe_server_wait, after which lithe_server_drain returns the report
 * without waiting, and stops the server. For a program with one thread, which has to take the
 * events of the connections meanwhile. Called again it can only bring the end nearer.
 *
 * Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, SHUTTING_DOWN when the server is stopped already.
 */
int32_t lithe_server_begin_drain(lithe_server_t server, int32_t timeout_ms);

/**
 * Stops a server at once: cuts its connections and ends its threads. Whoever is blocked in
 * lithe_server_accept gets SHUTTING_DOWN, as does every later call of it; whoever is blocked on
 * a connection gets CLOSED; lithe_server_wait gives the events that are left. Does nothing when
 * the server is stopped already.
 *
 * The handle stays valid until lithe_server_free. Blocks until the threads have ended. Errors:
 * BAD_HANDLE, WRONG_STATE inside a callback that runs on a thread of the library.
 */
int32_t lithe_server_stop(lithe_server_t server);

/**
 * Ends a server's handle, and stops the server if it runs. Handles of its requests and
 * connections stay valid until they are freed, but nothing can be done with them any more.
 * Blocks until the threads have ended. Errors: BAD_HANDLE, WRONG_STATE inside a callback that runs
 * on a thread of the library.
 */
int32_t lithe_server_free(lithe_server_t server);

/**
 * Fills in what a server has counted. The numbers are read one by one while the server goes on, so
 * two of them may be a moment apart.
 *
 * Takes time in proportion to the connections, but never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
 * SHUTTING_DOWN when the server is stopped.
 */
int32_t lithe_server_stats(lithe_server_t server, struct lithe_server_stats_t *stats);

/**
 * Gives all that a server has counted as text, as Prometheus reads it: in the OpenMetrics format,
 * for a host that answers its requests. (With `metrics_path` in the configuration Lithe does so.)
 *
 * The text belongs to the host until lithe_message_free; on an error it is empty. Takes time in
 * proportion to the connections, but never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, SHUTTING_DOWN
 * when the server is stopped.
 */
int32_t lithe_server_metrics(lithe_server_t server, struct lithe_message_t *text);

/**
 * Waits until something has happened on the server or any of its connections, for `timeout_ms` at
 * most, and takes as much of it as there is, up to `capacity` events, in one call. Returns how
 * many events `events`, an array of `capacity` structs, was filled with: 0 when the time is over,
 * or when lithe_server_wake was called.
 *
 * Events come of connections that were accepted or opened with `events` set to 1 in their
 * options, and of each in the order in which they have happened; every such connection ends with
 * one LITHE_EVENT_CLOSED, unless its handle is freed before. A request comes as an event, or out
 * of lithe_server_accept, whichever is called first.
 *
 * A host that is slow here slows its peers down, and costs no memory: what has happened waits in
 * the queues of the connections. The messages in the events belong to the host until
 * lithe_event_free, or lithe_message_free for each. Several threads may wait; each event goes to
 * one of them. Blocks.
 *
 * What a thread sends while it works through what this has returned may be held back until the
 * thread calls it again, for a millisecond at most, so that it leaves with few system calls. That
 * does not go for a call with a timeout of 0, after which a thread may have something else to do.
 *
 * Errors: BAD_HANDLE, BAD_ARGUMENT, SHUTTING_DOWN when the server is stopped and every event from
 * before was taken.
 */
int32_t lithe_server_wait(lithe_server_t server,
                          struct lithe_event_t *events,
                          size_t capacity,
                          int32_t timeout_ms);

/**
 * Makes a thread that is blocked in lithe_server_wait return, or else the next call of it, with
 * what events there are, or none. For a thread that has something for the thread with the events
 * to do. May be called on any thread. Never blocks. Errors: BAD_HANDLE.
 */
int32_t lithe_server_wake(lithe_server_t server);

/**
 * A file descriptor that can be read, as poll, epoll and kqueue say it, while lithe_server_wait
 * has something to return: for a loop that waits for other things too. It is level-triggered:
 * whoever leaves events where they are is told again. Only lithe_server_wait makes it unreadable;
 * nothing is to be read from it, or written to it.
 *
 * It belongs to the server, and is closed by lithe_server_free. Never blocks. Errors: BAD_HANDLE,
 * IO when there are no more file descriptors.
 */
int lithe_server_event_fd(lithe_server_t server);

/**
 * Gives the messages of `count` events back, as lithe_message_free does: those whose message was
 * freed or moved out, and made empty, are left as they are. NULL does nothing. Never blocks.
 */
void lithe_event_free(struct lithe_event_t *events, size_t count);

/**
 * The request's method, such as "GET".
 *
 * The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
 */
int32_t lithe_request_method(lithe_request_t request, struct lithe_string_t *method);

/**
 * The path of the request's URL, such as "/chat/room%201": percent-encoded as it came.
 *
 * The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
 */
int32_t lithe_request_path(lithe_request_t request, struct lithe_string_t *path);

/**
 * The query of the request's URL, what comes after '?', such as "name=Ann&x=1": percent-encoded
 * as it came. Empty when there is none.
 *
 * The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
 */
int32_t lithe_request_query(lithe_request_t request, struct lithe_string_t *query);

/**
 * The address that the request came from, such as "127.0.0.1:50312": that of the proxy, if there
 * is one.
 *
 * The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
 */
int32_t lithe_request_peer(lithe_request_t request, struct lithe_string_t *peer);

/**
 * The value of the first parameter of that name in the request's query, as a form in a browser
 * sends them: "/search?name=Ann%20B&x=1". Decoded, so it may hold any character, also a NUL before
 * its end; bytes that are not UTF-8 are replaced by U+FFFD. The name is NUL-terminated.
 *
 * The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
 * NOT_UTF8, NOT_FOUND when the query has no such parameter.
 */
int32_t lithe_request_query_param(lithe_request_t request,
                                  const char *name,
                                  struct lithe_string_t *value);

/**
 * The request's body: any bytes, empty when there is none. It has come in as a whole.
 *
 * The bytes are valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
 * WRONG_STATE when the body is for lithe_request_read.
 */
int32_t lithe_request_body(lithe_request_t request, struct lithe_string_t *body);

/**
 * Reads on in the body of a request that reached the host before it: the bytes that have come, and
 * are not read yet, up to `capacity`. Success with a `*len` of 0 is the end of the body. Blocks
 * until there is something, for `timeout_ms` at most.
 *
 * What the host does not read is left with the client, but for some 64 KiB: a slow host slows the
 * client down. A request may be answered before all of its body is read; what is left then ends up
 * unread, and the connection is closed over HTTP/1. After lithe_request_respond nothing more can
 * be read; while a streamed response goes on it can.
 *
 * On an error `*len` is 0. Errors: BAD_HANDLE, BAD_ARGUMENT (also for a `capacity` of 0), TIMEOUT,
 * WRONG_STATE when the body came as a whole, TOO_LARGE when it is larger than it may be, CLOSED
 * when the client has gone, or sends too slowly, or the request was answered. After the last two
 * it can only be freed, or answered if the client is still there.
 */
int32_t lithe_request_read(lithe_request_t request,
                           void *buffer,
                           size_t capacity,
                           size_t *len,
                           int32_t timeout_ms);

/**
 * Has events tell of the body of a request that is streamed, for a host that does not block:
 * whenever a lithe_request_read was told TIMEOUT, one LITHE_EVENT_READABLE, which bears
 * `user_data`, comes out of lithe_server_wait as soon as there is something to read.
 *
 * Called again, it changes `user_data`. Never blocks. Errors: BAD_HANDLE, WRONG_STATE when the
 * body came as a whole.
 */
int32_t lithe_request_watch(lithe_request_t request, uint64_t user_data);

/**
 * The subprotocols that a WebSocket handshake offers, the client's favourite first, with ", "
 * between them. Empty when it offers none, and for other requests.
 *
 * The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
 */
int32_t lithe_request_protocols(lithe_request_t request, struct lithe_string_t *protocols);

/**
 * The id of the last event that the client of an event stream has seen: the Last-Event-ID header,
 * or the query parameter lastEventId, decoded. What came after it is what the client has missed.
 *
 * The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
 * NOT_FOUND when the client comes for the first time.
 */
int32_t lithe_request_last_event_id(lithe_request_t request, struct lithe_string_t *id);

/**
 * The value of the first header of that name; `name_len` may be LITHE_CSTR. Case does not matter
 * in names. Where a header may come several times, go through all with lithe_request_header_at.
 *
 * The value is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
 * NOT_UTF8, TOO_LARGE, NOT_FOUND when the request has no such header.
 */
int32_t lithe_request_header(lithe_request_t request,
                             const char *name,
                             size_t name_len,
                             struct lithe_string_t *value);

/**
 * How many headers the request has. Never blocks. Errors: BAD_HANDLE.
 */
int32_t lithe_request_header_count(lithe_request_t request);

/**
 * The header at `index`, counted from 0. Headers of the same name stand in the order they came in.
 *
 * The texts are valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
 * NOT_FOUND when there are not so many.
 */
int32_t lithe_request_header_at(lithe_request_t request,
                                size_t index,
                                struct lithe_header_t *header);

/**
 * 1 when the request is a WebSocket handshake, which lithe_ws_accept can answer, else 0. Never
 * blocks. Errors: BAD_HANDLE.
 */
int32_t lithe_request_is_websocket(lithe_request_t request);

/**
 * Keeps a request when its handler returns, which otherwise ends with it: for a host that answers
 * later, or on another thread, which then frees it as well. To be called by the handler. For
 * requests that the host has not got by way of a handler it changes nothing.
 *
 * Never blocks. Errors: BAD_HANDLE.
 */
int32_t lithe_request_keep(lithe_request_t request);

/**
 * Ends a request's handle, and with it the texts that its functions gave. A request that was not
 * answered is answered with 503, and what is left of its body is not read. Never blocks. Errors:
 * BAD_HANDLE.
 */
int32_t lithe_request_free(lithe_request_t request);

/**
 * Answers a request with a status from 200 to 599, headers and a body. All of it is copied.
 *
 * `headers` may be NULL when `header_count` is 0. Content-Length and Date are added by themselves,
 * a Content-Type is not; with 426 so is the Upgrade to a WebSocket. `body_len` may be LITHE_CSTR;
 * for a HEAD request, or a status without a body, the body is left out.
 *
 * The request stays valid, for its texts, until lithe_request_free. Never blocks. Errors:
 * BAD_HANDLE, BAD_ARGUMENT (status, a malformed header, or one that is for Lithe to set),
 * TOO_LARGE, CLOSED when the client has gone or was told that the answer took too long,
 * WRONG_STATE when the request was answered already.
 */
int32_t lithe_request_respond(lithe_request_t request,
                              int32_t status,
                              const struct lithe_header_t *headers,
                              size_t header_count,
                              const void *body,
                              size_t body_len);

/**
 * Answers a request with a status, a content type such as "text/html; charset=utf-8", and a body,
 * both NUL-terminated. Either may be NULL, for none.
 *
 * Otherwise it is lithe_request_respond. Errors: NOT_UTF8 as well, for the content type.
 */
int32_t lithe_request_respond_text(lithe_request_t request,
                                   int32_t status,
                                   const char *content_type,
                                   const char *body);

/**
 * Answers a request with a status from 200 to 599 and headers, and begins its body, which
 * lithe_response_write goes on with and lithe_response_finish ends. The headers are copied.
 *
 * When the headers say the Content-Length, exactly so much must be written. Otherwise the body may
 * have any length: it is sent in chunks over HTTP/1.1, and over HTTP/1.0 ends with the connection.
 * For a HEAD request, or a status without a body, there is nothing to write: the response is ended
 * already, so that lithe_response_write says CLOSED.
 *
 * A response has no deadline once it has begun; a client that takes none of it for the server's
 * `write_timeout_ms` has gone. `headers` may be NULL when `header_count` is 0,
 * `options` for the defaults. The request's handle is still to be freed; until then, and until the
 * response is finished, lithe_request_read goes on reading its body. On an error `*response` is 0.
 * Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT (status, a malformed header, or one that is for
 * Lithe to set), TOO_LARGE, CLOSED when the client has gone or was told that the answer took too
 * long, WRONG_STATE when the request was answered already.
 */
int32_t lithe_request_respond_stream(lithe_request_t request,
                                     int32_t status,
                                     const struct lithe_header_t *headers,
                                     size_t header_count,
                                     const struct lithe_response_options_t *options,
                                     lithe_response_t *response);

/**
 * Writes the next bytes of a response's body, which are copied; `len` may be LITHE_CSTR. Success
 * means that they are in the send queue: all of them, or none on an error. More than the queue has
 * room for is taken when nothing else waits in it, so whoever has much to send writes it in
 * smaller pieces.
 *
 * Blocks while the send queue is full, for `timeout_ms` at most. Errors: BAD_HANDLE, BAD_ARGUMENT,
 * CLOSED when the client has gone or the response was finished, TIMEOUT, or FULL when `timeout_ms`
 * is 0, TOO_LARGE when it is more than the Content-Length leaves.
 */
int32_t lithe_response_write(lithe_response_t response,
                             const void *data,
                             size_t len,
                             int32_t timeout_ms);

/**
 * Ends the body of a response after what is queued. From here on every thread that writes to it
 * gets CLOSED, and the request's body is not read any further. Does nothing when the response is
 * finished already.
 *
 * The handle stays valid until lithe_response_free, which may follow at once. Never blocks.
 * Errors: BAD_HANDLE, CLOSED when the client has gone before it had all, WRONG_STATE when less was
 * written than the Content-Length says; what a thread still waits to write counts as not written.
 */
int32_t lithe_response_finish(lithe_response_t response);

/**
 * Waits until a response has ended, for `timeout_ms` at most. Success means that it was finished
 * and that all of it has left the send queue, on its way to the client.
 *
 * Blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, CLOSED when the client has gone before, TIMEOUT when
 * the response has not ended.
 */
int32_t lithe_response_wait_closed(lithe_response_t response, int32_t timeout_ms);

/**
 * How many bytes of a response wait to be sent. Never blocks. Errors: BAD_HANDLE.
 */
int64_t lithe_response_queued(lithe_response_t response);

/**
 * Ends a response's handle. One that is not finished is broken off, so that the client takes it
 * for the failure that it is and not for a shorter body; threads that write to it get CLOSED, and
 * no more events come of it. One that is finished is sent to its end. Never blocks. Errors:
 * BAD_HANDLE.
 */
int32_t lithe_response_free(lithe_response_t response);

/**
 * Adds a route: requests with that method, such as "GET", whose path fits `pattern`. Both texts
 * are NUL-terminated. NULL in the place of the method stands for any that has no route of its own;
 * a request for HEAD goes where one for GET would, and has the body of its answer left out; so
 * does a WebSocket handshake, whatever its method.
 *
 * In a pattern, "{name}" captures one segment of the path, and "{*name}" at the end captures all
 * that is left, slashes too: "/chat/{room}", "/files/{*path}". Both capture one byte at least.
 * "{{" and "}}" stand for braces; a segment cannot begin with ":" or "*". Patterns are compared with the path as it came, percent-encoded;
 * captured values are decoded. Where several patterns fit, the most specific one counts:
 * "/chat/lobby" before "/chat/{room}".
 *
 * `handler` gets the requests that lithe_request_dispatch and lithe_server_serve take, with
 * `user_data`. It may be NULL for a host that takes them by other means and asks for their
 * lithe_request_user_data. It is only ever called by those two functions, so it may block, and
 * several threads that call them may be in it at the same time. `options` may be NULL for what the
 * server does.
 *
 * Routes may be added while the server runs, and stay until it is freed. Never blocks. Errors:
 * BAD_HANDLE, BAD_ARGUMENT for a method or pattern that is malformed or conflicts with an earlier
 * one, NOT_UTF8.
 */
int32_t lithe_server_route(lithe_server_t server,
                           const char *method,
                           const char *pattern,
                           lithe_request_handler handler,
                           void *user_data,
                           const struct lithe_route_options_t *options);

/**
 * Takes the next request, as lithe_server_accept does, and dispatches it, as
 * lithe_request_dispatch does. A whole server is `while (lithe_server_serve(server, -1) ==
 * LITHE_OK) {}`, on as many threads as requests shall be answered at a time.
 *
 * Blocks, for `timeout_ms` at most until there is a request, and for as long as its handler takes.
 * Errors: BAD_HANDLE, BAD_ARGUMENT, TIMEOUT, SHUTTING_DOWN when the server is stopped.
 */
int32_t lithe_server_serve(lithe_server_t server, int32_t timeout_ms);

/**
 * Calls the handler of a request's route, on the calling thread, and frees the request, unless the
 * handler has called lithe_request_keep. Answers a request for which there is no route itself: with
 * 404, or with 405 where its path has routes for other methods, which its Allow header names; so it
 * does for OPTIONS, with 204.
 *
 * When the handler is NULL, or does not answer, the answer is 503. Blocks for as long as the
 * handler takes. Errors: BAD_HANDLE.
 */
int32_t lithe_request_dispatch(lithe_request_t request);

/**
 * The value that the pattern of a request's route has captured by that name, NUL-terminated;
 * percent-decoded, so it may hold any character, also a slash, and a NUL before its end. Bytes
 * that are not UTF-8 are replaced by U+FFFD.
 *
 * The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
 * NOT_UTF8, NOT_FOUND when the pattern has no such name, or the request no route.
 */
int32_t lithe_request_param(lithe_request_t request,
                            const char *name,
                            struct lithe_string_t *value);

/**
 * The `user_data` of a request's route, for hosts that dispatch requests by themselves.
 *
 * Never blocks. On an error `*user_data` is NULL. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_FOUND when
 * the request has no route.
 */
int32_t lithe_request_user_data(lithe_request_t request, void **user_data);

/**
 * Answers a request that is a WebSocket handshake (lithe_request_is_websocket). The WebSocket can
 * be used at once: what is sent before the client has the answer waits for it.
 *
 * `options` may be NULL for the defaults. The request's handle is still to be freed. On an error
 * `*ws` is 0. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, CLOSED when the client has
 * gone or was told that the answer took too long, REFUSED when the page may not connect by
 * `origins` (the client was told 403), WRONG_STATE when the request is no handshake or was answered
 * already.
 */
int32_t lithe_ws_accept(lithe_request_t request,
                        const struct lithe_ws_options_t *options,
                        lithe_ws_t *ws);

/**
 * The subprotocol that was agreed on; empty when there is none.
 *
 * The text is valid until lithe_ws_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
 */
int32_t lithe_ws_protocol(lithe_ws_t ws, struct lithe_string_t *protocol);

/**
 * Waits for the next message, for `timeout_ms` at most. Messages come in the order in which the
 * peer has sent them; pings, pongs and fragments are taken care of.
 *
 * The message belongs to the host until lithe_message_free. What was in `*message` is overwritten,
 * not freed; on an error it is empty. Several threads may wait; each message goes to one of them.
 * Blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, TIMEOUT, WRONG_STATE when the messages come as events,
 * CLOSED when the connection has ended and every message from before was received, or this side
 * has closed it (see lithe_ws_close_info).
 */
int32_t lithe_ws_receive(lithe_ws_t ws, struct lithe_message_t *message, int32_t timeout_ms);

/**
 * Waits for messages, for `timeout_ms` at most, and takes as many as there are, up to `capacity`,
 * in one call. Returns how many, which is at least 1.
 *
 * `messages` is an array of `capacity` structs, of which that many are filled; each belongs to the
 * host until lithe_message_free. Otherwise it is lithe_ws_receive.
 */
int32_t lithe_ws_receive_many(lithe_ws_t ws,
                              struct lithe_message_t *messages,
                              size_t capacity,
                              int32_t timeout_ms);

/**
 * Waits for the next message, for `timeout_ms` at most, and copies it to `buffer`, which has room
 * for `capacity` bytes. `*kind` is LITHE_TEXT or LITHE_BINARY, `*len` the length in bytes.
 *
 * A message that is larger than the buffer stays for the next call: the error is TOO_SMALL, `*len`
 * says how much room it needs. Otherwise it is lithe_ws_receive. Blocks. Errors: BAD_HANDLE,
 * BAD_ARGUMENT, TIMEOUT, TOO_SMALL, WRONG_STATE, CLOSED.
 */
int32_t lithe_ws_receive_into(lithe_ws_t ws,
                              void *buffer,
                              size_t capacity,
                              lithe_message_kind *kind,
                              size_t *len,
                              int32_t timeout_ms);

/**
 * Holds the messages of a WebSocket back that come as events: from here on lithe_server_wait gives
 * none of it, until lithe_ws_resume. They wait in its receive queue; when that is full the
 * connection is no longer read, and TCP slows the peer down. For a host that cannot send on what
 * it gets. Other events come all the same, but LITHE_EVENT_CLOSED comes behind the messages.
 *
 * Events that a thread has taken already it has. Does nothing when it is paused already. Never
 * blocks. Errors: BAD_HANDLE, WRONG_STATE when the messages do not come as events.
 */
int32_t lithe_ws_pause(lithe_ws_t ws);

/**
 * Lets the messages of a WebSocket come again after lithe_ws_pause.
 *
 * Never blocks. Errors: BAD_HANDLE, WRONG_STATE when the messages do not come as events.
 */
int32_t lithe_ws_resume(lithe_ws_t ws);

/**
 * Sends a message: `kind` is LITHE_TEXT, for UTF-8, or LITHE_BINARY. The data is copied; `len` may
 * be LITHE_CSTR. Success means that it is in the send queue; messages leave in the order in which
 * they were queued.
 *
 * Blocks while the send queue is full, for `timeout_ms` at most. A message that was not queued was
 * not sent, nor any part of it; one that is larger than the whole queue is taken when nothing else
 * is queued. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE for a length that no memory has,
 * CLOSED, TIMEOUT, or FULL when `timeout_ms` is 0.
 */
int32_t lithe_ws_send(lithe_ws_t ws,
                      lithe_message_kind kind,
                      const void *data,
                      size_t len,
                      int32_t timeout_ms);

/**
 * Sends NUL-terminated text. Otherwise it is lithe_ws_send.
 */
int32_t lithe_ws_send_text(lithe_ws_t ws, const char *text, int32_t timeout_ms);

/**
 * Sends a message as it was received, on whatever connection, and does not copy it if it is large.
 * The message is left to the host, which still frees it.
 *
 * Otherwise it is lithe_ws_send.
 */
int32_t lithe_ws_send_message(lithe_ws_t ws,
                              const struct lithe_message_t *message,
                              int32_t timeout_ms);

/**
 * Closes a WebSocket after what is queued. From here on every thread that waits on it, and every
 * later call, gets CLOSED; messages that were not received are lost. Does nothing when it is
 * closed already.
 *
 * `code` is 0, for 1000, "normal", or a code that a server may send: 1000 to 1003, 1007 to 1014,
 * 3000 to 4999, of which those from 4000 are for the host's own use. The reason, at most 123
 * bytes of UTF-8, may be NULL; `reason_len` may be LITHE_CSTR.
 *
 * Never blocks: the peer's answer is waited for in the background (see lithe_ws_close_info). The
 * handle stays valid until lithe_ws_free. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE.
 */
int32_t lithe_ws_close(lithe_ws_t ws, int32_t code, const char *reason, size_t reason_len);

/**
 * Says how a WebSocket ended; waits for its end for `timeout_ms` at most, which is not over before
 * the peer has answered a close, or is given up.
 *
 * `info` may be NULL, to wait only. Blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, TIMEOUT when it has not ended.
 */
int32_t lithe_ws_close_info(lithe_ws_t ws,
                            struct lithe_ws_close_info_t *info,
                            int32_t timeout_ms);

/**
 * How many bytes wait to be sent: 0 once the kernel has taken all. Never blocks. Errors:
 * BAD_HANDLE.
 */
int64_t lithe_ws_queued(lithe_ws_t ws);

/**
 * Ends a WebSocket's handle. One that is still open is closed with 1000, after what is queued;
 * threads that wait on it get CLOSED, and no more events come of it. Never blocks. Errors: BAD_HANDLE.
 */
int32_t lithe_ws_free(lithe_ws_t ws);

/**
 * Answers a request with an event stream, as an EventSource in a browser reads it. Events can be
 * sent at once.
 *
 * `options` may be NULL for the defaults. The request's handle is still to be freed. On an error
 * `*sse` is 0. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, CLOSED when the client has gone or
 * was told that the answer took too long, WRONG_STATE when the request was answered already.
 */
int32_t lithe_sse_open(lithe_request_t request,
                       const struct lithe_sse_options_t *options,
                       lithe_sse_t *sse);

/**
 * Sends an event. All of it is copied. Success means that it is in the send queue; events leave in
 * the order in which they were queued.
 *
 * Blocks while the send queue is full, for `timeout_ms` at most. Errors: BAD_HANDLE, BAD_ARGUMENT
 * (such as a line end in the name or id), NOT_UTF8, TOO_LARGE, CLOSED when the client has gone or
 * the stream was closed, TIMEOUT, or FULL when `timeout_ms` is 0.
 */
int32_t lithe_sse_send(lithe_sse_t sse, const struct lithe_sse_event_t *event, int32_t timeout_ms);

/**
 * Sends an event with that name, or none for NULL, and that data; both are NUL-terminated.
 * Otherwise it is lithe_sse_send.
 */
int32_t lithe_sse_send_text(lithe_sse_t sse,
                            const char *name,
                            const char *data,
                            int32_t timeout_ms);

/**
 * Waits until an event stream has ended, because its client has gone or it was closed, for
 * `timeout_ms` at most: what a thread does that has nothing to send for a while.
 *
 * Blocks. Success means that it has ended. Errors: BAD_HANDLE, BAD_ARGUMENT, TIMEOUT when it has
 * not.
 */
int32_t lithe_sse_wait_closed(lithe_sse_t sse, int32_t timeout_ms);

/**
 * Ends an event stream after what is queued. From here on every thread that waits on it, and every
 * later call, gets CLOSED. A browser will reconnect. Does nothing when it has ended already.
 *
 * The handle stays valid until lithe_sse_free. Never blocks. Errors: BAD_HANDLE.
 */
int32_t lithe_sse_close(lithe_sse_t sse);

/**
 * How many bytes wait to be sent. Never blocks. Errors: BAD_HANDLE.
 */
int64_t lithe_sse_queued(lithe_sse_t sse);

/**
 * Ends an event stream's handle. One that is still open is ended after what is queued; threads
 * that wait on it get CLOSED, and no more events come of it. Never blocks. Errors: BAD_HANDLE.
 */
int32_t lithe_sse_free(lithe_sse_t sse);

/**
 * Writes an event as it goes over the wire, for a host that has sockets of its own: such a stream
 * is a response with the content type "text/event-stream" and one event behind the other.
 *
 * The event goes to `buffer`, which has room for `capacity` bytes; no NUL is added. Its length
 * goes to `*len` even when there is no room for it, and then nothing is written: NULL and 0 ask
 * for the length. On another error `*len` is 0. Never blocks. Errors: BAD_ARGUMENT (such as a line
 * end in the name or id), NOT_UTF8, TOO_LARGE, TOO_SMALL.
 */
int32_t lithe_sse_format(const struct lithe_sse_event_t *event,
                         void *buffer,
                         size_t capacity,
                         size_t *len);

/**
 * Sends a message that is not copied, if it is large: its memory is lent until `free_fn` is called
 * with `arg`, and must stay as it is until then.
 *
 * `free_fn` is called exactly once, whatever happens: when the message was sent or will never be,
 * and on every error. That may be before this function returns, and on any thread. NULL is for
 * data that stays for ever.
 *
 * Blocks while the send queue is full, for `timeout_ms` at most, like lithe_ws_send. Errors:
 * BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE, CLOSED, TIMEOUT, or FULL when `timeout_ms` is 0.
 */
int32_t lithe_ws_send_owned(lithe_ws_t ws,
                            lithe_message_kind kind,
                            const void *data,
                            size_t len,
                            lithe_free_callback free_fn,
                            void *arg,
                            int32_t timeout_ms);

/**
 * Makes a message that can be sent to any number of WebSockets, and is encoded only once for all
 * of them, or once for each way of compression that their clients have agreed to. `kind` is
 * LITHE_TEXT, for UTF-8, or LITHE_BINARY. The data is copied; `len` may be LITHE_CSTR.
 *
 * On an error `*buffer` is 0. Never blocks. Errors: BAD_ARGUMENT, NOT_UTF8, TOO_LARGE.
 */
int32_t lithe_buffer_create(lithe_message_kind kind,
                            const void *data,
                            size_t len,
                            lithe_buffer_t *buffer);

/**
 * Makes a buffer of a message as it was received, and does not copy it: for a host that passes on to
 * many what one has said. The message is left to the host, which still frees it.
 *
 * On an error `*buffer` is 0. Never blocks. Errors: BAD_ARGUMENT for a struct that is empty,
 * NOT_UTF8.
 */
int32_t lithe_buffer_from_message(const struct lithe_message_t *message,
                                  lithe_buffer_t *buffer);

/**
 * Ends a buffer's handle. The message itself lives on in the send queues that hold it. Never
 * blocks. Errors: BAD_HANDLE.
 */
int32_t lithe_buffer_free(lithe_buffer_t buffer);

/**
 * Sends the message in a buffer, which is shared with the send queue and not copied.
 *
 * Blocks while the send queue is full, for `timeout_ms` at most, like lithe_ws_send. Errors:
 * BAD_HANDLE, for either, BAD_ARGUMENT, CLOSED, TIMEOUT, or FULL when `timeout_ms` is 0.
 */
int32_t lithe_ws_send_buffer(lithe_ws_t ws, lithe_buffer_t buffer, int32_t timeout_ms);

/**
 * Sends the message in a buffer on `count` WebSockets, and returns how many have taken it. Whoever
 * has no room in its send queue, because its client is slow, misses it.
 *
 * What came of each goes to `results`, an array with `count` places, or NULL: LITHE_OK,
 * LITHE_ERR_FULL, LITHE_ERR_CLOSED or LITHE_ERR_BAD_HANDLE. When the call itself fails nothing
 * goes there, and nothing is sent. Never blocks. Errors: BAD_HANDLE for the buffer, BAD_ARGUMENT.
 */
int32_t lithe_ws_send_many(const lithe_ws_t *ws,
                           size_t count,
                           lithe_buffer_t buffer,
                           int32_t *results);

/**
 * Sends an event on `count` event streams, and returns how many have taken it. It is encoded only
 * once. Whoever has no room in its send queue, because its client is slow, misses it.
 *
 * What came of each goes to `results`, an array with `count` places, or NULL: LITHE_OK,
 * LITHE_ERR_FULL, LITHE_ERR_CLOSED or LITHE_ERR_BAD_HANDLE. When the call itself fails nothing
 * goes there, and nothing is sent. Never blocks. Errors: BAD_ARGUMENT (such as a line end in the
 * name or id), NOT_UTF8, TOO_LARGE.
 */
int32_t lithe_sse_send_many(const lithe_sse_t *sse,
                            size_t count,
                            const struct lithe_sse_event_t *event,
                            int32_t *results);

/**
 * Makes a hub: channels with history, on which the host publishes, and to which it subscribes
 * WebSockets (lithe_ws_subscribe) and event streams (lithe_sse_subscribe). From then on the library
 * delivers what is published to each of them, at the pace of its client. A hub belongs to no
 * server: several may share it.
 *
 * A channel is there once it is used. Its name is made of segments with dots between them, as in
 * "builds.42.log", of ASCII letters and digits and - _ : @ ~ + =; it has at most 255 bytes.
 *
 * `options` may be NULL for the defaults. The hub runs a thread of its own, which drops publications
 * that are over by age, and with Redis another one, which connects by itself and again whenever the
 * connection breaks (lithe_hub_health). On an error `*hub` is 0. Blocks for as long as the system takes to start a
 * thread. Errors: BAD_ARGUMENT, NOT_UTF8, IO when the system has no thread or descriptor left.
 */
int32_t lithe_hub_create(const struct lithe_hub_options_t *options,
                         lithe_hub_t *hub);

/**
 * Publishes a message on a channel: appends it to the channel's history, and has it delivered to
 * all who are subscribed. Never waits for any of them. The data is copied; `len` may be LITHE_CSTR,
 * as may `channel_len`.
 *
 * `options` and `published` may be NULL. Whoever calls it again because it does not know what became
 * of the first attempt gives both the same idempotency key.
 *
 * Never blocks, unless the hub has a Redis: then it waits for its answer, up to the time that the
 * hub's options say. Errors: BAD_HANDLE, BAD_ARGUMENT for what is no name of a channel, or a text in
 * the options that there cannot be, NOT_UTF8, TOO_LARGE for more than 16 MiB; with Redis IO when it
 * cannot be reached, and TIMEOUT, after which the message may or may not have been published.
 */
int32_t lithe_publish(lithe_hub_t hub,
                      const char *channel,
                      size_t channel_len,
                      const void *data,
                      size_t len,
                      const struct lithe_publish_options_t *options,
                      struct lithe_published_t *published);

/**
 * Where the history of a channel ends: what is published after this was asked for comes behind it.
 *
 * On an error `*position` is all 0. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8,
 * NOT_FOUND when nothing was ever published on the channel, or it was dropped to keep to the
 * hub's budget. With Redis only what this hub has read of a channel is known, as it does while
 * somebody is subscribed to it here; else it is NOT_FOUND.
 */
int32_t lithe_hub_position(lithe_hub_t hub,
                           const char *channel,
                           size_t channel_len,
                           struct lithe_position_t *position);

/**
 * 1 when a hub is well, as it always is without Redis; 0 while it cannot reach Redis, and nothing can
 * be published, or cannot read a channel: subscribers stay, and get what they have missed when it
 * can again.
 *
 * Never blocks. Errors: BAD_HANDLE.
 */
int32_t lithe_hub_health(lithe_hub_t hub);

/**
 * Fills in what a hub holds and has done. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
 */
int32_t lithe_hub_stats(lithe_hub_t hub, struct lithe_hub_stats_t *stats);

/**
 * Ends a hub's handle, and its thread. To be called behind lithe_server_free of the servers that
 * use it: connections that are subscribed to it stay open, but get nothing more. Blocks until the
 * thread has ended. Errors: BAD_HANDLE, WRONG_STATE inside a callback that runs on a thread of the
 * library.
 */
int32_t lithe_hub_free(lithe_hub_t hub);

/**
 * A page of a channel's history: what was published after that offset, from the oldest; 0 asks for
 * the first page. Returns how many publications `publications`, an array of `capacity` structs, was
 * filled with; 0 is the end. Ask again with the offset of the last one for the next page.
 *
 * A page is no longer than what is replayed at once (lithe_hub_options_t). `history`, which may be
 * NULL, tells how far the history goes: when `from.offset` is larger than `after`, what is between
 * them is gone. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, NOT_FOUND when nothing
 * was ever published on the channel, or it was dropped to keep to the hub's budget. With Redis only
 * what this hub has read of a channel is known, as it does while somebody is subscribed to it here;
 * else it is NOT_FOUND.
 */
int32_t lithe_hub_history(lithe_hub_t hub,
                          const char *channel,
                          size_t channel_len,
                          uint64_t after,
                          struct lithe_publication_t *publications,
                          size_t capacity,
                          struct lithe_history_t *history);

/**
 * Gives `count` publications back, and makes their structs empty; those that are empty are left as
 * they are. NULL does nothing. Never blocks.
 */
void lithe_publication_free(struct lithe_publication_t *publications, size_t count);

/**
 * Lists who is on a channel whose options ask for presence, in no particular order. Returns how
 * many there are, of which `clients`, an array of `capacity` structs, was filled with as many as
 * have room; it may be NULL when `capacity` is 0. With Redis those who are on it by this hub.
 *
 * Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8.
 */
int32_t lithe_hub_presence(lithe_hub_t hub,
                           const char *channel,
                           size_t channel_len,
                           struct lithe_client_t *clients,
                           size_t capacity);

/**
 * Gives `count` clients back, and makes their structs empty; those that are empty are left as they
 * are. NULL does nothing. Never blocks.
 */
void lithe_client_free(struct lithe_client_t *clients, size_t count);

/**
 * Subscribes a WebSocket to a channel of a hub, to all channels of a pattern such as "chat.*" or
 * "logs.**", or to several, with commas between them: from then on the library sends it what is
 * published there, in order, until the WebSocket is closed or freed, or lithe_ws_unsubscribe. It may
 * be called again for more; what it is subscribed to already is left as it is. `channels_len` may be
 * LITHE_CSTR, `options` NULL for the defaults.
 *
 * A client that is slow slows nobody down: it holds a place in the channel's history, and is sent on
 * from there when its send queue has room. With a cursor, a client that comes back is first sent all
 * that it has missed. A client that has missed what the history does not hold any more is told of a
 * gap; where the format cannot tell of it the WebSocket is closed with 4204, so that the client
 * knows.
 *
 * What the host sends by itself goes between the publications. Never blocks. Errors: BAD_HANDLE, for
 * either, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE, CLOSED, FULL for more than 256 channels and patterns,
 * WRONG_STATE when it is subscribed to the hub already and the options differ, or for a pattern on a
 * hub with a Redis Cluster, which knows none.
 */
int32_t lithe_ws_subscribe(lithe_ws_t ws,
                           lithe_hub_t hub,
                           const char *channels,
                           size_t channels_len,
                           const struct lithe_subscribe_options_t *options);

/**
 * Subscribes a WebSocket no longer to a channel or pattern, which is given as it was subscribed to.
 * What is on its way already still arrives. `channel_len` may be LITHE_CSTR.
 *
 * Never blocks. Errors: BAD_HANDLE, for either, BAD_ARGUMENT, NOT_UTF8, NOT_FOUND when it was not
 * subscribed to it.
 */
int32_t lithe_ws_unsubscribe(lithe_ws_t ws,
                             lithe_hub_t hub,
                             const char *channel,
                             size_t channel_len);

/**
 * Subscribes an event stream, as lithe_ws_subscribe does a WebSocket. Each event has the name of
 * the publication, and the client's cursor for its id: a browser sends it as Last-Event-ID when it
 * reconnects, and it is what the host then gives as the cursor (lithe_request_last_event_id).
 *
 * Data that is not UTF-8 comes as a URL, "data:application/octet-stream;base64,...". Gaps and the
 * like are told by events: "lithe.sub" when the client is subscribed, "lithe.gap" when it has missed
 * something, "lithe.presence" when others come and go, whose data is JSON.
 *
 * Never blocks. Errors: BAD_HANDLE, for either, BAD_ARGUMENT, such as LITHE_FORMAT_BINARY, NOT_UTF8,
 * TOO_LARGE, CLOSED, FULL for more than 256 channels and patterns, WRONG_STATE when it is subscribed
 * to the hub already and the options differ, or for a pattern on a hub with a Redis
 * Cluster.
 */
int32_t lithe_sse_subscribe(lithe_sse_t sse,
                            lithe_hub_t hub,
                            const char *channels,
                            size_t channels_len,
                            const struct lithe_subscribe_options_t *options);

/**
 * Subscribes an event stream no longer to a channel or pattern. Otherwise it is
 * lithe_ws_unsubscribe.
 */
int32_t lithe_sse_unsubscribe(lithe_sse_t sse,
                              lithe_hub_t hub,
                              const char *channel,
                              size_t channel_len);

/**
 * Serves a hub's channels below a path of the server, such as "/hub", by the library's own
 * protocol: "/hub/sse" as an event stream, "/hub/ws" as a WebSocket, "/hub/poll" as a long-poll,
 * with one cursor for all three, and "/hub/session" for tickets and new tokens. A page listens with
 * `new EventSource("/hub/sse?channel=news")`.
 *
 * Requests below the path do not reach the host. What clients may do is said by the options; NULL is
 * for the defaults. A hub may be mounted on several servers, or at several paths with different
 * options, and stays mounted until the server is freed. The path is NUL-terminated, of letters,
 * digits and -_.~ between its slashes.
 *
 * Reads the file of keys, if there is one, but otherwise never blocks. Errors: BAD_HANDLE, for
 * either, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE, IO when the file of keys cannot be used.
 */
int32_t lithe_server_mount(lithe_server_t server,
                           lithe_hub_t hub,
                           const char *path,
                           const struct lithe_mount_options_t *options);

/**
 * Waits for the next question of who may do what on a hub that was mounted with
 * LITHE_AUTHORIZE_HOST, for `timeout_ms` at most: for programs that do not take events. The host
 * answers it with lithe_authorization_answer, and frees it.
 *
 * Several threads may wait; each question goes to one of them. On an error `*authorization` is 0.
 * Blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, TIMEOUT, SHUTTING_DOWN when the server is stopped.
 */
int32_t lithe_server_authorize(lithe_server_t server,
                               lithe_authorization_t *authorization,
                               int32_t timeout_ms);

/**
 * Fills in what the host is asked. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
 */
int32_t lithe_authorization_info(lithe_authorization_t authorization,
                                 struct lithe_authorization_info_t *info);

/**
 * The value of a header of the request that a client connects by; of several with that name the
 * first. The name counts in any case, and is NUL-terminated.
 *
 * The text is valid until lithe_authorization_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
 * NOT_UTF8, NOT_FOUND when there is no such header, or the question is about something else.
 */
int32_t lithe_authorization_header(lithe_authorization_t authorization,
                                   const char *name,
                                   struct lithe_string_t *value);

/**
 * Answers a question. NULL in the place of the grant refuses. The handle is still to be freed.
 *
 * Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE, WRONG_STATE when it was
 * answered already, CLOSED when the client has gone, or was refused because the answer took longer
 * than lithe_mount_options_t allows.
 */
int32_t lithe_authorization_answer(lithe_authorization_t authorization,
                                   const struct lithe_grant_t *grant);

/**
 * Ends the handle of a question. The client is refused that has no answer yet: it may try again.
 * Never blocks. Errors: BAD_HANDLE.
 */
int32_t lithe_authorization_free(lithe_authorization_t authorization);

/**
 * Revokes tokens that have yet to expire, for what is mounted with LITHE_AUTHORIZE_JWT: who
 * presents one is refused, and streams that it has opened end, with the event lithe.error if they
 * are event streams. Where a channel is revoked, they lose that channel. It holds here at once, and
 * with Redis on the other hubs as soon as they hear of it, also on those that start later.
 *
 * The hub has to be told by `longest_token_ms` of its options how long tokens live. Without Redis,
 * what was revoked is forgotten with the hub: revoke again when the program starts.
 *
 * Never blocks, unless the hub has a Redis: then it waits for that as lithe_publish does. Errors:
 * BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE, WRONG_STATE when the hub has no
 * `longest_token_ms`, FULL when 100,000 revocations are in force, or 1,000 of channels; with Redis
 * IO and TIMEOUT: then it holds here, and is to be revoked again for the others.
 */
int32_t lithe_hub_revoke(lithe_hub_t hub, const struct lithe_revocation_t *revocation);

/**
 * Makes one end of a WebSocket, for a host that has sockets of its own. The handshake is the
 * host's (see lithe_codec_accept_key); what comes after it is decoded and encoded here.
 *
 * `options` may be NULL for the defaults. On an error `*codec` is 0. Never blocks. Errors:
 * BAD_ARGUMENT, NOT_UTF8.
 */
int32_t lithe_codec_create(lithe_role role,
                           const struct lithe_codec_options_t *options,
                           lithe_codec_t *codec);

/**
 * Decodes bytes from the peer, in any split, and returns how many items they have completed: at
 * most `capacity`, which are put into `items`. How many bytes were used goes to `*used`; while that
 * is less than `len` the call is to be repeated with the rest. What is incomplete is kept.
 *
 * The bytes are decoded in place: what was used is overwritten. Bytes behind a close are ignored.
 * Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, TOO_LARGE, PROTOCOL when the peer has broken the
 * protocol or sent a message over the limit: the host sends a close (lithe_codec_encode_close with
 * the code 0 says why) and ends the connection; every further call says so again.
 */
int32_t lithe_codec_decode(lithe_codec_t codec,
                           void *data,
                           size_t len,
                           size_t *used,
                           struct lithe_item_t *items,
                           size_t capacity);

/**
 * Encodes a message: `kind` is LITHE_TEXT, for UTF-8, or LITHE_BINARY. It goes to `buffer`, which
 * has room for `capacity` bytes, and its encoded length to `*len`.
 *
 * When there is too little room nothing is written or changed, and `*len` is how much there must
 * be: NULL and 0 ask for that. A message that is compressed takes less in the end. On another
 * error `*len` is 0. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE,
 * TOO_SMALL, CLOSED after lithe_codec_encode_close.
 */
int32_t lithe_codec_encode_message(lithe_codec_t codec,
                                   lithe_message_kind kind,
                                   const void *data,
                                   size_t data_len,
                                   void *buffer,
                                   size_t capacity,
                                   size_t *len);

/**
 * Encodes a ping, which holds at most 125 bytes. Otherwise it is lithe_codec_encode_message.
 */
int32_t lithe_codec_encode_ping(lithe_codec_t codec,
                                const void *data,
                                size_t data_len,
                                void *buffer,
                                size_t capacity,
                                size_t *len);

/**
 * Encodes a pong, which holds at most 125 bytes. Otherwise it is lithe_codec_encode_message.
 */
int32_t lithe_codec_encode_pong(lithe_codec_t codec,
                                const void *data,
                                size_t data_len,
                                void *buffer,
                                size_t capacity,
                                size_t *len);

/**
 * Encodes a close, after which this end sends nothing more: every later call that encodes says
 * CLOSED.
 *
 * `code` is 0 for what lithe_codec_close_code says, a code as lithe_ws_close takes it, or 1005 for
 * a close without a code. The reason, at most 123 bytes of UTF-8, may be NULL; `reason_len` may be
 * LITHE_CSTR. Otherwise it is lithe_codec_encode_message.
 */
int32_t lithe_codec_encode_close(lithe_codec_t codec,
                                 int32_t code,
                                 const char *reason,
                                 size_t reason_len,
                                 void *buffer,
                                 size_t capacity,
                                 size_t *len);

/**
 * The code that lithe_codec_encode_close sends for 0: by what the peer has done wrong 1002, 1007
 * or 1009; else what it has closed with, 1005 for no code at all; else 1000. Never blocks. Errors:
 * BAD_HANDLE.
 */
int32_t lithe_codec_close_code(lithe_codec_t codec);

/**
 * Writes a new, random Sec-WebSocket-Key for a client to send: 24 bytes, to which no NUL is added.
 * The server has to answer it with what lithe_codec_accept_key says.
 *
 * When there is too little room nothing is written, and `*len` is how much there must be. Never
 * blocks. Errors: BAD_ARGUMENT, TOO_SMALL.
 */
int32_t lithe_codec_create_key(void *buffer, size_t capacity, size_t *len);

/**
 * Writes the Sec-WebSocket-Accept that answers a Sec-WebSocket-Key, both without line ends: 28
 * bytes, to which no NUL is added. `key` is NUL-terminated.
 *
 * When there is too little room nothing is written, and `*len` is how much there must be. Never
 * blocks. Errors: BAD_ARGUMENT, also for what is no key, NOT_UTF8, TOO_SMALL.
 */
int32_t lithe_codec_accept_key(const char *key, void *buffer, size_t capacity, size_t *len);

/**
 * Writes the Sec-WebSocket-Extensions that a server answers a client's offer of compression with,
 * which is then also for lithe_codec_options_t. No NUL is added. `offer` is NUL-terminated: the
 * client's header of that name.
 *
 * When there is too little room nothing is written, and `*len` is how much there must be. Never
 * blocks. Errors: BAD_ARGUMENT, NOT_UTF8, TOO_SMALL, NOT_FOUND when the offer holds nothing that
 * can be met: such an answer has no header of that name.
 */
int32_t lithe_codec_extensions(const char *offer, void *buffer, size_t capacity, size_t *len);

/**
 * Ends a codec's handle. Never blocks. Errors: BAD_HANDLE.
 */
int32_t lithe_codec_free(lithe_codec_t codec);

/**
 * Makes a struct for options, with the defaults: what its LITHE_..._INIT asks for. For languages
 * that have no structs; in C it is easier to fill one in.
 *
 * On an error `*options` is 0. Never blocks. Errors: BAD_ARGUMENT.
 */
int32_t lithe_options_create(lithe_options_kind kind, lithe_options_t *options);

/**
 * Sets the field with that name, such as "max_connections", to a value: to the text itself, which
 * is copied, or to the number that it is in decimals. NULL takes a text away. Both texts are
 * NUL-terminated. Not to be called while another call uses the struct.
 *
 * What the numbers mean is checked where the struct is used. Never blocks. Errors: BAD_HANDLE,
 * BAD_ARGUMENT for what is no number, or none that the field can hold, NOT_UTF8, NOT_FOUND when
 * there is no such field: lithe_last_error lists those that there are.
 */
int32_t lithe_options_set(lithe_options_t options, const char *name, const char *value);

/**
 * Sets the field with that name to a number. One that has no sign, such as "user_data", takes a
 * negative number as what it is in two's complement. Otherwise it is lithe_options_set, but that a
 * field that holds a text is BAD_ARGUMENT.
 */
int32_t lithe_options_set_int(lithe_options_t options, const char *name, int64_t value);

/**
 * The struct itself, to be handed to the functions that ask for a pointer to one of its kind; NULL
 * on an error, which lithe_last_error tells.
 *
 * It stays where it is, and its texts with it, until lithe_options_free; what is set later is seen
 * there. Never blocks.
 */
const void *lithe_options_pointer(lithe_options_t options);

/**
 * Ends the handle of options, and the struct with it. Never blocks. Errors: BAD_HANDLE.
 */
int32_t lithe_options_free(lithe_options_t options);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LITHE_H */
