/* Every function, called with nothing: NULL, 0, and handles that are none. */
#include "check.h"

/* What the header says of a function; the test writes this table. The last entry is empty. */
struct entry {
    const char *name;
    /* A bit for each code that it can return: 1 << -code. */
    uint32_t codes;
    int counts;
};
extern const struct entry every_function[];

typedef void (*function)(void);
/* The functions themselves, in the same order. */
extern const function every_call[];

/* What every function is called as. The calling conventions of C let a function ignore arguments. */
typedef int32_t (*with_nothing)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                uint64_t);

static int is_named(const struct entry *entry, const char *name) {
    return strcmp(entry->name, name) == 0;
}

static void check_all(void) {
    int refused = 0;
    for (size_t i = 0; every_function[i].name != NULL; i++) {
        const struct entry *entry = &every_function[i];
        int32_t code = ((with_nothing)every_call[i])(0, 0, 0, 0, 0, 0, 0);
        /* The functions that cannot fail, and the one for which nothing makes sense. */
        if (entry->codes == 0 || is_named(entry, "lithe_log_set")) {
            continue;
        }
        if (code != LITHE_ERR_BAD_HANDLE && code != LITHE_ERR_BAD_ARGUMENT) {
            fprintf(stderr, "%s returned %d for nothing\n", entry->name, (int)code);
            exit(1);
        }
        CHECK(entry->codes >> -code & 1);
        CHECK(strlen(lithe_last_error()) > 0);
        refused++;
    }
    CHECK(refused > 80);
}

int main(void) {
    check_all();
    /* The same once there are handles. */
    lithe_server_t server = start();
    check_all();
    CHECK_OK(lithe_server_free(server));
    return 0;
}
