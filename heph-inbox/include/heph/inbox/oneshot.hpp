#pragma once

// A channel for one value, for example the answer to a question.
//
// State: one word of bits, all of which begin unset.
//     value          the value is there. Set by the sender, cleared by the receiver that took it.
//     sender_gone    the sender will not touch anything but its own waker's bit any more.
//     receiver_gone  likewise, the receiver.
//     receiver_waits the receiver's waker is there, and the sender may wake it.
//     sender_waits   the sender's waker is there, and the receiver may wake it.
//     sender_left, receiver_left
//                    that side has done its last access. Who sets the second one frees the memory.
//
// Invariants
//     1. The value is built before `value` is set. Once it is set, only the receiver touches the
//        value, unless `receiver_gone` was set before: then the sender has it back.
//     2. A side writes its waker only while its bit is unset, and clears that bit first. When the
//        other side was faster, the waker is left alone: the other side may just be waking it.
//     3. Each read-modify-write of the word releases what its side did before and acquires what the
//        other side did: `fetch_or` and `fetch_and` with acq_rel pair with each other.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <heph/inbox/assert.hpp>
#include <heph/inbox/detail/cell.hpp>
#include <heph/inbox/detail/environment.hpp>
#include <heph/inbox/detail/parker.hpp>
#include <heph/inbox/errors.hpp>
#include <heph/inbox/future.hpp>
#include <heph/inbox/fwd.hpp>

namespace heph::inbox {

namespace detail {

/// The part of a one-shot channel that does not depend on its type.
template <typename Environment>
class oneshot_core {
public:
    static constexpr std::uint32_t value_bit = 1;
    static constexpr std::uint32_t sender_gone = 2;
    static constexpr std::uint32_t receiver_gone = 4;
    static constexpr std::uint32_t receiver_waits = 8;
    static constexpr std::uint32_t sender_waits = 16;
    static constexpr std::uint32_t sender_left = 32;
    static constexpr std::uint32_t receiver_left = 64;

    [[nodiscard]] std::uint32_t load() const noexcept {
        // Acquire, pairs with the release in `set`.
        return state_.load(std::memory_order_acquire);
    }
    std::uint32_t set(std::uint32_t bits) noexcept {
        return state_.fetch_or(bits, std::memory_order_acq_rel);  // Invariant 3.
    }
    std::uint32_t clear(std::uint32_t bits) noexcept {
        return state_.fetch_and(~bits, std::memory_order_acq_rel);  // Invariant 3.
    }

    /// Leaves a waker, unless one of the `done` bits is or becomes set. Tells whether one is.
    [[nodiscard]] bool done_or_wait(waker& mine, std::uint32_t waits, std::uint32_t done,
                                    const waker& who) noexcept {
        std::uint32_t now = load();
        if ((now & done) != 0) { return true; }
        if ((now & waits) != 0) {
            Environment::reads(&mine);
            if (mine.will_wake(who)) { return false; }
            now = clear(waits);
            if ((now & done) != 0) { return true; }  // Invariant 2.
        }
        Environment::writes(&mine);
        mine = who;
        return (set(waits) & done) != 0;
    }

    /// Takes a waker back, unless the other side may be waking it.
    void stop_waiting(waker& mine, std::uint32_t waits, std::uint32_t done) noexcept {
        const std::uint32_t before = clear(waits);
        if ((before & waits) != 0 && (before & done) == 0) {
            Environment::writes(&mine);
            mine = waker();
        }
    }

    waker sender_waker;
    waker receiver_waker;

private:
    typename Environment::template atomic<std::uint32_t> state_ = 0;
};

/// A one-shot channel with room for its value.
template <typename T, typename Environment>
class oneshot_state : public oneshot_core<Environment> {
    static_assert(check_message_type<T>());
    using core = oneshot_core<Environment>;

public:
    [[nodiscard]] static oneshot_state* make() {
        return ::new (Environment::allocate(sizeof(oneshot_state), alignment)) oneshot_state();
    }

