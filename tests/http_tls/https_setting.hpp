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

#include "http/client_run.hpp"
#include "http/test_routes.hpp"
#include "http/test_server.hpp"
#include "rt/on_runtime.hpp"
#include "rt_tls/certified.hpp"

namespace heph_tests {

namespace http = heph::http;
using heph::task;
using http::test::fetch;
using http::test::fetch_all;
using http::test::with_client;

/// Certificates and contexts of a service at 127.0.0.1 and `localhost`.
struct https_setting {
    authority ca;
    tls::server_context context;

    explicit https_setting(const std::string& authority_name = "test authority")
        : ca(authority_name), context(http::make_server_tls(config()).value()) {}

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
        options.limits.body_bytes_max = 100'000'000;
        auto made = http::make_client_tls(config);
        REQUIRE(made);
        options.tls = http::secured_by(*made);
        return options;
    }
};

inline std::string https_url(const http::test::test_server& server, std::string_view path) {
    return "https://127.0.0.1:" + std::to_string(server.port()) + std::string(path);
}

inline std::string text_of(std::error_code code) { return code.message(); }

}  // namespace heph_tests
