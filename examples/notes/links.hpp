#pragma once

// The way to the stores of the other nodes.

#include <expected>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/remote/node.hpp>
#include <heph/remote/remote_ref.hpp>

#include "messages.hpp"

namespace notes {

/// Asks the stores of other nodes.
///
/// *Thread safety*: safe: the workers of a node share it.
class links {
public:
    /// Makes the links of a node by itself: there is nobody to ask.
    links() = default;
    /// Makes the links of a node that has peers.
    explicit links(heph::remote::node self) : self_(std::move(self)) {}

    /// Asks the store of the node `node`, and waits for its answer, for a bounded time.
    ///
    /// When the node was restarted, it is asked once more. All requests may be repeated: what a
    /// second one finds done is what the first one has done, or somebody else in the meantime.
    /// *Errors*: one line for the client that says why there is no answer. Then it is not known
    /// whether a change was made.
    template <typename Call>
    heph::task<std::expected<typename Call::response_type, std::string>> ask(
        std::string node, typename Call::request_type asked);

    /// Tells which nodes this one knows, and to which it is linked right now.
    [[nodiscard]] std::vector<heph::remote::peer_status> peers() const {
        return self_ ? self_->peers() : std::vector<heph::remote::peer_status>();
    }

private:
    using store_ref = heph::remote::remote_ref<store_message>;

    [[nodiscard]] std::optional<store_ref> known(const std::string& node);
    void remember(const std::string& node, store_ref found);
    void forget(const std::string& node, const store_ref& failed);

    std::optional<heph::remote::node> self_;
    std::mutex mutex_;
    std::map<std::string, store_ref, std::less<>> stores_;
};

}  // namespace notes
