// An actor that fails, and a supervisor that starts it again with what it needs.
//
// The inbox survives: the message behind the one that was fatal is handled by the new actor.

#include <expected>
#include <iostream>
#include <string>
#include <utility>

#include <heph/core/actor_future.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/join.hpp>
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

}  // namespace

int main() {
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
