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
#include <heph/remote/message.hpp>
#include <heph/remote/protocol/error.hpp>
#include <heph/remote/protocol/handshake.hpp>

namespace heph::remote {

class node;

namespace detail {
class group_access;
}  // namespace detail

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

    rpc_future(std::shared_ptr<detail::port> from,
               task<std::expected<detail::framed_payload, failure>> calling) noexcept
        : from_(std::move(from)), calling_(std::move(calling)) {}

    polled<value_type> poll(const waker& waker) {
        auto called = calling_.poll(waker);
        if (!called.is_ready()) { return pending; }
        if (!called.value()) { return failed(called.value().error()); }
        const detail::decoding_at here(from_);
        const auto payload = called.value()->payload();
        auto decoded =
            decode<heph::detail::reply_t<Res>>(payload, detail::payload_limits(payload.size()));
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

    std::shared_ptr<detail::port> from_;
    task<std::expected<detail::framed_payload, failure>> calling_;
};

/// Sends messages to an actor of another node, and asks it, as an `actor_ref` does for an actor
/// here. Made by `node::find`. A copy reaches the same actor.
///
/// What one reference sends arrives in order, each message once, also over a connection that breaks
/// and is made again. It leads to the actor that was found: when the node was restarted, or the
/// actor was published anew, everything fails with `node_down` or `no_such_actor`, and `find` gives
/// a new reference.
///
/// A reference is a value that messages can hold: whoever gets it reaches the same actor, from his
/// own node. That dials the actor's node if need be, at the address which that node advertises.
///
///     struct subscribe { heph::remote::remote_ref<note_added> subscriber; };
///     HEPH_MESSAGE(subscribe, "notes.subscribe", 1, subscriber)
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

    /// Makes a reference to nothing: whatever is sent fails with `no_such_actor`.
    remote_ref() noexcept = default;
    /// Tells whether it leads to an actor, be it there or not.
    explicit operator bool() const noexcept { return to_ != nullptr; }

    /// Sends a message once there is room for it on the way to the actor: a full inbox there slows
    /// those who send to it, and only them.
    ///
    /// Ready when this node has taken it over to deliver it: at once while the actor's node is
    /// linked and there is room, else when there is. If it turns out not to be deliverable after
    /// that, `options::undelivered` is told. What one reference sends stays in the order in which
    /// the sends were first polled, those that wait included. The message is encoded by the caller,
    /// when `send` is called.
    /// *Cancellation*: the message is either sent by then, or not at all.
    template <typename T>
        requires detail::sendable<T, M>
    [[nodiscard]] task<std::expected<void, failure>> send(const T& message) const {
        return detail::send_to_actor(from_, to_, type_of<T>(), detail::framed(message));
    }

    /// Makes the message in place, and sends it as `send` does.
    template <typename T, typename... Args>
        requires detail::sendable<T, M> && std::constructible_from<T, Args...>
    [[nodiscard]] task<std::expected<void, failure>> emplace(Args&&... args) const {
        return send(T(std::forward<Args>(args)...));
    }

    /// Hands a message over for delivery, without waiting.
    /// *Errors*: `full` when too many messages to the actor wait already, and what is known at
    /// once. What fails later is told to `options::undelivered`.
    template <typename T>
        requires detail::sendable<T, M>
    [[nodiscard]] std::expected<void, failure> try_send(const T& message) const {
        if (!to_) { return std::unexpected(failure::no_such_actor); }
        return detail::try_send_to_actor(from_, to_, type_of<T>(), detail::framed(message));
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
        detail::framed_payload payload;
        if constexpr (sizeof...(Args) == 1 &&
                      (std::same_as<request_type, std::remove_cvref_t<Args>> && ...)) {
            (encode_to(payload.out(), request), ...);  // No copy is made.
        } else {
            encode_to(payload.out(), request_type(std::forward<Args>(request)...));
        }
        return rpc_future<typename call_type::response_type>(
            from_, detail::call_actor(from_, to_, type_of<call_type>(), std::move(payload), until));
    }

    /// Waits until nothing can be sent to the actor any more, and says why: `actor_gone` (it is
    /// finished), `no_such_actor` (it is not published any more), `node_down` (its node said
    /// goodbye, was restarted, or is lost), `full` (that node takes no more watches),
    /// `unsupported`, `stopped`. *Cancellation*: ends the watch.
    [[nodiscard]] task<failure> join() const { return detail::watch_actor(from_, to_); }

    /// Gives a reference by which only some of the actor's messages are sent: those of `Part`.
    template <remote_message Part>
        requires detail::is_part_of<Part, M>
    [[nodiscard]] remote_ref<Part> map() const {
        return to_ ? remote_ref<Part>(from_, to_) : remote_ref<Part>();
    }

    /// Names the node at which the actor is. *Requires*: it leads to an actor.
    [[nodiscard]] const std::string& node_name() const noexcept { return to_->node; }
    /// Gives the name under which the actor was found; empty for one that was shared without.
    /// *Requires*: it leads to an actor.
    [[nodiscard]] const std::string& actor_name() const noexcept { return to_->name; }

