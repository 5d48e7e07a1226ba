#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include <heph/core/actor_ref.hpp>
#include <heph/core/context.hpp>
#include <heph/core/task.hpp>
#include <heph/http/ws/socket.hpp>
#include <heph/rt/worker.hpp>

namespace chat {

/// A line that somebody said, shared by all who are told.
using line = std::shared_ptr<const std::string>;

/// Tells the room where to send what is said.
struct enter {
    explicit enter(heph::actor_ref<line> who) : member(std::move(who)) {}
    heph::actor_ref<line> member;
};

using room_message = std::variant<line, enter>;

/// Tells what each one says to everybody, and the last lines to who enters. One who does not keep
/// up misses lines: nobody else waits for that.
heph::task<> room(heph::rt::shared_context<room_message> ctx);

/// One page: an actor that hears the room by its inbox, and the page by its socket.
heph::task<> member(heph::rt::local_context<line> ctx, heph::http::ws::socket* socket,
                    heph::actor_ref<room_message> room);

}  // namespace chat
