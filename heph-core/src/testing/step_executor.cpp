// States of a process
//     idle     --wake-->                  ready    (it is in the list of ready ones)
//     ready    --chosen-->                polled   (it is out of the list)
//     polled   --wake, of itself too-->   polled and ready
//     any      --finished, or dropped-->  ended    (its work is gone; wakes do nothing)
//
// A waker holds a reference to its process and, through it, to the list of ready ones; so it may
// outlive the executor. The process's work belongs to the executor alone.

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <new>
#include <string_view>

#include <heph/core/testing/describe.hpp>
#include <heph/core/testing/step_executor.hpp>

namespace heph::testing {

namespace detail {

namespace {

constexpr std::size_t remembered_steps = 24;

struct step_process;

// Who is ready, in the order in which they were woken. Wakes come from any thread.
struct ready_list {
    std::mutex mutex;
    std::vector<step_process*> waiting;  // Each with a reference.
};

struct step_process {
    std::atomic<std::size_t> references{1};
    std::shared_ptr<ready_list> list;
    bool is_ready = false;            // Guarded by the list's mutex.
    bool has_ended = false;           // Guarded by the list's mutex.
    std::unique_ptr<step_work> work;  // Only the executor touches it. None in a watcher.
    std::string name;

    void drop() noexcept {
        // Acquire and release, pairs with itself: the last one sees what all others did.
        if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) { delete this; }
    }
    void clone() noexcept {
        // Relaxed: who copies a reference has one.
        references.fetch_add(1, std::memory_order_relaxed);
    }
    void wake() noexcept {
        const std::scoped_lock lock(list->mutex);
        if (has_ended || is_ready) { return; }
        is_ready = true;
        if (work == nullptr) { return; }  // A watcher is asked, and not in the list.
        clone();
        list->waiting.push_back(this);
    }
};

void clone_process(void* data) noexcept { static_cast<step_process*>(data)->clone(); }
void wake_process(void* data) noexcept { static_cast<step_process*>(data)->wake(); }
void drop_process(void* data) noexcept { static_cast<step_process*>(data)->drop(); }

constexpr waker_vtable functions{&clone_process, &wake_process, &drop_process};

waker waker_of(step_process& process) noexcept {
    process.clone();
    return {&process, &functions};
}

}  // namespace

class step_core {
public:
    step_core(schedule order, step_options options) : order_(std::move(order)), options_(options) {}
    step_core(const step_core&) = delete;
    step_core& operator=(const step_core&) = delete;
    ~step_core() {
        // What goes may spawn others, or wake those that went before.
        while (!all_.empty()) {
            step_process* first = all_.front();
            all_.erase(all_.begin());
            end(*first);
        }
        std::vector<step_process*> left;
        {
            const std::scoped_lock lock(list_->mutex);
            std::swap(left, list_->waiting);
        }
        for (step_process* one : left) { one->drop(); }
    }

    void add(std::unique_ptr<step_work> work, std::string name) {
        auto made = std::make_unique<step_process>();
        made->list = list_;
        made->work = std::move(work);
        ++spawned_;
        made->name = name.empty() ? "#" + std::to_string(spawned_)
                                  : std::move(name) + "#" + std::to_string(spawned_);
        all_.push_back(made.get());
        made.release()->wake();
    }

    bool step() {
        step_process* chosen = choose(false);
        if (chosen == nullptr) { return false; }
        poll(*chosen);
        return true;
    }

    bool step_until(steady_time until) {
        const auto timer = clock_.next_timer();
        const bool has_timer = timer.has_value() && *timer <= until;
        step_process* chosen = choose(has_timer && options_.early_timers);
        if (chosen != nullptr) {
            poll(*chosen);
            return true;
        }
        if (!has_timer) { return false; }
        count_poll();
        remember("+" + to_text(*timer - clock_.now()));
        clock_.advance_to(*timer);
        return true;
    }

    [[nodiscard]] std::string describe() const {
        std::string text = "schedule " + order_.to_string();
        if (order_.to_string() != order_.path_taken()) { text += " = " + order_.path_taken(); }
        text += "; ran ";
        if (history_.empty()) { text += "nothing"; }
        if (polls_ > history_.size()) { text += "..., "; }
        for (std::size_t i = 0; i < history_.size(); ++i) {
            text += (i != 0 ? ", " : "") + history_[i];
        }
        text += all_.empty() ? "; all are finished" : "; not finished:";
        for (const step_process* one : all_) { text += " " + one->name; }
        return text;
    }

    [[nodiscard]] std::size_t ready() const {
        const std::scoped_lock lock(list_->mutex);
        return static_cast<std::size_t>(
            std::ranges::count_if(list_->waiting, [](const auto* one) { return !one->has_ended; }));
    }

