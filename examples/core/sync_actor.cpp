// An actor that blocks, on a thread of its own, and one that does not, which asks it.

#include <expected>
#include <iostream>
#include <string>
#include <system_error>
#include <utility>

#include <heph/core/block_on.hpp>
#include <heph/core/rpc.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/sync_actor.hpp>
#include <heph/core/task.hpp>

namespace {

using look_up = heph::rpc<std::string, std::string>;

// A plain function: what has no asynchronous form, a database or a compression for one, may block
// here, and nobody else waits for it.
void dictionary(heph::sync_context<look_up> ctx, std::string language) {
    while (auto call = ctx.receive()) {
        call->respond(call->request() == "actor" ? "Schauspieler (" + language + ")" : "unknown");
    }
    std::cout << "the dictionary is closed\n";
}

heph::task<> translate(heph::actor_ref<look_up> words) {
    for (const char* word : {"actor", "monad"}) {
        auto found = co_await words.rpc(std::string(word));
        if (found) { std::cout << word << ": " << *found << '\n'; }
    }
}

}  // namespace

int main() {
    heph::sync_options options;
    options.name = "dictionary";  // of its thread, and in the log
    auto actor = heph::spawn_sync(options, heph::stop_supervisor(), dictionary, std::string("de"));
    if (!actor) {
        std::cerr << "no thread: " << actor.error().message() << '\n';
        return 1;
    }
    heph::block_on(translate(actor->ref()));
    actor->join();  // lets the reference go, and waits for the end of the thread
}
