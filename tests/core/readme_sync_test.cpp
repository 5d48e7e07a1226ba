// The README of heph-core, part six: actors that block. See readme_test.cpp.

#include <string>
#include <system_error>
#include <utility>

#include <catch2/catch.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/rpc.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/sync_actor.hpp>

namespace {

// [sync-actor]
using look_up = heph::rpc<std::string, std::string>;

void dictionary(heph::sync_context<look_up> ctx, std::string language) {
    while (auto call = ctx.receive()) {  // blocks, and nobody minds
        call->respond(call->request() + " in " + language);
    }
}
// [/sync-actor]

}  // namespace

TEST_CASE("readme: an actor that blocks has its own thread", "[core][readme]") {
    // [sync]
    heph::sync_options options;
    options.name = "dictionary";  // of its thread, and in the log
    auto actor =
        heph::spawn_sync(options, heph::stop_supervisor(), dictionary, std::string("Thai"));
    if (!actor) { throw std::system_error(actor.error()); }  // no thread could be had
    auto found = heph::block_on(actor->ref().rpc("actor"));  // or co_await, in an actor
    actor->join();                                           // lets the reference go, and waits
    // [/sync]
    CHECK(found == "actor in Thai");
}
