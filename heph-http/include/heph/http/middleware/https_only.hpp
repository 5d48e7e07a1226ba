#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <heph/http/router.hpp>

namespace heph::http {

/// How clients are led to https.
struct https_only_options {
    /// Where they are led to; the host that they asked for when it is empty.
    std::string host = {};
    std::uint16_t port = 443;
    /// How long browsers may remember never to ask in plain text (`Strict-Transport-Security`, RFC
    /// 6797); 0 does not say so. It is hard to take back: begin with minutes.
    std::chrono::seconds remember{0};
};

/// Makes a middleware that answers requests over plain connections with 308 to the same target over
/// https, without asking the route; 400 when it is not clear which host is meant.
[[nodiscard]] middleware https_only(https_only_options options = {});

}  // namespace heph::http
