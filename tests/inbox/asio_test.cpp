// Futures as operations of Boost.Asio, on one thread.

#include <chrono>
#include <cstddef>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <heph/inbox/asio.hpp>
#include <heph/inbox/channel.hpp>
#include <heph/inbox/oneshot.hpp>

#include "odd_futures.hpp"
#include "probe.hpp"

using namespace heph;
using namespace heph::inbox::test;
namespace asio = boost::asio;
using boost::system::error_code;
using inbox::channel;
using inbox::receiver;
using inbox::sender;

namespace {

asio::awaitable<void> send_all(sender<int> to, int count) {
    for (int n = 0; n < count; ++n) {
        const auto sent = co_await async_await(to.send(n));
        if (!sent) { co_return; }
    }
}

asio::awaitable<void> receive_all(receiver<int> from, std::vector<int>& out) {
    while (const auto got = co_await async_await(from.recv())) { out.push_back(*got); }
}

}  // namespace

TEST_CASE("asio: awaitables send and receive through a channel, in order, until it closes",
          "[asio]") {
    asio::io_context context;
    auto [tx, rx] = channel<int>(2);
    std::vector<int> received;
    asio::co_spawn(context, receive_all(std::move(rx), received), asio::detached);
    asio::co_spawn(context, send_all(std::move(tx), 100), asio::detached);
    context.run();
    REQUIRE(received.size() == 100);
    for (int n = 0; n < 100; ++n) { CHECK(received[static_cast<std::size_t>(n)] == n); }
}

TEST_CASE("asio: a send learns that the receiver has gone while it waited", "[asio]") {
    asio::io_context context;
    auto [tx, rx] = channel<int>(1);
    REQUIRE(tx.try_send(1));
    std::optional<bool> disconnected;
    asio::co_spawn(
        context,
        [](sender<int> to, std::optional<bool>& out) -> asio::awaitable<void> {
            const auto sent = co_await async_await(to.send(2));
            out = !sent && sent.error().is_disconnected() && sent.error().value() == 2;
        }(std::move(tx), disconnected),
        asio::detached);
    context.poll();
    CHECK_FALSE(disconnected);
    { const auto gone = std::move(rx); }
    context.run();
    CHECK(disconnected == true);
}

TEST_CASE("asio: all that a channel and a one-shot offer can be awaited", "[asio]") {
    asio::io_context context;
    std::string log;
    auto [tx, rx] = channel<std::string>(4);
    auto [answer, question] = inbox::oneshot<int>();
    asio::co_spawn(
        context,
        [](receiver<std::string> from, inbox::oneshot_sender<int> to,
           std::string& out) -> asio::awaitable<void> {
            auto* next = co_await async_await(from.peek());
            out += "peek " + *next;
            std::vector<std::string> many;
            (void)co_await async_await(from.recv_many(many, 8));
            for (const auto& message : many) { out += ", " + message; }
            co_await async_await(from.join());
            out += ", join";
            co_await async_await(to.closed());
            out += ", closed";
        }(std::move(rx), std::move(answer), log),
        asio::detached);
    asio::co_spawn(
        context,
        [](sender<std::string> to, inbox::oneshot_receiver<int> from) -> asio::awaitable<void> {
            const auto sent = co_await async_await(to.emplace("a"), asio::use_awaitable);
            CHECK(sent.has_value());
            { const auto gone = std::move(to); }
            { const auto gone = std::move(from); }
        }(std::move(tx), std::move(question)),
        asio::detached);
    context.run();
    CHECK(log == "peek a, a, join, closed");
}

TEST_CASE("asio: a handler is never called by the initiating function, the waker or the sender",
          "[asio]") {
    asio::io_context context;
    auto [tx, rx] = channel<int>(1);
    int got = 0;
    const auto handler = [&](error_code error, std::optional<int> value) {
        CHECK_FALSE(error);
        got = *value;
    };
    SECTION("when the value is there") {
        REQUIRE(tx.try_send(3));
        async_await(context, rx.recv(), handler);
    }
    SECTION("when it comes later") {
        async_await(context, rx.recv(), handler);
        REQUIRE(tx.try_send(3));
    }
    CHECK(got == 0);
    context.run();
    CHECK(got == 3);
}

TEST_CASE("asio: run() does not return while an operation waits", "[asio]") {
    asio::io_context context;
    auto [tx, rx] = channel<int>(1);
    bool done = false;
    async_await(context, rx.recv(), [&](error_code, std::optional<int>) { done = true; });
    context.poll();
    CHECK_FALSE(context.stopped());
    REQUIRE(tx.try_send(1));
    context.run();
    CHECK(done);
    CHECK(context.stopped());
}

