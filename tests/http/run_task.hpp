#pragma once

#include <optional>
#include <utility>

#include <catch2/catch.hpp>

#include <heph/core/task.hpp>

namespace heph::http::test {

/// Runs a task that has nothing to wait for.
template <typename T>
T run(task<T> running) {
    auto polled = running.poll(waker());
    REQUIRE(polled.is_ready());
    return std::move(polled).value();
}

}  // namespace heph::http::test
