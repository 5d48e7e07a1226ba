// The same actors on every executor: a bare poll loop, the test kit's, heph-rt, and Boost.Asio.
//
// What the actors see goes into a record, which several threads may write to; the test compares it
// when all have ended.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/actor_group.hpp>
#include <heph/core/join.hpp>
#include <heph/core/match.hpp>
#include <heph/core/stream_rpc.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/timing.hpp>
#include <heph/core/yield.hpp>

#include "core/executors.hpp"
#include "core/probes.hpp"

using heph::actor_options;
using heph::actor_ref;
using heph::context;
using heph::task;
using namespace std::chrono_literals;

#define HEPH_EXECUTORS                                                                     \
    heph::test::on_a_poll_loop, heph::test::on_a_step_executor, heph::test::on_heph_rt,    \
        heph::test::on_shared_heph_rt, heph::test::on_asio, heph::test::on_an_asio_strand, \
        heph::test::on_asio_threads

namespace {

class record {
public:
    static constexpr bool is_shareable = true;  // It locks.

    void add(std::string what) {
        const std::scoped_lock lock(mutex_);
        all_.push_back(std::move(what));
    }
    [[nodiscard]] std::vector<std::string> all() const {
        const std::scoped_lock lock(mutex_);
        return all_;
    }
    [[nodiscard]] std::vector<std::string> sorted() const {
        auto lines = all();
        std::ranges::sort(lines);
        return lines;
    }

private:
    mutable std::mutex mutex_;
    std::vector<std::string> all_;
};

using lines = std::vector<std::string>;
using shared_record = std::shared_ptr<record>;

std::string to_text(const std::expected<int, heph::rpc_error>& answer) {
    return answer ? std::to_string(*answer) : std::string(to_string(answer.error()));
}

actor_options options(std::size_t inbox_size) {
    actor_options made;
    made.inbox_size = inbox_size;
    made.name = "actor";
    return made;
}

// ---- State, calls and the end of references ----

class add {
public:
    explicit add(int amount) : amount_(amount) {}
    [[nodiscard]] int amount() const { return amount_; }

private:
    int amount_;
};
using get_total = heph::rpc<void, int>;
using counter_message = std::variant<add, get_total>;

template <typename RT>
task<> counter(context<counter_message, RT> ctx, shared_record seen) {
    int total = 0;
    while (auto message = co_await ctx.receive()) {
        heph::match(
            *message, [&](add& m) { total += m.amount(); },
            [&](get_total& call) { call.respond(total); });
    }
    seen->add("ended with " + std::to_string(total));
}

task<> counts(actor_ref<counter_message> ref, shared_record seen) {
    for (int i = 1; i <= 100; ++i) {
        auto sent = co_await ref.emplace<add>(i);
        if (!sent) { seen->add("not sent"); }
    }
    auto total = co_await ref.rpc<get_total>();
    seen->add("total " + to_text(total));
}

// ---- Failures ----

using divide = heph::rpc<int, int>;

template <typename RT>
task<std::expected<void, std::string>> divider(context<divide, RT> ctx, int dividend) {
    while (auto call = co_await ctx.receive()) {
        if (call->request() == 0) { co_return std::unexpected(std::string("by zero")); }
        if (call->request() < 0) { throw std::domain_error("negative"); }
        call->respond(dividend / call->request());
    }
    co_return std::expected<void, std::string>();
}

task<> divides(actor_ref<divide> ref, shared_record seen) {
    // All of them at once: those behind a fatal one are in the inbox when the actor restarts.
    auto all = co_await heph::join(ref.rpc(5), ref.rpc(0), ref.rpc(4), ref.rpc(-1), ref.rpc(2));
    seen->add(to_text(std::get<0>(all)));
    seen->add(to_text(std::get<1>(all)));
    seen->add(to_text(std::get<2>(all)));
    seen->add(to_text(std::get<3>(all)));
    seen->add(to_text(std::get<4>(all)));
}

// ---- Time ----

template <typename RT>
task<> patient(context<int, RT> ctx, shared_record seen) {
    const auto begin = ctx.runtime().now();
    auto none = co_await ctx.receive(heph::deadline_in(20ms));
    const bool early = ctx.runtime().now() - begin < 20ms;
    seen->add(!none && none.error() == heph::receive_error::empty && !early ? "none in time"
                                                                            : "wrong");
    auto one = co_await ctx.receive(heph::deadline_in(1h));
    seen->add(one ? "got " + std::to_string(*one) : "nothing");
    auto end = co_await ctx.receive(heph::deadline_in(1h));
    seen->add(!end && end.error() == heph::receive_error::disconnected ? "ended" : "wrong");
}

// Sends only after the receiver's deadline has passed, however long that takes to be seen.
template <typename RT>
task<> sends_once_told(RT runtime, actor_ref<int> ref, shared_record seen, int what) {
    while (seen->all().empty()) { co_await runtime.timer_at(runtime.now() + 5ms); }
    (void)co_await ref.send(what);
}

template <typename RT>
task<> never_answers(context<heph::rpc<int, int>, RT> ctx, shared_record seen) {
    auto call = co_await ctx.receive();
    if (call) { co_await call->closed(); }
    seen->add("the caller gave up");
}

template <typename RT>
task<> gives_up(RT runtime, actor_ref<heph::rpc<int, int>> ref, shared_record seen) {
    auto until = heph::bind_deadline(runtime, heph::deadline_in(5ms));
    auto answer = co_await ref.rpc(std::move(until), 1);
    seen->add("answer: " + to_text(answer));
}

template <typename RT>
task<> ticks(RT runtime, shared_record seen, int name, int times) {
    for (int i = 0; i < times; ++i) {
        co_await runtime.timer_at(runtime.now() + std::chrono::milliseconds(name));
    }
    seen->add("ticked " + std::to_string(name));
}

// ---- Back-pressure ----

template <typename RT>
task<> slow(context<int, RT> ctx, shared_record seen, int expected) {
    int next = 0;
    int wrong = 0;
    while (auto message = co_await ctx.receive()) {
        if (*message != next++) { ++wrong; }
        if (next % 7 == 0) { co_await heph::yield(); }
    }
    seen->add(next == expected && wrong == 0 ? "all in order" : "wrong");
}

task<> floods(actor_ref<int> ref, int count, shared_record seen) {
    for (int i = 0; i < count; ++i) {
        auto sent = co_await ref.send(i);
        if (!sent) { seen->add("not sent"); }
    }
}

// ---- Many ----

template <typename RT>
task<> stage(context<int, RT> ctx, actor_ref<int> next) {
    while (auto token = co_await ctx.receive()) {
        if (*token == 0) { break; }
        auto passed = co_await next.send(*token - 1);
        if (!passed) { break; }
    }
}

template <typename RT>
task<> gathers(context<int, RT> ctx, shared_record seen) {
    long sum = 0;
    while (auto one = co_await ctx.receive()) { sum += *one; }
    seen->add("sum " + std::to_string(sum));
}

// ---- Groups and streamed answers ----

template <typename RT>
task<> works(context<int, RT> ctx, shared_record seen) {
    while (auto job = co_await ctx.receive()) {
        seen->add("job");
        co_await heph::yield();
    }
}

task<> shares_out(heph::actor_group<int> group, shared_record seen) {
    for (int i = 0; i < 40; ++i) {
        auto sent = co_await group.send_to_one(i);
        if (!sent) { seen->add("not sent"); }
    }
    auto report = co_await group.send_to_all(0);
    if (!report) { seen->add("not sent to all"); }
}

using count_up = heph::stream_rpc<int, int>;

template <typename RT>
task<> counts_up(context<count_up, RT> ctx) {
    while (auto call = co_await ctx.receive()) {
        for (int i = 1; i <= call->request(); ++i) {
            auto sent = co_await call->send(i);
            if (!sent) { break; }
        }
        call->finish();
    }
}

task<> listens(actor_ref<count_up> ref, shared_record seen) {
    auto numbers = co_await ref.stream<count_up>(heph::window(3), 200);
    if (!numbers) { co_return; }
    long sum = 0;
    while (auto next = co_await numbers->next()) { sum += *next; }
    seen->add("sum " + std::to_string(sum) + (numbers->result() ? "" : ", broken off"));
}

}  // namespace

