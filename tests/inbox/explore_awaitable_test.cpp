// All interleavings of threads that wake a foreign coroutine with the executor that resumes it.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include <catch2/catch.hpp>

#include <heph/inbox/awaitable.hpp>

#include "inbox/explore.hpp"
#include "inbox/foreign.hpp"

using namespace heph;
using namespace heph::inbox::test;
using explored::check;
using explored::program;

namespace {

struct no_release : explored::sound {
    static constexpr bool releases = false;
};
struct no_acquire : explored::sound {
    static constexpr bool acquires = false;
};

// An executor, a future that is ready when its flag is set, and a coroutine that awaits it.
// What is not atomic changes between two steps only; the explorer is told of each access to it.
template <typename Variant>
struct scene {
    using environment = explored::environment<Variant>;

    // A queue, to which posting takes two steps: to put, and to say so.
    struct executor {
        std::deque<resumption> queue;
        typename environment::template atomic<std::uint32_t> posts = 0;
        bool alive = true;
        int copies = 1;  // Of each resumption; one is enough, more do no harm.

        void post(resumption next) {
            environment::reads(&alive);
            check(alive, "posted to an executor that is gone");
            for (int i = 1; i < copies; ++i) { queue.push_back(next); }
            queue.push_back(std::move(next));
            posts.fetch_add(1, std::memory_order_acq_rel);
            environment::reads(&alive);
            check(alive, "the executor went before the post was over");
        }
        // Runs what is there. Tells whether there was something.
        bool run() {
            (void)posts.fetch_add(0, std::memory_order_acq_rel);
            if (queue.empty()) { return false; }
            const resumption next = std::move(queue.front());
            queue.pop_front();
            next();
            return true;
        }
    };

    class flagged {
    public:
        using value_type = int;
        explicit flagged(scene& all) noexcept : all_(&all) {}
        flagged(flagged&& other) noexcept = default;
        flagged& operator=(flagged&&) = delete;

        polled<int> poll(const waker& who) noexcept {
            check(!std::exchange(all_->is_polling, true), "two polls at once");
            environment::writes(&all_->is_polling);
            all_->last = who;
            const bool is_set = all_->ready.load(std::memory_order_acquire) != 0;
            all_->is_polling = false;
            if (!is_set) { return pending; }
            return 1;
        }

    private:
        scene* all_;
    };

    using awaiter = resume_on_awaiter<executor*, flagged, environment>;

    static foreign await(scene& all) {
        executor* on = &*all.where;
        const int value = co_await awaiter(std::move(on), flagged(all));
        check(value == 1, "resumed without the value");
        ++all.resumed;
    }

    void start() { waiting.emplace(await(*this)); }
    // Wakes with what it finds, as a channel does.
    void wake(bool with_value) {
        if (with_value) { (void)ready.fetch_or(1, std::memory_order_acq_rel); }
        const waker who = last;
        who.wake();
    }
    // Ends the coroutine, and then directly the executor.
    void end() {
        waiting.reset();
        environment::writes(&where->alive);
        where->alive = false;
        dead_queue = std::move(where->queue);
    }

    std::optional<executor> where{std::in_place};
    std::deque<resumption> dead_queue;
    typename environment::template atomic<std::uint32_t> ready = 0;
    waker last;
    bool is_polling = false;
    int resumed = 0;
    std::optional<foreign> waiting;
};

explored::options preemptions(int most, bool is_broken = false) {
    explored::options chosen;
    chosen.preemptions_max = most;
    chosen.is_broken = is_broken;
    return chosen;
}

// The value comes from one thread, spurious wakes from another one.
template <typename Variant>
void value_and_spurious_wake(program& made) {
    auto all = std::make_shared<scene<Variant>>();
    all->start();
    made.thread([=] { all->wake(true); });
    made.thread([=] { all->wake(false); });
    made.thread([=] {
        while (all->resumed == 0) {
            if (!all->where->run()) { explored::pause(); }
        }
        all->end();
    });
    made.afterwards([=] { check(all->resumed == 1, "not resumed once"); });
}

// The coroutine is destroyed while it is being woken, and the executor right behind it.
template <typename Variant>
void destroyed_while_woken(program& made) {
    auto all = std::make_shared<scene<Variant>>();
    all->start();
    made.thread([=] { all->wake(true); });
    made.thread([=] { all->wake(false); });
    made.thread([=] {
        if (explored::choose(2) == 1) { (void)all->where->run(); }
        all->end();
        for (const resumption& late : all->dead_queue) { late(); }
    });
}

}  // namespace

TEST_CASE("explore: a foreign coroutine is resumed once, whoever wakes it when",
          "[inbox][explore]") {
    (void)explore(100, preemptions(3), value_and_spurious_wake<explored::sound>);
}

TEST_CASE("explore: a foreign coroutine and its executor may go while others wake it",
          "[inbox][explore]") {
    (void)explore(100, preemptions(3), destroyed_while_woken<explored::sound>);
}

TEST_CASE("explore: two threads of an executor do not poll a foreign coroutine at once",
          "[inbox][explore]") {
    (void)explore(100, preemptions(2), [](program& made) {
        auto all = std::make_shared<scene<explored::sound>>();
        all->where->copies = 2;
        all->start();
        made.thread([=] {
            all->wake(false);
            all->wake(true);
        });
        for (int i = 0; i < 2; ++i) {
            made.thread([=] {
                while (all->resumed == 0) {
                    if (!all->where->run()) { explored::pause(); }
                }
            });
        }
        made.afterwards([=] {
            all->end();
            check(all->resumed == 1, "not resumed once");
        });
    });
}

TEST_CASE("explore: an executor that goes too early is found when a post does not release its end",
          "[inbox][explore]") {
    CHECK_FALSE(
        explored::explore(preemptions(3, true), destroyed_while_woken<no_release>).failure.empty());
    CHECK_FALSE(
        explored::explore(preemptions(3, true), destroyed_while_woken<no_acquire>).failure.empty());
}
