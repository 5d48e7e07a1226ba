#pragma once

#include <expected>
#include <functional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/http/client.hpp>

#include "rt/on_runtime.hpp"

namespace heph::http::test {

/// Runs one task with a client, on a runtime of its own.
inline void with_client(const std::function<task<>(client)>& use, client_options options = {}) {
    heph::test::run_on_worker(heph::test::quiet_setup(), [&](rt::worker& worker) {
        worker.spawn_future(use(client(worker, std::move(options))));
    });
}

/// What came of a request, as one text: status and body, or the error.
inline task<std::string> outcome(std::expected<client_response, std::error_code> got) {
    if (!got) { co_return got.error().message(); }
    const auto body = co_await got->read_body();
    if (!body) { co_return std::to_string(code(got->status())) + " " + body.error().message(); }
    co_return std::to_string(code(got->status())) + " " + *body;
}

inline task<std::string> fetch(client with, std::string url) {
    auto got = co_await with.get(url);
    co_return co_await outcome(std::move(got));
}

/// Fetches several URLs in turn and gives what came of each.
inline std::vector<std::string> fetch_all(const std::vector<std::string>& urls,
                                          client_options options = {}) {
    std::vector<std::string> all;
    with_client(
        [&](client made) -> task<> {
            return [](client with, std::vector<std::string> from,
                      std::vector<std::string>* to) -> task<> {
                for (const std::string& url : from) { to->push_back(co_await fetch(with, url)); }
            }(std::move(made), urls, &all);
        },
        std::move(options));
    return all;
}

inline std::string text_of(error value) { return std::string(message(value)); }
inline std::string text_of(std::errc value) { return std::make_error_code(value).message(); }

}  // namespace heph::http::test
