/* What a call over the boundary costs: prints a line "<what> <nanoseconds>" for each kind of call. */
#define _POSIX_C_SOURCE 200809L

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <lithe.h>

#define ROUNDS 5
#define CALLS 2000000

static lithe_server_t server;

static int32_t nothing(void) {
    return lithe_abi_version();
}

static int32_t look_up(void) {
    return lithe_server_port(server);
}

static int32_t bad_handle(void) {
    return lithe_server_port(7);
}

static int32_t empty_batch(void) {
    lithe_event_t event;
    return lithe_server_wait(server, &event, 1, 0);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* The best of some rounds: whatever else the machine does only adds to it. */
static void measure(const char *what, int32_t (*call)(void)) {
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        volatile int32_t sink = 0;
        double before = now();
        for (int i = 0; i < CALLS; i++) {
            sink = call();
        }
        double each = (now() - before) / CALLS;
        best = each < best ? each : best;
        (void)sink;
    }
    printf("%s: %.1f\n", what, best);
}

int main(void) {
    if (lithe_server_start(NULL, &server) != LITHE_OK) {
        return fprintf(stderr, "%s\n", lithe_last_error()), 1;
    }
    measure("a call that does nothing (lithe_abi_version)", nothing);
    measure("a call that looks its handle up (lithe_server_port)", look_up);
    measure("a call with a bad handle", bad_handle);
    measure("a batch without events (lithe_server_wait)", empty_batch);
    return lithe_server_free(server) != LITHE_OK;
}
