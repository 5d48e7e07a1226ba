#pragma once

// A channel for one value, for example the answer to a question.
//
// State: one word of bits, all of which begin unset.
//     value          the value is there. Set by the sender, cleared by the receiver that took it.
//     sender_gone    the sender has done all but its last step.
//     receiver_gone  likewise, the receiver.
//     receiver_waits the receiver's waker is there.
//     sender_waits   the sender's waker is there.
// Besides, two words that are written once:
//     sender_left, receiver_left: that side, which went first, touches the memory no more.
//
// Invariants
//     1. The value is built before `value` is set, together with `sender_gone`. Once they are set,
//        only the receiver touches the value, unless `receiver_gone` was set before: then the
//        sender has it back.
//     2. A side writes its waker only while its bit is unset, and sets the bit only while the other
//        side is not gone. The side that goes first owns the other one's waker from then on, when
//        its bit is set: it takes it out, says that it has left, and then wakes. So a side that
//        finds the other one gone leaves its own waker alone.
//     3. Who goes second, which its own step on the word tells, frees the memory once the first one
//        has left: a few instructions later, or, when that one was descheduled just there, when it
//        runs again. It writes the word without a read-modify-write, as nobody else does any more;
//        the same holds for a receiver that finds the sender gone. So an answer that is waited for
//        takes two of them: to wait, and to send.
//     4. A future that ends takes back a waker only if it was the last one of its side to leave
//        one: it compares the stamp of its own one with that of the side. A waker that two futures
//        were polled with has a stamp that neither of them has: it stays until it is taken, or
//        replaced, or its side goes. Stamps wrap: a future that was polled and then never again
//        would have to see 65,535 others leave one, exactly.
//     5. Each read-modify-write of the word releases what its side did before and acquires what the
//        other side did: they pair with each other. The store to `…_left` releases, and pairs with
//        the acquire of who waits for it.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <heph/inbox/assert.hpp>
#include <heph/inbox/detail/cell.hpp>
#include <heph/inbox/detail/environment.hpp>
#include <heph/inbox/detail/kept_waker.hpp>
#include <heph/inbox/detail/parker.hpp>
#include <heph/inbox/detail/spin_lock.hpp>
#include <heph/inbox/errors.hpp>
#include <heph/inbox/future.hpp>
#include <heph/inbox/fwd.hpp>

namespace heph::inbox {

namespace detail {

/// The part of a one-shot channel that does not depend on its type.
template <typename Environment>
class oneshot_core {
    template <typename V>
    using atomic = typename Environment::template atomic<V>;

public:
    static constexpr std::uint8_t value_bit = 1;
    static constexpr std::uint8_t sender_gone = 2;
    static constexpr std::uint8_t receiver_gone = 4;
    static constexpr std::uint8_t receiver_waits = 8;
    static constexpr std::uint8_t sender_waits = 16;

    /// Says which future left a waker (invariant 4). 0 is the stamp of none.
    using stamp = std::uint16_t;

    /// One side: its waker, whether it has left, and its last stamp, which is its own.
    struct end {
        kept_waker& waker;
        atomic<std::uint8_t>& left;
        stamp& last;

        [[nodiscard]] stamp next() const noexcept {
            last = static_cast<stamp>(last == max_stamp ? 1 : last + 1);
            return last;
        }
    };
    [[nodiscard]] end sender() noexcept { return {sender_waker_, sender_left_, sender_stamp_}; }
    [[nodiscard]] end receiver() noexcept {
        return {receiver_waker_, receiver_left_, receiver_stamp_};
    }

    [[nodiscard]] std::uint8_t load() const noexcept {
        // Acquire, pairs with the release in `set` and in `change`.
        return state_.load(std::memory_order_acquire);
    }
    std::uint8_t set(std::uint8_t bits) noexcept {
        return state_.fetch_or(bits, std::memory_order_acq_rel);  // Invariant 5.
    }
    /// Writes the word. *Requires*: the other side is gone (invariant 3).
    void write(std::uint8_t bits) noexcept { state_.store(bits, std::memory_order_relaxed); }

