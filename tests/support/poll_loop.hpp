#pragma once

// Runs futures in the order in which they were woken, on the calling thread.
//
// A process is one allocation: its future, its place in the queue and in the list of the living,
// and a count of who refers to it: the list while it is not finished, the queue while it is woken,
// and its wakers. The count is a plain number, as everything happens on one thread.

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include <heph/inbox/detail/block_pool.hpp>
#include <heph/inbox/future.hpp>

namespace heph::test {

/// A deterministic executor. *Thread safety*: unsafe: wakes come from its own thread too.
class poll_loop {
public:
    poll_loop() = default;
    poll_loop(const poll_loop&) = delete;
    poll_loop& operator=(const poll_loop&) = delete;
    ~poll_loop() {
        drop_all();
        run();
    }

    /// Adds a future, whose value will be dropped. It is polled by the next `run`.
    template <future F>
    void spawn(F running) {
        process& added = *new process_of<F>(*this, std::move(running));
        link(added);
        wake(&added);
    }

    /// Polls what is ready, at most `polls_max` times. Gives the number of polls.
    std::size_t run(std::size_t polls_max = static_cast<std::size_t>(-1)) {
        std::size_t polls = 0;
        while (first_ != nullptr && polls < polls_max) {
            process& next = *std::exchange(first_, first_->next);
            next.queued = false;
            const queue_reference taken(next);
            if (next.finished) { continue; }
            ++polls;
            if (next.functions->poll(next, taken.who)) { finish(next); }
        }
        return polls;
    }

    /// Counts the futures that are not finished.
    [[nodiscard]] std::size_t unfinished() const noexcept { return living_count_; }

    /// Cancels every future, the oldest first.
    void drop_all() noexcept {
        while (oldest_ != nullptr) { finish(*oldest_); }
    }

private:
    struct process;
    struct process_functions {
        bool (*poll)(process& self, const waker& waker);
        void (*drop_future)(process& self) noexcept;
        void (*free)(process* self) noexcept;
    };

    struct process {
        process(poll_loop& owner, const process_functions& of_type) noexcept
            : functions(&of_type), loop(&owner) {}
        const process_functions* functions;
        poll_loop* loop;
        process* next = nullptr;  // In the queue.
        process* older = nullptr;
        process* newer = nullptr;
        std::uint32_t references = 1;  // The first one is that of the list of the living.
        bool queued = false;
        bool finished = false;
    };

    template <typename F>
    struct process_of final : process {
        process_of(poll_loop& owner, F&& running) : process(owner, type_functions) {
            ::new (static_cast<void*>(storage)) F(std::move(running));
        }
        static F& stored(process& self) noexcept {
            return *std::launder(reinterpret_cast<F*>(static_cast<process_of&>(self).storage));
        }
        static bool poll_it(process& self, const waker& waker) {
            return stored(self).poll(waker).is_ready();
        }
        static void drop_it(process& self) noexcept { stored(self).~F(); }
        static void free_it(process* self) noexcept { delete static_cast<process_of*>(self); }
        static constexpr process_functions type_functions{&poll_it, &drop_it, &free_it};

        // As heph-rt does it.
        static constexpr bool is_pooled(std::size_t size) noexcept {
            return size <= inbox::detail::block_pool::bytes_max;
        }
        static void* operator new(std::size_t size) {
            return is_pooled(size) ? inbox::detail::block_pool::allocate(size)
                                   : ::operator new(size);
        }
        static void operator delete(void* memory, std::size_t size) noexcept {
            is_pooled(size) ? inbox::detail::block_pool::deallocate(memory, size)
                            : ::operator delete(memory);
        }
        static void* operator new(std::size_t size, std::align_val_t alignment) {
            return ::operator new(size, alignment);
        }
        static void operator delete(void* memory, std::size_t /*size*/,
                                    std::align_val_t alignment) noexcept {
            ::operator delete(memory, alignment);
        }

        alignas(F) std::byte storage[sizeof(F)];
    };

    // Takes over the queue's reference, as a waker that is dropped without a call through it.
    struct queue_reference {
        explicit queue_reference(process& of) noexcept : who(&of, &waker_functions), its(&of) {}
        queue_reference(const queue_reference&) = delete;
        queue_reference& operator=(const queue_reference&) = delete;
        ~queue_reference() { drop(its); }
        union {
            const waker who;
        };
        process* its;
    };

    void link(process& added) noexcept {
        added.older = newest_;
        (newest_ != nullptr ? newest_->newer : oldest_) = &added;
        newest_ = &added;
        ++living_count_;
    }

    // Out of the list first: what the future destroys may look at the loop, or add to it.
    void finish(process& ended) noexcept {
        ended.finished = true;
        (ended.older != nullptr ? ended.older->newer : oldest_) = ended.newer;
        (ended.newer != nullptr ? ended.newer->older : newest_) = ended.older;
        --living_count_;
        ended.functions->drop_future(ended);
        drop(&ended);
    }

    static void clone(void* data) noexcept { ++static_cast<process*>(data)->references; }
    static void drop(void* data) noexcept {
        auto* one = static_cast<process*>(data);
        if (--one->references == 0) { one->functions->free(one); }
    }
    static void wake(void* data) noexcept {
        auto* one = static_cast<process*>(data);
        if (one->queued || one->finished) { return; }
        ++one->references;
        push(*one);
    }
    // The queue takes over the waker's reference.
    static void wake_and_drop(void* data) noexcept {
        auto* one = static_cast<process*>(data);
        if (one->queued || one->finished) {
            drop(data);
            return;
        }
        push(*one);
    }
    static void push(process& woken) noexcept {
        woken.queued = true;
        woken.next = nullptr;
        poll_loop& loop = *woken.loop;
        (loop.first_ != nullptr ? loop.last_->next : loop.first_) = &woken;
        loop.last_ = &woken;
    }
    static constexpr waker_vtable waker_functions{&clone, &wake, &drop, &wake_and_drop};

    process* first_ = nullptr;  // Of the queue.
    process* last_ = nullptr;
    process* oldest_ = nullptr;  // Of the living.
    process* newest_ = nullptr;
    std::size_t living_count_ = 0;
};

}  // namespace heph::test
