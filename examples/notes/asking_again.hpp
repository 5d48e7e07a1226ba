#pragma once

// Which requests a store may be sent twice.

#include <type_traits>

#include <heph/remote/protocol/error.hpp>

#include "messages.hpp"

namespace notes {

/// Tells whether a store may be asked again, where it is now, after a failure. After `node_down`,
/// or without a reply (as when a store is dropped with its shard), a change may have been made;
/// made once more, it could undo one that somebody else was told of in the meantime.
template <typename Call>
[[nodiscard]] constexpr bool may_ask_again(heph::remote::protocol::failure why) noexcept {
    using heph::remote::protocol::failure;
    constexpr bool is_read = std::is_same_v<Call, get_call> || std::is_same_v<Call, list_call>;
    return why == failure::no_such_actor || why == failure::actor_gone ||
           (is_read && (why == failure::node_down || why == failure::no_reply));
}
static_assert(may_ask_again<get_call>(heph::remote::protocol::failure::no_reply));
static_assert(may_ask_again<put_call>(heph::remote::protocol::failure::actor_gone));
static_assert(!may_ask_again<put_call>(heph::remote::protocol::failure::no_reply));
static_assert(!may_ask_again<remove_call>(heph::remote::protocol::failure::node_down));

}  // namespace notes
