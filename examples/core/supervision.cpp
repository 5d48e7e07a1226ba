// Actors that fail: a supervisor that starts one again with what it needs, and a tree that starts
// again what belongs together, until it has had enough.
//
// The inbox survives: the message behind the one that was fatal is handled by the new actor.

#include <chrono>
#include <expected>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>

#include <heph/core/actor_future.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/join.hpp>
#include <heph/core/log.hpp>
#include <heph/core/monitor.hpp>
#include <heph/core/supervision_tree.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

namespace {

using divide = heph::rpc<int, int>;

// An error ends the actor; so would an exception.
heph::task<std::expected<void, std::string>> divider(heph::context<divide> ctx, int dividend) {
    while (auto call = co_await ctx.receive()) {
        if (call->request() == 0) { co_return std::unexpected(std::string("divided by zero")); }
        call->respond(dividend / call->request());
    }
    co_return std::expected<void, std::string>();
}

void print(int divisor, const std::expected<int, heph::rpc_error>& answer) {
    std::cout << "by " << divisor << ": ";
    if (answer) {
        std::cout << *answer << '\n';
    } else {
        std::cout << to_string(answer.error()) << '\n';
    }
}

heph::task<> use(heph::actor_ref<divide> ref) {
    for (const int divisor : {5, 0, 4}) {
        auto answer = co_await ref.rpc(divisor);
        print(divisor, answer);
    }
}

void divide_under_supervision() {
    const auto supervisor = [](const heph::failure& why) -> heph::decision<int> {
        std::cout << why.actor_name() << " failed: " << why.message() << '\n';
        if (why.is_exception()) { return heph::stop; }
        return heph::restart(100);
    };
    heph::actor_options options;
    options.name = "divider";
    auto [running, ref] =
        heph::make_actor(supervisor, heph::actor_fn(divider), heph::no_runtime(), options, 100);
    heph::block_on(heph::join(std::move(running), use(std::move(ref))));
}

// Counts what is in stock. That is never less than nothing.
heph::task<std::expected<void, std::string>> stock(heph::context<int> ctx) {
    std::cout << "the stock is counted\n";
    int total = 10;
    while (auto change = co_await ctx.receive()) {
        total += *change;
        if (total < 0) { co_return std::unexpected(std::string("less than nothing")); }
    }
    co_return std::expected<void, std::string>();
}

// Sells from the stock, and so begins again when the stock does.
heph::task<> till(heph::context<int> ctx, heph::actor_ref<int> from) {
    std::cout << "the till is open\n";
    while (auto sold = co_await ctx.receive()) { (void)from.try_send(-*sold); }
}

heph::task<> buy(heph::actor_ref<int> from, int pieces) {
    auto sent = co_await from.send(pieces);
    if (!sent) { std::cout << "the shop is closed\n"; }
}

void sell_in_a_tree() {
    heph::tree_options options;
    options.strategy = heph::restart_strategy::rest_for_one;
    options.limit = heph::restart_limit{1, std::chrono::hours(1)};
    options.name = "shop";
    heph::supervision_tree shop(options);
    auto stock_ref = shop.add(heph::child_spec("stock"), heph::actor_fn(stock));
    auto till_ref = shop.add(heph::child_spec("till"), heph::actor_fn(till), stock_ref);
    auto watching = heph::monitor(till_ref);
    // The second customer asks for more than there is; so does the third one.
    auto [ended, end, bought] = heph::block_on(
        heph::join(std::move(shop), std::move(watching),
                   heph::join(buy(till_ref, 3), buy(till_ref, 8), buy(till_ref, 11))));
    if (!ended) { std::cout << "the shop gave up: " << ended.error().message() << '\n'; }
    std::cout << "the till was " << to_string(end.reason()) << '\n';
}

}  // namespace

int main() {
    heph::set_log_handler(
        +[](heph::log_level, std::string_view line) noexcept { std::cout << line << '\n'; });
    divide_under_supervision();
    sell_in_a_tree();
}