    /// Leaves a waker, unless the `done` bit is or becomes set. Tells whether it is. `left` is the
    /// stamp of the waker that the caller left before, and then of the one that it has left now.
    [[nodiscard]] bool done_or_wait(end mine, std::uint8_t waits, std::uint8_t done,
                                    const waker& who, stamp& left) noexcept {
        std::uint8_t now = load();
        for (;;) {
            if ((now & done) != 0) { return true; }
            if ((now & waits) != 0) {
                Environment::reads(&mine.waker);
                if (mine.waker.will_wake(who)) {
                    if (left != mine.last) {  // It is both of theirs.
                        (void)mine.next();
                        left = 0;
                    }
                    return false;
                }
                if (!change(now, without(now, waits))) { continue; }
                mine.waker.drop();
                now = without(now, waits);
            }
            Environment::writes(&mine.waker);
            mine.waker.keep(who);
            if (change(now, now | waits)) {
                left = mine.next();
                return false;
            }
            mine.waker.drop();
        }
    }

    /// Takes the waker with that stamp back, unless the other side has it. Apart, so that the
    /// destructors of futures stay small.
    [[gnu::noinline]] void stop_waiting(end mine, std::uint8_t waits, std::uint8_t done,
                                        stamp left) noexcept {
        if (left != mine.last) { return; }  // Also when it left none.
        std::uint8_t now = load();
        while ((now & waits) != 0 && (now & done) == 0) {
            if (!change(now, without(now, waits))) { continue; }
            Environment::reads(&mine.waker);
            mine.waker.drop();
            return;
        }
    }

    /// Does the last step of the side that goes first: wakes the other one, if that waits.
    static void leave(end mine, end other, bool waits) noexcept {
        if (!waits) {
            mine.left.store(1, std::memory_order_release);
            return;
        }
        Environment::reads(&other.waker);
        waker woken = other.waker.take();
        mine.left.store(1, std::memory_order_release);  // From here on the memory may be gone.
        std::move(woken).wake();
    }

    /// Waits for that step of the other side.
    static void wait_until_left(end other) noexcept {
        backoff<Environment> waiting;
        // Acquire, pairs with the release in `leave`.
        while (other.left.load(std::memory_order_acquire) == 0) { waiting.wait(); }
    }

private:
    static constexpr std::uint8_t without(std::uint8_t now, std::uint8_t bits) noexcept {
        return static_cast<std::uint8_t>(now & ~bits);
    }
    [[nodiscard]] bool change(std::uint8_t& now, int to) noexcept {
        return state_.compare_exchange_strong(now, static_cast<std::uint8_t>(to),
                                              std::memory_order_acq_rel,
                                              std::memory_order_acquire);  // Invariant 5.
    }

    static constexpr stamp max_stamp = std::numeric_limits<stamp>::max();

    kept_waker sender_waker_;
    kept_waker receiver_waker_;
    atomic<std::uint8_t> sender_left_ = 0;
    atomic<std::uint8_t> receiver_left_ = 0;
    atomic<std::uint8_t> state_ = 0;
    stamp sender_stamp_ = max_stamp;  // So that 0, of who left none, never is the last one.
    stamp receiver_stamp_ = max_stamp;
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
        Environment::writes(std::addressof(value_));
        std::construct_at(std::addressof(value_), std::move(value));
    }
    T take() noexcept {
        Environment::writes(std::addressof(value_));
        T taken(std::move(value_));
        std::destroy_at(std::addressof(value_));
        return taken;
    }

    /// Ends the sender's part without a value.
    void leave_sender() noexcept {
        const std::uint8_t now = this->load();
        const std::uint8_t before =
            (now & core::receiver_gone) != 0 ? now : this->set(core::sender_gone);
        if ((before & core::receiver_gone) != 0) {
            free_after(this->receiver());
            return;
        }
        if ((before & core::sender_waits) != 0) { this->sender().waker.drop(); }
        core::leave(this->sender(), this->receiver(), (before & core::receiver_waits) != 0);
    }