TEMPLATE_TEST_CASE("executors: a group shares work out among its members, and reaches all",
                   "[core][executors]", HEPH_EXECUTORS) {
    using runtime = typename TestType::runtime;
    const auto seen = std::make_shared<record>();
    TestType::run([&](runtime rt) {
        heph::actor_group<int> group;
        for (int i = 0; i < 4; ++i) {
            group.add(
                rt.spawn(options(1), heph::no_supervisor(), heph::actor_fn(&works<runtime>), seen));
        }
        rt.spawn_future(shares_out(std::move(group), seen));
    });
    CHECK(seen->all() == lines(44, "job"));
}

TEMPLATE_TEST_CASE("executors: a call is answered by many values, a window at a time",
                   "[core][executors]", HEPH_EXECUTORS) {
    using runtime = typename TestType::runtime;
    const auto seen = std::make_shared<record>();
    TestType::run([&](runtime rt) {
        auto ref = rt.spawn(options(2), heph::no_supervisor(), heph::actor_fn(&counts_up<runtime>));
        rt.spawn_future(listens(std::move(ref), seen));
    });
    CHECK(seen->all() == lines{"sum 20100"});
}

TEMPLATE_TEST_CASE("executors: an actor has its state, answers calls, and ends with its references",
                   "[core][executors]", HEPH_EXECUTORS) {
    using runtime = typename TestType::runtime;
    const auto seen = std::make_shared<record>();
    TestType::run([&](runtime rt) {
        auto ref = rt.spawn(options(4), heph::no_supervisor(),
                            heph::actor_fn<counter_message>(&counter<runtime>), seen);
        rt.spawn_future(counts(std::move(ref), seen));
    });
    CHECK(seen->sorted() == lines{"ended with 5050", "total 5050"});
}

