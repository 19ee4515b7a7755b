/* Echo with a thread of the host for each connection, which blocks in receive. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#include <lithe.h>

static void *echo(void *argument) {
    lithe_ws_t ws = (lithe_ws_t)(uintptr_t)argument;
    lithe_message_t message;
    while (lithe_ws_receive(ws, &message, -1) == LITHE_OK) {
        lithe_ws_send_message(ws, &message, -1);
        lithe_message_free(&message);
    }
    lithe_ws_free(ws);
    return NULL;
}

int main(void) {
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    lithe_server_t server;
    lithe_request_t request;
    lithe_ws_t ws;
    pthread_t thread;
    pthread_attr_t attributes;
    config.workers = 1;
    config.max_connections_per_ip = -1;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 128 * 1024);
    if (lithe_server_start(&config, &server) != LITHE_OK) {
        return fprintf(stderr, "%s\n", lithe_last_error()), 1;
    }
    printf("127.0.0.1:%d\n", (int)lithe_server_port(server));
    fflush(stdout);
    while (lithe_server_accept(server, &request, -1) == LITHE_OK) {
        if (lithe_ws_accept(request, NULL, &ws) == LITHE_OK
            && pthread_create(&thread, &attributes, echo, (void *)(uintptr_t)ws) != 0) {
            lithe_ws_free(ws);
        }
        lithe_request_free(request);
    }
    return 1;
}
