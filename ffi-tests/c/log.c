/* The library says nothing but to the callback, and there only what was asked for. */
#include "check.h"

struct lines {
    pthread_mutex_t lock;
    int count;
    int graver_than_info;
    char all[4096];
};

static void collect(void *user_data, lithe_log_level level, const char *target,
                    const char *message) {
    struct lines *lines = (struct lines *)user_data;
    pthread_mutex_lock(&lines->lock);
    lines->count++;
    lines->graver_than_info += level < LITHE_LOG_INFO;
    CHECK(strncmp(target, "lithe", 5) == 0);
    CHECK(strlen(lines->all) + strlen(message) < sizeof lines->all);
    strcat(lines->all, message);
    /* Called from here, the library does not log, and so not for ever. */
    CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_log_set(LITHE_LOG_OFF, NULL, NULL));
    pthread_mutex_unlock(&lines->lock);
}

/* A thread of the library that logs cannot wait for its own end. */
static void end_at_the_drain(void *user_data, lithe_log_level level, const char *target,
                             const char *message) {
    lithe_server_t *server = (lithe_server_t *)user_data;
    (void)level;
    (void)target;
    if (strncmp(message, "draining", 8) == 0) {
        CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_server_stop(*server));
        CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_server_drain(*server, 0, NULL));
        CHECK_CODE(LITHE_ERR_WRONG_STATE, lithe_server_free(*server));
        *server = 0;
    }
}

static void check_end_in_callback(void) {
    lithe_server_t server = start(), draining = server;
    CHECK_OK(lithe_log_set(LITHE_LOG_INFO, end_at_the_drain, &draining));
    CHECK_OK(lithe_server_free(server));
    CHECK_OK(lithe_log_set(LITHE_LOG_OFF, NULL, NULL));
    CHECK(draining == 0);
}

struct hub {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    lithe_hub_t handle;
    int32_t code;
};

/* Nor can that of a hub. */
static void end_at_nonsense(void *user_data, lithe_log_level level, const char *target,
                            const char *message) {
    struct hub *hub = (struct hub *)user_data;
    (void)level;
    (void)target;
    if (strstr(message, "cannot be read") != NULL) {
        pthread_mutex_lock(&hub->lock);
        hub->code = lithe_hub_free(hub->handle);
        pthread_cond_signal(&hub->changed);
        pthread_mutex_unlock(&hub->lock);
    }
}

static void check_end_of_hub_in_callback(void) {
    static struct hub hub = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };
    lithe_hub_options_t options = LITHE_HUB_OPTIONS_INIT;
    options.longest_token_ms = 1000;
    CHECK_OK(lithe_hub_create(&options, &hub.handle));
    CHECK_OK(lithe_log_set(LITHE_LOG_WARN, end_at_nonsense, &hub));
    CHECK_OK(lithe_publish(hub.handle, "lithe.revocations", LITHE_CSTR, "nonsense", LITHE_CSTR,
                           NULL, NULL));
    pthread_mutex_lock(&hub.lock);
    while (hub.code == 0) {
        pthread_cond_wait(&hub.changed, &hub.lock);
    }
    pthread_mutex_unlock(&hub.lock);
    CHECK(hub.code == LITHE_ERR_WRONG_STATE);
    CHECK_OK(lithe_log_set(LITHE_LOG_OFF, NULL, NULL));
    CHECK_OK(lithe_hub_free(hub.handle));
}

int main(void) {
    static struct lines lines = { PTHREAD_MUTEX_INITIALIZER, 0, 0, "" };
    lithe_string_t address;
    lithe_server_t silent = start();
    CHECK_OK(lithe_server_free(silent));

    CHECK_OK(lithe_log_set(LITHE_LOG_INFO, collect, &lines));
    lithe_server_t server = start();
    CHECK_OK(lithe_server_address(server, &address));
    CHECK(lines.count > 0 && lines.graver_than_info == 0);
    CHECK(strstr(lines.all, address.ptr) != NULL);

    CHECK_OK(lithe_log_set(LITHE_LOG_ERROR, collect, &lines));
    lines.count = 0;
    lithe_server_t second = start();
    CHECK_OK(lithe_server_free(second));
    CHECK(lines.count == 0);

    CHECK_OK(lithe_log_set(LITHE_LOG_TRACE, NULL, NULL));
    CHECK_OK(lithe_server_free(server));
    CHECK(lines.count == 0);
    check_end_in_callback();
    check_end_of_hub_in_callback();
    return 0;
}
