#pragma once

// A request that is answered by many values.
//
//     struct list_notes : heph::stream_rpc<std::string, note> { using stream_rpc::stream_rpc; };
//     using store_message = std::variant<put, list_notes>;
//
//     // The actor that is asked. The caller's window bounds how far it gets ahead.
//     heph::task<> answer(list_notes call, std::vector<note> notes) {
//         for (note& each : notes) {
//             auto sent = co_await call.send(std::move(each));
//             if (!sent) { co_return; }  // the caller has had enough
//         }
//         call.finish();
//     }
//
//     // The one who asks.
//     auto notes = co_await store.stream<list_notes>(heph::window(16), "a");
//     if (!notes) { … notes.error() … }  // the actor is finished
//     while (auto next = co_await notes->next()) { use(*next); }
//     if (auto ended = notes->result(); !ended) { … }  // the actor failed half-way, or said why
//     not
//
// The items travel through a channel with room for `window` of them. How it ended has a one-shot
// channel of its own, so that an end never has to wait for room. Who is asked says how it ended,
// then drops the items' sender; who asks receives all items, then looks how it ended.

#include <concepts>
#include <cstddef>
#include <expected>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include <heph/core/detail/ref_target.hpp>
#include <heph/core/rpc.hpp>
#include <heph/core/send_error.hpp>
#include <heph/core/sendable.hpp>
#include <heph/inbox/assert.hpp>
#include <heph/inbox/channel.hpp>
#include <heph/inbox/oneshot.hpp>

namespace heph {

/// Says how many items of a stream may be under way: sent, and not received yet. At least 1.
class window {
public:
    explicit constexpr window(std::size_t items) noexcept : items_(items) {}
    [[nodiscard]] constexpr std::size_t items() const noexcept { return items_; }

private:
    std::size_t items_;
};

namespace detail {

/// How a stream that was not broken off ended.
template <typename E>
using stream_outcome = std::conditional_t<std::is_void_v<E>, std::expected<void, std::monostate>,
                                          std::expected<void, reply_t<E>>>;

template <typename E>
struct stream_error : std::type_identity<std::variant<rpc_error, E>> {};
template <>
struct stream_error<void> : std::type_identity<rpc_error> {};

/// The two ends of a stream.
template <typename Item, typename E>
struct stream_sender {
    stream_sender(inbox::sender<Item> to, inbox::oneshot_sender<stream_outcome<E>> told) noexcept
        : items(std::move(to)), end(std::move(told)) {}
    // In this order: how it ended is told before the items end, also when both just go.
    inbox::sender<Item> items;
    inbox::oneshot_sender<stream_outcome<E>> end;
};

}  // namespace detail

/// Says why a stream did not end as it should: an `rpc_error`, or, when the call has errors of its
/// own, a variant of both.
template <typename E>
using stream_error_t = typename detail::stream_error<E>::type;

/// Waits for room for one item, and sends it. Made by `stream_rpc::send`.
///
/// *Cancellation*: the item is sent by then, or destroyed. *Lifetime*: borrows the call.
template <typename Item>
class [[nodiscard]] item_send_future {
public:
    using value_type = std::expected<void, send_error<Item>>;

    explicit item_send_future(inbox::send_future<Item> sending) noexcept
        : sending_(std::move(sending)) {}

    polled<value_type> poll(const waker& waker) noexcept {
        auto sent = sending_.poll(waker);
        if (!sent.is_ready()) { return pending; }
        return polled<value_type>(std::in_place,
                                  detail::to_send_result<Item>(std::move(sent).value()));
    }

private:
    inbox::send_future<Item> sending_;
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // As for `rpc`.
#endif

/// Carries a request to an actor, and many values back. It is a message, or an alternative of a
/// variant that is; name one by an alias, or derive from it. Callers use `actor_ref::stream`.
///
/// The actor may keep it, or give it to another actor or task, and go on with other messages.
/// Dropping it without `finish` or `fail` tells the caller `rpc_error::no_reply`, after the items
/// that were sent.
///
/// `E` is what `fail` takes; with `void` there is none.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
template <typename Req, typename Item, typename E = void>
class [[nodiscard]] stream_rpc : public detail::rpc_request<Req> {
public:
    using item_type = Item;
    using error_type = E;
    using reply_sender = detail::stream_sender<Item, E>;
    static constexpr bool is_sendable = sendable<Req> && sendable<Item> && sendable<E>;

