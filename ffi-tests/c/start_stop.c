/* Starting and stopping leaves nothing behind, as often as it is done: how often is the argument. */
#include "check.h"

#include <dirent.h>

static long entries(const char *path) {
    long count = 0;
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    while (readdir(directory) != NULL) {
        count++;
    }
    CHECK(closedir(directory) == 0);
    return count;
}

static long resident_bytes(void) {
    long size, pages;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL);
    CHECK(fscanf(file, "%ld %ld", &size, &pages) == 2);
    CHECK(fclose(file) == 0);
    return pages * sysconf(_SC_PAGESIZE);
}

/* A server with a WebSocket, an event stream and a request, all in use when it is stopped. */
static void round_trip(void) {
    int clients[3];
    lithe_server_t server = start();
    lithe_ws_t ws = open_websocket(server, NULL, &clients[0]);
    lithe_sse_t sse = open_events(server, NULL, &clients[1]);
    clients[2] = client_connect(server);
    client_get(clients[2], "/", "");
    lithe_request_t request = next_request(server);
    CHECK_OK(lithe_ws_send_text(ws, "hello", 0));
    CHECK_OK(lithe_sse_send_text(sse, NULL, "hello", 0));
    CHECK_OK(lithe_server_free(server));
    CHECK_OK(lithe_ws_free(ws));
    CHECK_OK(lithe_sse_free(sse));
    CHECK_OK(lithe_request_free(request));
    for (int i = 0; i < 3; i++) {
        CHECK(close(clients[i]) == 0);
    }
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 1000;
    for (int i = 0; i < rounds / 5; i++) {
        round_trip();
    }
    long files = entries("/proc/self/fd");
    long threads = entries("/proc/self/task");
    long memory = resident_bytes();
    for (int i = 0; i < rounds; i++) {
        round_trip();
    }
    CHECK(entries("/proc/self/fd") == files);
    CHECK(entries("/proc/self/task") == threads);
    /* A leak of a KiB per round would be 1 MiB. */
    CHECK(argc > 1 || resident_bytes() - memory < 1024 * 1024);
    return 0;
}