    /// Ends the receiver's part.
    void leave_receiver() noexcept {
        const std::uint8_t now = this->load();
        const std::uint8_t before =
            (now & core::sender_gone) != 0 ? now : this->set(core::receiver_gone);
        if ((before & core::sender_gone) != 0) {
            if ((before & core::value_bit) != 0) {
                Environment::writes(std::addressof(value_));
                std::destroy_at(std::addressof(value_));
            }
            free_after(this->sender());
            return;
        }
        if ((before & core::receiver_waits) != 0) { this->receiver().waker.drop(); }
        core::leave(this->receiver(), this->sender(), (before & core::sender_waits) != 0);
    }

    /// Frees the memory once the side that went first has left. Apart, so that a destructor that
    /// finds nothing to do stays small.
    [[gnu::noinline]] void free_after(typename core::end first) noexcept {
        core::wait_until_left(first);
        this->~oneshot_state();
        Environment::deallocate(this, sizeof(oneshot_state), alignment);
    }

private:
    static constexpr std::align_val_t alignment{alignof(T) > alignof(core) ? alignof(T)
                                                                           : alignof(core)};

    oneshot_state() noexcept {}  // NOLINT(modernize-use-equals-default): the value is not built.
    oneshot_state(const oneshot_state&) = delete;
    oneshot_state& operator=(const oneshot_state&) = delete;
    ~oneshot_state() {}  // NOLINT(modernize-use-equals-default): who owns the value destroys it.

    union {
        T value_;
    };
};

}  // namespace detail

/// Is ready when the receiver is gone. Made by `oneshot_sender::closed`. It is ready as well once
/// the sender has sent or was moved from. When there are several, only the waker that was polled
/// with last is woken, whichever of the others end meanwhile.
///
/// *Cancellation*: leaves nothing behind.
/// *Lifetime*: the sender must outlive it, and stay where it is.
template <typename T, typename Environment>
class [[nodiscard]] oneshot_closed_future {
public:
    using value_type = void;

    /// Moves a future that was not polled yet.
    oneshot_closed_future(oneshot_closed_future&& other) noexcept : of_(other.of_) {
        HEPH_ASSERT(other.left_ == 0);
    }
    oneshot_closed_future& operator=(oneshot_closed_future&&) = delete;
    ~oneshot_closed_future() {
        // A sender that has sent has given the waker back.
        if (auto* state = of_->state_; left_ != 0 && state != nullptr) {
            state->stop_waiting(state->sender(), core::sender_waits, gone, left_);
        }
    }

    polled<void> poll(const waker& who) noexcept {
        auto* state = of_->state_;
        if (state != nullptr &&
            !state->done_or_wait(state->sender(), core::sender_waits, gone, who, left_)) {
            return pending;
        }
        left_ = 0;
        return ready;
    }

private:
    friend class oneshot_sender<T, Environment>;
    using core = detail::oneshot_core<Environment>;
    static constexpr auto gone = core::receiver_gone;

    explicit oneshot_closed_future(const oneshot_sender<T, Environment>& of) noexcept : of_(&of) {}

    const oneshot_sender<T, Environment>* of_;
    core::stamp left_ = 0;
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
        if (state_ != nullptr) { state_->leave_sender(); }
    }

    /// Sends the value; this uses up the sender.
    /// *Errors*: the value comes back when the receiver is gone.
    [[nodiscard]] std::expected<void, T> try_send(T value) && noexcept {
        auto& state = *std::exchange(state_, nullptr);
        if ((state.load() & core::receiver_gone) != 0) [[unlikely]] {
            state.free_after(state.receiver());
            return std::expected<void, T>(std::unexpect, std::move(value));
        }
        state.put(std::move(value));
        const std::uint8_t before = state.set(core::value_bit | core::sender_gone);
        if ((before & core::receiver_gone) != 0) [[unlikely]] { return take_back(state); }
        if ((before & core::sender_waits) != 0) [[unlikely]] { state.sender().waker.drop(); }
        core::leave(state.sender(), state.receiver(), (before & core::receiver_waits) != 0);
        return {};
    }

    /// Tells whether there is a receiver.
    [[nodiscard]] bool is_connected() const noexcept {
        return (state_->load() & core::receiver_gone) == 0;
    }

    /// Is ready when the receiver is gone, so that nobody wants the value any more.
    [[nodiscard]] oneshot_closed_future<T, Environment> closed() noexcept {
        return oneshot_closed_future<T, Environment>(*this);
    }

