// What finding a route costs, for few routes and for many, and for short paths and long ones:
//
//     heph_http_router_bench [ROUNDS]
//
// Prints nanoseconds for one search, the best of five rounds.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <heph/http/router.hpp>

namespace {

namespace http = heph::http;
using steady = std::chrono::steady_clock;

http::response answer(http::request&) { return http::response(); }

/// Routes of an API: `/api/v1/thingN/{id:int}/parts/{part}`, and the things themselves.
http::router make(int things) {
    http::router router;
    for (int i = 0; i < things; ++i) {
        const std::string thing = "/api/v1/thing" + std::to_string(i);
        router.get(thing, answer).get(thing + "/{id:int}", answer);
        router.get(thing + "/{id:int}/parts/{part}", answer);
        router.get(thing + "/{name}/files/{path...}", answer);
    }
    return router;
}

double find_ns(const http::router& router, const std::vector<std::string>& paths, int rounds) {
    double best = 1e9;
    http::path_params params;
    for (int repeat = 0; repeat < 5; ++repeat) {
        std::uint64_t found = 0;
        const auto begin = steady::now();
        for (int i = 0; i < rounds; ++i) {
            params.clear();
            const std::string& path = paths[static_cast<std::size_t>(i) % paths.size()];
            found += router.find(http::method::get, path, params).found != nullptr ? 1U : 0U;
        }
        const std::chrono::duration<double, std::nano> took = steady::now() - begin;
        if (found != static_cast<std::uint64_t>(rounds)) {
            std::puts("a path was not found");
            std::exit(1);
        }
        best = std::min(best, took.count() / rounds);
    }
    return best;
}

/// Paths to many of the things, so that no cache holds just the one that is asked for.
std::vector<std::string> paths_to(int things, const std::string& tail) {
    std::vector<std::string> paths;
    for (int i = 0; i < 997; ++i) {
        paths.push_back("/api/v1/thing" + std::to_string(i * 7919 % things) + tail);
    }
    return paths;
}

}  // namespace

int main(int count, char** arguments) {
    const int rounds = count > 1 ? std::atoi(arguments[1]) : 1'000'000;
    if (rounds <= 0) {
        std::fputs("usage: heph_http_router_bench [ROUNDS]\n", stderr);
        return 2;
    }
    std::printf("%8s %12s %12s %12s %12s\n", "routes", "3 segments", "4 segments", "6 segments",
                "16 segments");
    for (const int things : {1, 25, 250, 2'500}) {
        const http::router router = make(things);
        std::printf("%8d", things * 4);
        for (const std::string& tail :
             {std::string(), std::string("/12345"), std::string("/12345/parts/left"),
              std::string("/name/files/a/b/c/d/e/f/g/h/i/j/k")}) {
            std::printf(" %12.1f", find_ns(router, paths_to(things, tail), rounds));
        }
        std::printf("\n");
    }
    return 0;
}
