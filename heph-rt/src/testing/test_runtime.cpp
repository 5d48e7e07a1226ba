#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <heph/core/testing/describe.hpp>
#include <heph/core/testing/expectation.hpp>
#include <heph/inbox/channel.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/testing/test_runtime.hpp>

namespace heph::rt::testing {

namespace {

constexpr std::size_t jobs_max = 64;

/// Does what the test's thread wants done, until that is through with it.
task<> do_jobs(worker here, std::shared_ptr<inbox::receiver<detail::job>> jobs) {
    while (auto todo = co_await jobs->recv()) { (*todo)(here); }
}

}  // namespace

struct test_runtime::state {
    state(runtime made, inbox::sender<detail::job> to_worker)
        : shared(made.shared()), jobs(std::move(to_worker)), running(std::move(made)) {}

    shared_runtime shared;
    heph::testing::rethrow_supervisor failures;
    std::optional<inbox::sender<detail::job>> jobs;  // Nothing once it was asked to stop.
    std::optional<runtime> running;                  // Of the thread.
    std::expected<void, error> ended;                // Of the thread, until it is joined.
    std::thread thread;
};

setup test_runtime::quiet() {
    return setup{}.name("test").ignore_signals().stop_grace(std::chrono::seconds(1));
}

test_runtime::test_runtime(const setup& settings) {
    auto made = settings.build();
    if (!made) { throw std::system_error(made.error().code(), made.error().message()); }
    auto [sender, receiver] = inbox::channel<detail::job>(jobs_max);
    auto jobs = std::make_shared<inbox::receiver<detail::job>>(std::move(receiver));
    made->run_on_workers([jobs](worker& here) {
        if (here.index() == 0) { here.spawn_future(do_jobs(here, jobs)); }
    });
    state_ = std::make_unique<state>(*std::move(made), std::move(sender));
    state_->thread = std::thread([&of = *state_, jobs = std::move(jobs)]() mutable {
        of.ended = of.running->start();
        // With these go the jobs that nobody did, which whoever waits for them learns by.
        of.running.reset();
        jobs.reset();
    });
}

test_runtime::~test_runtime() {
    try {
        stop();
    } catch (...) {}  // NOLINT(bugprone-empty-catch): whoever wants to know calls `stop`.
}

heph::testing::rethrow_supervisor test_runtime::supervisor() const { return state_->failures; }

shared_runtime test_runtime::shared() const { return state_->shared; }

void test_runtime::stop() {
    if (!state_->thread.joinable()) { return; }
    state_->jobs.reset();
    state_->shared.request_stop();
    state_->thread.join();
    if (!state_->ended) {
        throw std::system_error(state_->ended.error().code(), state_->ended.error().message());
    }
    state_->failures.rethrow();
}

void test_runtime::post(detail::job todo) {
    if (!state_->jobs || !state_->jobs->send_blocking(std::move(todo))) { fail_ended(); }
}

void test_runtime::fail_late(const char* what, std::chrono::nanoseconds within) {
    throw heph::testing::expectation_failed(std::string(what) + " within " +
                                            heph::testing::detail::to_text(within));
}

void test_runtime::fail_ended() {
    throw heph::testing::expectation_failed("the runtime of the test has ended before");
}

}  // namespace heph::rt::testing
