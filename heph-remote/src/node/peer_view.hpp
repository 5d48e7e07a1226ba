#pragma once

namespace heph::remote::detail {

/// What a node has with another one, as handles see it.
struct peer_view {
    bool is_linked = false;
    bool is_wanted = true;  ///< False: `forget_peer` was called since it was named last.

    bool operator==(const peer_view&) const = default;
};

}  // namespace heph::remote::detail
