// A counter in one process, and its users in others:
//
//     head -c 32 /dev/urandom | base64 > secret && chmod 600 secret
//     two_processes serve secret 127.0.0.1:9001 &
//     two_processes add 3 secret 127.0.0.1:9001         # says: the counter says 3
//     two_processes follow secret 127.0.0.1:9001        # says each new total, until the node ends
//
// Each process is a node, linked to the other by TLS with the secret in the file. heph-remote's
// README goes through it.

#include <charconv>
#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <unistd.h>

#include <heph/core/match.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/remote/node.hpp>
#include <heph/rt/runtime.hpp>

using namespace std::chrono_literals;
namespace remote = heph::remote;

namespace {

// What is told to those who follow.
struct new_total {
    int total = 0;
};
HEPH_MESSAGE(new_total, "two_processes.new_total", 1, total)

// Says where to tell it. A reference is a value like any other.
struct follow {
    remote::remote_ref<new_total> follower;
};
HEPH_MESSAGE(follow, "two_processes.follow", 1, follower)

// Adds, and is answered with the new total.
struct add : heph::rpc<int, int> {
    using heph::rpc<int, int>::rpc;
    static constexpr std::string_view message_name = "two_processes.add";
};

using counter_message = std::variant<add, follow>;

heph::task<> counter(heph::rt::local_context<counter_message> ctx) {
    int total = 0;
    std::vector<remote::remote_ref<new_total>> followers;
    while (auto message = co_await ctx.receive()) {
        heph::match(
            *message,
            [&](add& call) {
                total += call.request();
                const new_total told{total};
                // Who is too slow, or gone, gets no more.
                std::erase_if(followers, [&](const auto& to) { return !to.try_send(told); });
                call.respond(total);
            },
            [&](follow& who) { followers.push_back(std::move(who.follower)); });
    }
}

struct user {
    remote::node node;
    std::string failure;  // Said at the end; empty: it went well.
};
using user_pointer = std::shared_ptr<user>;

heph::task<remote::remote_ref<counter_message>> find(user_pointer by) {
    auto found = co_await by->node.find<counter_message>("counters", "counter", 5s);
    if (found) { co_return std::move(*found); }
    by->failure = "the counter is not found: " + std::string(to_string(found.error()));
    co_return remote::remote_ref<counter_message>();
}

heph::task<> add_once(heph::rt::local_context<> ctx, user_pointer by, int amount) {
    const auto counter = co_await find(by);
    if (counter) {
        const auto total = co_await counter.rpc(5s, amount);
        if (total) {
            std::cout << "the counter says " << *total << std::endl;
        } else {
            // Sent or not, done or not: after some failures nobody knows. See `remote_ref::rpc`.
            by->failure = "no answer: " + std::string(to_string(total.error()));
        }
    }
    ctx.runtime().request_stop();
}

heph::task<> print(heph::rt::local_context<new_total> ctx) {
    while (const auto told = co_await ctx.receive()) { std::cout << told->total << std::endl; }
}

heph::task<> follow_it(heph::rt::local_context<> ctx, user_pointer by) {
    const auto counter = co_await find(by);
    if (counter) {
        auto worker = ctx.runtime();
        const follow me{by->node.share(worker.spawn(heph::no_supervisor(), heph::actor_fn(print)))};
        const auto sent = co_await counter.send(me);
        if (sent) {
            std::cout << "following" << std::endl;
            const auto why = co_await counter.join();
            std::cout << "the counter is gone: " << to_string(why) << std::endl;
        } else {
            by->failure = "not sent: " + std::string(to_string(sent.error()));
        }
    }
    ctx.runtime().request_stop();
}

struct wanted {
    std::string what;
    int amount = 0;
    std::string secret_file;
    std::string address;
};

// Gives null when it cannot start, after it has said why.
user_pointer start(heph::rt::worker worker, const wanted& wants) {
    const auto secret = heph::rt::tls::load_secret(wants.secret_file);
    if (!secret) {
        std::cerr << secret.error().message() << '\n';
        return nullptr;
    }
    // Nodes of one group have different names: a user's is made of its process id.
    const bool serves = wants.what == "serve";
    const auto name = serves ? std::string("counters") : "user-" + std::to_string(::getpid());
    remote::options settings(name, *secret);
    if (serves) {
        settings.listen(wants.address);
    } else {
        settings.peer("counters", wants.address);
    }
    auto node = remote::node::start(worker, settings);
    if (!node) {
        std::cerr << node.error().message() << '\n';
        return nullptr;
    }
    return std::make_shared<user>(user{std::move(*node), {}});
}

void run(heph::rt::worker worker, const user_pointer& with, const wanted& wants) {
    if (wants.what == "serve") {
        with->node.publish("counter", worker.spawn(heph::no_supervisor(), heph::actor_fn(counter)));
        std::cout << "the counter is at " << with->node.address() << std::endl;
    } else if (wants.what == "add") {
        worker.spawn(heph::no_supervisor(), heph::actor_fn(add_once), with, wants.amount);
    } else {
        worker.spawn(heph::no_supervisor(), heph::actor_fn(follow_it), with);
    }
}

// Gives an empty word when the arguments make no sense.
wanted read(std::vector<std::string> words) {
    wanted wants;
    if (words.size() == 4 && words[0] == "add") {
        const std::string& digits = words[1];
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), wants.amount);
        if (error != std::errc() || end != digits.data() + digits.size()) { return wanted(); }
        words.erase(words.begin() + 1);
    } else if (words.size() != 3 || (words[0] != "serve" && words[0] != "follow")) {
        return wanted();
    }
    wants.what = words[0];
    wants.secret_file = words[1];
    wants.address = words[2];
    return wants;
}

}  // namespace

int main(int count, char** arguments) {
    const wanted wants = read(std::vector<std::string>(arguments + 1, arguments + count));
    if (wants.what.empty()) {
        std::cerr << "usage: two_processes serve|follow|add AMOUNT  SECRET-FILE ADDRESS:PORT\n";
        return 2;
    }
    auto runtime = heph::rt::setup{}.name("two_processes").build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    user_pointer with;
    runtime->run_on_workers([&](heph::rt::worker& worker) {
        with = start(worker, wants);
        if (with) {
            run(worker, with, wants);
        } else {
            worker.request_stop();
        }
    });
    const int code = heph::rt::report(runtime->start());
    if (!with) { return 1; }
    if (with->failure.empty()) { return code; }
    std::cerr << with->failure << '\n';
    return 1;
}
