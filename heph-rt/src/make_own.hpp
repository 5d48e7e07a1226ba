#pragma once

#include <exception>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <system_error>

#include <heph/rt/error.hpp>

namespace heph::rt::detail {

/// Calls a function of the program's that makes a part of a worker. Null is as good as any.
/// *Errors*: whatever it throws becomes an error that begins with `failure`.
template <typename Made>
[[nodiscard]] std::expected<std::unique_ptr<Made>, error> make_own(
    const std::function<std::unique_ptr<Made>()>& make, const char* failure) {
    constexpr auto code = std::errc::operation_canceled;
    try {
        return make();
    } catch (const std::exception& thrown) {
        return std::unexpected(
            error(std::make_error_code(code), std::string(failure) + ": " + thrown.what()));
    } catch (...) { return std::unexpected(error(std::make_error_code(code), failure)); }
}

}  // namespace heph::rt::detail
