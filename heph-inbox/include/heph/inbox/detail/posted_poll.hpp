#pragma once

// A future that is polled where an executor runs it, and woken from anywhere.
//
// Shared by its owner (an awaiter, or an operation of Boost.Asio), by the future's wakers, and by
// the resumption that is in the executor's queue. The owner, the future and the executor may go
// first: what is left finds `closed`, and does nothing.
//
// Phases, as kept in the low bits of one word
//     polling   --pending-->           waiting
//     polling   --wake-->              woken     (by another thread, or by the poll itself)
//     woken     --pending-->           posted    (whoever polls posts)
//     waiting   --wake-->              posted    (whoever wakes posts)
//     posted    --resumption runs-->   polling
//     any       --owner goes-->        closed    (the value was given, or the owner was destroyed)
// A wake in any other phase changes nothing: a poll is about to come already, or none ever will.
//
// Invariants
//     1. Only the phase `polling` (or `woken`) gives the right to poll, and to call the owner. One
//        thread at a time has it, since each way into it is a single read-modify-write.
//     2. A wake never polls and never resumes: the most it does is to hand one resumption to the
//        executor. At most one that is still of any use is in the executor's queue.
//     3. Whoever posts counts itself as a poster in the same step in which it makes the phase
//        `posted`, and until the executor's function has returned. `close` ends new posts, and then
//        waits for those under way; hence the owner may destroy the executor after it.
//     4. All steps are read-modify-writes of one word with acquire and release, so that each poll
//        sees what the poll before it left, whichever threads they ran on.
//
// What is checked: tests/inbox/explore_awaitable_test.cpp runs this with `resume_on` through all
// interleavings of small programs, with a model in the place of the atomics.
//
// Costs: a wake and a poll are a compare-and-swap or two each. The wait in `close` is for a thread
// between putting the resumption into the queue and returning from it: next to nothing, or until
// that thread is scheduled again when it was descheduled just there.

#include <atomic>
#include <cstdint>
#include <utility>

#include <heph/inbox/assert.hpp>
#include <heph/inbox/detail/environment.hpp>
#include <heph/inbox/detail/spin_lock.hpp>
#include <heph/inbox/waker.hpp>

namespace heph {

namespace detail {

/// What a resumption owns a part of, and runs.
class resumable {
public:
    resumable(const resumable&) = delete;
    resumable& operator=(const resumable&) = delete;

    virtual void add_reference() noexcept = 0;
    virtual void drop_reference() noexcept = 0;
    virtual void run_posted() = 0;

protected:
    resumable() noexcept = default;
    ~resumable() = default;
};

template <typename Environment>
class basic_posted_poll;

}  // namespace detail

/// What an executor is asked to run, once, where the waiting coroutine lives: polls what that one
/// waits for, and resumes it when that is there. Run more than once, too late, or never, it does no
/// harm. One pointer; copies stand for the same resumption.
///
/// *Errors*: throws what the coroutine's own `resume()` throws; most never do.
/// *Thread safety*: safe to move between threads, and to destroy on any of them.
class resumption {
public:
    resumption(const resumption& other) noexcept;
    resumption(resumption&& other) noexcept : poll_(std::exchange(other.poll_, nullptr)) {}
    resumption& operator=(resumption other) noexcept {
        std::swap(poll_, other.poll_);
        return *this;
    }
    ~resumption();

    /// Polls, and resumes the coroutine when it need not wait any more.
    void operator()() const;

private:
    template <typename Environment>
    friend class detail::basic_posted_poll;

    // Takes over one reference.
    explicit resumption(detail::resumable* poll) noexcept : poll_(poll) {}

    detail::resumable* poll_;
};

namespace detail {

/// See the top of this file. Starts in the phase `polling`, with one reference: the owner's.
template <typename Environment>
class basic_posted_poll : resumable {
public:
    /// Makes a waker for the future. Takes one reference more.
    [[nodiscard]] waker make_waker() noexcept {
        add_reference();
        return waker(this, &vtable);
    }

    /// Ends a poll that was pending. Tells whether the future was woken meanwhile, so that the
    /// caller has to call `post_again`. When not, another thread may run the owner from now on.
    [[nodiscard]] bool end_poll() noexcept {
        std::uint32_t now = word_.load(std::memory_order_relaxed);
        for (;;) {
            const std::uint32_t current = now & phase_mask;
            HEPH_ASSERT(current == polling || current == woken);
            const bool again = current == woken;
            // Invariants 3 and 4.
            const std::uint32_t then =
                again ? now - woken + posted + one_poster : now - polling + waiting;
            if (word_.compare_exchange_weak(now, then, std::memory_order_acq_rel,
                                            std::memory_order_relaxed)) {
                return again;
            }
        }
    }

    /// Posts after `end_poll` said so. Another thread may run, and end, the owner meanwhile.
    /// *Errors*: throws what the executor throws; nothing was posted then, and nothing will be.
    void post_again() {
        const resumption kept = make_resumption();  // The executor may end all other references.
        post_counted();
    }

    /// Makes the one who waits look whether it was cancelled, with its next poll.
    void cancel() noexcept {
        word_.fetch_or(cancelled_bit, std::memory_order_acq_rel);
        wake();
    }
    [[nodiscard]] bool cancelled() const noexcept {
        return (word_.load(std::memory_order_acquire) & cancelled_bit) != 0;
    }

