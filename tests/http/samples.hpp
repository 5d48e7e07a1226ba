#pragma once

// Requests, good and bad, as bytes, with what a parser has to make of them.

#include <span>
#include <string>
#include <string_view>

#include <heph/http/error.hpp>

namespace heph::http::test {

struct bad_sample {
    const char* what;
    std::string bytes;
    error expected;
};

/// Requests that must be refused. Each is refused within its last byte, or before.
std::span<const bad_sample> bad_samples();

struct good_sample {
    const char* what;
    std::string bytes;
    /// What `transcript` gives.
    std::string expected;
};

std::span<const good_sample> good_samples();

}  // namespace heph::http::test
