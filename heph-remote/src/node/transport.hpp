#pragma once

// The way to another node: of the environment's, or in a memory network.

#include <memory>
#include <utility>
#include <variant>

#include "memory/memory_core.hpp"
#include "node/environment.hpp"

namespace heph::remote::detail {

/// *Requires*: no name of a host.
/// *Errors*: those of `environment::connect`; `network_unreachable` without a memory network.
[[nodiscard]] inline task<stream_result> connect_by(const std::shared_ptr<environment>& around,
                                                    const std::shared_ptr<memory_core>& network,
                                                    node_address to) {
    const auto* name = std::get_if<memory_name>(&to.where());
    if (name == nullptr) { return around->connect(std::move(to)); }
    return memory_connect(network, around, name->text());
}

[[nodiscard]] inline listen_result listen_by(const std::shared_ptr<environment>& around,
                                             const std::shared_ptr<memory_core>& network,
                                             const node_address& at) {
    const auto* name = std::get_if<memory_name>(&at.where());
    if (name == nullptr) { return around->listen(at); }
    return memory_listen(network, around, name->text());
}

}  // namespace heph::remote::detail
