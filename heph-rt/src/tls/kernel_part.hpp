#pragma once

// What a session has once the kernel has its keys.

#include <cstdint>
#include <expected>
#include <optional>
#include <system_error>

#include <heph/rt/buffer.hpp>
#include <heph/rt/io_future.hpp>
#include <heph/rt/tls/stream.hpp>

namespace heph::rt::tls::detail {

struct session::kernel_part {
    std::optional<io_future<buffer>> records;      // In the place of `sending_`.
    std::optional<io_future<std::uint64_t>> file;  // Nothing else is sent meanwhile.
    std::optional<std::expected<std::uint64_t, std::error_code>> file_sent;
    std::error_code last_word;  // Why nothing is sent behind what is being sent.
};

}  // namespace heph::rt::tls::detail
