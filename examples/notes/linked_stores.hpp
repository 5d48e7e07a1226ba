#pragma once

// One store a node, at nodes that are named by the configuration.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/core/actor_ref.hpp>

#include "links.hpp"
#include "placement.hpp"
#include "stores.hpp"

namespace notes {

/// Asks this node's own store, and those of the other nodes through links. A store has the name of
/// its node.
class linked_stores final : public stores {
public:
    linked_stores(placement nodes, std::string self, heph::actor_ref<store_message> own,
                  std::shared_ptr<links> others)
        : nodes_(std::move(nodes)),
          self_(std::move(self)),
          own_(std::move(own)),
          others_(std::move(others)) {}

    [[nodiscard]] std::vector<std::string> names() const override { return nodes_.names(); }
    [[nodiscard]] std::string store_of(std::string_view id) const override {
        return nodes_.owner(id);
    }
    answer<get_reply> ask(std::string store, get_note asked) override;
    answer<change_reply> ask(std::string store, put_note asked) override;
    answer<change_reply> ask(std::string store, remove_note asked) override;
    answer<list_reply> ask(std::string store, list_ids asked) override;
    [[nodiscard]] std::vector<heph::remote::peer_status> peers() const override {
        return others_->peers();
    }

private:
    template <typename Call>
    answer<typename Call::response_type> ask_by(std::string store,
                                                typename Call::request_type asked);

    placement nodes_;
    std::string self_;
    heph::actor_ref<store_message> own_;
    std::shared_ptr<links> others_;
};

}  // namespace notes