    void put(T&& value) noexcept {
        Environment::writes(&value_);
        std::construct_at(&value_, std::move(value));
    }
    T take() noexcept {
        Environment::writes(&value_);
        T taken(std::move(value_));
        std::destroy_at(&value_);
        return taken;
    }

    /// Ends the sender's part, after it set `sender_gone` and, with a value, `value_bit`.
    void leave_sender(std::uint32_t before) noexcept {
        if ((before & core::receiver_waits) != 0) {
            Environment::reads(&this->receiver_waker);
            this->receiver_waker.wake();
        }
        if ((this->set(core::sender_left) & core::receiver_left) != 0) { free(); }
    }

    /// Ends the receiver's part.
    void leave_receiver() noexcept {
        this->stop_waiting(this->receiver_waker, core::receiver_waits, core::sender_gone);
        const std::uint32_t before = this->set(core::receiver_gone);
        if ((before & core::value_bit) != 0) {
            Environment::writes(&value_);
            std::destroy_at(&value_);
        }
        if ((before & core::sender_waits) != 0) {
            Environment::reads(&this->sender_waker);
            this->sender_waker.wake();
        }
        if ((this->set(core::receiver_left) & core::sender_left) != 0) { free(); }
    }

private:
    static constexpr std::align_val_t alignment{alignof(T) > alignof(core) ? alignof(T)
                                                                           : alignof(core)};

    oneshot_state() noexcept {}  // NOLINT(modernize-use-equals-default): the value is not built.
    oneshot_state(const oneshot_state&) = delete;
    oneshot_state& operator=(const oneshot_state&) = delete;
    ~oneshot_state() {}  // NOLINT(modernize-use-equals-default): who owns the value destroys it.

    void free() noexcept {
        this->~oneshot_state();
        Environment::deallocate(this, sizeof(oneshot_state), alignment);
    }

    union {
        T value_;
    };
};

}  // namespace detail

/// Is ready when the receiver is gone. Made by `oneshot_sender::closed`.
///
/// *Cancellation*: leaves nothing behind.
/// *Lifetime*: the sender must outlive it, unsent and unmoved.
template <typename T, typename Environment>
class [[nodiscard]] oneshot_closed_future {
public:
    using value_type = void;

    /// Moves a future that was not polled yet.
    oneshot_closed_future(oneshot_closed_future&& other) noexcept : state_(other.state_) {
        HEPH_ASSERT(!other.waits_);
    }
    oneshot_closed_future& operator=(oneshot_closed_future&&) = delete;
    ~oneshot_closed_future() {
        if (waits_) { state_->stop_waiting(state_->sender_waker, core::sender_waits, gone); }
    }

    polled<void> poll(const waker& who) noexcept {
        waits_ = !state_->done_or_wait(state_->sender_waker, core::sender_waits, gone, who);
        if (waits_) { return pending; }
        return ready;
    }

private:
    friend class oneshot_sender<T, Environment>;
    using core = detail::oneshot_core<Environment>;
    static constexpr auto gone = core::receiver_gone;

    explicit oneshot_closed_future(detail::oneshot_state<T, Environment>& state) noexcept
        : state_(&state) {}

    detail::oneshot_state<T, Environment>* state_;
    bool waits_ = false;
};

/// Sends one value. Dropped without having sent, it tells the receiver.
///
/// A sender that was moved from, or that has sent, may only be destroyed or assigned to.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
template <typename T, typename Environment>
class oneshot_sender {
public:
    oneshot_sender(oneshot_sender&& other) noexcept
        : state_(std::exchange(other.state_, nullptr)) {}
    oneshot_sender& operator=(oneshot_sender&& other) noexcept {
        oneshot_sender old(std::move(*this));
        state_ = std::exchange(other.state_, nullptr);
        return *this;
    }
    ~oneshot_sender() {
        if (state_ != nullptr) { state_->leave_sender(state_->set(core::sender_gone)); }
    }

