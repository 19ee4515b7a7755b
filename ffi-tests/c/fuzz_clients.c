/* Clients on bare sockets: requests, handshakes, frames, garbage, slow reads, resets. */
#include "fuzz.h"

#include <errno.h>
#include <poll.h>

#define CLIENTS 24

static const char *const heads[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a/b%2fc?name=%00%ff&x=1 HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 7\r\n\r\n",
    "GET /files/x/y HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n",
    "GET /?lastEventId=5 HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n",
    "GET /hub/sse?channel=a&channel=a.* HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n",
    "GET /hub/sse?channel=news&cursor=1-1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
    "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhello",
    "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "nonsense\r\n\r\n",
};

static const char *const handshakes[] = {
    "",
    "",
    "Sec-WebSocket-Protocol: a, b\r\n",
    "Sec-WebSocket-Extensions: permessage-deflate\r\n",
    "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n",
    "Origin: http://elsewhere.example\r\n",
};

static int connect_to(uint64_t server, struct random *random) {
    struct sockaddr_in address;
    int32_t port = lithe_server_port(server);
    if (port <= 0) {
        return -1;
    }
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (client < 0) {
        return -1;
    }
    if (percent(random, 30)) {
        int small = 1;
        setsockopt(client, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    }
    struct timeval soon = { 0, 50 * 1000 };
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(client, (struct sockaddr *)&address, sizeof address) != 0) {
        close(client);
        return -1;
    }
    return client;
}

/* Whatever comes of it: the server may have gone, or be slow. */
static int try_send(int client, const void *data, size_t len) {
    return send(client, data, len, MSG_NOSIGNAL) >= 0 || errno == EAGAIN || errno == EWOULDBLOCK;
}

static int send_request(int client, struct random *random) {
    char request[1024];
    if (percent(random, 40)) {
        const char *head = heads[below(random, sizeof heads / sizeof heads[0])];
        return try_send(client, head, strlen(head));
    }
    int len = snprintf(request, sizeof request,
                       "GET /a/b?name=c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                       "%s\r\n",
                       handshakes[below(random, sizeof handshakes / sizeof handshakes[0])]);
    return try_send(client, request, (size_t)len);
}

static int send_frame(int client, struct random *random) {
    /* Mostly whole messages; now and then fragments, reserved bits, codes that there are not. */
    static const unsigned char firsts[] = { 0x81, 0x82, 0x81, 0x82, 0x81, 0x82, 0x89, 0x8a, 0x01,
                                            0x00, 0x80, 0x88, 0xc1, 0xc2, 0x83, 0xff };
    unsigned char frame[8 + 4096];
    size_t len = below(random, percent(random, 80) ? 125 : 4096);
    size_t head = len < 126 ? 2 : 4;
    memset(frame, 0, sizeof frame);
    frame[0] = firsts[below(random, sizeof firsts)];
    frame[1] = (unsigned char)(0x80 | (len < 126 ? len : 126));
    if (len >= 126) {
        frame[2] = (unsigned char)(len >> 8);
        frame[3] = (unsigned char)len;
    }
    /* Masked with zeros. */
    memset(frame + head + 4, percent(random, 95) ? 'x' : 0xff, len);
    if (frame[0] == 0x88 && len >= 2) {
        frame[head + 4] = 3;
        frame[head + 5] = (unsigned char)below(random, 256);
    }
    return try_send(client, frame, head + 4 + len);
}

static int send_garbage(int client, struct random *random) {
    unsigned char garbage[256];
    size_t len = 1 + below(random, sizeof garbage);
    for (size_t i = 0; i < len; i++) {
        garbage[i] = (unsigned char)next_random(random);
    }
    return try_send(client, garbage, len);
}

/* Says whether the connection goes on. */
static int receive(int client, size_t most) {
    char sink[64 * 1024];
    ssize_t got = recv(client, sink, most < sizeof sink ? most : sizeof sink, MSG_DONTWAIT);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

static int go_on(int client, struct random *random) {
    switch (below(random, 20)) {
    case 0:
        client_reset(client);
        return -1;
    case 1:
        close(client);
        return -1;
    case 2:
        shutdown(client, SHUT_WR);
        return client;
    case 3:
        return percent(random, 30) && !send_garbage(client, random) ? (close(client), -1) : client;
    case 4:
        return send_request(client, random) ? client : (close(client), -1);
    case 5:
    case 6:
    case 7:
    case 8:
        return receive(client, 1 + below(random, 100)) ? client : (close(client), -1);
    case 9:
    case 10:
    case 11:
    case 12:
        return receive(client, 64 * 1024) ? client : (close(client), -1);
    default:
        return send_frame(client, random) ? client : (close(client), -1);
    }
}

void *run_clients(void *seed) {
    struct random random = { *(const uint64_t *)seed };
    int clients[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = -1;
    }
    while (!is_over()) {
        int *client = &clients[below(&random, CLIENTS)];
        if (*client >= 0) {
            *client = go_on(*client, &random);
            continue;
        }
        *client = connect_to(pick(&random, SERVER), &random);
        if (*client >= 0) {
            send_request(*client, &random);
        } else {
            /* There may be no server at all at present. */
            poll(NULL, 0, 1);
        }
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        if (clients[i] >= 0) {
            close(clients[i]);
        }
    }
    return NULL;
}
