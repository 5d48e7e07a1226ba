#pragma once

// The HTTP side of the service.

#include <expected>
#include <memory>
#include <string>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/http/router.hpp>

#include "messages.hpp"
#include "metrics.hpp"
#include "store.hpp"
#include "stores.hpp"

namespace notes {

/// Answers HTTP requests by asking the store that keeps the note.
///
/// *Thread safety*: safe: the workers of a node share it.
class gateway {
public:
    gateway(std::shared_ptr<stores> all, std::shared_ptr<const store_health> health)
        : stores_(std::move(all)), health_(std::move(health)) {}

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

    /// Gives the ids of a store behind `after`, or says why they cannot be had.
    heph::task<std::expected<list_reply, std::string>> list_page(std::string store,
                                                                 std::string after) const;

private:
    std::shared_ptr<stores> stores_;
    std::shared_ptr<const store_health> health_;
    std::shared_ptr<request_counters> counters_ = std::make_shared<request_counters>();
};

/// Makes the routes of the service. The router keeps the gateway.
[[nodiscard]] heph::http::router make_router(std::shared_ptr<const gateway> through);

}  // namespace notes
