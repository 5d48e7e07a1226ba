#pragma once

// Whether others can use the address that a node is to be a member by.

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "node/address.hpp"

namespace heph::remote::etcd::detail {

/// Tells whether an address leads to the machine of whoever uses it.
[[nodiscard]] inline bool leads_home(std::string_view address) {
    const auto parsed = remote::detail::node_address::parse(address);
    return parsed && parsed->is_local();
}

/// Tells whether it is the name of a host, which may go to another machine while who had it runs
/// on.
[[nodiscard]] inline bool is_by_name(std::string_view address) {
    const auto parsed = remote::detail::node_address::parse(address);
    return parsed && !parsed->is_bindable();
}

/// Tells whether an endpoint of etcd, such as `http://127.0.0.1:2379`, is at this machine.
[[nodiscard]] inline bool is_here(std::string_view endpoint) {
    const auto scheme = endpoint.find("://");
    if (scheme != std::string_view::npos) { endpoint.remove_prefix(scheme + 3); }
    endpoint = endpoint.substr(0, endpoint.find('/'));
    return endpoint == "localhost" || leads_home(endpoint);
}

/// Says what is wrong with an address that only programs of its own machine can use, where there
/// seem to be others; empty: nothing, as far as can be known.
[[nodiscard]] inline std::string complaint_about(const std::string& address,
                                                 const std::vector<std::string>& endpoints) {
    if (!leads_home(address) || std::ranges::all_of(endpoints, is_here)) { return {}; }
    return "joins the cluster as reached at " + address +
           ", which leads nowhere from another machine, while etcd is at one: listen at an address "
           "that others reach, or say it by options::advertise or cluster_settings::address";
}

}  // namespace heph::remote::etcd::detail
