#pragma once

#include <cstdint>
#include <expected>
#include <system_error>

#include <heph/rt/detail/io_call.hpp>

namespace heph::rt::detail {

/// Gives 0 when a descriptor can be read from, or written to, without waiting; else -EAGAIN.
/// Regular files always can, and what fails at once counts, too.
[[nodiscard]] std::int32_t is_ready(int descriptor, bool to_read) noexcept;

/// Lets calls on a descriptor not block, where they have no flag that says so for one of them.
void make_non_blocking(int descriptor) noexcept;

/// Waits until there is something to be read from a descriptor, and does not read it.
class readable_call : public io_call {
public:
    explicit readable_call(int descriptor) noexcept : io_call(descriptor, waits::to_read, true) {}

    [[nodiscard]] std::int32_t perform() noexcept override;
    void submit(io_uring_sqe& entry) noexcept override;
};

/// Takes nothing. Of `io_future`.
[[nodiscard]] inline std::expected<void, std::error_code> take_nothing(io_call& /*call*/,
                                                                       std::int32_t /*result*/) {
    return {};
}

}  // namespace heph::rt::detail