    /// Sends the value; this uses up the sender.
    /// *Errors*: the value comes back when the receiver is gone.
    [[nodiscard]] std::expected<void, T> try_send(T value) && noexcept {
        auto& state = *std::exchange(state_, nullptr);
        if ((state.load() & core::receiver_gone) != 0) {
            state.leave_sender(state.set(core::sender_gone));
            return std::expected<void, T>(std::unexpect, std::move(value));
        }
        state.put(std::move(value));
        const std::uint32_t before = state.set(core::value_bit | core::sender_gone);
        if ((before & core::receiver_gone) != 0) {
            std::expected<void, T> back(std::unexpect, state.take());  // Invariant 1.
            state.leave_sender(before);
            return back;
        }
        state.leave_sender(before);
        return {};
    }

    /// Tells whether there is a receiver.
    [[nodiscard]] bool is_connected() const noexcept {
        return (state_->load() & core::receiver_gone) == 0;
    }

    /// Is ready when the receiver is gone, so that nobody wants the value any more.
    [[nodiscard]] oneshot_closed_future<T, Environment> closed() noexcept {
        return oneshot_closed_future<T, Environment>(*state_);
    }

private:
    friend class oneshot_receiver<T, Environment>;
    template <typename U, typename E>
    friend std::pair<oneshot_sender<U, E>, oneshot_receiver<U, E>> oneshot();
    using core = detail::oneshot_core<Environment>;

    explicit oneshot_sender(detail::oneshot_state<T, Environment>& state) noexcept
        : state_(&state) {}

    detail::oneshot_state<T, Environment>* state_;
};

/// Gives the value. Made by `oneshot_receiver::recv`. Empty when the sender is gone, or the value
/// was received before.
///
/// *Cancellation*: loses nothing.
/// *Lifetime*: the receiver must outlive it, and stay where it is.
template <typename T, typename Environment>
class [[nodiscard]] oneshot_recv_future {
public:
    using value_type = std::optional<T>;

    /// Moves a future that was not polled yet.
    oneshot_recv_future(oneshot_recv_future&& other) noexcept : from_(other.from_) {
        HEPH_ASSERT(!other.waits_);
    }
    oneshot_recv_future& operator=(oneshot_recv_future&&) = delete;
    ~oneshot_recv_future() {
        if (waits_) { from_->stop_waiting(); }
    }

    polled<value_type> poll(const waker& who) noexcept {
        auto now = from_->poll(who);
        waits_ = !now.is_ready();
        return now;
    }

private:
    friend class oneshot_receiver<T, Environment>;
    explicit oneshot_recv_future(oneshot_receiver<T, Environment>& from) noexcept : from_(&from) {}

    oneshot_receiver<T, Environment>* from_;
    bool waits_ = false;
};

/// Gives the value, and owns the receiver. Made by `oneshot_receiver::recv_once`.
///
/// *Cancellation*: drops the receiver; the sender learns of it.
template <typename T, typename Environment>
class [[nodiscard]] oneshot_recv_once_future {
public:
    using value_type = std::optional<T>;

    explicit oneshot_recv_once_future(oneshot_receiver<T, Environment>&& from) noexcept
        : from_(std::move(from)) {}

    polled<value_type> poll(const waker& who) noexcept { return from_.poll(who); }

private:
    oneshot_receiver<T, Environment> from_;
};

/// Receives one value.
///
/// A moved-from receiver may only be destroyed or assigned to.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
template <typename T, typename Environment>
class oneshot_receiver {
public:
    oneshot_receiver(oneshot_receiver&& other) noexcept
        : state_(std::exchange(other.state_, nullptr)) {}
    oneshot_receiver& operator=(oneshot_receiver&& other) noexcept {
        oneshot_receiver old(std::move(*this));
        state_ = std::exchange(other.state_, nullptr);
        return *this;
    }
    ~oneshot_receiver() {
        if (state_ != nullptr) { state_->leave_receiver(); }
    }

    /// Takes the value, if it is there.
    /// *Errors*: `empty` while the sender is there; `disconnected` when it is gone and there is no
    /// value, or it was received before.
    [[nodiscard]] std::expected<T, recv_error> try_recv() noexcept {
        const std::uint32_t now = state_->load();
        if ((now & core::value_bit) != 0) { return take(); }
        return std::unexpected((now & core::sender_gone) != 0 ? recv_error::disconnected
                                                              : recv_error::empty);
    }

