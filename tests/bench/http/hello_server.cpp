// What tests/bench/http/compare and tests/bench/http/reach load.
//
// Usage: heph_http_bench [--http ADDRESS:PORT] [--threads N] [--files FOLDER] [--tls FOLDER]
//                        [--observers N]
//
// FOLDER of --tls has chain.pem and key.pem; then it speaks https.

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <heph/http/exchange.hpp>
#include <heph/http/router.hpp>
#include <heph/http/server.hpp>
#include <heph/http/static_files.hpp>
#include <heph/http/tls.hpp>

namespace http = heph::http;
namespace tls = heph::rt::tls;

namespace {

/// Reads a certificate, and tells what is wrong with it.
std::shared_ptr<const http::server_security> secured(const std::string& folder) {
    auto own = tls::certificate::load(folder + "/chain.pem", folder + "/key.pem");
    if (!own) {
        std::cerr << own.error().message() << '\n';
        return nullptr;
    }
    auto context = http::make_server_tls(tls::server_config(std::move(*own)));
    return context ? http::secured_by(*context) : nullptr;
}

}  // namespace

int main(int count, char** arguments) {
    http::server_options options;
    // All who load it have one address.
    options.limits.connections_per_address_max = options.limits.connections_max;
    std::string files;
    std::size_t observers = 0;
    for (int i = 1; i + 1 < count; i += 2) {
        const std::string_view name = arguments[i];
        const std::string value = arguments[i + 1];
        if (name == "--http") {
            options.address = value;
        } else if (name == "--threads") {
            options.threads = std::strtoul(value.c_str(), nullptr, 10);
        } else if (name == "--files") {
            files = value;
        } else if (name == "--tls") {
            options.tls = secured(value);
            if (!options.tls) { return 1; }
        } else if (name == "--observers") {
            observers = std::strtoul(value.c_str(), nullptr, 10);
        } else {
            std::cerr << "usage: heph_http_bench [--http ADDRESS:PORT] [--threads N] [--files "
                         "FOLDER] [--tls FOLDER] [--observers N]\n";
            return 2;
        }
    }
    http::router routes;
    routes
        .get("/hello",
             [](http::request&) { return http::response::bytes("Hello, World!", "text/plain"); })
        .get("/json",
             [](http::request&) { return http::response::json(R"({"message":"Hello, World!"})"); })
        .get("/10k",
             [](http::request&) {
                 return http::response::bytes(std::string(10 * 1024, 'x'), "text/plain");
             })
        .get("/1m", [kept = std::make_shared<const std::string>(1024 * 1024, 'x')](http::request&) {
            http::response answer = http::response::bytes({}, "text/plain");
            answer.set_body(kept);
            return answer;
        });
    for (; observers != 0; --observers) {
        routes.observe(
            [sent = std::make_shared<std::atomic<std::uint64_t>>(0)](const http::exchange& what) {
                sent->fetch_add(what.body_bytes_sent, std::memory_order_relaxed);
            });
    }
    if (!files.empty()) { routes.get("/files/{path...}", http::static_files(files)); }
    return http::serve(std::move(routes), options);
}
