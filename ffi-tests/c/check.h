/* What the test programs share: checks that say where they failed, and a client on a bare socket,
 * so that a program sees exactly what goes over the wire. */
#ifndef CHECK_H
#define CHECK_H

#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <lithe.h>

/* Longer than anything takes that is not stuck. */
#define LONG_MS 60000

/* Ends the program unless the condition holds. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #condition, \
                    lithe_last_error());                                                           \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Ends the program unless the call returns that code. */
#define CHECK_CODE(expected, call)                                                                 \
    do {                                                                                           \
        int32_t code_ = (call);                                                                    \
        if (code_ != (expected)) {                                                                 \
            fprintf(stderr, "%s:%d: %s: returned %d, not %s (last error: %s)\n", __FILE__,         \
                    __LINE__, #call, (int)code_, #expected, lithe_last_error());                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define CHECK_OK(call) CHECK_CODE(LITHE_OK, call)

/* A server with the defaults. */
lithe_server_t start(void);

/* The next request. */
lithe_request_t next_request(lithe_server_t server);

/* Whether a text is that, and has a NUL behind it. */
int is(lithe_string_t text, const char *expected);

/* Connects to the server. Reading from the socket fails when nothing comes for LONG_MS. */
int client_connect(lithe_server_t server);

/* The same, with as small a receive buffer as the system has. */
int client_connect_slow(lithe_server_t server);

void client_send(int client, const void *data, size_t len);

/* Sends a GET request with further header lines, each ended by CRLF. */
void client_get(int client, const char *path, const char *headers);

/* Sends a WebSocket handshake with further header lines. */
void client_handshake(int client, const char *path, const char *headers);

/* Reads up to and with the text that ends what is read; NUL-terminated in `buffer`. */
void client_read_until(int client, const char *end, char *buffer, size_t size);

/* Reads exactly so much. */
void client_read(int client, void *data, size_t len);

/* Whether the server closes or resets the connection, without another byte before that. */
int client_is_closed(int client);

/* Sends a whole frame with that first byte, such as 0x81 for text. */
void client_send_frame(int client, int first, const void *data, size_t len);

/* Reads a frame, and returns its first byte. */
int client_read_frame(int client, void *data, size_t size, size_t *len);

/* Connects a WebSocket; the client's end of it goes to `client`. */
lithe_ws_t open_websocket(lithe_server_t server, const lithe_ws_options_t *options, int *client);

/* Connects an event stream; the client's end of it goes to `client`, its head read already. */
lithe_sse_t open_events(lithe_server_t server, const lithe_sse_options_t *options, int *client);

/* Options for a WebSocket whose events bear that number. */
lithe_ws_options_t as_events(uint64_t user_data);

/* The next event, which must be of that kind. */
lithe_event_t next_event(lithe_server_t server, lithe_event_kind kind);

/* There is no event. */
void check_no_event(lithe_server_t server);

/* Connects a slow client's WebSocket whose events are taken, its LITHE_EVENT_OPEN already; its
 * request comes as an event too. */
lithe_ws_t open_event_ws(lithe_server_t server, const lithe_ws_options_t *options, int *client);

/* Whether a descriptor can be read now. */
int is_readable(int fd);

pthread_t start_thread(void *(*run)(void *), void *argument);
void join_thread(pthread_t thread);

/* Resets the connection: the server's next write to it fails. */
void client_reset(int client);

#endif
