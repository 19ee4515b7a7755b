/* Serves one request, as a program does that was built against the installed library. */
#include <lithe.h>
#include <stdio.h>

int main(void) {
    lithe_server_t server;
    lithe_request_t request;
    if (lithe_server_start(NULL, &server) != LITHE_OK)
        return fprintf(stderr, "%s\n", lithe_last_error()), 1;
    printf("http://127.0.0.1:%d\n", lithe_server_port(server));
    fflush(stdout);
    if (lithe_server_accept(server, &request, -1) != LITHE_OK)
        return 1;
    lithe_request_respond_text(request, 200, "text/plain", "installed");
    lithe_request_free(request);
    lithe_server_drain(server, 10000, NULL);
    return lithe_server_free(server) != LITHE_OK;
}
