// Serves the API: `json_api [ADDRESS:PORT]`. Then:
//
//     curl -H 'Content-Type: application/json' -d '{"url":"https://debian.org"}'
//         http://127.0.0.1:8080/bookmarks

#include <heph/http/server.hpp>

#include "api.hpp"

int main(int count, char** arguments) {
    heph::http::server_options options;
    if (count > 1) { options.address = arguments[1]; }
    return heph::http::serve(bookmarks::make_routes(), options);
}