    /// Ends all polls and posts for good, and waits for posts under way (invariant 3).
    void close() noexcept {
        std::uint32_t now = word_.load(std::memory_order_relaxed);
        while (!word_.compare_exchange_weak(now, (now & ~phase_mask) | closed,
                                            std::memory_order_acq_rel, std::memory_order_relaxed)) {
        }
        // Acquire, pairs with the release in `poster`.
        inbox::detail::backoff<Environment> waits;
        while (word_.load(std::memory_order_acquire) >= one_poster) { waits.wait(); }
    }

    void add_reference() noexcept final {
        // Relaxed: whoever adds one has one.
        references_.fetch_add(1, std::memory_order_relaxed);
    }
    void drop_reference() noexcept final {
        // Release and acquire, pairs with itself: the last one sees what all others did.
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) { delete this; }
    }

protected:
    basic_posted_poll() noexcept = default;
    virtual ~basic_posted_poll() = default;

private:
    /// Hands a resumption to the owner's executor, which must not run it before this returns.
    virtual void post(resumption next) = 0;

    /// Polls in the name of the owner, and ends with `end_poll` or with `close`.
    virtual void run() = 0;

    // The lowest bits are the phase, the next one says cancelled, the rest counts posters.
    static constexpr std::uint32_t polling = 0;
    static constexpr std::uint32_t woken = 1;
    static constexpr std::uint32_t waiting = 2;
    static constexpr std::uint32_t posted = 3;
    static constexpr std::uint32_t closed = 4;
    static constexpr std::uint32_t phase_mask = 7;
    static constexpr std::uint32_t cancelled_bit = 8;
    static constexpr std::uint32_t one_poster = 16;

    /// Counts the calling thread out when it has posted (invariant 3).
    struct poster {
        basic_posted_poll& of;
        const void* outer;  // What else the calling thread is posting.
        explicit poster(basic_posted_poll& counted) noexcept
            : of(counted), outer(std::exchange(posting_here(), &counted)) {}
        poster(const poster&) = delete;
        poster& operator=(const poster&) = delete;
        ~poster() {
            posting_here() = outer;
            // Release, pairs with the acquire in `close`.
            of.word_.fetch_sub(one_poster, std::memory_order_release);
        }
    };

    [[nodiscard]] resumption make_resumption() noexcept {
        add_reference();
        return resumption(this);
    }

    void post_counted() {
        const poster counted(*this);
        post(make_resumption());
    }

    // An executor that throws here ends the program: the wake would be lost.
    void wake() noexcept {
        std::uint32_t now = word_.load(std::memory_order_relaxed);
        for (;;) {
            std::uint32_t then = 0;
            switch (now & phase_mask) {
                case polling: then = now - polling + woken; break;
                case waiting: then = now - waiting + posted + one_poster; break;
                // Changes nothing, but releases what the caller did to the poll that comes.
                default: then = now; break;
            }
            // Invariants 3 and 4.
            if (word_.compare_exchange_weak(now, then, std::memory_order_acq_rel,
                                            std::memory_order_relaxed)) {
                break;
            }
        }
        if ((now & phase_mask) == waiting) { post_counted(); }
    }

    void run_posted() final {
        // Within `post`, the caller of `wake` may hold locks, and `close` would wait for itself.
        HEPH_ASSERT(posting_here() != this && "the executor has to return before it resumes");
        std::uint32_t now = word_.load(std::memory_order_relaxed);
        do {
            if ((now & phase_mask) != posted) { return; }
            // Invariants 1 and 4.
        } while (!word_.compare_exchange_weak(
            now, now - posted + polling, std::memory_order_acq_rel, std::memory_order_relaxed));
        run();
    }

    static basic_posted_poll& at(void* self) noexcept {
        return *static_cast<basic_posted_poll*>(self);
    }
    static void clone(void* self) noexcept { at(self).add_reference(); }
    static void wake_it(void* self) noexcept { at(self).wake(); }
    static void drop(void* self) noexcept { at(self).drop_reference(); }
    static constexpr waker_vtable vtable{&clone, &wake_it, &drop};

    // What the calling thread is posting right now; only to find executors that resume at once.
    struct posting {
        const void* what = nullptr;
    };
    static const void*& posting_here() noexcept {
        return Environment::template of_this_thread<posting>()->what;
    }

    using atomic_word = typename Environment::template atomic<std::uint32_t>;

    atomic_word word_ = polling;
    atomic_word references_ = 1;
};

using posted_poll = basic_posted_poll<inbox::detail::standard_environment>;

}  // namespace detail

inline resumption::resumption(const resumption& other) noexcept : poll_(other.poll_) {
    if (poll_ != nullptr) { poll_->add_reference(); }
}

inline resumption::~resumption() {
    if (poll_ != nullptr) { poll_->drop_reference(); }
}

inline void resumption::operator()() const {
    if (poll_ == nullptr) { return; }
    const resumption kept(*this);  // The executor may destroy this one while it runs.
    kept.poll_->run_posted();
}

}  // namespace heph
