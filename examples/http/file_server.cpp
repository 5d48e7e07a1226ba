// Serves the files of a folder: file_server FOLDER [ADDRESS:PORT]

#include <cstdio>
#include <system_error>
#include <utility>

#include <heph/http/middleware/access_log.hpp>
#include <heph/http/router.hpp>
#include <heph/http/server.hpp>
#include <heph/http/static_files.hpp>

namespace http = heph::http;

int main(int count, char** arguments) {
    if (count < 2) {
        std::fputs("usage: file_server FOLDER [ADDRESS:PORT]\n", stderr);
        return 2;
    }
    http::server_options options;
    if (count > 2) { options.address = arguments[2]; }
    http::static_file_options how;
    how.precompressed = true;
    http::router router;
    try {
        router.use(http::access_log());
        router.get("/{path...}", http::static_files(arguments[1], how));
    } catch (const std::system_error& refused) {
        std::fprintf(stderr, "file_server: %s\n", refused.what());
        return 1;
    }
    return http::serve(std::move(router), options);
}
