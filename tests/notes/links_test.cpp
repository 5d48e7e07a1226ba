#include "notes/links.hpp"

#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <heph/core/join.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/rt/timer.hpp>

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
    notes::links through(*nodes->a, nodes->worker.shared());
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

using held_puts = std::vector<notes::put_call>;

// Answers reads, and holds what is to be put without an answer.
task<> holding_store(heph::rt::local_context<notes::store_message> ctx,
                     std::shared_ptr<held_puts> held) {
    while (auto message = co_await ctx.receive()) {
        if (auto* get = std::get_if<notes::get_call>(&*message)) {
            (void)get->respond(notes::get_reply());
        } else if (auto* put = std::get_if<notes::put_call>(&*message)) {
            held->push_back(std::move(*put));
        }
    }
}

void publish_holding(linked_nodes& nodes, std::shared_ptr<held_puts> held) {
    nodes.b->publish(
        notes::store_name,
        nodes.worker.spawn(heph::no_supervisor(), heph::actor_fn(holding_store), std::move(held)));
}

task<bool> put_to(notes::links& through, std::string node) {
    notes::put_note asked;
    asked.id = "x";
    auto asking = through.ask<notes::put_call>(std::move(node), std::move(asked));
    auto answer = co_await asking;
    co_return answer.has_value();
}

// Replaces node b by another run of it as soon as the first one holds something.
task<> replace_b(linked_nodes& nodes, std::shared_ptr<held_puts> held,
                 std::shared_ptr<held_puts> held_later) {
    for (int tries = 0; tries < 2000 && held->empty(); ++tries) {
        co_await heph::rt::timer(std::chrono::milliseconds(10));
    }
    REQUIRE(held->size() == 1);
    heph::remote::options of_b("b", notes::test::a_secret());
    of_b.listen(nodes.b->address());
    heph::remote::link_settings times;
    times.listen_retry = std::chrono::milliseconds(0);
    of_b.links(times);
    nodes.b->stop();
    for (int tries = 0; tries < 2000; ++tries) {
        auto started = heph::remote::node::start(nodes.worker, of_b);
        if (started) {
            nodes.b.emplace(std::move(*started));
            publish_holding(nodes, held_later);
            co_return;
        }
        co_await heph::rt::timer(std::chrono::milliseconds(10));
    }
    FAIL("the address of b stays in use");
}

task<> put_while_b_is_replaced(std::shared_ptr<linked_nodes> nodes, int& checked) {
    co_await nodes->until_linked();
    notes::links through(*nodes->a, nodes->worker.shared());
    const auto held = std::make_shared<held_puts>();
    const auto held_later = std::make_shared<held_puts>();
    publish_holding(*nodes, held);
    const std::string found = co_await get_from(through, "b");
    CHECK(found.empty());

    auto putting = put_to(through, "b");
    auto replacing = replace_b(*nodes, held, held_later);
    const auto both = co_await heph::join(putting, replacing);
    // The first run of b took it; whether it was made is not known.
    CHECK_FALSE(std::get<0>(both));
    CHECK(held->size() == 1);
    CHECK(held_later->empty());
    // The next run is found, though.
    const std::string next = co_await get_from(through, "b");
    CHECK(next.empty());
    ++checked;
}

}  // namespace

TEST_CASE("notes links: a change that may have been made is not made again after a restart",
          "[notes][links]") {
    int checked = 0;
    run_on_worker(quiet_setup(), [&](heph::rt::worker& worker) {
        worker.spawn_future(
            put_while_b_is_replaced(std::make_shared<linked_nodes>(worker), checked));
    });
    CHECK(checked == 1);
}

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
