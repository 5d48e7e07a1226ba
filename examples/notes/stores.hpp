#pragma once

// Where the notes are: what the gateway asks.

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/remote/node.hpp>

#include "messages.hpp"

namespace notes {

/// Knows which store keeps which note, and asks stores, here and at other nodes.
///
/// *Thread safety*: safe: the workers of a node share it.
class stores {
public:
    /// Is the answer of a store, or one line for the client that says why there is none. Then it is
    /// not known whether a change was made. It comes within a bounded time.
    template <typename Reply>
    using answer = heph::task<std::expected<Reply, std::string>>;

    stores() = default;
    stores(const stores&) = delete;
    stores& operator=(const stores&) = delete;
    virtual ~stores() = default;

    /// Names the stores, which keep all notes together.
    [[nodiscard]] virtual std::vector<std::string> names() const = 0;
    /// Names the store that keeps a note.
    [[nodiscard]] virtual std::string store_of(std::string_view id) const = 0;

    /// Asks a store. All requests may be repeated: what a second one finds done is what the first
    /// one has done, or somebody else in the meantime.
    virtual answer<get_reply> ask(std::string store, get_note asked) = 0;
    virtual answer<change_reply> ask(std::string store, put_note asked) = 0;
    virtual answer<change_reply> ask(std::string store, remove_note asked) = 0;
    virtual answer<list_reply> ask(std::string store, list_ids asked) = 0;

    /// Tells which nodes this one knows, and to which it is linked right now.
    [[nodiscard]] virtual std::vector<heph::remote::peer_status> peers() const = 0;
    /// Gives the node at which each store is, in the order of `names`; empty for one that is
    /// nowhere at the moment. Nothing where that never changes.
    [[nodiscard]] virtual std::vector<std::string> places() const { return {}; }
};

}  // namespace notes
