/* A WebSocket server that sends back what it gets, with a thread for each connection.
 *
 *     make examples && target/c/echo [PORT]
 */
#include <lithe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void *echo(void *argument) {
    lithe_ws_t *ws = argument;
    lithe_message_t message;
    while (lithe_ws_receive(*ws, &message, -1) == LITHE_OK) {
        lithe_ws_send(*ws, message.kind, message.data, message.len, -1);
        lithe_message_free(&message);
    }
    lithe_ws_free(*ws);
    free(ws);
    return NULL;
}

int main(int argc, char **argv) {
    char address[64];
    lithe_server_t server;
    lithe_request_t request;
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    snprintf(address, sizeof address, "127.0.0.1:%s", argc > 1 ? argv[1] : "8080");
    config.address = address;
    if (lithe_server_start(&config, &server) != LITHE_OK) {
        fprintf(stderr, "%s\n", lithe_last_error());
        return 1;
    }
    printf("ws://127.0.0.1:%d\n", lithe_server_port(server));
    fflush(stdout);

    while (lithe_server_accept(server, &request, -1) == LITHE_OK) {
        pthread_t thread;
        lithe_ws_t *ws = malloc(sizeof *ws);
        if (lithe_ws_accept(request, NULL, ws) != LITHE_OK) {
            lithe_request_respond_text(request, 426, "text/plain", "Only WebSockets here.\n");
            free(ws);
        } else if (pthread_create(&thread, NULL, echo, ws) == 0) {
            pthread_detach(thread);
        } else {
            lithe_ws_free(*ws);
            free(ws);
        }
        lithe_request_free(request);
    }
    return 0;
}
