#pragma once

// What tests of pools of buffers read into them.

#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/rt/buffer_pool.hpp>
#include <heph/rt/timer.hpp>

namespace heph::test {

inline rt::buffer_pool new_pool(const rt::buffer_pool_options& options) {
    auto made = rt::buffer_pool::make(options);
    REQUIRE(made);
    return std::move(*made);
}

/// Takes all that comes until the end, which stays.
template <typename Receiver>
task<std::string> read_to_end(Receiver receiver) {
    std::string all;
    for (;;) {
        auto next = co_await receiver.next();
        if (!next) { FAIL(next.error().message()); }
        if (next->empty()) { break; }
        all += next->view();
    }
    const auto after = co_await receiver.next();
    CHECK((after && after->empty()));
    co_return all;
}

/// Waits until no buffer is in use. What the worker was not asked for takes a turn or two.
inline task<> all_come_back(const rt::buffer_pool* pool) {
    using namespace std::chrono_literals;
    for (int i = 0; i < 5000 && pool->buffers_in_use() != 0; ++i) { co_await rt::timer(1ms); }
    CHECK(pool->buffers_in_use() == 0);
}

}  // namespace heph::test
