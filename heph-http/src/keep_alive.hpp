#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include <heph/http/headers.hpp>

namespace heph::http::detail {

/// What a peer tells in `Keep-Alive` (RFC 2068, 19.7.1): how it will treat the connection.
struct keep_alive_terms {
    std::optional<std::chrono::seconds> timeout;  ///< How long it waits for a further request.
    std::optional<std::uint64_t> uses;            ///< How many further requests it takes.

    /// Adds what else was told: the stricter of the two counts.
    void add(const keep_alive_terms& other) noexcept;
    /// Tells how long after an answer a request may still be sent: less than the time-out, as a
    /// request that is on its way when the peer closes is lost.
    [[nodiscard]] std::chrono::milliseconds usable_for(
        std::chrono::milliseconds at_most) const noexcept;
};

/// Reads `timeout=5, max=100`. What is malformed, or not known, is as if it was not there.
[[nodiscard]] keep_alive_terms read_keep_alive(const headers& fields) noexcept;

}  // namespace heph::http::detail
