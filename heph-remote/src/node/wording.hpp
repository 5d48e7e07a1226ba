#pragma once

// What several parts of a node say to the log.

#include <chrono>
#include <exception>
#include <string>

namespace heph::remote::detail {

[[nodiscard]] inline std::string within(std::chrono::milliseconds time) {
    return " within " + std::to_string(time.count()) + " ms";
}

/// Says what is being handled. *Requires*: called by a handler of exceptions.
[[nodiscard]] inline std::string what_was_thrown() {
    try {
        throw;
    } catch (const std::exception& thrown) {
        return std::string("threw ") + thrown.what();
    } catch (...) { return "threw an unknown exception"; }
}

}  // namespace heph::remote::detail
