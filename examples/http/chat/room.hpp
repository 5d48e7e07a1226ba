#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <heph/core/actor_ref.hpp>
#include <heph/core/context.hpp>
#include <heph/core/task.hpp>
#include <heph/http/ws/socket.hpp>
#include <heph/rt/worker.hpp>

namespace chat {

/// Lines that were said, in order; shared by all who are told.
using lines = std::shared_ptr<const std::vector<std::string>>;

/// Tells the room where to send what is said.
struct enter {
    explicit enter(heph::actor_ref<lines> who) : member(std::move(who)) {}
    heph::actor_ref<lines> member;
};

/// What somebody says, or who comes in.
using room_message = std::variant<std::string, enter>;

/// Tells what each one says to everybody, and the last lines to who enters. One who does not keep
/// up misses lines: nobody else waits for that.
heph::task<> room(heph::rt::shared_context<room_message> ctx);

/// One page: an actor that hears the room by its inbox, and the page by its socket.
heph::task<> member(heph::rt::local_context<lines> ctx, heph::http::ws::socket* socket,
                    heph::actor_ref<room_message> room);

}  // namespace chat
