// Nodes in programs of Boost.Asio, linked to their like and to nodes of heph-rt.

#include <array>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <mutex>
#include <string>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <heph/core/asio.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/join_range.hpp>
#include <heph/remote/asio.hpp>
#include <heph/remote/local_ref.hpp>

#include "remote/nodes.hpp"
#include "remote/use_counter.hpp"

using namespace heph::remote::testing;
using heph::remote::failure;
using heph::remote::remote_ref;
namespace remote = heph::remote;
namespace rt = heph::rt;

namespace {

// An ordinary program: threads that run an execution context.
class asio_program {
public:
    explicit asio_program(int threads = 1) : threads_(threads) {}
    asio_program(const asio_program&) = delete;
    asio_program& operator=(const asio_program&) = delete;
    ~asio_program() {
        context_.stop();
        for (std::thread& each : running_) { each.join(); }
    }

    [[nodiscard]] remote::node start(const remote::options& settings) {
        auto started = remote::asio::start(context_.get_executor(), settings);
        if (!started) { throw std::runtime_error(started.error().message()); }
        return std::move(*started);
    }
    [[nodiscard]] heph::asio_runtime actors() {
        return heph::asio_runtime(context_.get_executor());
    }
    // What an actor of several threads' context needs is a strand.
    [[nodiscard]] heph::actor_ref<counter_message> spawn_counter(
        std::shared_ptr<counter_state> state) {
        heph::actor_options made;
        made.inbox_size = 8;
        return actors().spawn(std::move(made), heph::no_supervisor(),
                              heph::actor_fn(counter_on<heph::asio_runtime>), std::move(state));
    }
    void run() {
        running_count_ = threads_;
        for (int i = 0; i < threads_; ++i) {
            running_.emplace_back([this] {
                context_.run();
                --running_count_;
            });
        }
    }
    // Tells whether `run()` has returned, on all threads.
    [[nodiscard]] bool has_ended() const { return running_count_ == 0; }
    template <typename F>
    [[nodiscard]] auto spawn(F body) {
        return heph::async_await(context_.get_executor(), std::move(body), boost::asio::use_future);
    }
    [[nodiscard]] boost::asio::io_context& context() noexcept { return context_; }

private:
    const int threads_;
    boost::asio::io_context context_;
    std::atomic<int> running_count_ = 0;
    std::vector<std::thread> running_;
};

template <typename T>
[[nodiscard]] bool is_there(std::future<T>& result) {
    return result.wait_for(0s) == std::future_status::ready;
}

// Waits for a condition on a thread that has no executor.
template <std::predicate Condition>
[[nodiscard]] bool holds_soon(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + plenty;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > until) { return false; }
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

// Counts the rings that this process has.
int rings() {
    int count = 0;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;  // The iterator's own descriptor, for one.
        const auto target = std::filesystem::read_symlink(each.path(), gone);
        count += target.string().contains("io_uring") ? 1 : 0;
    }
    return count;
}

// "asio" and "worker" linked to each other; one of them dials.
void check_both_ways(const std::string& listen, bool asio_dials, int threads) {
    struct setting {
        std::string listen;
        bool asio_dials;
        int threads;
    };
    static setting now;  // For a body without captures.
    now = setting{listen, asio_dials, threads};
    run_nodes([](rt::worker worker) -> heph::task<> {
        asio_program program(now.threads);
        remote::options asio_settings = quick_options("asio");
        remote::options worker_settings = quick_options("worker");
        (now.asio_dials ? worker_settings : asio_settings).listen(now.listen);
        std::optional<remote::node> here;
        std::optional<remote::node> there;
        if (now.asio_dials) {
            here.emplace(start(worker, worker_settings));
            there.emplace(program.start(asio_settings.peer("worker", here->address())));
        } else {
            there.emplace(program.start(asio_settings));
            here.emplace(start(worker, worker_settings.peer("asio", there->address())));
        }
        const auto state_here = std::make_shared<counter_state>();
        const auto state_there = std::make_shared<counter_state>();
        here->publish("counter", spawn_counter(worker, state_here));
        there->publish("counter", program.spawn_counter(state_there));
        program.run();
        const bool linked = co_await eventually(
            [&] { return here->is_linked("asio") && there->is_linked("worker"); });
        REQUIRE(linked);

        auto used_from_there = program.spawn(use_counter(*there, "worker"));
        const std::string from_here = co_await use_counter(*here, "asio");
        CHECK(from_here == "");
        const bool is_done = co_await eventually([&] { return is_there(used_from_there); });
        REQUIRE(is_done);
        CHECK(used_from_there.get() == "");
        // The deadline of a call ends it for the called actor, too.
        const bool both_given_up = co_await eventually(
            [&] { return state_here->given_up == 1 && state_there->given_up == 1; });
        CHECK(both_given_up);

        // Watching, and the end.
        auto actor = co_await here->find<counter_message>("asio", "counter", plenty);
        REQUIRE(actor);
        auto joining = actor->join();
        const auto told = co_await actor->send(finish());
        CHECK(told);
        const failure actor_ended = co_await joining;
        CHECK(actor_ended == failure::actor_gone);
        auto watching = here->watch("asio");
        CHECK(!watching.poll(heph::waker()).is_ready());
        there->stop();
        const failure node_ended = co_await watching;
        CHECK(node_ended == failure::node_down);
        const bool has_ended = co_await eventually([&] { return program.has_ended(); });
        CHECK(has_ended);
    });
}

}  // namespace

