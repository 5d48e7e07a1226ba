#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include <heph/http/router.hpp>

namespace heph::http {

/// How many requests are let through.
struct rate_limit_options {
    /// Requests that a key may make at once, after it made none for a while.
    double burst = 20;
    /// Requests a second that it may make in the long run.
    double per_second = 10;
    /// Keys that are remembered, for all workers together. With more, those who made the fewest
    /// requests of late are forgotten, which lets them begin anew.
    std::size_t keys_max = 100'000;
    /// Gives the key of a request; an empty one is not limited. The default is the address of the
    /// peer, for IPv6 its network of 64 bits, and within that an IPv4 address where it stands for
    /// one: behind a proxy that is the proxy's, and the key has to come from a header that the
    /// proxy sets.
    std::function<std::string(const request&)> key = {};
    /// Gives the time, for tests.
    std::function<std::chrono::steady_clock::time_point()> now = {};
};

/// Makes a middleware that counts requests by a token bucket for each key, shared by all workers;
/// what is beyond is answered with 429, and `Retry-After` in whole seconds.
/// *Errors*: throws `std::invalid_argument` when `burst` is less than 1 or `per_second` not more
/// than 0.
[[nodiscard]] middleware rate_limit(rate_limit_options options = {});

}  // namespace heph::http