    [[nodiscard]] const virtual_clock& clock() const noexcept { return clock_; }
    [[nodiscard]] const stop_signal& stop() const noexcept { return stop_; }
    [[nodiscard]] const rethrow_supervisor& supervisor() const noexcept { return supervisor_; }
    [[nodiscard]] const schedule& order() const noexcept { return order_; }
    [[nodiscard]] std::size_t unfinished() const noexcept { return all_.size(); }
    [[nodiscard]] std::shared_ptr<ready_list> list() const noexcept { return list_; }

private:
    // Takes one of the ready ones out of the list, with its reference. Null when there is none, or
    // when the schedule chose the timer.
    step_process* choose(bool or_a_timer) {
        std::unique_lock lock(list_->mutex);
        std::vector<step_process*> ended;
        std::erase_if(list_->waiting, [&](step_process* one) {
            if (one->has_ended) { ended.push_back(one); }
            return one->has_ended;
        });
        step_process* taken = nullptr;
        if (const std::size_t ready = list_->waiting.size(); ready != 0) {
            const std::size_t among = ready + (or_a_timer ? 1U : 0U);
            const std::size_t chosen = among > 1 ? order_.choose(among) : 0;
            if (chosen < ready) {
                taken = list_->waiting[chosen];
                list_->waiting.erase(list_->waiting.begin() + static_cast<std::ptrdiff_t>(chosen));
                taken->is_ready = false;
            }
        }
        lock.unlock();
        for (step_process* one : ended) { one->drop(); }
        return taken;
    }

    void poll(step_process& process) {
        const waker waker(&process, &functions);  // Takes the list's reference over.
        count_poll();
        remember(process.name);
        bool finished = true;
        std::exception_ptr thrown;
        try {
            finished = process.work->poll(waker);
        } catch (...) { thrown = std::current_exception(); }
        if (finished) {
            std::erase(all_, &process);
            end(process);
        }
        if (thrown) { std::rethrow_exception(std::move(thrown)); }
        supervisor_.rethrow();
    }

    // Drops the work, and the executor's reference.
    static void end(step_process& process) {
        {
            const std::scoped_lock lock(process.list->mutex);
            process.has_ended = true;
        }
        process.work.reset();
        process.drop();
    }

    void count_poll() {
        if (++polls_ > options_.polls_max) {
            throw expectation_failed("there is no end after " + std::to_string(options_.polls_max) +
                                     " polls (" + describe() + ")");
        }
    }

    // A poll that was taken is not lost for want of memory to say so, as in tests of such want.
    void remember(std::string what) {
        if (history_.size() == remembered_steps) { history_.pop_front(); }
        try {
            history_.push_back(std::move(what));
        } catch (const std::bad_alloc&) {}  // One step less is known.
    }

    virtual_clock clock_;
    stop_signal stop_;
    rethrow_supervisor supervisor_;
    schedule order_;
    step_options options_;
    std::shared_ptr<ready_list> list_ = std::make_shared<ready_list>();
    std::vector<step_process*> all_;  // Not finished, in the order of spawning.
    std::deque<std::string> history_;
    std::size_t polls_ = 0;
    std::size_t spawned_ = 0;
};

}  // namespace detail

void step_runtime::add(std::unique_ptr<detail::step_work> work, std::string name) const {
    core_->add(std::move(work), std::move(name));
}

const virtual_clock& step_runtime::clock() const noexcept { return core_->clock(); }
stop_future step_runtime::stopping() const noexcept { return core_->stop().stopping(); }
void step_runtime::request_stop() const noexcept { core_->stop().request(); }

step_executor::step_executor(schedule order, step_options options)
    : core_(std::make_unique<detail::step_core>(std::move(order), options)) {}

step_executor::~step_executor() = default;

rethrow_supervisor step_executor::supervisor() const noexcept { return core_->supervisor(); }

bool step_executor::step() { return core_->step(); }

bool step_executor::step_until(steady_time until) { return core_->step_until(until); }

std::size_t step_executor::run_until_idle() {
    std::size_t polls = 0;
    while (step()) { ++polls; }
    return polls;
}

void step_executor::run() {
    while (step_until(steady_time::max())) {}
}

void step_executor::advance(steady_time::duration by) {
    const steady_time until = heph::detail::later(clock().now(), by);
    while (step_until(until)) {}
    virtual_clock(clock()).advance_to(until);
}

bool step_executor::run_until(const std::function<bool()>& condition,
                              steady_time::duration within) {
    const steady_time until = heph::detail::later(clock().now(), within);
    while (!condition()) {
        if (!step_until(until)) {
            virtual_clock(clock()).advance_to(until);
            return condition();
        }
    }
    return true;
}

std::size_t step_executor::unfinished() const noexcept { return core_->unfinished(); }

std::size_t step_executor::ready() const { return core_->ready(); }

const schedule& step_executor::order() const noexcept { return core_->order(); }

std::string step_executor::describe() const { return core_->describe(); }

void step_executor::fail_waiting(steady_time::duration within) const {
    throw expectation_failed(
        "a future is not ready, and nothing can happen that would make it, "
        "within " +
        detail::to_text(within) + " (" + describe() + ")");
}

step_executor::watcher::watcher(step_executor& owner) {
    auto* made = new detail::step_process();
    made->list = owner.core_->list();
    made->is_ready = true;  // Worth a first poll.
    state_ = std::shared_ptr<void>(
        made, [](void* data) { static_cast<detail::step_process*>(data)->drop(); });
    waker_ = detail::waker_of(*made);
}

step_executor::watcher::~watcher() = default;

bool step_executor::watcher::is_woken() const noexcept {
    const auto& process = *static_cast<detail::step_process*>(state_.get());
    const std::scoped_lock lock(process.list->mutex);
    return process.is_ready;
}

bool step_executor::watcher::take_woken() noexcept {
    auto& process = *static_cast<detail::step_process*>(state_.get());
    const std::scoped_lock lock(process.list->mutex);
    return std::exchange(process.is_ready, false);
}

}  // namespace heph::testing
