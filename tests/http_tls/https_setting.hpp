#pragma once

// A server and clients that speak https, for tests.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/client.hpp>
#include <heph/http/tls.hpp>

#include "http/test_routes.hpp"
#include "http/test_server.hpp"
#include "rt/on_runtime.hpp"
#include "rt_tls/certified.hpp"

namespace heph_tests {

namespace http = heph::http;
using heph::task;

/// Certificates and contexts of a service at 127.0.0.1 and `localhost`.
struct https_setting {
    authority ca;
    tls::server_context context;

    https_setting() : context(http::make_server_tls(config()).value()) {}

    [[nodiscard]] tls::server_config config() const {
        certificate_order order;
        order.names = {"localhost"};
        order.addresses = {"127.0.0.1"};
        return tls::server_config(to_certificate(ca.issue(order)));
    }
    [[nodiscard]] http::test::server_setup server() const {
        http::test::server_setup setup;
        setup.tls = http::secured_by(context);
        return setup;
    }
    [[nodiscard]] http::client_options client() const { return client(trust_in(ca)); }
    [[nodiscard]] static http::client_options client(const tls::client_config& config) {
        http::client_options options;
        auto made = http::make_client_tls(config);
        REQUIRE(made);
        options.tls = http::secured_by(*made);
        return options;
    }
};

inline std::string https_url(const http::test::test_server& server, std::string_view path) {
    return "https://127.0.0.1:" + std::to_string(server.port()) + std::string(path);
}

/// Runs one task with a client, on a runtime of its own.
inline void with_client(std::function<task<>(http::client)> use, http::client_options options) {
    heph::test::run_on_worker(heph::test::quiet_setup(), [&](heph::rt::worker& worker) {
        worker.spawn_future(use(http::client(worker, options)));
    });
}

/// What came of a request, as one text: status and body, or the error.
inline task<std::string> fetch(http::client client, std::string url) {
    auto got = co_await client.get(url);
    if (!got) { co_return got.error().message(); }
    const auto body = co_await got->read_body(100'000'000);
    if (!body) { co_return body.error().message(); }
    co_return std::to_string(code(got->status())) + " " + *body;
}

inline std::vector<std::string> fetch_all(const std::vector<std::string>& urls,
                                          http::client_options options) {
    std::vector<std::string> all;
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client with, std::vector<std::string> from,
                      std::vector<std::string>* to) -> task<> {
                for (const std::string& url : from) { to->push_back(co_await fetch(with, url)); }
            }(std::move(client), urls, &all);
        },
        std::move(options));
    return all;
}

inline std::string text_of(std::error_code code) { return code.message(); }

}  // namespace heph_tests
