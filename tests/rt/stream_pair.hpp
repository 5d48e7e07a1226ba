#pragma once

// Two ends of one stream, and what a test sends over them.

#include <catch2/catch.hpp>
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

inline task<> send_text(rt::net::unix_stream* to, std::string text) {
    auto bytes = rt::buffer::copy_of(text);
    const auto sent = co_await to->send_all(std::move(bytes));
    CHECK(sent);
}

}  // namespace heph::test
