#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heph::remote {

/// Says which nodes may know of a published actor: to others it is not there.
///
///     node.publish("admin", admin, heph::remote::audience::of({"console"}));
class audience {
public:
    /// All nodes that are linked.
    [[nodiscard]] static audience everyone() { return audience(); }
    /// Only nodes of these names.
    [[nodiscard]] static audience of(std::vector<std::string> nodes) {
        audience made;
        made.everyone_ = false;
        made.nodes_ = std::move(nodes);
        return made;
    }

    [[nodiscard]] bool includes(std::string_view node) const {
        return everyone_ || std::ranges::find(nodes_, node) != nodes_.end();
    }

private:
    audience() = default;
    bool everyone_ = true;
    std::vector<std::string> nodes_;
};

}  // namespace heph::remote
