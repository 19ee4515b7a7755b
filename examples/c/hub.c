/* A hub: a thread of the program publishes, and any number of browsers listen.
 *
 *     make examples && target/c/hub [PORT [REDIS_URL]]
 *
 * The thread measures something ten times a second. A browser that was away gets what it has missed,
 * or is told that it cannot; nothing here has to know who is there. With the URL of a Redis, such as
 * redis://127.0.0.1:6379, several of these programs are one hub: each browser sees what any of them
 * publishes, whichever it is connected to.
 */
#define _POSIX_C_SOURCE 200809L

#include <lithe.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char PAGE[] =
    "<!doctype html><meta charset=utf-8><title>Hub</title>"
    "<style>body{font:5vmin system-ui;margin:8vmin}meter{width:100%;height:6vmin}"
    "small{color:gray}</style>"
    "<meter id=meter max=100></meter><p><output id=value>-</output> "
    "<small id=state>connecting</small><p><small id=lost></small>"
    "<script>"
    "const show = (id, text) => document.getElementById(id).textContent = text;"
    /* It comes back by itself, with the id of the last event. */
    "const source = new EventSource('/hub/sse?channel=load');"
    "source.onopen = () => show('state', 'connected');"
    "source.onerror = () => show('state', 'reconnecting');"
    "source.onmessage = event => {"
    "  document.getElementById('meter').value = event.data;"
    "  show('value', event.data);"
    "};"
    "source.addEventListener('lithe.gap', event => {"
    "  const gap = JSON.parse(event.data);"
    "  show('lost', `missed something: ${gap.reason}, from ${gap.from} to ${gap.to}`);"
    "});"
    "</script>";

static volatile sig_atomic_t interrupted;

static void interrupt(int signal) {
    (void)signal;
    interrupted = 1;
}

/* Publishes until the hub is freed. */
static void *measure(void *argument) {
    const lithe_hub_t hub = *(lithe_hub_t *)argument;
    const struct timespec tenth = { 0, 100 * 1000 * 1000 };
    int load = 50, failed = 0;
    int32_t code;
    do {
        char text[16];
        load += rand() % 11 - 5;
        load = load < 0 ? 0 : load > 100 ? 100 : load;
        snprintf(text, sizeof text, "%d", load);
        code = lithe_publish(hub, "load", LITHE_CSTR, text, LITHE_CSTR, NULL, NULL);
        /* Without Redis it does not fail. */
        if (code != LITHE_OK && code != LITHE_ERR_BAD_HANDLE && !failed) {
            fprintf(stderr, "%s\n", lithe_last_error());
        }
        failed = code != LITHE_OK;
        nanosleep(&tenth, NULL);
    } while (code != LITHE_ERR_BAD_HANDLE);
    return NULL;
}

static void answer(lithe_request_t request, void *user_data) {
    (void)user_data;
    lithe_request_respond_text(request, 200, "text/html; charset=utf-8", PAGE);
}

int main(int argc, char **argv) {
    char address[64];
    pthread_t thread;
    lithe_hub_t hub;
    lithe_server_t server;
    lithe_hub_options_t options = LITHE_HUB_OPTIONS_INIT;
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    snprintf(address, sizeof address, "127.0.0.1:%s", argc > 1 ? argv[1] : "8080");
    config.address = address;
    config.max_connections_per_ip = -1;
    options.redis_url = argc > 2 ? argv[2] : NULL;
    if (lithe_hub_create(&options, &hub) != LITHE_OK ||
        lithe_server_start(&config, &server) != LITHE_OK ||
        lithe_server_mount(server, hub, "/hub", NULL) != LITHE_OK ||
        lithe_server_route(server, "GET", "/", answer, NULL, NULL) != LITHE_OK) {
        fprintf(stderr, "%s\n", lithe_last_error());
        return 1;
    }
    if (pthread_create(&thread, NULL, measure, &hub) != 0) {
        return 1;
    }
    printf("http://127.0.0.1:%d\n", lithe_server_port(server));
    fflush(stdout);

    signal(SIGINT, interrupt);
    while (!interrupted) {
        lithe_server_serve(server, 200);
    }
    lithe_server_drain(server, 10000, NULL);
    lithe_server_free(server);
    lithe_hub_free(hub);
    pthread_join(thread, NULL);
    return 0;
}