TEMPLATE_TEST_CASE("executors: a restart keeps the inbox, and only the fatal calls have no answer",
                   "[core][executors]", HEPH_EXECUTORS) {
    using runtime = typename TestType::runtime;
    const auto seen = std::make_shared<record>();
    TestType::run([&](runtime rt) {
        const auto supervisor = [](const heph::failure&) { return heph::restart(200); };
        auto ref = rt.spawn(options(2), supervisor, heph::actor_fn(&divider<runtime>), 100);
        rt.spawn_future(divides(std::move(ref), seen));
    });
    const std::string no_reply(to_string(heph::rpc_error::no_reply));
    CHECK(seen->all() == lines{"20", no_reply, "50", no_reply, "100"});
}

TEMPLATE_TEST_CASE("executors: an actor that is stopped disconnects who sends to it",
                   "[core][executors]", HEPH_EXECUTORS) {
    using runtime = typename TestType::runtime;
    const heph::test::captured_log log;
    const auto seen = std::make_shared<record>();
    const auto asks = [](actor_ref<divide> ref, shared_record to) -> task<> {
        auto fatal = co_await ref.rpc(0);
        co_await ref.join();
        auto late = co_await ref.rpc(1);
        to->add(to_text(fatal) + ", " + to_text(late));
    };
    TestType::run([&](runtime rt) {
        auto ref =
            rt.spawn(options(2), heph::stop_supervisor(), heph::actor_fn(&divider<runtime>), 100);
        rt.spawn_future(asks(std::move(ref), seen));
    });
    CHECK(seen->all() == lines{std::string(to_string(heph::rpc_error::no_reply)) + ", " +
                               std::string(to_string(heph::rpc_error::disconnected))});
}