    explicit stream_rpc(reply_sender reply) noexcept
        requires std::is_void_v<Req>
        : reply_(std::move(reply)) {}

    template <typename R>
        requires std::constructible_from<Req, R&&>
    stream_rpc(R&& request, reply_sender reply)
        : detail::rpc_request<Req>(Req(std::forward<R>(request))), reply_(std::move(reply)) {}

    stream_rpc(stream_rpc&& other) noexcept(
        std::is_nothrow_move_constructible_v<detail::rpc_request<Req>>)
        : detail::rpc_request<Req>(std::move(other)),
          reply_(std::move(other.reply_)),
          open_(std::exchange(other.open_, false)) {}
    stream_rpc& operator=(stream_rpc&& other) noexcept(
        std::is_nothrow_move_assignable_v<detail::rpc_request<Req>>)
        requires std::is_move_assignable_v<detail::rpc_request<Req>>
    {
        detail::rpc_request<Req>::operator=(std::move(other));
        open_ = false;
        close();
        reply_.items = std::move(other.reply_.items);
        reply_.end = std::move(other.reply_.end);
        open_ = std::exchange(other.open_, false);
        return *this;
    }
    ~stream_rpc() { close(); }

    /// Sends an item, waiting while the caller has not received as many as its window takes.
    /// *Errors*: `disconnected`: the caller has given up; the item comes back.
    /// *Requires*: not ended.
    [[nodiscard]] item_send_future<Item> send(Item item) {
        HEPH_ASSERT(open_);
        return item_send_future<Item>(reply_.items.send(std::move(item)));
    }

    /// Sends an item if there is room for it.
    /// *Errors*: `full`; `disconnected`: the caller has given up; the item comes back.
    /// *Requires*: not ended.
    [[nodiscard]] std::expected<void, send_error<Item>> try_send(Item item) {
        HEPH_ASSERT(open_);
        return detail::to_send_result<Item>(reply_.items.try_send(std::move(item)));
    }

    /// Tells the caller that this was all. Gives false when the caller has given up, or the end was
    /// told before. It does not wait: the caller gets the items that are under way first.
    bool finish() { return end_with(detail::stream_outcome<E>()); }

    /// Tells the caller that there are no more items, and why. Otherwise as `finish`.
    template <typename Error>
        requires(!std::is_void_v<E> && std::constructible_from<detail::reply_t<E>, Error &&>)
    bool fail(Error&& error) {
        return end_with(detail::stream_outcome<E>(std::unexpect, std::forward<Error>(error)));
    }

    /// Tells whether nobody wants the items (any more).
    [[nodiscard]] bool is_cancelled() const noexcept {
        return !open_ || !reply_.items.is_connected();
    }

    /// Completes when the caller gives up. *Requires*: not ended. *Lifetime*: borrows this.
    [[nodiscard]] auto closed() {
        HEPH_ASSERT(open_);
        return reply_.items.join();
    }

private:
    bool end_with(detail::stream_outcome<E> outcome) {
        if (!open_) { return false; }
        const bool wanted = !is_cancelled();
        open_ = false;
        const bool told = std::move(reply_.end).try_send(std::move(outcome)).has_value();
        reply_.items = inbox::detail::access::no_sender<Item>();
        return wanted && told;
    }

    // Drops both ends, in this order: how it ended, then the items.
    void close() noexcept {
        { const auto gone = std::move(reply_.end); }
        reply_.items = inbox::detail::access::no_sender<Item>();
    }

