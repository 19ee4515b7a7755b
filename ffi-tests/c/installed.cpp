// Serves one request, as a program does that was built against the installed library.
#include <cstdio>
#include <lithe.hpp>

int main() {
    lithe::server server;
    lithe::request request;
    if (server.start() != LITHE_OK)
        return std::fprintf(stderr, "%s\n", lithe_last_error()), 1;
    std::printf("http://%s\n", server.address().str().c_str());
    std::fflush(stdout);
    if (server.accept(request) != LITHE_OK)
        return 1;
    request.respond(200, "installed");
    return server.drain(10000) != LITHE_OK;
}
