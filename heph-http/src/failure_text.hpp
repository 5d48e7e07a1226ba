#pragma once

#include <exception>
#include <string>

namespace heph::http::detail {

/// Says in a line of the log what was thrown.
inline std::string failure_text(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& exception) { return exception.what(); } catch (...) {
        return "what was thrown is no std::exception";
    }
}

}  // namespace heph::http::detail
