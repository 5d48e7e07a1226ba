#pragma once

#include <expected>
#include <memory>

#include <heph/remote/node.hpp>

#include "environment.hpp"

namespace heph::remote::detail {

/// Starts nodes, whatever runs them.
class node_starter {
public:
    /// Checks the settings, listens, and spawns the node's tasks.
    /// *Errors*: see `node::start`. *Requires*: called where the environment's `spawn` may be.
    [[nodiscard]] static std::expected<node, rt::error> start(std::shared_ptr<environment> around,
                                                              const options& settings);
};

}  // namespace heph::remote::detail
