#pragma once

// What handles ask of their node's worker.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include <heph/inbox/oneshot.hpp>
#include <heph/remote/detail/port.hpp>

namespace heph::remote::detail {

using found_result = std::expected<destination_pointer, failure>;
using call_result = std::expected<framed_payload, failure>;
using send_result = std::expected<void, failure>;

/// Leads to an actor, and counts one message to it that nobody waits for, until that is passed on
/// or fails. Or leads there without.
class waiting_place {
public:
    static constexpr std::uint32_t places = 1024;

    /// Takes a place for `try_send`, if there is one; else it leads nowhere.
    [[nodiscard]] static waiting_place take(const destination_pointer& to) {
        return take(to, [] { return places; });
    }
    /// Takes one for `send`, if there is room on the way to the actor.
    [[nodiscard]] static waiting_place take_room(const destination_pointer& to) {
        return take(to, [&] { return to->room.load(std::memory_order_relaxed); });
    }
    [[nodiscard]] static waiting_place none(destination_pointer to) noexcept {
        return waiting_place(std::move(to), false);
    }
    waiting_place(waiting_place&& other) noexcept = default;
    waiting_place& operator=(waiting_place&&) = delete;
    ~waiting_place() {
        if (counts_ && of_) { of_->waiting.fetch_sub(1, std::memory_order_release); }
    }

    explicit operator bool() const noexcept { return of_ != nullptr; }
    const destination* operator->() const noexcept { return of_.get(); }
    [[nodiscard]] const destination_pointer& pointer() const noexcept { return of_; }

private:
    template <typename Limit>
    [[nodiscard]] static waiting_place take(const destination_pointer& to, Limit limit) {
        // See `destination` for the order: the limit is read behind the count.
        const auto before = to->waiting.fetch_add(1, std::memory_order_acquire);
        if (before >= limit()) {
            to->waiting.fetch_sub(1, std::memory_order_relaxed);
            return waiting_place(nullptr, false);
        }
        return waiting_place(to, true);
    }
    waiting_place(destination_pointer of, bool counts) noexcept
        : of_(std::move(of)), counts_(counts) {}
    destination_pointer of_;
    bool counts_;
};

/// Each has an id, by which it is cancelled. 0: it cannot be.
struct find_command {
    find_command(std::uint64_t its_id, std::string its_node, std::string its_name,
                 inbox::oneshot_sender<found_result> its_reply) noexcept
        : id(its_id),
          node(std::move(its_node)),
          name(std::move(its_name)),
          reply(std::move(its_reply)) {}

    std::uint64_t id;
    std::string node;
    std::string name;
    inbox::oneshot_sender<found_result> reply;
};

struct call_command {
    call_command(std::uint64_t its_id, destination_pointer where, std::uint16_t its_type,
                 framed_payload bytes, inbox::oneshot_sender<call_result> its_reply) noexcept
        : id(its_id),
          to(std::move(where)),
          type(its_type),
          payload(std::move(bytes)),
          reply(std::move(its_reply)) {}

    std::uint64_t id;
    destination_pointer to;
    std::uint16_t type;
    framed_payload payload;
    inbox::oneshot_sender<call_result> reply;
};

/// Has a reply for a `send` that waits; else it has a place, and nobody cancels it.
struct send_command {
    send_command(std::uint64_t its_id, destination_pointer where, std::uint16_t its_type,
                 framed_payload bytes, inbox::oneshot_sender<send_result> its_reply) noexcept
        : id(its_id),
          to(waiting_place::none(std::move(where))),
          type(its_type),
          payload(std::move(bytes)),
          reply(std::move(its_reply)) {}
    send_command(waiting_place where, std::uint16_t its_type, framed_payload bytes) noexcept
        : id(0), to(std::move(where)), type(its_type), payload(std::move(bytes)) {}
    send_command(send_command&&) noexcept = default;
    send_command& operator=(send_command&&) = delete;

    std::uint64_t id;
    waiting_place to;
    std::uint16_t type;
    framed_payload payload;
    std::optional<inbox::oneshot_sender<send_result>> reply;
};

struct watch_command {
    watch_command(std::uint64_t its_id, destination_pointer what,
                  inbox::oneshot_sender<failure> its_reply) noexcept
        : id(its_id), to(std::move(what)), reply(std::move(its_reply)) {}

    std::uint64_t id;
    destination_pointer to;
    inbox::oneshot_sender<failure> reply;
};

struct watch_node_command {
    watch_node_command(std::uint64_t its_id, std::string which,
                       inbox::oneshot_sender<failure> its_reply) noexcept
        : id(its_id), node(std::move(which)), reply(std::move(its_reply)) {}

    std::uint64_t id;
    std::string node;
    inbox::oneshot_sender<failure> reply;
};

/// Says that all commands that were sent before it have been received.
struct mark {
    static constexpr std::uint64_t id = 0;
};

using command =
    std::variant<find_command, call_command, send_command, watch_command, watch_node_command, mark>;

}  // namespace heph::remote::detail