TEST_CASE("asio: a node of Boost.Asio and one of a worker use each other's actors over TCP",
          "[remote][asio_node]") {
    check_both_ways("127.0.0.1:0", true, 1);
    check_both_ways("[::1]:0", false, 3);
}

TEST_CASE(
    "asio: a node of Boost.Asio and one of a worker use each other's actors over Unix sockets",
    "[remote][asio_node]") {
    check_both_ways(unique_unix_name(), false, 1);
    // As long as the system takes it.
    for (const bool way : {true, false}) {
        std::string name = unique_unix_name() + '-';
        name.resize(std::string_view("unix:@").size() + 107, 'x');
        check_both_ways(name, way, 3);
    }
}

TEST_CASE("asio: a peer is dialed by its host's name", "[remote][asio_node]") {
    asio_program program;
    const auto a = program.start(listening("a"));
    a.publish("counter", program.spawn_counter(std::make_shared<counter_state>()));
    const auto b = program.start(quick_options("b").peer("a", by_name(a.address())));
    program.run();
    auto used = program.spawn(use_counter(b, "a"));
    REQUIRE(used.wait_for(plenty) == std::future_status::ready);
    CHECK(used.get() == "");
    a.stop();
    b.stop();
    CHECK(holds_soon([&] { return program.has_ended(); }));
}

TEST_CASE("asio: two nodes without a runtime link without a ring, and their context ends",
          "[remote][asio_node]") {
    const int rings_before = rings();
    for (const int threads : {1, 4}) {
        asio_program program(threads);
        const auto state = std::make_shared<counter_state>();
        const auto a = program.start(listening("a"));
        a.publish("counter", program.spawn_counter(state));
        const auto b = program.start(quick_options("b").peer("a", a.address()));
        program.run();
        auto used = program.spawn(use_counter(b, "a"));
        REQUIRE(used.wait_for(plenty) == std::future_status::ready);
        CHECK(used.get() == "");
        CHECK(rings() == rings_before);
        // A node reaches its own actors without a link, also with a deadline.
        CHECK(heph::block_on(a.find<counter_message>("a", "counter"))->node_name() == "a");
        a.stop();
        b.stop();
        CHECK(holds_soon([&] { return program.has_ended(); }));
        const auto late = heph::block_on(b.find<counter_message>("a", "counter"));
        REQUIRE(!late);
        CHECK(late.error() == failure::stopped);
    }
}

TEST_CASE("asio: what a node gives is awaited on any thread and in any coroutine",
          "[remote][asio_node]") {
    asio_program program(3);
    const auto a = program.start(listening("a"));
    a.publish("counter", program.spawn_counter(std::make_shared<counter_state>()));
    const auto b = program.start(quick_options("b").peer("a", a.address()));
    program.run();

    // A plain thread.
    auto found = heph::block_on(b.find<counter_message>("a", "counter", plenty));
    REQUIRE(found);
    CHECK(heph::block_on(found->rpc<hold>(1ms)) == std::unexpected(failure::timed_out));

    // Coroutines of Boost.Asio, several at once.
    static constexpr auto call = [](remote_ref<counter_message> to) -> boost::asio::awaitable<int> {
        int good = 0;
        for (int i = 0; i < 50; ++i) {
            const text said("word " + std::to_string(i));
            const auto echoed = co_await heph::async_await(to.rpc(plenty, said));
            good += echoed.has_value() && echoed->body == said.body ? 1 : 0;
            // Some of these have an answer before their deadline.
            (void)co_await heph::async_await(to.rpc<get_total>(std::chrono::microseconds(i * 20)));
        }
        co_return good;
    };
    std::vector<std::future<int>> calls;
    for (int i = 0; i < 4; ++i) {
        calls.push_back(
            boost::asio::co_spawn(program.context(), call(*found), boost::asio::use_future));
    }
    for (auto& each : calls) {
        REQUIRE(each.wait_for(plenty) == std::future_status::ready);
        CHECK(each.get() == 50);
    }

    // An actor here that stands for the one there.
    auto local = remote::local_ref(program.actors(), *found);
    CHECK(heph::block_on(local.send(counter_message(add(7)))));
    CHECK(heph::block_on(local.rpc<get_total>()) == 7);
    a.stop();
    b.stop();
    local = heph::actor_ref<counter_message>(local);
    CHECK(holds_soon([&] { return !local.is_connected(); }));
    CHECK(holds_soon([&] { return program.has_ended(); }));
}

