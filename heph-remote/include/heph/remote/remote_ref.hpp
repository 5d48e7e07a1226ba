#pragma once

// How to reach an actor of another node.

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <heph/core/rpc.hpp>
#include <heph/core/task.hpp>
#include <heph/remote/codec/codec.hpp>
#include <heph/remote/deadline.hpp>
#include <heph/remote/detail/alternatives.hpp>
#include <heph/remote/detail/port.hpp>
#include <heph/remote/protocol/error.hpp>

namespace heph::remote {

using protocol::failure;
using protocol::to_string;

/// Waits for the answer of an actor of another node. Made by `remote_ref::rpc`.
///
/// *Cancellation*: the called actor can see that nobody waits any more; a request that was not sent
/// yet is not sent.
template <typename Res>
class [[nodiscard]] rpc_future {
public:
    using value_type = std::expected<Res, failure>;

    explicit rpc_future(task<std::expected<detail::byte_vector, failure>> calling) noexcept
        : calling_(std::move(calling)) {}

    polled<value_type> poll(const waker& waker) {
        auto called = calling_.poll(waker);
        if (!called.is_ready()) { return pending; }
        if (!called.value()) { return failed(called.value().error()); }
        auto decoded = decode<heph::detail::reply_t<Res>>(
            *called.value(), detail::payload_limits(called.value()->size()));
        if (!decoded) { return failed(failure::bad_message); }
        if constexpr (std::is_void_v<Res>) {
            return polled<value_type>(std::in_place);
        } else {
            return polled<value_type>(std::in_place, std::move(*decoded));
        }
    }

private:
    static polled<value_type> failed(failure why) {
        return polled<value_type>(std::in_place, std::unexpect, why);
    }

    task<std::expected<detail::byte_vector, failure>> calling_;
};

/// Sends messages to an actor of another node, and asks it, as an `actor_ref` does for an actor
/// here. Made by `node::find`. A copy reaches the same actor.
///
/// What one reference sends arrives in order, each message once, also over a connection that breaks
/// and is made again. It leads to the actor that was found: when the node was restarted, or the
/// actor was published anew, everything fails with `node_down` or `no_such_actor`, and `find` gives
/// a new reference.
///
/// *Errors* of all that sends
///     `node_down`      the node is not linked, or not the one in which the actor was found
///     `no_such_actor`  the actor is not published any more
///     `actor_gone`     it is finished
///     `unknown_type`   it takes no messages of this type (the programs differ in version)
///     `bad_message`    what was sent, or answered, could not be decoded there, or here
///     `too_large`      larger than the node takes
///     `stopped`        this node is stopped
///
/// *Thread safety*: distinct objects: safe. Shared objects: safe, except to assign and to destroy.
/// What is awaited has to run on a worker of a heph-rt runtime, any one.
template <remote_message M>
class remote_ref {
public:
    using message_type = M;

    /// Sends a message once there is room for it on the way to the actor: a full inbox there slows
    /// those who send to it, and only them.
    ///
    /// Ready when this node has taken it over to deliver it. If it turns out not to be deliverable
    /// after that, `options::undelivered` is told. The message is encoded by the caller, at once.
    /// *Cancellation*: the message is either sent by then, or not at all.
    template <typename T>
        requires detail::sendable<T, M>
    [[nodiscard]] task<std::expected<void, failure>> send(const T& message) const {
        return detail::send_to_actor(from_, to_, type_of<T>(), encode(message));
    }

    /// Makes the message in place, and sends it as `send` does.
    template <typename T, typename... Args>
        requires detail::sendable<T, M> && std::constructible_from<T, Args...>
    [[nodiscard]] task<std::expected<void, failure>> emplace(Args&&... args) const {
        return send(T(std::forward<Args>(args)...));
    }

    /// Hands a message over for delivery, without waiting.
    /// *Errors*: `full` when too many messages of `try_send` wait already, and what is known at
    /// once. What fails later is told to `options::undelivered`.
    template <typename T>
        requires detail::sendable<T, M>
    [[nodiscard]] std::expected<void, failure> try_send(const T& message) const {
        return detail::try_send_to_actor(*from_, to_, type_of<T>(), encode(message));
    }

