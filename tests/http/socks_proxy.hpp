#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "relay_proxy.hpp"

namespace heph::http::test {

/// How a SOCKS 5 proxy treats its clients.
struct socks_rules {
    std::string user;  ///< Who has to be named; empty for nobody.
    std::string password;
    /// What is replied for a host; 0 connects to the port of this machine. Nothing is 0.
    std::function<std::uint8_t(const std::string& host)> reply;
};

/// Opens tunnels as SOCKS 5 has it; what it is told is such as "name a.test 80", "v4 127.0.0.1 80".
relay_opener open_by_socks(socks_rules rules = {});

}  // namespace heph::http::test