TEST_CASE("asio: messages arrive once and in order over a connection that is cut all the time",
          "[remote][asio_node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        asio_program program(2);
        const auto state = std::make_shared<counter_state>();
        const auto here = start(worker, listening("worker"));
        here.publish("counter", spawn_counter(worker, state));
        proxy between(worker, here.address());
        const auto there = program.start(quick_options("asio").peer("worker", between.address()));
        program.run();
        std::atomic<int> cuts = 0;
        static constexpr auto send_all = [](remote::node from,
                                            const std::atomic<int>* cut) -> heph::task<int> {
            auto to = co_await from.find<counter_message>("worker", "counter", plenty);
            if (!to) { co_return -1; }
            int sent = 0;
            for (; sent < 2000 || *cut < 5; ++sent) {
                const auto done = co_await to->send(add(sent));
                if (!done) { co_return -1; }
            }
            co_return sent;
        };
        auto sending = program.spawn(send_all(there, &cuts));
        while (!is_there(sending)) {
            const bool linked =
                co_await eventually([&] { return there.is_linked("worker") || is_there(sending); });
            REQUIRE(linked);
            co_await rt::timer(3ms);
            between.cut();
            ++cuts;
        }
        const int messages = sending.get();
        REQUIRE(messages >= 2000);
        const bool arrived = co_await eventually(
            [&] { return state->amounts.size() == static_cast<std::size_t>(messages); });
        CHECK(arrived);
        for (std::size_t i = 0; i < state->amounts.size(); ++i) {
            if (state->amounts[i] != static_cast<int>(i)) { FAIL("out of order at " << i); }
        }
        there.stop();
        const bool has_ended = co_await eventually([&] { return program.has_ended(); });
        CHECK(has_ended);
    });
}

TEST_CASE("asio: a node says what is wrong with its settings, and who does not answer",
          "[remote][asio_node]") {
    asio_program program;
    const auto taken = program.start(listening("a"));
    struct attempt {
        std::string listen;
        std::errc code;
        std::string_view told;
    };
    for (const attempt& each :
         {attempt{taken.address(), std::errc::address_in_use, "choose another port"},
          attempt{"localhost", std::errc::invalid_argument, "is not one such as"},
          attempt{"localhost:0", std::errc::invalid_argument, "options::advertise"},
          attempt{"192.0.2.77:1", std::errc::address_not_available, "cannot listen"}}) {
        const auto refused = remote::asio::start(program.context().get_executor(),
                                                 quick_options("b").listen(each.listen));
        REQUIRE(!refused);
        CHECK(refused.error().code() == each.code);
        CHECK(refused.error().message().contains(each.told));
    }
    // Nobody listens there any more.
    std::string free_port;
    {
        asio_program gone;
        free_port = gone.start(listening("c")).address();
    }
    remote::link_settings impatient = quick_links();
    impatient.patience = 50ms;
    const auto b = program.start(
        quick_options("b").links(impatient).peer("c", free_port).peer("d", unique_unix_name()));
    program.run();
    for (const std::string_view who : {"c", "d"}) {
        const auto found = heph::block_on(b.find<counter_message>(who, "counter", plenty));
        REQUIRE(!found);
        CHECK(found.error() == failure::node_down);
    }
    taken.stop();
    b.stop();
    CHECK(holds_soon([&] { return program.has_ended(); }));
}

TEST_CASE("asio: a context that goes drops its node, and what is asked of that later fails",
          "[remote][asio_node]") {
    // Never run, run for a moment, and linked with calls under way.
    std::vector<remote::node> left;
    std::vector<remote_ref<counter_message>> references;
    {
        asio_program never;
        left.push_back(never.start(listening("a")));
    }
    {
        asio_program program;
        const auto state = std::make_shared<counter_state>();
        left.push_back(program.start(listening("a")));
        left.back().publish("counter", program.spawn_counter(state));
        const auto address = left.back().address();
        left.push_back(program.start(quick_options("b").peer("a", address)));
        program.run();
        references.push_back(
            *heph::block_on(left.back().find<counter_message>("a", "counter", plenty)));
        static constexpr auto wait = [](remote_ref<counter_message> on) -> heph::task<> {
            const auto answered = co_await on.rpc<hold>(plenty);
            if (answered) { std::abort(); }
        };
        program.actors().spawn_future(wait(references.back()));
        CHECK(holds_soon([&] { return state->holding == 1; }));
    }
    for (const remote::node& each : left) {
        const auto found = heph::block_on(each.find<counter_message>("a", "counter", 10ms));
        REQUIRE(!found);
        CHECK(found.error() == failure::stopped);
        each.stop();
    }
    for (const auto& each : references) {
        CHECK(each.try_send(add(1)) == std::unexpected(failure::stopped));
        CHECK(heph::block_on(each.rpc<get_total>(10ms)) == std::unexpected(failure::stopped));
        CHECK(heph::block_on(each.join()) == failure::stopped);
    }
}
