// The README of heph-core, part one: actors, messages, references, calls. What stands between
// `// [name]` and `// [/name]` is in the README, word for word; the first test compares.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <expected>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/actor_ref.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/either.hpp>
#include <heph/core/join.hpp>
#include <heph/core/log.hpp>
#include <heph/core/log_limit.hpp>
#include <heph/core/match.hpp>
#include <heph/core/rpc.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/testing/step_executor.hpp>
#include <heph/core/timing.hpp>
#include <heph/core/with_cleanup.hpp>
#include <heph/core/yield.hpp>

#include "core/probes.hpp"

using namespace std::chrono_literals;

namespace {

std::vector<std::string> printed;
void print(const std::string& line) { printed.push_back(line); }

// ---- A first actor ----

// [greeter]
heph::task<> greeter(heph::context<std::string> ctx, std::string greeting) {
    while (auto name = co_await ctx.receive()) { print(greeting + ' ' + *name); }
    print("bye");  // all references are gone
}
// [/greeter]

// ---- State and messages ----

// [account]
struct deposit {
    explicit deposit(int of) : amount(of) {}
    int amount;
};
struct withdraw : heph::rpc<int, bool> {  // asks for an int, answers a bool
    using rpc::rpc;
};
using get_balance = heph::rpc<void, int>;  // asks nothing, answers an int
using account_message = std::variant<deposit, withdraw, get_balance>;

heph::task<> account(heph::context<account_message> ctx) {
    int balance = 0;  // nobody else can touch it
    while (auto message = co_await ctx.receive()) {
        heph::match(
            *message, [&](deposit& m) { balance += m.amount; },
            [&](withdraw& call) {
                const bool enough = call.request() <= balance;
                if (enough) { balance -= call.request(); }
                call.respond(enough);
            },
            [&](get_balance& call) { call.respond(balance); });
    }
}
// [/account]

heph::task<> uses_account(heph::actor_ref<account_message> ref, std::vector<std::string>* seen) {
    // [sending]
    // Now or not at all. What was not sent comes back in the error.
    if (auto sent = ref.try_send(deposit(100)); !sent) {
        print(std::string(sent.error().message()));
    }

    // Waits while the inbox is full. Fails only if the actor is finished.
    auto sent = co_await ref.emplace<deposit>(50);
    // [/sending]
    seen->push_back(sent ? "sent" : "not sent");
    // [asking]
    std::expected<bool, heph::rpc_error> paid = co_await ref.rpc<withdraw>(120);
    // No answer: the actor is finished, or dropped the question.
    if (!paid) { print(std::string(to_string(paid.error()))); }
    // [/asking]
    seen->push_back(paid.value_or(false) ? "paid" : "not paid");
    auto balance = co_await ref.rpc<get_balance>();
    seen->push_back(std::to_string(balance.value_or(-1)));
}

// ---- References ----

std::vector<int> maps(heph::actor_ref<account_message> ref) {
    // [mapping]
    // For who may only pay in: it takes deposits, and nothing else.
    heph::actor_ref<deposit> cashier = ref.map<deposit>();
    // For who thinks in coins.
    heph::actor_ref<int> coins = ref.map_fn<int>([](int count) { return deposit(count * 2); });
    // For tests: calls a function.
    std::vector<int> seen;
    auto spy = heph::actor_ref<int>::to_function([&seen](int number) { seen.push_back(number); });
    // [/mapping]
    CHECK(cashier.try_send(deposit(1)));
    CHECK(coins.try_send(3));
    CHECK(spy.try_send(4));
    CHECK(cashier.sends_to(coins));
    return seen;
}

// ---- Time, and several things at once ----

using slow_question = heph::rpc<int, int>;

// [deadlines]
template <typename RT>
heph::task<> patient(heph::context<int, RT> ctx, heph::actor_ref<slow_question> other) {
    auto next = co_await ctx.receive(heph::deadline_in(1s));
    if (!next && next.error() == heph::receive_error::empty) { print("nothing came"); }

    auto answer = co_await other.rpc(ctx.deadline_in(100ms), 42);
    if (!answer && answer.error() == heph::rpc_error::timed_out) { print("no answer"); }

    co_await heph::join(ctx.deadline_in(1s), ctx.deadline_in(2s));  // waits for 2 s
    auto first = co_await heph::either(ctx.receive(), ctx.deadline_in(1h));
    print(first.index() == 0 ? "got a message, or the last one" : "an hour has passed");
}
// [/deadlines]

template <typename RT>
heph::task<> never_answers(heph::context<slow_question, RT> ctx) {
    auto call = co_await ctx.receive();
    if (call) { co_await call->closed(); }
    print("given up");
}

// ---- Cleaning up ----

heph::task<int> transfer(bool fails) {
    co_await heph::yield();
    if (fails) { throw std::runtime_error("connection lost"); }
    co_return 3;
}
heph::task<> say_goodbye() {
    co_await heph::yield();
    print("goodbye");
}

heph::task<> cleans_up(heph::testing::step_runtime runtime) {
    // [cleanup]
    // However the transfer ends, the goodbye is said. When this task is dropped half-way, the
    // runtime runs what is left of it.
    auto moved = co_await heph::with_cleanup(
        transfer(false), say_goodbye(),
        [runtime](heph::task<> rest) { runtime.spawn_future(std::move(rest)); });
    // [/cleanup]
    print(std::to_string(moved));
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// Cuts a text into lines without white space around them, and leaves empty ones out.
std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream from(text);
    for (std::string line; std::getline(from, line);) {
        const auto begin = line.find_first_not_of(" \t");
        if (begin == std::string::npos) { continue; }
        lines.push_back(line.substr(begin, line.find_last_not_of(" \t") + 1 - begin));
    }
    return lines;
}

// Gives the blocks of C++ in a README.
std::vector<std::vector<std::string>> blocks_of(const std::string& readme) {
    std::vector<std::vector<std::string>> blocks;
    const std::string begin = "```cpp\n";
    for (auto at = readme.find(begin); at != std::string::npos; at = readme.find(begin, at)) {
        at += begin.size();
        blocks.push_back(lines_of(readme.substr(at, readme.find("```", at) - at)));
    }
    return blocks;
}

}  // namespace

