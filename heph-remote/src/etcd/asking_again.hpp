#pragma once

#include <chrono>

#include <heph/remote/etcd/error.hpp>
#include <heph/rt/error.hpp>

namespace heph::remote::etcd::detail {

/// How long to wait before what failed is asked again.
inline constexpr std::chrono::milliseconds pause_between{200};

/// Tells whether waiting may mend it. *Requires*: asking twice does no harm.
[[nodiscard]] inline bool passes(const rt::error& failure) noexcept {
    return failure.code() == errc::unavailable || failure.code() == errc::timed_out ||
           failure.code() == errc::outcome_unknown || failure.code() == errc::compacted;
}

}  // namespace heph::remote::etcd::detail
