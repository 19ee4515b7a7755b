/* Eight threads send on one WebSocket at the same time, while others use and free handles: every
 * message arrives whole, and those of one thread in their order. */
#include "check.h"

#define SENDERS 8
#define MESSAGES 500

struct sender {
    lithe_ws_t ws;
    int number;
};

static void *send_all(void *argument) {
    const struct sender *sender = (const struct sender *)argument;
    char text[32];
    for (int i = 0; i < MESSAGES; i++) {
        int len = snprintf(text, sizeof text, "%d %d", sender->number, i);
        CHECK_OK(lithe_ws_send(sender->ws, LITHE_TEXT, text, (size_t)len, -1));
    }
    return NULL;
}

static void *receive_some(void *argument) {
    const struct sender *receiver = (const struct sender *)argument;
    lithe_message_t message = LITHE_MESSAGE_INIT;
    int32_t code;
    while ((code = lithe_ws_receive(receiver->ws, &message, -1)) == LITHE_OK) {
        lithe_message_free(&message);
    }
    CHECK(code == LITHE_ERR_CLOSED);
    return NULL;
}

/* Opens and frees handles of its own all the while. */
static void *come_and_go(void *argument) {
    const lithe_server_t server = *(const lithe_server_t *)argument;
    lithe_request_t request;
    int32_t code;
    while ((code = lithe_server_accept(server, &request, -1)) == LITHE_OK) {
        lithe_request_respond(request, 200, NULL, 0, NULL, 0);
        CHECK_OK(lithe_request_free(request));
        CHECK_CODE(LITHE_ERR_BAD_HANDLE, lithe_request_free(request));
    }
    CHECK(code == LITHE_ERR_SHUTTING_DOWN);
    return NULL;
}

int main(void) {
    int client;
    lithe_server_t server = start();
    lithe_ws_t ws = open_websocket(server, NULL, &client);

    pthread_t threads[SENDERS + 4];
    struct sender senders[SENDERS + 2];
    for (int i = 0; i < SENDERS + 2; i++) {
        senders[i].ws = ws;
        senders[i].number = i;
        threads[i] = start_thread(i < SENDERS ? send_all : receive_some, &senders[i]);
    }
    threads[SENDERS + 2] = start_thread(come_and_go, &server);
    threads[SENDERS + 3] = start_thread(come_and_go, &server);

    int next[SENDERS] = { 0 };
    for (int i = 0; i < SENDERS * MESSAGES; i++) {
        char text[64];
        size_t len;
        int number, message;
        CHECK(client_read_frame(client, text, sizeof text - 1, &len) == 0x81);
        text[len] = '\0';
        CHECK(sscanf(text, "%d %d", &number, &message) == 2);
        CHECK(number >= 0 && number < SENDERS && message == next[number]);
        next[number]++;
        if (i % 50 == 0) {
            char response[256];
            int other = client_connect(server);
            client_get(other, "/", "Connection: close\r\n");
            client_read_until(other, "\r\n\r\n", response, sizeof response);
            close(other);
            client_send_frame(client, 0x81, "x", 1);
        }
    }
    CHECK_OK(lithe_ws_close(ws, 0, NULL, 0));
    CHECK_OK(lithe_server_stop(server));
    for (int i = 0; i < SENDERS + 4; i++) {
        join_thread(threads[i]);
    }
    CHECK_OK(lithe_ws_free(ws));
    CHECK_OK(lithe_server_free(server));
    close(client);
    return 0;
}
