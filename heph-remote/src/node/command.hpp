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
using call_result = std::expected<byte_vector, failure>;
using send_result = std::expected<void, failure>;

/// Counts one message of `try_send` until it is passed on, or fails.
class waiting_place {
public:
    static constexpr std::uint32_t places = 1024;

    /// Takes a place, if there is one.
    [[nodiscard]] static std::optional<waiting_place> take(const destination_pointer& to) {
        if (to->waiting.fetch_add(1, std::memory_order_relaxed) >= places) {
            to->waiting.fetch_sub(1, std::memory_order_relaxed);
            return std::nullopt;
        }
        return waiting_place(to);
    }
    waiting_place(waiting_place&&) noexcept = default;
    waiting_place& operator=(waiting_place&&) = delete;
    ~waiting_place() {
        if (of_) { of_->waiting.fetch_sub(1, std::memory_order_relaxed); }
    }

private:
    explicit waiting_place(destination_pointer of) noexcept : of_(std::move(of)) {}
    destination_pointer of_;
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
                 byte_vector bytes, inbox::oneshot_sender<call_result> its_reply) noexcept
        : id(its_id),
          to(std::move(where)),
          type(its_type),
          payload(std::move(bytes)),
          reply(std::move(its_reply)) {}

    std::uint64_t id;
    destination_pointer to;
    std::uint16_t type;
    byte_vector payload;
    inbox::oneshot_sender<call_result> reply;
};

/// Has a reply for `send`, a place for `try_send`.
struct send_command {
    send_command(std::uint64_t its_id, destination_pointer where, std::uint16_t its_type,
                 byte_vector bytes, std::optional<inbox::oneshot_sender<send_result>> its_reply,
                 std::optional<waiting_place> its_place) noexcept
        : id(its_id),
          to(std::move(where)),
          type(its_type),
          payload(std::move(bytes)),
          reply(std::move(its_reply)),
          place(std::move(its_place)) {}
    send_command(send_command&&) noexcept = default;
    send_command& operator=(send_command&&) = delete;

    std::uint64_t id;
    destination_pointer to;
    std::uint16_t type;
    byte_vector payload;
    std::optional<inbox::oneshot_sender<send_result>> reply;
    std::optional<waiting_place> place;
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

using command =
    std::variant<find_command, call_command, send_command, watch_command, watch_node_command>;

}  // namespace heph::remote::detail
