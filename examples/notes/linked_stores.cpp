#include "linked_stores.hpp"

#include <chrono>

#include <heph/core/rpc.hpp>
#include <heph/rt/timer.hpp>

namespace notes {

namespace {

// A disk may be slow for seconds; a client should hear of it before it gives up by itself.
constexpr std::chrono::seconds own_store_deadline{10};

}  // namespace

template <typename Call>
stores::answer<typename Call::response_type> linked_stores::ask_by(
    std::string store, typename Call::request_type asked) {
    if (store != self_) {
        co_return co_await others_->ask<Call>(std::move(store), std::move(asked));
    }
    auto own = own_;
    auto call = heph::rt::deadline(own_store_deadline, own.rpc(std::move(asked)));
    auto outcome = co_await call;
    if (!outcome) { co_return std::unexpected(std::string("this node's disk takes too long")); }
    auto& reply = *outcome;
    if (!reply) { co_return std::unexpected(std::string("this node is stopping")); }
    co_return std::move(*reply);
}

stores::answer<get_reply> linked_stores::ask(std::string store, get_note asked) {
    return ask_by<get_call>(std::move(store), std::move(asked));
}
stores::answer<change_reply> linked_stores::ask(std::string store, put_note asked) {
    return ask_by<put_call>(std::move(store), std::move(asked));
}
stores::answer<change_reply> linked_stores::ask(std::string store, remove_note asked) {
    return ask_by<remove_call>(std::move(store), std::move(asked));
}
stores::answer<list_reply> linked_stores::ask(std::string store, list_ids asked) {
    return ask_by<list_call>(std::move(store), std::move(asked));
}

}  // namespace notes