    /// Takes the value once it is there; empty when the sender went without sending.
    [[nodiscard]] oneshot_recv_future<T, Environment> recv() noexcept {
        static_assert(detail::check_awaited_type<T>());
        return oneshot_recv_future<T, Environment>(*this);
    }

    /// Takes like `recv`; the future owns the receiver.
    [[nodiscard]] oneshot_recv_once_future<T, Environment> recv_once() && noexcept {
        static_assert(detail::check_awaited_type<T>());
        return oneshot_recv_once_future<T, Environment>(std::move(*this));
    }

    /// Takes like `recv`, and blocks the thread meanwhile.
    [[nodiscard]] std::optional<T> recv_blocking() {
        oneshot_recv_future<T, Environment> receiving(*this);
        return detail::wait_for<Environment>(receiving).value();
    }

    /// Takes like `recv_blocking`, but waits no longer than until `deadline`.
    /// *Errors*: `empty` when no value came in time; `disconnected` as `try_recv`.
    template <typename Clock, typename Duration>
    [[nodiscard]] std::expected<T, recv_error> recv_blocking(
        const std::chrono::time_point<Clock, Duration>& deadline) {
        oneshot_recv_future<T, Environment> receiving(*this);
        auto polled = detail::wait_until<Environment>(receiving, deadline);
        if (!polled.is_ready()) { return std::unexpected(recv_error::empty); }
        std::optional<T> received = std::move(polled).value();
        if (!received) { return std::unexpected(recv_error::disconnected); }
        return *std::move(received);
    }

    /// Makes a new sender for another value, in the same memory.
    /// *Errors*: `in_use` while the old sender is there, or its value was not received.
    [[nodiscard]] std::expected<oneshot_sender<T, Environment>, reset_error> try_reset() noexcept {
        const std::uint32_t now = state_->load();
        if ((now & core::sender_left) == 0 || (now & core::value_bit) != 0) {
            return std::unexpected(reset_error::in_use);
        }
        state_->sender_waker = waker();
        state_->receiver_waker = waker();
        state_->clear(core::sender_gone | core::sender_left | core::receiver_waits |
                      core::sender_waits);
        return oneshot_sender<T, Environment>(*state_);
    }

    /// Tells whether there is a sender.
    [[nodiscard]] bool is_connected() const noexcept {
        return (state_->load() & core::sender_gone) == 0;
    }

private:
    friend class oneshot_recv_future<T, Environment>;
    friend class oneshot_recv_once_future<T, Environment>;
    template <typename U, typename E>
    friend std::pair<oneshot_sender<U, E>, oneshot_receiver<U, E>> oneshot();
    using core = detail::oneshot_core<Environment>;

    explicit oneshot_receiver(detail::oneshot_state<T, Environment>& state) noexcept
        : state_(&state) {}

    T take() noexcept {
        state_->clear(core::value_bit);
        return state_->take();
    }

    polled<std::optional<T>> poll(const waker& who) noexcept {
        if (!state_->done_or_wait(state_->receiver_waker, core::receiver_waits, core::sender_gone,
                                  who)) {
            return pending;
        }
        if ((state_->load() & core::value_bit) == 0) {
            return polled<std::optional<T>>(std::nullopt);
        }
        return polled<std::optional<T>>(std::in_place, take());
    }

    void stop_waiting() noexcept {
        state_->stop_waiting(state_->receiver_waker, core::receiver_waits, core::sender_gone);
    }

    detail::oneshot_state<T, Environment>* state_;
};

/// Makes a channel for one value.
/// *Errors*: throws `std::bad_alloc`.
template <typename T, typename Environment = detail::standard_environment>
[[nodiscard]] std::pair<oneshot_sender<T, Environment>, oneshot_receiver<T, Environment>>
oneshot() {
    auto& state = *detail::oneshot_state<T, Environment>::make();
    return {oneshot_sender<T, Environment>(state), oneshot_receiver<T, Environment>(state)};
}

}  // namespace heph::inbox
