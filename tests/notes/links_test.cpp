#include "notes/links.hpp"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>

#include "linked_nodes.hpp"
#include "rt/on_runtime.hpp"

using heph::task;
using heph::test::quiet_setup;
using heph::test::run_on_worker;
using notes::test::linked_nodes;

namespace {

// Answers every request for a note with its own name.
task<> named_store(heph::rt::local_context<notes::store_message> ctx, std::string name) {
    while (auto message = co_await ctx.receive()) {
        if (auto* call = std::get_if<notes::get_call>(&*message)) {
            notes::get_reply reply;
            reply.found = true;
            reply.body = name + " has " + call->request().id;
            (void)call->respond(std::move(reply));
        }
        // All else is dropped.
    }
}

void publish(linked_nodes& nodes, std::string name) {
    nodes.b->publish(
        notes::store_name,
        nodes.worker.spawn(heph::no_supervisor(), heph::actor_fn(named_store), std::move(name)));
}

task<std::string> get_from(notes::links& through, std::string node) {
    notes::get_note asked;
    asked.id = "x";
    auto asking = through.ask<notes::get_call>(std::move(node), std::move(asked));
    auto answer = co_await asking;
    if (!answer) { co_return "error: " + answer.error(); }
    co_return answer->body;
}

task<> use_links(std::shared_ptr<linked_nodes> nodes, int& checked) {
    co_await nodes->until_linked();
    notes::links through(*nodes->a);
    publish(*nodes, "the first");
    const std::string first = co_await get_from(through, "b");
    CHECK(first == "the first has x");

    // What was found leads to the first one; the second has to be found anew.
    publish(*nodes, "the second");
    const std::string second = co_await get_from(through, "b");
    CHECK(second == "the second has x");

    notes::remove_note unheard;
    unheard.id = "x";
    auto dropping = through.ask<notes::remove_call>("b", std::move(unheard));
    auto dropped = co_await dropping;
    CHECK_FALSE(dropped);
    CHECK(dropped.error().find("'b'") != std::string::npos);
    const std::string again = co_await get_from(through, "b");
    CHECK(again == "the second has x");

    nodes->b->unpublish(notes::store_name);
    const std::string unpublished = co_await get_from(through, "b");
    CHECK(unpublished == "error: node 'b': no such actor is published");
    publish(*nodes, "the third");
    const std::string third = co_await get_from(through, "b");
    CHECK(third == "the third has x");

    const std::string unknown = co_await get_from(through, "c");
    CHECK(unknown == "error: node 'c' cannot be reached");
    nodes->b->stop();
    co_await nodes->until_unlinked();
    const std::string gone = co_await get_from(through, "b");
    CHECK(gone == "error: node 'b' cannot be reached");
    nodes->a->stop();
    const std::string stopped = co_await get_from(through, "b");
    CHECK(stopped.find("error: node 'b'") == 0);
    ++checked;
}

}  // namespace

TEST_CASE("notes links: the store of another node is found, and found anew", "[notes][links]") {
    int checked = 0;
    run_on_worker(quiet_setup(), [&](heph::rt::worker& worker) {
        worker.spawn_future(use_links(std::make_shared<linked_nodes>(worker), checked));
    });
    CHECK(checked == 1);
}

TEST_CASE("notes links: a node by itself has nobody to ask", "[notes][links]") {
    std::string answer;
    run_on_worker(quiet_setup(), [&](heph::rt::worker& worker) {
        worker.spawn_future([](std::string& to) -> task<> {
            notes::links none;
            to = co_await get_from(none, "b");
        }(answer));
    });
    CHECK(answer == "error: node 'b' is not linked");
}