TEMPLATE_TEST_CASE("executors: a deadline ends a receive, not before its time, and loses nothing",
                   "[core][executors]", HEPH_EXECUTORS) {
    using runtime = typename TestType::runtime;
    const auto seen = std::make_shared<record>();
    TestType::run([&](runtime rt) {
        auto ref =
            rt.spawn(options(2), heph::no_supervisor(), heph::actor_fn(&patient<runtime>), seen);
        rt.spawn_future(sends_once_told(rt, std::move(ref), seen, 7));
    });
    CHECK(seen->all() == lines{"none in time", "got 7", "ended"});
}

TEMPLATE_TEST_CASE("executors: a deadline ends a call, and the callee sees it", "[core][executors]",
                   HEPH_EXECUTORS) {
    using runtime = typename TestType::runtime;
    const auto seen = std::make_shared<record>();
    TestType::run([&](runtime rt) {
        auto ref = rt.spawn(options(2), heph::no_supervisor(),
                            heph::actor_fn(&never_answers<runtime>), seen);
        rt.spawn_future(gives_up(rt, std::move(ref), seen));
    });
    CHECK(seen->sorted() == lines{"answer: " + std::string(to_string(heph::rpc_error::timed_out)),
                                  "the caller gave up"});
}

TEMPLATE_TEST_CASE("executors: many timers end", "[core][executors]", HEPH_EXECUTORS) {
    using runtime = typename TestType::runtime;
    const auto seen = std::make_shared<record>();
    TestType::run([&](runtime rt) {
        for (int i = 0; i < 20; ++i) { rt.spawn_future(ticks(rt, seen, i % 4, 4)); }
    });
    CHECK(seen->all().size() == 20);
}

TEMPLATE_TEST_CASE("executors: a full inbox slows its senders down, and keeps their order",
                   "[core][executors]", HEPH_EXECUTORS) {
    using runtime = typename TestType::runtime;
    const auto seen = std::make_shared<record>();
    TestType::run([&](runtime rt) {
        auto ref =
            rt.spawn(options(1), heph::no_supervisor(), heph::actor_fn(&slow<runtime>), seen, 500);
        rt.spawn_future(floods(std::move(ref), 500, seen));
    });
    CHECK(seen->all() == lines{"all in order"});
}

TEMPLATE_TEST_CASE("executors: a ring passes a token until it is used up, and then falls apart",
                   "[core][executors]", HEPH_EXECUTORS) {
    using runtime = typename TestType::runtime;
    const auto seen = std::make_shared<record>();
    TestType::run([&](runtime rt) {
        // The last one leads to the first one by a function: a ring of references would not end.
        auto first = std::make_shared<std::vector<actor_ref<int>>>();
        auto next = actor_ref<int>::to_function([first](int token) {
            if (token == 0) {
                first->clear();
                return true;
            }
            return first->front().try_send(token).has_value();
        });
        for (int i = 0; i < 30; ++i) {
            next = rt.spawn(options(1), heph::no_supervisor(), heph::actor_fn(&stage<runtime>),
                            std::move(next));
        }
        first->push_back(next);
        CHECK(next.try_send(30 * 20));
    });
    SUCCEED("all actors have ended");
}

TEMPLATE_TEST_CASE("executors: what many actors and a plain thread send arrives",
                   "[core][executors]", HEPH_EXECUTORS) {
    using runtime = typename TestType::runtime;
    const auto seen = std::make_shared<record>();
    std::jthread outside;
    TestType::run([&](runtime rt) {
        auto ref =
            rt.spawn(options(8), heph::no_supervisor(), heph::actor_fn(&gathers<runtime>), seen);
        for (int i = 0; i < 50; ++i) { rt.spawn_future(floods(ref, 20, seen)); }
        // Not on those executors whose wakes may only come from their own thread.
        if constexpr (!TestType::is_virtual) {
            outside = std::jthread([to = ref] {
                for (int i = 0; i < 20;) {
                    if (to.try_send(i)) {
                        ++i;
                    } else {
                        std::this_thread::yield();
                    }
                }
            });
        }
    });
    const int senders = TestType::is_virtual ? 50 : 51;
    CHECK(seen->all() == lines{"sum " + std::to_string(190 * senders)});
}
