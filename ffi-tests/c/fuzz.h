/* What the threads of api_fuzz.c share: random numbers, the handles that they pass around, and the
 * clients. */
#ifndef FUZZ_H
#define FUZZ_H

#include "check.h"

enum kind { SERVER = 1, REQUEST, WS, SSE, BUFFER, RESPONSE, CODEC, OPTIONS, HUB, AUTHORIZATION, KINDS };

struct random {
    uint64_t state;
};

/* The next number; the same ones for the same seed. */
uint64_t next_random(struct random *random);

/* From 0 to below `limit`. */
size_t below(struct random *random, size_t limit);

/* Whether something of that probability, in percent, happens. */
int percent(struct random *random, unsigned int probability);

/* A handle from the pool of that kind, good or stale; now and then one that is not of this kind,
 * or was never given out. */
uint64_t pick(struct random *random, enum kind kind);

/* Puts a handle into its pool, and frees the one that it takes the place of. */
void publish(struct random *random, enum kind kind, uint64_t handle);

/* Frees all there is in the pools. */
void free_all(void);

int is_over(void);

/* A thread: makes requests of all servers, and behaves badly, until it is over. */
void *run_clients(void *seed);

#endif
