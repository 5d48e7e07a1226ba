#pragma once

#include <cstdint>

namespace heph::remote::protocol {

/// The kinds of data frames. Numbers never get another meaning; unknown ones are passed over.
enum class data_kind : std::uint8_t {
    message = 1,
    call = 2,
    cancel = 3,
    reply = 4,
    call_failed = 5,
    message_failed = 6,
    find = 7,
    found = 8,
    find_failed = 9,
    credit = 10,
    // From version 2 on.
    parts_begin = 11,  ///< A message, call or reply follows in parts.
    part = 12,
    parts_end = 13,  ///< The rest of the parts will not follow.
    watch = 14,
    unwatch = 15,
    ended = 16,  ///< What was watched has ended: one reason, and all that ended by it.
};

}  // namespace heph::remote::protocol