TEST_CASE("asio: sends queue in the order in which they were initiated", "[asio]") {
    asio::io_context context;
    auto [tx, rx] = channel<int>(1);
    for (int n = 0; n < 10; ++n) {
        async_await(context, tx.send(n), [](error_code error, auto sent) {
            CHECK_FALSE(error);
            CHECK(sent.has_value());
        });
    }
    std::vector<int> received;
    while (context.poll() != 0) {
        while (const auto got = rx.try_recv()) { received.push_back(*got); }
    }
    CHECK(received == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("asio: the handler's associated executor calls it", "[asio]") {
    asio::io_context context;
    asio::io_context other;
    auto strand = asio::make_strand(other);
    auto [tx, rx] = channel<int>(1);
    bool in_strand = false;
    async_await(context, rx.recv(),
                asio::bind_executor(strand, [&](error_code, std::optional<int>) {
                    in_strand = strand.running_in_this_thread();
                }));
    context.poll();
    CHECK_FALSE(context.stopped());  // Both have work to wait for.
    REQUIRE(tx.try_send(1));
    context.poll();
    CHECK_FALSE(in_strand);
    other.run();
    CHECK(in_strand);
    context.poll();
    CHECK(context.stopped());
}

TEST_CASE("asio: any completion token will do", "[asio]") {
    asio::io_context context;
    auto [tx, rx] = channel<int>(4);
    std::future<std::optional<int>> future = async_await(context, rx.recv(), asio::use_future);
    REQUIRE(tx.try_send(1));
    context.run();
    CHECK(future.get() == 1);
    context.restart();

    auto deferred = async_await(context.get_executor(), rx.recv(), asio::deferred);
    REQUIRE(tx.try_send(2));
    std::optional<int> got;
    std::move(deferred)([&](error_code, std::optional<int> value) { got = value; });
    context.run();
    CHECK(got == 2);
    context.restart();

    asio::co_spawn(
        context,
        [](receiver<int>& from, sender<int> to) -> asio::awaitable<void> {
            const auto sent = co_await async_await(to.send(3), asio::use_awaitable);
            CHECK(sent.has_value());
            const auto [error, value] =
                co_await async_await(from.recv(), asio::as_tuple(asio::use_awaitable));
            CHECK_FALSE(error);
            CHECK(value == 3);
        }(rx, tx),
        [](const std::exception_ptr& error) { CHECK_FALSE(error); });
    context.run();
}

TEST_CASE("asio: a callback given as an lvalue is copied, and one that only moves is moved",
          "[asio]") {
    asio::io_context context;
    auto [tx, rx] = channel<int>(2);
    const auto sum = std::make_shared<int>(0);
    auto add = [sum](error_code, std::optional<int> value) { *sum += value.value_or(100); };
    async_await(context, rx.recv(), add);
    CHECK(sum.use_count() == 3);
    REQUIRE(tx.try_send(1));
    context.run();
    context.restart();
    async_await(context, rx.recv(),
                [once = std::make_unique<int>(2), sum](error_code, std::optional<int> value) {
                    *sum += *once * value.value_or(100);
                });
    REQUIRE(tx.try_send(4));
    context.run();
    CHECK(*sum == 9);
    CHECK(sum.use_count() == 2);
}

TEST_CASE("asio: a value without a default comes in an optional", "[asio]") {
    asio::io_context context;
    auto state = std::make_shared<manual_state<no_default>>();
    int got = 0;
    async_await(context, manual<no_default>(state),
                [&](error_code error, std::optional<no_default> value) {
                    CHECK_FALSE(error);
                    got = value ? value->value() : -1;
                });
    state->value.emplace(8);
    state->last.wake();
    context.run();
    CHECK(got == 8);
    CHECK_FALSE(state->alive);
}

TEST_CASE("asio: a future whose poll may throw completes with the exception", "[asio]") {
    asio::io_context context;
    const int poll = GENERATE(0, 1, 2);
    waker last;
    std::string caught;
    bool inline_call = true;
    async_await(context, throws_at(poll, last), [&](const std::exception_ptr& error, int) {
        CHECK_FALSE(inline_call);
        try {
            if (error) { std::rethrow_exception(error); }
        } catch (const std::runtime_error& thrown) { caught = thrown.what(); }
    });
    inline_call = false;
    for (int i = 0; i < poll; ++i) {
        CHECK(caught.empty());
        last.wake();
        context.poll();
    }
    context.run();
    CHECK(caught == "thrown by poll");
}

TEST_CASE("asio: spurious wakes, and wakes from within a poll, do no harm", "[asio]") {
    asio::io_context context;
    auto state = std::make_shared<manual_state<int>>();
    state->on_poll = [&] {
        if (state->polls == 4) { state->value = 4; }
        state->last.wake();
    };
    int got = 0;
    async_await(context, manual<int>(state), [&](error_code, int value) { got = value; });
    const waker late = state->last;
    context.run();
    CHECK(got == 4);
    CHECK(state->polls == 4);
    late.wake();
    state->on_poll = nullptr;
}

TEST_CASE("asio: a cancelled receive takes no message", "[asio]") {
    asio::io_context context;
    auto [tx, rx] = channel<int>(1);
    asio::cancellation_signal signal;
    std::optional<error_code> result;
    async_await(context, rx.recv(),
                asio::bind_cancellation_slot(signal.slot(),
                                             [&](error_code error, std::optional<int> value) {
                                                 result = error;
                                                 CHECK_FALSE(value);
                                             }));
    signal.emit(asio::cancellation_type::total);
    CHECK_FALSE(result);
    REQUIRE(tx.try_send(1));
    context.run();
    CHECK(result == asio::error::operation_aborted);
    CHECK(rx.try_recv() == 1);
    signal.emit(asio::cancellation_type::total);  // The slot is empty by now.
}

TEST_CASE("asio: a cancelled send is not sent, and the next one goes ahead", "[asio]") {
    asio::io_context context;
    auto [tx, rx] = channel<int>(1);
    REQUIRE(tx.try_send(0));
    asio::cancellation_signal signal;
    std::optional<error_code> first;
    bool second = false;
    async_await(context, tx.send(1),
                asio::bind_cancellation_slot(signal.slot(),
                                             [&](error_code error, auto) { first = error; }));
    async_await(context, tx.send(2), [&](error_code, auto sent) { second = sent.has_value(); });
    signal.emit(asio::cancellation_type::terminal);
    CHECK(rx.try_recv() == 0);
    context.run();
    CHECK(first == asio::error::operation_aborted);
    CHECK(second);
    CHECK(rx.try_recv() == 2);
}

TEST_CASE("asio: a cancellation that comes after the value changes nothing", "[asio]") {
    asio::io_context context;
    auto [tx, rx] = channel<int>(1);
    REQUIRE(tx.try_send(6));
    asio::cancellation_signal signal;
    int got = 0;
    async_await(context, rx.recv(),
                asio::bind_cancellation_slot(signal.slot(),
                                             [&](error_code error, std::optional<int> value) {
                                                 CHECK_FALSE(error);
                                                 got = *value;
                                             }));
    signal.emit(asio::cancellation_type::all);
    context.run();
    CHECK(got == 6);
}

TEST_CASE("asio: a cancelled future that was given as an lvalue can be asked again", "[asio]") {
    asio::io_context context;
    auto [tx, rx] = channel<std::string>(1);
    REQUIRE(tx.try_send("first"));
    auto sending = tx.send("second");
    asio::cancellation_signal signal;
    const auto wait = [&] {
        std::optional<error_code> result;
        async_await(context, sending,
                    asio::bind_cancellation_slot(signal.slot(),
                                                 [&](error_code error, auto) { result = error; }));
        context.restart();
        context.poll();
        CHECK_FALSE(result);
        signal.emit(asio::cancellation_type::terminal);
        context.run();
        return result.value();
    };
    CHECK(wait() == asio::error::operation_aborted);
    CHECK(wait() == asio::error::operation_aborted);
    CHECK(std::move(sending).cancel() == "second");
}

TEST_CASE("asio: in awaitables, operators race futures and timers", "[asio]") {
    using namespace asio::experimental::awaitable_operators;
    asio::io_context context;
    auto [tx, rx] = channel<int>(2);
    std::string log;
    asio::co_spawn(
        context,
        [](receiver<int> from, sender<int> to, std::string& out) -> asio::awaitable<void> {
            const auto token = asio::use_awaitable;
            asio::steady_timer timer(co_await asio::this_coro::executor);
            timer.expires_after(std::chrono::milliseconds(1));
            auto first = co_await (async_await(from.recv(), token) || timer.async_wait(token));
            out += first.index() == 1 ? "time-out" : "message";
            timer.expires_after(std::chrono::hours(1));
            (void)to.try_send(5);
            auto second = co_await (async_await(from.peek(), token) || timer.async_wait(token));
            out += second.index() == 0 ? ", message" : ", time-out";
            out += " " + std::to_string(from.try_recv().value_or(-1));
            auto both =
                co_await (async_await(to.send(8), token) && async_await(from.recv(), token));
            out += ", both " + std::to_string(std::get<1>(both).value());
        }(std::move(rx), std::move(tx), log),
        [](const std::exception_ptr& error) { CHECK_FALSE(error); });
    context.run();
    CHECK(log == "time-out, message 5, both 8");
}

TEST_CASE("asio: a context that is destroyed takes its operations along", "[asio]") {
    int alive = 0;
    waker late;
    auto state = std::make_shared<manual_state<int>>();
    auto [tx, rx] = channel<counted>(1);
    bool called = false;
    {
        asio::io_context context;
        auto frame = [](receiver<counted> from, manual<int> future, bool& wrong,
                        bool second) -> asio::awaitable<void> {
            const counted local(
                1, *[] {
                    static int locals = 0;
                    return &locals;
                }());
            if (second) { (void)co_await async_await(std::move(future), asio::use_awaitable); }
            (void)co_await async_await(from.recv());
            wrong = true;
        };
        const bool in_manual = GENERATE(true, false);
        asio::co_spawn(context, frame(std::move(rx), manual<int>(state), called, in_manual),
                       asio::detached);
        async_await(context, manual<int>(state), [&](error_code, int) { called = true; });
        context.poll();
        late = state->last;
        SECTION("while they wait") {}
        SECTION("when they were woken") { late.wake(); }
        SECTION("when they have their value") {
            state->value = 1;
            late.wake();
            async_await(context, manual<int>(state), [&](error_code, int) { called = true; });
        }
    }
    CHECK_FALSE(called);
    CHECK_FALSE(state->alive);
    late.wake();
    const auto sent = tx.try_send(counted(1, alive));
    REQUIRE_FALSE(sent);
    CHECK(sent.error().is_disconnected());  // The receiver was in the frame.
}

TEST_CASE("asio: a signal may outlive the context, and be emitted then", "[asio]") {
    asio::cancellation_signal signal;
    auto state = std::make_shared<manual_state<int>>();
    {
        asio::io_context context;
        async_await(context, manual<int>(state),
                    asio::bind_cancellation_slot(signal.slot(), [](error_code, int) {}));
    }
    CHECK_FALSE(state->alive);
    signal.emit(asio::cancellation_type::terminal);
}

TEST_CASE("asio: cancelled at any point, nothing is lost and nothing comes twice", "[asio]") {
    const auto seed = GENERATE(1U, 2U, 3U, 4U);
    std::mt19937 random(seed);
    const auto chance = [&](unsigned of) { return random() % of == 0; };
    asio::io_context context;
    int alive = 0;
    {
        auto [tx, rx] = channel<counted>(2);
        asio::cancellation_signal stop_send;
        asio::cancellation_signal stop_recv;
        bool sending = false;
        bool receiving = false;
        int next = 0;
        int last = -1;
        int received = 0;
        int sent = 0;
        int aborted = 0;
        for (int step = 0; step < 20'000; ++step) {
            if (!sending && chance(2)) {
                sending = true;
                async_await(context, tx.send(counted(next++, alive)),
                            asio::bind_cancellation_slot(stop_send.slot(),
                                                         [&](error_code error, const auto&) {
                                                             sending = false;
                                                             error ? ++aborted : ++sent;
                                                         }));
            }
            if (!receiving && chance(2)) {
                receiving = true;
                async_await(context, rx.recv(),
                            asio::bind_cancellation_slot(
                                stop_recv.slot(),
                                [&](error_code error, const std::optional<counted>& value) {
                                    receiving = false;
                                    if (error) {
                                        ++aborted;
                                    } else {
                                        ++received;
                                        if (value->value() <= last) { throw last; }
                                        last = value->value();
                                    }
                                }));
            }
            if (chance(4)) { stop_send.emit(asio::cancellation_type::terminal); }
            if (chance(4)) { stop_recv.emit(asio::cancellation_type::total); }
            while (chance(2) && context.poll_one() != 0) {}
            context.restart();
        }
        stop_send.emit(asio::cancellation_type::terminal);
        stop_recv.emit(asio::cancellation_type::terminal);
        context.poll();
        while (rx.try_recv()) { ++received; }
        CHECK(received == sent);
        CHECK(sent + aborted >= next);
        CHECK(aborted > 100);
        CHECK(received > 100);
        CHECK_FALSE(sending);
        CHECK_FALSE(receiving);
    }
    CHECK(alive == 0);
}