    /// Asks the actor, and waits for its answer at most until the deadline: gives
    /// `std::expected<Res, failure>`.
    ///
    /// Which `rpc<Req, Res>` it is follows from the request as with `actor_ref::rpc`; where that is
    /// not unique, name it: `ref.rpc<get_total>(1s)`. The request is encoded at once.
    ///
    /// *Errors*: those of the class, `timed_out`, `no_reply` (the actor dropped the call). After
    /// `timed_out` and `node_down` it is not known whether the actor dealt with the call.
    template <typename Call = void, typename... Args>
    [[nodiscard]] auto rpc(deadline until, Args&&... request) const {
        using call_type =
            typename std::conditional_t<std::is_void_v<Call>, heph::detail::rpc_choice<M, Args...>,
                                        std::type_identity<Call>>::type;
        using request_type = heph::detail::reply_t<typename call_type::request_type>;
        static_assert(detail::alternative_index<M, call_type> < detail::alternatives_of<M>::count,
                      "this actor does not take this rpc");
        detail::byte_vector payload;
        if constexpr (sizeof...(Args) == 1 &&
                      (std::same_as<request_type, std::remove_cvref_t<Args>> && ...)) {
            (encode_to(payload, request), ...);  // No copy is made.
        } else {
            encode_to(payload, request_type(std::forward<Args>(request)...));
        }
        return rpc_future<typename call_type::response_type>(
            detail::call_actor(from_, to_, type_of<call_type>(), std::move(payload), until));
    }

    /// Waits until nothing can be sent to the actor any more, and says why: `actor_gone` (it is
    /// finished), `no_such_actor` (it is not published any more), `node_down` (its node said
    /// goodbye, was restarted, or is lost), `full` (that node takes no more watches),
    /// `unsupported`, `stopped`. *Cancellation*: ends the watch.
    [[nodiscard]] task<failure> join() const { return detail::watch_actor(from_, to_); }

    /// Names the node at which the actor is.
    [[nodiscard]] const std::string& node_name() const noexcept { return to_->node; }
    /// Gives the name under which the actor was found.
    [[nodiscard]] const std::string& actor_name() const noexcept { return to_->name; }

    /// Tells whether both were found as the same actor of the same run of its node.
    friend bool operator==(const remote_ref& a, const remote_ref& b) noexcept {
        return a.to_->node == b.to_->node && a.to_->incarnation == b.to_->incarnation &&
               a.to_->number == b.to_->number;
    }

private:
    template <remote_message>
    friend class find_future;

    remote_ref(std::shared_ptr<detail::port> from, detail::destination_pointer to,
               std::vector<std::uint16_t> types) noexcept
        : from_(std::move(from)),
          to_(std::move(to)),
          types_(std::make_shared<const std::vector<std::uint16_t>>(std::move(types))) {}

    template <typename T>
    std::uint16_t type_of() const noexcept {
        return (*types_)[detail::alternative_index<M, T>];
    }

    std::shared_ptr<detail::port> from_;
    detail::destination_pointer to_;
    // The number of each alternative at the other node.
    std::shared_ptr<const std::vector<std::uint16_t>> types_;
};

/// Waits for an actor of another node to be found. Made by `node::find`.
/// *Cancellation*: gives the search up.
template <remote_message M>
class [[nodiscard]] find_future {
public:
    using value_type = std::expected<remote_ref<M>, failure>;

    find_future(std::shared_ptr<detail::port> from,
                task<std::expected<detail::found_actor, failure>> searching) noexcept
        : from_(std::move(from)), searching_(std::move(searching)) {}

    polled<value_type> poll(const waker& waker) {
        auto searched = searching_.poll(waker);
        if (!searched.is_ready()) { return pending; }
        if (!searched.value()) { return failed(searched.value().error()); }
        detail::found_actor& found = *searched.value();
        std::vector<std::uint16_t> types;
        bool any = false;
        for (const std::string& name : detail::names_of<M>()) {
            const auto at = std::ranges::find(found.types, name);
            const bool taken = at != found.types.end();
            any = any || taken;
            types.push_back(taken ? static_cast<std::uint16_t>(at - found.types.begin())
                                  : detail::no_type);
        }
        if (!any) { return failed(failure::unknown_type); }
        return polled<value_type>(std::in_place,
                                  remote_ref<M>(from_, std::move(found.to), std::move(types)));
    }

private:
    static polled<value_type> failed(failure why) {
        return polled<value_type>(std::in_place, std::unexpect, why);
    }

    std::shared_ptr<detail::port> from_;
    task<std::expected<detail::found_actor, failure>> searching_;
};

}  // namespace heph::remote
