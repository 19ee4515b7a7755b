/* A client is answered even when the host is not up to it. */
#include "check.h"

#include <poll.h>

static void check_answer(int client, const char *status, const char *part) {
    char response[1024];
    client_read_until(client, "\r\n\r\n", response, sizeof response);
    CHECK(strstr(response, status) == response);
    CHECK(strstr(response, part) != NULL);
}

/* Freed without an answer: 503. */
static void check_freed(void) {
    lithe_server_t server = start();
    int client = client_connect(server);
    client_get(client, "/", "");
    CHECK_OK(lithe_request_free(next_request(server)));
    check_answer(client, "HTTP/1.1 503 ", "");
    close(client);
    CHECK_OK(lithe_server_free(server));
}

/* Not answered in time: 504, and the host is told that it is too late. */
static void check_late(void) {
    uint64_t out;
    lithe_server_t server;
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    /* Long enough for a busy machine to hand the request over before. */
    config.request_timeout_ms = 1000;
    CHECK_OK(lithe_server_start(&config, &server));

    int client = client_connect(server);
    client_get(client, "/", "");
    lithe_request_t request = next_request(server);
    check_answer(client, "HTTP/1.1 504 ", "");
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_request_respond(request, 200, NULL, 0, NULL, 0));
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_sse_open(request, NULL, &out));
    CHECK_OK(lithe_request_free(request));
    close(client);

    client = client_connect(server);
    client_handshake(client, "/", "");
    request = next_request(server);
    check_answer(client, "HTTP/1.1 504 ", "");
    CHECK_CODE(LITHE_ERR_CLOSED, lithe_ws_accept(request, NULL, &out));
    CHECK_OK(lithe_request_free(request));
    close(client);

    /* Nobody has taken it, so nobody has to hear of it. */
    client = client_connect(server);
    client_get(client, "/", "");
    check_answer(client, "HTTP/1.1 504 ", "");
    CHECK_CODE(LITHE_ERR_TIMEOUT, lithe_server_accept(server, &request, 0));
    close(client);
    CHECK_OK(lithe_server_free(server));
}

/* More requests than may wait: 503 and a time to come back after; an EventSource, which gives up
 * on that, gets a stream with nothing but that time. */
static void check_surplus(void) {
    lithe_server_t server;
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    config.max_waiting_requests = 1;
    CHECK_OK(lithe_server_start(&config, &server));

    /* Whichever of the two comes first waits, and the other one is refused. */
    struct pollfd clients[2];
    for (int i = 0; i < 2; i++) {
        clients[i].fd = client_connect(server);
        clients[i].events = POLLIN;
        client_get(clients[i].fd, "/", "");
    }
    CHECK(poll(clients, 2, LONG_MS) == 1);
    check_answer(clients[clients[0].revents ? 0 : 1].fd, "HTTP/1.1 503 ", "retry-after: ");

    char body[64];
    int events = client_connect(server);
    client_get(events, "/", "Accept: text/event-stream\r\n");
    check_answer(events, "HTTP/1.1 200 ", "content-type: text/event-stream");
    client_read_until(events, "\n\n", body, sizeof body);
    CHECK(strncmp(body, "retry: ", 7) == 0);
    close(events);

    lithe_request_t waiting = next_request(server);
    CHECK_OK(lithe_request_respond(waiting, 200, NULL, 0, NULL, 0));
    CHECK_OK(lithe_request_free(waiting));
    close(clients[0].fd);
    close(clients[1].fd);
    CHECK_OK(lithe_server_free(server));
}

int main(void) {
    check_freed();
    check_late();
    check_surplus();
    return 0;
}