    reply_sender reply_;
    bool open_ = true;  // Not ended, and not moved from.
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// Receives the items of a stream. Made by `actor_ref::stream`. It is a `stream`.
///
/// Dropping it, or `close`, gives up: the actor sees that nobody wants the items, and those under
/// way are destroyed.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe. It is not moved while a `next`
/// of it waits.
template <typename Item, typename E = void>
class [[nodiscard]] reply_stream {
    using outcome_receiver = inbox::oneshot_receiver<detail::stream_outcome<E>>;

public:
    using value_type = Item;
    static constexpr bool is_sendable = sendable<Item> && sendable<E>;
    /// Nothing when all items were received and the actor said so; else why not.
    using result_type = std::expected<void, stream_error_t<E>>;

    reply_stream(inbox::receiver<Item> items, outcome_receiver end) noexcept
        : items_(std::move(items)), end_(std::move(end)) {}

    /// Waits for the next item: `std::optional<Item>`, empty when there are no more. Then `result`
    /// says whether that was all.
    /// *Cancellation*: no item is lost. *Lifetime*: borrows the stream. *Requires*: not closed.
    [[nodiscard]] inbox::recv_future<Item> next() noexcept { return items_->recv(); }

    /// Gives the next item, if it is there.
    /// *Errors*: `empty`; `disconnected` when there are no more.
    [[nodiscard]] std::expected<Item, inbox::recv_error> try_next() noexcept {
        if (!items_) { return std::unexpected(inbox::recv_error::disconnected); }
        return items_->try_recv();
    }

    /// Says how it ended, once there are no more items: well; `rpc_error::no_reply` when the actor
    /// failed, ended or dropped the call half-way; or with the error that it gave.
    /// *Requires*: `next` gave nothing. Before that, it is `no_reply`.
    [[nodiscard]] result_type result() {
        if (!ended_) {
            if (auto told = end_.try_recv()) {
                ended_.emplace(std::move(*told));
            } else {
                return result_type(std::unexpect, rpc_error::no_reply);
            }
        }
        if (*ended_) { return {}; }
        if constexpr (std::is_void_v<E>) {
            return result_type(std::unexpect, rpc_error::no_reply);
        } else {
            return result_type(std::unexpect, ended_->error());
        }
    }

    /// Gives up: the actor sees it, and what is under way is destroyed.
    void close() noexcept { items_.reset(); }

private:
    std::optional<inbox::receiver<Item>> items_;
    outcome_receiver end_;
    std::optional<detail::stream_outcome<E>> ended_;
};

namespace detail {

template <typename Req, typename Item, typename E>
std::true_type derives_from_stream_rpc(const stream_rpc<Req, Item, E>*);
std::false_type derives_from_stream_rpc(const void*);

template <typename M>
concept stream_message = decltype(derives_from_stream_rpc(static_cast<const M*>(nullptr)))::value;

/// Which messages `actor_ref::stream` chooses from.
struct stream_calls {
    template <typename M>
    static constexpr bool includes = stream_message<M>;
};

template <typename... Args>
inline constexpr bool begins_with_window = false;
template <typename First, typename... Rest>
inline constexpr bool begins_with_window<First, Rest...> =
    std::is_same_v<std::remove_cvref_t<First>, window>;

template <typename Call>
using reply_stream_of = reply_stream<typename Call::item_type, typename Call::error_type>;

}  // namespace detail

/// Sends a request, then gives the stream of what answers it. Made by `actor_ref::stream`.
///
/// *Cancellation*: the request is sent by then, and its call cancelled, or it is not sent.
/// *Lifetime*: borrows the reference it was made from.
template <typename Send, typename Stream>
class [[nodiscard]] stream_future {
public:
    using value_type = std::expected<Stream, rpc_error>;

    stream_future(Send send, Stream replies)
        : replies_(std::move(replies)), send_(std::move(send)) {}

    polled<value_type> poll(const waker& waker) {
        auto sent = send_.poll(waker);
        if (!sent.is_ready()) { return pending; }
        if (!sent.value()) {
            return polled<value_type>(std::in_place, std::unexpect,
                                      sent.value().error().reason() == send_failure::refused
                                          ? rpc_error::refused
                                          : rpc_error::disconnected);
        }
        return polled<value_type>(std::in_place, std::move(replies_));
    }

private:
    Stream replies_;
    Send send_;
};

}  // namespace heph
