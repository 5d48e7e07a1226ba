#pragma once

// The HTTP side of the service.

#include <expected>
#include <memory>
#include <string>

#include <heph/core/actor_ref.hpp>
#include <heph/core/task.hpp>
#include <heph/http/router.hpp>

#include "links.hpp"
#include "messages.hpp"
#include "metrics.hpp"
#include "placement.hpp"
#include "store.hpp"

namespace notes {

/// Answers HTTP requests by asking the store of the node that keeps the note.
///
/// *Thread safety*: safe: the workers of a node share it.
class gateway {
public:
    gateway(placement nodes, std::string self, heph::actor_ref<store_message> store,
            std::shared_ptr<const store_health> health, std::shared_ptr<links> others)
        : nodes_(std::move(nodes)),
          self_(std::move(self)),
          store_(std::move(store)),
          health_(std::move(health)),
          links_(std::move(others)) {}

    heph::task<heph::http::response> get(heph::http::request& request) const;
    heph::task<heph::http::response> put(heph::http::request& request) const;
    heph::task<heph::http::response> remove(heph::http::request& request) const;
    heph::task<heph::http::response> list(heph::http::request& request) const;
    [[nodiscard]] heph::http::response health() const;
    [[nodiscard]] heph::http::response metrics() const;

    /// Gives what counts the answers. Shared by copies of the routes.
    [[nodiscard]] const std::shared_ptr<request_counters>& counters() const noexcept {
        return counters_;
    }

    /// Gives the ids of a node behind `after`, or says why they cannot be had.
    heph::task<std::expected<list_reply, std::string>> list_page(std::string node,
                                                                 std::string after) const;

private:
    template <typename Call>
    heph::task<std::expected<typename Call::response_type, std::string>> ask(
        std::string node, typename Call::request_type asked) const;

    placement nodes_;
    std::string self_;
    heph::actor_ref<store_message> store_;
    std::shared_ptr<const store_health> health_;
    std::shared_ptr<links> links_;
    std::shared_ptr<request_counters> counters_ = std::make_shared<request_counters>();
};

/// Makes the routes of the service. The router keeps the gateway.
[[nodiscard]] heph::http::router make_router(std::shared_ptr<const gateway> through);

}  // namespace notes
