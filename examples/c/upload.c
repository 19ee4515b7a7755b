/* Takes files of any size from browsers, and gives them back, with little of them in memory.
 *
 *     make examples && target/c/upload [PORT [DIRECTORY]]
 *     curl -T big.iso http://127.0.0.1:8080/files/
 *     curl -O http://127.0.0.1:8080/files/big.iso
 *
 * Requests go to handlers by their method and path. THREADS of them run at a time, each on a thread
 * that does nothing else, so they simply block: while the disk is slow the client waits, and while
 * the client is slow the thread does.
 */
#define _POSIX_C_SOURCE 200809L

#include <lithe.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS 8
#define PIECE (64 * 1024)
#define PROGRESS (16 * 1024 * 1024)

static const char PAGE[] =
    "<!doctype html><meta charset=utf-8><title>Upload</title>"
    "<style>body{font:1.2rem system-ui;max-width:40rem;margin:4rem auto}progress{width:100%}</style>"
    "<h1>Upload</h1><input type=file id=file><p><progress id=bar max=1 value=0></progress>"
    "<p id=state>Choose a file."
    "<script>"
    "const show = html => document.getElementById('state').innerHTML = html;"
    "document.getElementById('file').onchange = event => {"
    "  const file = event.target.files[0], request = new XMLHttpRequest();"
    "  const url = '/files/' + encodeURIComponent(file.name);"
    "  request.upload.onprogress = e => document.getElementById('bar').value = e.loaded / e.total;"
    "  request.onload = () => show(request.status == 201 ? `<a href=\"${url}\">Download it again</a>`"
    "                                                    : `It failed: ${request.status}`);"
    "  request.onerror = () => show('The connection broke.');"
    "  request.open('PUT', url);"
    "  request.send(file);"
    "};"
    "</script>";

static const char *directory = ".";

/* Makes the path of the file that a request is about; says whether its name is one that may be
 * used. What comes out of a URL may be anything, also "..", a slash, or a NUL. */
static int file_path(lithe_request_t request, char *path, size_t size, const char *suffix) {
    lithe_string_t name;
    if (lithe_request_param(request, "name", &name) != LITHE_OK || name.ptr[0] == '.' ||
        strlen(name.ptr) != name.len || strchr(name.ptr, '/') != NULL) {
        return 0;
    }
    int len = snprintf(path, size, "%s/%s%s", directory, name.ptr, suffix);
    return len > 0 && (size_t)len < size;
}

static void answer(lithe_request_t request, int32_t status, const char *text) {
    lithe_request_respond_text(request, status, "text/plain; charset=utf-8", text);
}

/* Reads the body into the file, and returns how the last read went: with LITHE_OK at the end. */
static int32_t receive(lithe_request_t request, FILE *file, long long *total) {
    char piece[PIECE];
    size_t len;
    int32_t code;
    while ((code = lithe_request_read(request, piece, sizeof piece, &len, -1)) == LITHE_OK && len > 0) {
        if (fwrite(piece, 1, len, file) != len) {
            return LITHE_ERR_IO;
        }
        if (*total / PROGRESS != (*total + (long long)len) / PROGRESS) {
            printf("%lld MiB so far\n", (*total + (long long)len) / (1024 * 1024));
            fflush(stdout);
        }
        *total += (long long)len;
    }
    return code;
}

static void put_file(lithe_request_t request, void *user_data) {
    char path[4096], unfinished[4096], suffix[32];
    long long total = 0;
    (void)user_data;
    /* Two uploads by the same name shall not meet in one file. */
    snprintf(suffix, sizeof suffix, ".%llx.part", (unsigned long long)request);
    if (!file_path(request, path, sizeof path, "") ||
        !file_path(request, unfinished, sizeof unfinished, suffix)) {
        answer(request, 400, "That is no name for a file.\n");
        return;
    }
    FILE *file = fopen(unfinished, "wb");
    if (file == NULL) {
        perror(unfinished);
        answer(request, 500, "The file cannot be written.\n");
        return;
    }
    int32_t code = receive(request, file, &total);
    int failed = fclose(file) != 0 || code != LITHE_OK || rename(unfinished, path) != 0;
    if (!failed) {
        printf("%s: %lld bytes\n", path, total);
        answer(request, 201, "Thank you.\n");
    } else {
        unlink(unfinished);
        printf("%s: given up after %lld bytes: %s\n", path, total, lithe_strerror(code));
        answer(request, code == LITHE_ERR_TOO_LARGE ? 413 : 500, "The upload failed.\n");
    }
    fflush(stdout);
}

static void get_file(lithe_request_t request, void *user_data) {
    char path[4096], length[32], piece[PIECE];
    struct stat info;
    lithe_response_t response;
    size_t len;
    (void)user_data;
    FILE *file = file_path(request, path, sizeof path, "") ? fopen(path, "rb") : NULL;
    if (file == NULL || fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode)) {
        answer(request, 404, "There is no such file.\n");
        if (file != NULL) {
            fclose(file);
        }
        return;
    }
    snprintf(length, sizeof length, "%lld", (long long)info.st_size);
    const lithe_header_t headers[] = {
        LITHE_HEADER("Content-Type", "application/octet-stream"),
        { LITHE_STRING("Content-Length"), LITHE_STRING(length) },
    };
    if (lithe_request_respond_stream(request, 200, headers, 2, NULL, &response) == LITHE_OK) {
        /* Waits whenever the client is slower than the disk, and ends when it has gone. */
        while ((len = fread(piece, 1, sizeof piece, file)) > 0 &&
               lithe_response_write(response, piece, len, -1) == LITHE_OK) {
        }
        /* A file that was cut meanwhile cannot be finished: then the client sees the break. */
        lithe_response_finish(response);
        lithe_response_free(response);
    }
    fclose(file);
}

static void get_page(lithe_request_t request, void *user_data) {
    lithe_request_respond_text(request, 200, "text/html; charset=utf-8", user_data);
}

static void *serve(void *server) {
    while (lithe_server_serve(*(lithe_server_t *)server, -1) == LITHE_OK) {
    }
    return NULL;
}

int main(int argc, char **argv) {
    char address[64];
    pthread_t threads[THREADS];
    size_t running = 0;
    int caught;
    sigset_t signals;
    lithe_server_t server;
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    lithe_route_options_t large = LITHE_ROUTE_OPTIONS_INIT;
    snprintf(address, sizeof address, "127.0.0.1:%s", argc > 1 ? argv[1] : "8080");
    directory = argc > 2 ? argv[2] : directory;
    config.address = address;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    if (lithe_server_start(&config, &server) != LITHE_OK) {
        fprintf(stderr, "%s\n", lithe_last_error());
        return 1;
    }
    large.max_body_bytes = -1;
    large.stream_body = 1;
    if (lithe_server_route(server, "GET", "/", get_page, (void *)PAGE, NULL) != LITHE_OK ||
        lithe_server_route(server, "PUT", "/files/{name}", put_file, NULL, &large) != LITHE_OK ||
        lithe_server_route(server, "GET", "/files/{name}", get_file, NULL, NULL) != LITHE_OK) {
        fprintf(stderr, "%s\n", lithe_last_error());
        return 1;
    }
    while (running < THREADS && pthread_create(&threads[running], NULL, serve, &server) == 0) {
        running++;
    }
    printf("http://127.0.0.1:%d\n", (int)lithe_server_port(server));
    fflush(stdout);

    sigwait(&signals, &caught);
    lithe_server_drain(server, 10000, NULL);
    while (running > 0) {
        pthread_join(threads[--running], NULL);
    }
    lithe_server_free(server);
    return 0;
}
