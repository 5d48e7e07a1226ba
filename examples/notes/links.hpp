#pragma once

// The way to the stores of the other nodes.

#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/remote/node.hpp>
#include <heph/remote/remote_ref.hpp>
#include <heph/rt/worker.hpp>

#include "messages.hpp"

namespace notes {

/// Asks the stores of other nodes.
///
/// *Thread safety*: safe: the workers of a node share it.
class links {
public:
    /// Makes the links of a node by itself: there is nobody to ask.
    links() = default;
    /// Makes the links of a node that has peers. The runtime watches what was found.
    links(heph::remote::node self, heph::rt::shared_runtime watchers)
        : self_(std::move(self)), watchers_(std::move(watchers)) {}

    /// Asks the store of the node `node`, and waits for its answer, for a bounded time.
    ///
    /// When the store was found before the node was restarted, it is found anew and asked once
    /// more, but for a change that may have been made (`may_ask_again`).
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

    // The stores that were found, by their nodes.
    class found_stores {
    public:
        [[nodiscard]] std::optional<store_ref> known(const std::string& node);
        void remember(const std::string& node, store_ref found);
        void forget(const std::string& node, const store_ref& failed);

    private:
        std::mutex mutex_;
        std::map<std::string, store_ref, std::less<>> stores_;
    };

    static heph::task<> forget_at_its_end(std::shared_ptr<found_stores> all, std::string node,
                                          store_ref store);

    std::optional<heph::remote::node> self_;
    std::optional<heph::rt::shared_runtime> watchers_;
    std::shared_ptr<found_stores> found_ = std::make_shared<found_stores>();
};

}  // namespace notes
