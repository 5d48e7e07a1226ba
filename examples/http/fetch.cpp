// Fetches a URL and writes the body to the standard output, decompressed piece by piece as it
// comes:
//
//     fetch http://127.0.0.1:8080/large.json

#include <iostream>
#include <string>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/http/client.hpp>
#include <heph/rt/runtime.hpp>

namespace http = heph::http;
namespace rt = heph::rt;

namespace {

heph::task<> fetch(http::client client, std::string url, int& result) {
    auto answer = co_await client.get(url);
    std::error_code failed = answer ? std::error_code() : answer.error();
    while (!failed) {
        const auto piece = co_await answer->next();
        if (!piece) {
            failed = piece.error();
        } else if (piece->empty()) {
            break;
        } else {
            std::cout << *piece;
        }
    }
    if (failed) { std::cerr << url << ": " << failed.message() << '\n'; }
    result = failed || answer->status() != http::status::ok ? 1 : 0;
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 2) {
        std::cerr << "usage: fetch URL\n";
        return 2;
    }
    http::client_options options;
    options.redirects_max = 5;
    options.decompress = true;
    options.decoding.bytes_max = 100'000'000;  // For all of the body, decompressed.
    auto runtime = rt::setup{}.name("fetch").threads(1).build();
    if (!runtime) { return rt::report(runtime.error()); }
    int result = 1;
    runtime->run_on_workers([&](rt::worker& worker) {
        worker.spawn_future(fetch(http::client(worker, options), arguments[1], result));
    });
    const int ended = rt::report(runtime->start());
    return ended != 0 ? ended : result;
}
