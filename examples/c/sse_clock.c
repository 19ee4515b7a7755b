/* A clock that ticks in every browser that looks at it, over Server-Sent Events.
 *
 *     make examples && target/c/sse_clock [PORT]
 *
 * Each event carries its number as its id. When a browser loses the connection it reconnects by
 * itself and says which event it saw last, so the clock can tell how many it has missed.
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
    "<!doctype html><meta charset=utf-8><title>Clock</title>"
    "<style>body{font:20vmin system-ui;display:grid;place-content:center;height:90vh;"
    "text-align:center}small{font-size:4vmin;color:gray}</style>"
    "<div><output id=time>--:--:--</output><br><small id=state>connecting</small></div>"
    "<script>"
    "const clock = new EventSource('/clock');"
    "const show = (id, text) => document.getElementById(id).textContent = text;"
    "clock.onopen = () => show('state', 'connected');"
    "clock.onerror = () => show('state', 'reconnecting');"
    "clock.onmessage = event => show('time', event.data);"
    "clock.addEventListener('missed', event => show('state', `missed ${event.data} ticks`));"
    "</script>";

static volatile sig_atomic_t interrupted;

static void interrupt(int signal) {
    (void)signal;
    interrupted = 1;
}

/* A browser that looks at the clock. */
struct viewer {
    lithe_sse_t sse;
    long long last_seen; /* The number of the last event that it has seen; 0 for none. */
};

static int32_t send_tick(lithe_sse_t sse, long long number) {
    char text[16], id[24];
    time_t now = (time_t)number;
    struct tm local;
    lithe_sse_event_t event = LITHE_SSE_EVENT_INIT;
    localtime_r(&now, &local);
    event.data.ptr = text;
    event.data.len = strftime(text, sizeof text, "%H:%M:%S", &local);
    event.id.ptr = id;
    event.id.len = (size_t)snprintf(id, sizeof id, "%lld", number);
    return lithe_sse_send(sse, &event, 0);
}

/* One event a second, until the browser has gone or the server stops. */
static void *tick(void *argument) {
    struct viewer *viewer = argument;
    long long number = (long long)time(NULL);
    if (viewer->last_seen > 0 && viewer->last_seen < number) {
        char missed[24];
        snprintf(missed, sizeof missed, "%lld", number - viewer->last_seen - 1);
        lithe_sse_send_text(viewer->sse, "missed", missed, 0);
    }
    do {
        number = (long long)time(NULL);
        /* A browser that is too slow misses ticks, and is not waited for. */
        send_tick(viewer->sse, number);
    } while (lithe_sse_wait_closed(viewer->sse, 1000) == LITHE_ERR_TIMEOUT);
    lithe_sse_free(viewer->sse);
    free(viewer);
    return NULL;
}

static void answer_clock(lithe_request_t request) {
    pthread_t thread;
    lithe_string_t last;
    lithe_sse_options_t options = LITHE_SSE_OPTIONS_INIT;
    struct viewer *viewer = calloc(1, sizeof *viewer);
    if (viewer == NULL) {
        return;
    }
    if (lithe_request_last_event_id(request, &last) == LITHE_OK) {
        viewer->last_seen = strtoll(last.ptr, NULL, 10);
    }
    options.retry_ms = 1000;
    if (lithe_sse_open(request, &options, &viewer->sse) != LITHE_OK) {
        free(viewer);
    } else if (pthread_create(&thread, NULL, tick, viewer) == 0) {
        pthread_detach(thread);
    } else {
        lithe_sse_free(viewer->sse);
        free(viewer);
    }
}

static void answer(lithe_request_t request) {
    lithe_string_t path;
    lithe_request_path(request, &path);
    if (strcmp(path.ptr, "/clock") == 0) {
        answer_clock(request);
    } else if (strcmp(path.ptr, "/") == 0) {
        lithe_request_respond_text(request, 200, "text/html; charset=utf-8", PAGE);
    } else {
        lithe_request_respond_text(request, 404, "text/plain", "Not here.\n");
    }
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
    printf("http://127.0.0.1:%d\n", lithe_server_port(server));
    fflush(stdout);

    signal(SIGINT, interrupt);
    while (!interrupted) {
        if (lithe_server_accept(server, &request, 200) == LITHE_OK) {
            answer(request);
            lithe_request_free(request);
        }
    }
    lithe_server_drain(server, 10000, NULL);
    lithe_server_free(server);
    return 0;
}
