// Runs actors on an executor of one's own: a queue of what was woken, on one thread.
//
// Two actors take turns until one of them has had enough. Nothing but heph-core is needed; the
// same few lines fit an actor into the loop of a game, of a GUI, or of another library.

#include <cstddef>
#include <deque>
#include <iostream>
#include <optional>
#include <utility>
#include <vector>

#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

namespace {

/// Runs futures on the thread that calls `run`, and owns them. A waker refers to a process, which
/// is counted, so that a wake which comes after the future has gone finds nothing to do.
class executor {
public:
    executor() = default;
    executor(const executor&) = delete;
    executor& operator=(const executor&) = delete;
    ~executor() {
        for (process* one : all_) { one->end(); }  // Dropping a future cancels it.
        while (!woken_.empty()) { drop(take_next()); }
        for (process* one : all_) { drop(one); }
    }

    template <heph::future F>
    void spawn(F future) {
        all_.push_back(new holder<F>(*this, std::move(future)));
        wake(all_.back());
    }

    /// Polls whatever was woken, until nothing is.
    void run() {
        while (!woken_.empty()) {
            process* next = take_next();
            const heph::waker waker(next, &functions);  // Takes over the queue's reference.
            if (next->has_ended() || !next->poll(waker)) { continue; }
            next->end();
            std::erase(all_, next);
            drop(next);
        }
    }

private:
    struct process {
        explicit process(executor& by) : owner(by) {}
        process(const process&) = delete;
        process& operator=(const process&) = delete;
        virtual ~process() = default;
        virtual bool poll(const heph::waker& waker) = 0;
        virtual void end() = 0;
        [[nodiscard]] virtual bool has_ended() const = 0;

        executor& owner;
        std::size_t references = 1;
        bool queued = false;
    };

    template <typename F>
    struct holder final : process {
        holder(executor& by, F&& future) : process(by), held(std::move(future)) {}
        bool poll(const heph::waker& waker) override { return held->poll(waker).is_ready(); }
        void end() override { held.reset(); }
        [[nodiscard]] bool has_ended() const override { return !held.has_value(); }
        std::optional<F> held;
    };

    process* take_next() {
        process* next = woken_.front();
        woken_.pop_front();
        next->queued = false;
        return next;
    }

    // All on one thread here. With several, the count and the queue have to be atomic or locked.
    static void clone(void* data) noexcept { ++static_cast<process*>(data)->references; }
    static void drop(void* data) noexcept {
        auto* dropped = static_cast<process*>(data);
        if (--dropped->references == 0) { delete dropped; }
    }
    static void wake(void* data) noexcept {
        auto* woken = static_cast<process*>(data);
        if (std::exchange(woken->queued, true)) { return; }
        clone(woken);
        woken->owner.woken_.push_back(woken);
    }
    static constexpr heph::waker_vtable functions{&clone, &wake, &drop};

    std::deque<process*> woken_;
    std::vector<process*> all_;
};

class ball {
public:
    ball(int hits, heph::actor_ref<ball> from) : hits_(hits), from_(std::move(from)) {}
    [[nodiscard]] int hits() const { return hits_; }
    [[nodiscard]] const heph::actor_ref<ball>& from() const { return from_; }

private:
    int hits_;
    heph::actor_ref<ball> from_;
};

heph::task<> player(heph::context<ball> ctx, const char* name) {
    while (auto caught = co_await ctx.receive()) {
        std::cout << name << ' ' << caught->hits() << '\n';
        if (caught->hits() == 4) { co_return; }
        auto sent = co_await caught->from().emplace(caught->hits() + 1, ctx.self());
        if (!sent) { co_return; }
    }
}

}  // namespace

int main() {
    executor on_this_thread;
    auto [ping, ping_ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(player),
                                             heph::no_runtime(), {}, "ping");
    auto [pong, pong_ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(player),
                                             heph::no_runtime(), {}, "pong");
    on_this_thread.spawn(std::move(ping));
    on_this_thread.spawn(std::move(pong));
    if (!ping_ref.try_emplace(1, pong_ref)) { return 1; }
    on_this_thread.run();
}