    /// Tells whether both were found as the same actor of the same run of its node.
    friend bool operator==(const remote_ref& a, const remote_ref& b) noexcept {
        if (!a.to_ || !b.to_) { return a.to_ == b.to_; }
        return a.to_->node == b.to_->node && a.to_->incarnation == b.to_->incarnation &&
               a.to_->number == b.to_->number;
    }

private:
    template <remote_message>
    friend class find_future;

    template <typename>
    friend struct detail::value_codec;
    template <typename>
    friend struct detail::json_codec;
    template <remote_message>
    friend class remote_ref;
    friend class node;
    friend class detail::group_access;

    remote_ref(std::shared_ptr<detail::port> from, detail::destination_pointer to)
        : from_(std::move(from)), to_(std::move(to)) {
        auto numbers = std::make_shared<std::vector<std::uint16_t>>();
        for (const std::string& name : detail::names_of<M>()) {
            const auto at = std::ranges::find(to_->types, name);
            const bool taken = at != to_->types.end();
            is_of_use_ = is_of_use_ || taken;
            numbers->push_back(taken ? static_cast<std::uint16_t>(at - to_->types.begin())
                                     : detail::no_type);
        }
        types_ = std::move(numbers);
    }

    template <typename T>
    std::uint16_t type_of() const noexcept {
        return types_ ? (*types_)[detail::alternative_index<M, T>] : detail::no_type;
    }

    std::shared_ptr<detail::port> from_;
    detail::destination_pointer to_;
    // The number of each alternative at the other node.
    std::shared_ptr<const std::vector<std::uint16_t>> types_;
    bool is_of_use_ = false;  // The actor takes one of the types at least.
};

/// Waits for an actor of another node to be found. Made by `node::find`.
/// *Cancellation*: gives the search up.
template <remote_message M>
class [[nodiscard]] find_future {
public:
    using value_type = std::expected<remote_ref<M>, failure>;

    find_future(std::shared_ptr<detail::port> from,
                task<std::expected<detail::destination_pointer, failure>> searching) noexcept
        : from_(std::move(from)), searching_(std::move(searching)) {}

    polled<value_type> poll(const waker& waker) {
        auto searched = searching_.poll(waker);
        if (!searched.is_ready()) { return pending; }
        if (!searched.value()) { return failed(searched.value().error()); }
        remote_ref<M> found(from_, std::move(*searched.value()));
        if (!found.is_of_use_) { return failed(failure::unknown_type); }
        return polled<value_type>(std::in_place, std::move(found));
    }

private:
    static polled<value_type> failed(failure why) {
        return polled<value_type>(std::in_place, std::unexpect, why);
    }

    std::shared_ptr<detail::port> from_;
    task<std::expected<detail::destination_pointer, failure>> searching_;
};

}  // namespace heph::remote

namespace heph::remote::detail {

/// How a reference travels.
struct reference_form {
    std::string node;
    std::string address;
    std::string name;
    protocol::id128 incarnation;
    std::uint64_t number = 0;
    std::vector<std::string> types;
};
HEPH_MESSAGE(reference_form, "heph.ref", 1, node, address, name, incarnation, number, types)

template <typename M>
struct composed_name<remote_ref<M>> {
    static constexpr void append(auto& to) { to += std::string_view("heph.ref@1"); }
};

template <typename M>
struct value_codec<remote_ref<M>> {
    static void write(writer& out, const remote_ref<M>& value) {
        if (!value.to_) { return out.nil(); }
        write_value(out, form_of(value));
    }
    static bool read(reader& in, remote_ref<M>& value) {
        value = remote_ref<M>();
        if (in.take_nil()) { return true; }
        reference_form form;
        if (!read_value(in, form)) { return false; }
        auto at = decoding_at::node();
        // Outside of a node there is nothing from which to use it.
        const bool has_good_name = form.name.empty() || protocol::is_good_name(form.name);
        if (!at || !protocol::is_good_name(form.node) || !has_good_name ||
            form.types.size() >= no_type) {
            return in.fail(codec_error::malformed);
        }
        auto to = std::make_shared<const destination>(std::move(form.node), std::move(form.address),
                                                      std::move(form.name), form.incarnation,
                                                      form.number, std::move(form.types));
        value = remote_ref<M>(std::move(at), std::move(to));
        return true;
    }

private:
    friend json_codec<remote_ref<M>>;

    static reference_form form_of(const remote_ref<M>& value) {
        const destination& to = *value.to_;
        return {to.node, to.address, to.name, to.incarnation, to.number, to.types};
    }
};

// The writer and the reader of JSON are not included here; who uses this has.
template <typename M>
struct json_codec<remote_ref<M>> {
    template <typename Out>
    static void write(Out& out, const remote_ref<M>& value) {
        if (!value.to_) { return out.null(); }
        out.value(value_codec<remote_ref<M>>::form_of(value));
    }
    // A text does not say from which node it would be used.
    template <typename In>
    static bool read(In& in, remote_ref<M>& value) {
        value = remote_ref<M>();
        return in.take_null() ||
               in.fail(codec_error::malformed, "a reference can be written as JSON, but not read");
    }
};

}  // namespace heph::remote::detail
