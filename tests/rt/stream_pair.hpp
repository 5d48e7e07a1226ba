#pragma once

// Two ends of one stream, and what a test sends over them.

#include <catch2/catch.hpp>
#include <cstddef>
#include <string>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/net/unix.hpp>

namespace heph::test {

inline std::pair<rt::net::unix_stream, rt::net::unix_stream> new_streams() {
    auto made = rt::net::unix_stream::pair();
    REQUIRE(made);
    return std::move(*made);
}

/// Gives a text of which no part looks like the next one.
inline std::string long_text(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < text.size(); ++i) { text[i] = static_cast<char>('a' + i * 7 % 23); }
    return text;
}

inline task<> send_text(rt::net::unix_stream* to, std::string text) {
    auto bytes = rt::buffer::copy_of(text);
    const auto sent = co_await to->send_all(std::move(bytes));
    CHECK(sent);
}

}  // namespace heph::test
