#pragma once

// What the store of a node is asked, by its own gateway or by another node's.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include <heph/core/rpc.hpp>
#include <heph/remote/message.hpp>

namespace notes {

/// Asks for a note.
struct get_note {
    std::string id;
};
HEPH_MESSAGE(get_note, "notes.get", 1, id)

/// Answers `get_note`.
struct get_reply {
    bool found = false;
    std::string content_type;
    std::string body;
};
HEPH_MESSAGE(get_reply, "notes.get_reply", 1, found, content_type, body)

/// Asks to store a note, if the conditions hold for the one that is there when its turn comes: the
/// values of the fields `If-Match` and `If-None-Match` (RFC 9110, 13.1).
struct put_note {
    std::string id;
    std::string content_type;
    std::string body;
    std::vector<std::string> if_match;
    std::vector<std::string> if_none_match;
};
// Not 1: a store that knows no conditions must not take a change for one without.
HEPH_MESSAGE(put_note, "notes.put", 2, id, content_type, body, if_match, if_none_match)

/// Asks to remove a note, if the conditions hold for it. One that is not there has none.
struct remove_note {
    std::string id;
    std::vector<std::string> if_match;
    std::vector<std::string> if_none_match;
};
HEPH_MESSAGE(remove_note, "notes.remove", 2, id, if_match, if_none_match)

/// Says what became of a change. The first four are final, and on disk.
enum class change_outcome : std::uint8_t {
    created,
    replaced,
    removed,
    absent,   ///< There was nothing to remove.
    refused,  ///< The request is not one that a gateway sends.
    full,     ///< There is no room, on the disk or in memory; nothing was changed.
    failed,   ///< The disk failed; it is not known what a restart will find.
    unmet,    ///< A condition did not hold; nothing was changed.
};

/// Answers `put_note` and `remove_note`.
struct change_reply {
    change_outcome outcome = change_outcome::failed;
    std::string detail;
};
HEPH_MESSAGE(change_reply, "notes.change_reply", 1, outcome, detail)

/// Asks for the ids behind `after`.
struct list_ids {
    std::string after;
};
HEPH_MESSAGE(list_ids, "notes.list", 1, after)

/// Answers `list_ids`: some ids, in the order of their bytes.
struct list_reply {
    std::vector<std::string> ids;
    bool is_last = true;
};
HEPH_MESSAGE(list_reply, "notes.list_reply", 1, ids, is_last)

using get_call = heph::rpc<get_note, get_reply>;
using put_call = heph::rpc<put_note, change_reply>;
using remove_call = heph::rpc<remove_note, change_reply>;
using list_call = heph::rpc<list_ids, list_reply>;

/// Is what the store takes.
using store_message = std::variant<get_call, put_call, remove_call, list_call>;

inline constexpr std::size_t body_bytes_max = 64 * 1024;
inline constexpr std::size_t content_type_bytes_max = 256;

/// Is the name under which each node publishes its store.
inline constexpr const char* store_name = "notes.store";

}  // namespace notes
