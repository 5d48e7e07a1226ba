#pragma once

// Several call stacks on one thread, for the explorer. The sanitizers are told of each switch.

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define HEPH_TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEPH_TEST_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define HEPH_TEST_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define HEPH_TEST_TSAN 1
#endif

#if defined(HEPH_TEST_ASAN)
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#if defined(HEPH_TEST_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace heph::test::explored {

/// Lets what is allocated meanwhile leak, when it is so chosen.
class leaks_allowed {
public:
    explicit leaks_allowed(bool allowed) : allowed_(allowed) {
#if defined(HEPH_TEST_ASAN)
        if (allowed_) { __lsan_disable(); }
#endif
    }
    leaks_allowed(const leaks_allowed&) = delete;
    leaks_allowed& operator=(const leaks_allowed&) = delete;
    ~leaks_allowed() {
#if defined(HEPH_TEST_ASAN)
        if (allowed_) { __lsan_enable(); }
#endif
    }

private:
    [[maybe_unused]] bool allowed_;
};

/// A fixed number of fibers, each of which runs a body once in each round.
class fiber_set {
public:
    explicit fiber_set(std::size_t count) : all_(count + 1) {}
    fiber_set(const fiber_set&) = delete;
    fiber_set& operator=(const fiber_set&) = delete;
    ~fiber_set() {
        if (abandoned_) { return; }
        for (std::size_t i = 0; i + 1 < all_.size(); ++i) {
            if (all_[i].started) { resume(main(), i, ending); }
#if defined(HEPH_TEST_TSAN)
            if (all_[i].started) { __tsan_destroy_fiber(all_[i].tsan); }
#endif
        }
    }

    /// Begins a round: runs `body` on the fiber `first`, which runs what it wants on the others by
    /// `switch_to`. Returns after `to_main` or `abandon`.
    void start(std::size_t first, std::function<void(std::size_t)> body) {
        body_ = std::move(body);
#if defined(HEPH_TEST_TSAN)
        all_[main()].tsan = __tsan_get_current_fiber();
#endif
        resume(main(), first, running);
    }

    /// Goes on with another fiber. *Requires*: a fiber runs.
    void switch_to(std::size_t next) {
        const std::size_t before = current_;
        resume(before, next, running);
    }
    /// Ends the round; the fibers wait for the next one. *Requires*: each one's body is at its end.
    void to_main() { resume(current_, main(), running); }

    /// Ends the round in the middle of everything. The fibers cannot be used any more.
    void abandon() {
        abandoned_ = true;
        static std::vector<std::unique_ptr<std::byte[]>> stacks;
        for (fiber& one : all_) {
            if (one.stack) { stacks.push_back(std::move(one.stack)); }
        }
        to_main();
    }

private:
    enum mode : unsigned char { running, ending };

    static constexpr std::size_t stack_bytes = std::size_t{1} << 18U;

    struct fiber {
        ucontext_t context{};
        std::unique_ptr<std::byte[]> stack;
        const void* bottom = nullptr;
        std::size_t size = 0;
        bool started = false;
#if defined(HEPH_TEST_ASAN)
        void* fake_stack = nullptr;
#endif
#if defined(HEPH_TEST_TSAN)
        void* tsan = nullptr;
#endif
    };

    [[nodiscard]] std::size_t main() const { return all_.size() - 1; }

    void resume(std::size_t from, std::size_t to, mode how) {
        mode_ = how;
        fiber& next = all_[to];
        if (to != main() && !next.started) { make(next); }
        current_ = to;
        swap(all_[from], next, false);
    }

    void swap(fiber& from, fiber& to, [[maybe_unused]] bool is_last) {
#if defined(HEPH_TEST_ASAN)
        __sanitizer_start_switch_fiber(is_last ? nullptr : &from.fake_stack, to.bottom, to.size);
#endif
#if defined(HEPH_TEST_TSAN)
        __tsan_switch_to_fiber(to.tsan, 0);
#endif
        (void)swapcontext(&from.context, &to.context);
#if defined(HEPH_TEST_ASAN)
        __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
    }

    void make(fiber& one) {
        one.started = true;
        one.stack = std::make_unique<std::byte[]>(stack_bytes);
        one.bottom = one.stack.get();
        one.size = stack_bytes;
        (void)getcontext(&one.context);
        one.context.uc_stack.ss_sp = one.stack.get();
        one.context.uc_stack.ss_size = stack_bytes;
        one.context.uc_link = nullptr;
#if defined(HEPH_TEST_TSAN)
        one.tsan = __tsan_create_fiber(0);
#endif
        const auto self = reinterpret_cast<std::uintptr_t>(this);
        makecontext(&one.context, reinterpret_cast<void (*)()>(&enter), 2,
                    static_cast<unsigned>(self & 0xffff'ffffU), static_cast<unsigned>(self >> 32U));
    }

    static void enter(unsigned low, unsigned high) {
        auto* self = reinterpret_cast<fiber_set*>((static_cast<std::uintptr_t>(high) << 32U) | low);
        self->loop();
    }

    // What each fiber does, round after round.
    void loop() {
        const std::size_t self = current_;
#if defined(HEPH_TEST_ASAN)
        fiber& caller = all_[main()];
        const void* bottom = nullptr;
        std::size_t size = 0;
        __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
        if (caller.bottom == nullptr) {  // The first fiber of all is entered from there.
            caller.bottom = bottom;
            caller.size = size;
        }
#endif
        while (mode_ == running) { body_(self); }
        current_ = main();
        swap(all_[self], all_[main()], true);
    }

    std::vector<fiber> all_;
    std::size_t current_ = 0;
    mode mode_ = running;
    bool abandoned_ = false;
    std::function<void(std::size_t)> body_;
};

}  // namespace heph::test::explored
