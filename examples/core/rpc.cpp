// Two actors: one asks, the other one answers.

#include <expected>
#include <iostream>
#include <string>
#include <utility>
#include <variant>

#include <heph/core/actor_future.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/join.hpp>
#include <heph/core/match.hpp>
#include <heph/core/rpc.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

namespace {

// A call is a message that carries its own way back. These two take the same request, so each has
// a name of its own.
struct word_count : heph::rpc<std::string, int> {
    using rpc::rpc;
};
struct shout : heph::rpc<std::string, std::string> {
    using rpc::rpc;
};
using text_message = std::variant<word_count, shout>;

int count_words(const std::string& text) {
    int words = text.empty() ? 0 : 1;
    for (const char letter : text) { words += letter == ' ' ? 1 : 0; }
    return words;
}

heph::task<> text_actor(heph::context<text_message> ctx) {
    while (auto message = co_await ctx.receive()) {
        heph::match(
            *message, [](word_count& call) { call.handle(count_words); },
            [](shout& call) { call.respond(call.request() + '!'); });
    }
}

heph::task<> asks(heph::context<heph::no_message>, heph::actor_ref<text_message> texts) {
    const std::string text = "what is an actor";
    std::expected<int, heph::rpc_error> words = co_await texts.rpc<word_count>(text);
    if (words) { std::cout << *words << " words\n"; }
    auto louder = co_await texts.rpc<shout>(text);
    if (louder) { std::cout << *louder << '\n'; }
    // An answer is no message: the one who asks needs no inbox for it. Should the actor end without
    // an answer, the caller is told.
}

}  // namespace

int main() {
    auto [answering, texts] =
        heph::make_actor(heph::no_supervisor(), heph::actor_fn(text_actor), heph::no_runtime(), {});
    auto [asking, unused] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(asks),
                                             heph::no_runtime(), {}, std::move(texts));
    // Both run on this thread, each when the other one waits.
    heph::block_on(heph::join(std::move(answering), std::move(asking)));
}