private:
    friend class oneshot_receiver<T, Environment>;
    friend class oneshot_closed_future<T, Environment>;
    template <typename U, typename E>
    friend std::pair<oneshot_sender<U, E>, oneshot_receiver<U, E>> oneshot();
    using core = detail::oneshot_core<Environment>;

    explicit oneshot_sender(detail::oneshot_state<T, Environment>& state) noexcept
        : state_(&state) {}

    // Invariant 1: of a receiver that went meanwhile.
    [[gnu::noinline]] static std::expected<void, T> take_back(
        detail::oneshot_state<T, Environment>& state) noexcept {
        T value = state.take();
        state.free_after(state.receiver());
        return std::expected<void, T>(std::unexpect, std::move(value));
    }

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
        HEPH_ASSERT(other.left_ == 0);
    }
    oneshot_recv_future& operator=(oneshot_recv_future&&) = delete;
    ~oneshot_recv_future() {
        if (left_ != 0) { from_->stop_waiting(left_); }
    }

    polled<value_type> poll(const waker& who) noexcept { return from_->poll(who, left_); }

private:
    friend class oneshot_receiver<T, Environment>;
    explicit oneshot_recv_future(oneshot_receiver<T, Environment>& from) noexcept : from_(&from) {}

    oneshot_receiver<T, Environment>* from_;
    detail::oneshot_core<Environment>::stamp left_ = 0;
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

    polled<value_type> poll(const waker& who) noexcept {
        typename detail::oneshot_core<Environment>::stamp left = 0;  // The receiver goes with it.
        return from_.poll(who, left);
    }

private:
    oneshot_receiver<T, Environment> from_;
};

/// Receives one value.
///
/// When several of its futures wait, only the waker that was polled with last is woken, whichever
/// of the others end meanwhile. A moved-from receiver may only be destroyed or assigned to.
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
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
    // Of one in an optional, g++ 12 asks what this would find if it was not there.
    ~oneshot_receiver() {
        if (state_ != nullptr) { state_->leave_receiver(); }
    }
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

    /// Takes the value, if it is there.
    /// *Errors*: `empty` while the sender is there; `disconnected` when it is gone and there is no
    /// value, or it was received before.
    [[nodiscard]] std::expected<T, recv_error> try_recv() noexcept {
        const std::uint8_t now = state_->load();
        if ((now & core::value_bit) != 0) { return take(now); }
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

    /// Makes a new sender for another value, in the same memory. *Errors*: `in_use` while the old
    /// sender is there, or just about to go after it sent, or its value was not received.
    [[nodiscard]] std::expected<oneshot_sender<T, Environment>, reset_error> try_reset() noexcept {
        const std::uint8_t now = state_->load();
        // Acquire, pairs with the release in `leave`.
        if ((now & core::sender_gone) == 0 || (now & core::value_bit) != 0 ||
            state_->sender().left.load(std::memory_order_acquire) == 0) {
            return std::unexpected(reset_error::in_use);
        }
        // Nobody else has it: its wakers were taken, or dropped.
        state_->sender().left.store(0, std::memory_order_relaxed);
        state_->write(0);
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

    // *Requires*: the value is there, so the sender is gone.
    T take(std::uint8_t now) noexcept {
        state_->write(static_cast<std::uint8_t>(now & ~core::value_bit));
        return state_->take();
    }

    polled<std::optional<T>> poll(const waker& who, core::stamp& left) noexcept {
        if (!state_->done_or_wait(state_->receiver(), core::receiver_waits, core::sender_gone, who,
                                  left)) {
            return pending;
        }
        left = 0;
        const std::uint8_t now = state_->load();
        if ((now & core::value_bit) == 0) { return polled<std::optional<T>>(std::nullopt); }
        return polled<std::optional<T>>(std::in_place, take(now));
    }

    void stop_waiting(core::stamp left) noexcept {
        state_->stop_waiting(state_->receiver(), core::receiver_waits, core::sender_gone, left);
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