TEST_CASE("readme: every block of code is in a program that is compiled and run",
          "[core][readme]") {
    const std::filesystem::path root = HEPH_SOURCE_DIR;
    std::vector<std::vector<std::string>> programs;
    for (const auto& entry : std::filesystem::directory_iterator(root / "tests/core")) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with("readme") && name.ends_with("_test.cpp")) {
            programs.push_back(lines_of(read_file(entry.path())));
        }
    }
    programs.push_back(lines_of(read_file(root / "tests/install/heph-core/main.cpp")));
    const auto blocks = blocks_of(read_file(root / "heph-core/README.md"));
    CHECK(blocks.size() >= 15);
    for (const auto& block : blocks) {
        REQUIRE_FALSE(block.empty());
        INFO("the block that begins with: " << block.front());
        CHECK(std::ranges::any_of(programs, [&](const auto& program) {
            return !std::ranges::search(program, block).empty();
        }));
    }
}

TEST_CASE("readme: the first actor greets until its references are gone", "[core][readme]") {
    printed.clear();
    // [first]
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(greeter),
                                           heph::no_runtime(), {}, std::string("Hello"));
    (void)ref.try_send("World");
    { auto last = std::move(ref); }
    heph::block_on(std::move(running));
    // [/first]
    CHECK(printed == std::vector<std::string>{"Hello World", "bye"});
}

TEST_CASE("readme: an account keeps its balance, and answers", "[core][readme]") {
    std::vector<std::string> seen;
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(account),
                                           heph::no_runtime(), heph::actor_options());
    heph::block_on(heph::join(std::move(running), uses_account(std::move(ref), &seen)));
    CHECK(seen == std::vector<std::string>{"sent", "paid", "30"});
}

TEST_CASE("readme: references convert messages", "[core][readme]") {
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(account),
                                           heph::no_runtime(), heph::actor_options());
    CHECK(maps(ref) == std::vector<int>{4});
    const auto balance = heph::block_on(heph::either(ref.rpc<get_balance>(), running));
    CHECK(std::get<0>(balance) == 7);
}

TEST_CASE("readme: deadlines end receives and calls", "[core][readme]") {
    printed.clear();
    heph::testing::step_executor run;
    using runtime = heph::testing::step_runtime;
    auto silent = run.spawn(run.supervisor(), heph::actor_fn(&never_answers<runtime>));
    {
        auto unused =
            run.spawn(run.supervisor(), heph::actor_fn(&patient<runtime>), std::move(silent));
        run.advance(4s);
    }
    run.run();
    CHECK(printed == std::vector<std::string>{"nothing came", "no answer", "given up",
                                              "got a message, or the last one"});
}

TEST_CASE("readme: a cleanup runs, also when the work is dropped", "[core][readme]") {
    printed.clear();
    heph::testing::step_executor run;
    run.spawn_future(cleans_up(run.runtime()));
    run.run();
    CHECK(printed == std::vector<std::string>{"goodbye", "3"});
    printed.clear();
    {
        auto dropped = cleans_up(run.runtime());
        CHECK_FALSE(dropped.poll(heph::waker()).is_ready());
    }
    run.run();
    CHECK(printed == std::vector<std::string>{"goodbye"});
}

namespace {

std::vector<std::string> logged;

// [log-handler]
void to_my_log(const heph::log_record& record) noexcept {
    // level, message, and whom it is about, as fields
    logged.push_back(std::string(to_string(record.level())) + ": " + std::string(record.message()) +
                     " by " + std::string(record.actor().name()));
}
// [/log-handler]

}  // namespace

TEST_CASE("readme: the log can be sent elsewhere", "[core][readme]") {
    logged.clear();
    const auto id = heph::actor_ref<int>::to_nothing().id();
    // [log]
    const heph::log_handler before = heph::set_log_handler(&to_my_log);
    const heph::logger log("importer", id.hash());  // an actor's own lines: its name and its id
    log.info("12 rows");
    heph::set_log_handler(before);
    // [/log]
    CHECK(logged == std::vector<std::string>{"info: 12 rows by importer"});
}

TEST_CASE("readme: a flood of lines is bounded", "[core][readme]") {
    logged.clear();
    const heph::log_handler before = heph::set_log_handler(&to_my_log);
    const heph::steady_time now{1s};
    // [log_limit]
    heph::log_limit refused(60, 20);  // 60 lines a minute, 20 at once
    for (int i = 0; i < 1000; ++i) { refused.log(heph::log_level::warning, "refused", now); }
    // [/log_limit]
    heph::set_log_handler(before);
    CHECK(logged.size() == 20);
}
