#pragma once

// Two engines that are joined in memory, for the tests of the TLS engine.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <heph/rt/tls/engine.hpp>

namespace heph_tests {

namespace tls = heph::rt::tls;

inline std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

inline tls::secret make_secret(std::string_view text) {
    auto made = tls::secret::copy_of(bytes_of(text));
    REQUIRE(made.has_value());
    return std::move(*made);
}

inline constexpr std::string_view good_secret = "a secret of more than sixteen bytes";

inline tls::context make_context(std::string_view secret = good_secret,
                                 std::string identity = "heph") {
    auto made = tls::context::make(tls::psk_config(make_secret(secret), std::move(identity)));
    REQUIRE(made.has_value());
    return std::move(*made);
}

inline tls::engine make_client(const tls::context& context) {
    auto made = context.client();
    REQUIRE(made.has_value());
    return std::move(*made);
}

inline tls::engine make_server(const tls::context& context) {
    auto made = context.server();
    REQUIRE(made.has_value());
    return std::move(*made);
}

inline std::string take_text(tls::engine& engine) {
    return std::string(engine.take_output().view());
}

/// Feeds `text` in pieces of `piece` bytes; gives the first error.
inline std::error_code feed_text(tls::engine& engine, std::string_view text,
                                 std::size_t piece = std::string_view::npos) {
    while (!text.empty()) {
        const std::size_t size = std::min(piece, text.size());
        if (auto fed = engine.feed(bytes_of(text.substr(0, size))); !fed) { return fed.error(); }
        text.remove_prefix(size);
    }
    return {};
}

/// Moves what both have to send until neither has any, or one fails; gives the errors.
struct shuttled {
    std::error_code client;
    std::error_code server;
};

inline shuttled shuttle(tls::engine& client, tls::engine& server,
                        std::size_t piece = std::string_view::npos) {
    shuttled errors;
    while (client.has_output() || server.has_output()) {
        const std::string to_server = take_text(client);
        if (!errors.server) { errors.server = feed_text(server, to_server, piece); }
        const std::string to_client = take_text(server);
        if (!errors.client) { errors.client = feed_text(client, to_client, piece); }
    }
    return errors;
}

/// Reads all there is to read, `piece` bytes at a time.
inline std::string read_all(tls::engine& engine, std::size_t piece = 4096) {
    std::string text;
    std::string part(piece, '\0');
    for (;;) {
        auto got = engine.read(std::as_writable_bytes(std::span(part)));
        REQUIRE(got.has_value());
        if (*got == 0) { return text; }
        text.append(part, 0, *got);
    }
}

}  // namespace heph_tests
