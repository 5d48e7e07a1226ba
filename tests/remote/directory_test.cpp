// What nodes tell each other of the names they publish: whole lists, and what changed in them.

#include <memory>
#include <set>
#include <string>
#include <vector>

#include <heph/core/testing/step_executor.hpp>
#include <heph/remote/memory_network.hpp>
#include <heph/remote/remote_group.hpp>

#include "node/directory.hpp"
#include "node/group_state.hpp"
#include "remote/golden.hpp"
#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::remote::failure;
using heph::remote::memory_network;
using heph::testing::step_executor;
using heph::testing::step_runtime;
namespace detail = heph::remote::detail;
namespace remote = heph::remote;

namespace before_changes {

// As 0.4.2 has them.
struct list_request {
    std::string name;
    bool is_prefix = false;
    std::uint64_t known = 0;
};
HEPH_MESSAGE(list_request, "heph.list_request", 1, name, is_prefix, known)

struct list_answer {
    std::uint64_t digest = 0;
    bool is_leaving = false;
    std::vector<detail::listed_actor> actors;
};
HEPH_MESSAGE(list_answer, "heph.list_answer", 1, digest, is_leaving, actors)

}  // namespace before_changes

namespace {

// Two nodes, of which "a" asks the directory of "b" as a group does.
class asking {
public:
    asking() {
        auto links = quick_links();
        links.failures_max = 0;
        remote::options of_a = quick_options("a");
        of_a.links(links).network(network_).peer("b", "memory:b");
        remote::options of_b = quick_options("b");
        of_b.links(links).network(network_).listen("memory:b");
        b_ = remote::start_stepped(run_, of_b).value();
        a_ = remote::start_stepped(run_, of_a).value();
        auto finding = detail::find_actor(port(), "b", std::string(detail::directory_name),
                                          remote::deadline(10s));
        directory_ = run_.block_on(std::move(finding)).value();
    }
    ~asking() {
        a_->stop();
        b_->stop();
        run_.advance(10s);
    }
    asking(const asking&) = delete;
    asking& operator=(const asking&) = delete;

    void publish(const std::string& name) {
        b_->publish(name, run_.spawn(run_.supervisor(), heph::actor_fn(counter_on<step_runtime>),
                                     std::make_shared<counter_state>()));
    }
    void unpublish(const std::string& name) { b_->unpublish(name); }

    template <typename Answer = detail::list_answer, typename Request>
    Answer ask(const Request& request) {
        auto calling = detail::call_actor(port(), directory_, 0, detail::framed(request),
                                          remote::deadline(1h));
        const auto answered = run_.block_on(std::move(calling), 2h);
        if (!answered) { throw std::runtime_error("there is no answer"); }
        return remote::decode<Answer>(answered->payload()).value();
    }
    detail::list_answer ask_for_changes(std::uint64_t known) {
        detail::list_request request;
        request.name = "w/";
        request.is_prefix = true;
        request.known = known;
        request.takes_changes = true;
        return ask(request);
    }

private:
    [[nodiscard]] std::shared_ptr<detail::port> port() const {
        return detail::group_access::port_of(*a_);
    }

    step_executor run_{heph::testing::schedule::random(5)};
    memory_network network_;
    std::optional<remote::node> a_;
    std::optional<remote::node> b_;
    detail::destination_pointer directory_;
};

std::set<std::string> names_in(const detail::list_answer& answer) {
    std::set<std::string> names;
    for (const auto& each : answer.actors) { names.insert(each.name); }
    return names;
}

detail::destination run_of(std::string node, std::uint64_t incarnation) {
    return {std::move(node), "", std::string(detail::directory_name), {incarnation, 1}, 1, {}};
}

}  // namespace

TEST_CASE("directory: who knows a list is told what is other since, and nothing else",
          "[remote][directory]") {
    asking of;
    for (const std::string name : {"w/1", "w/2", "w/3", "w/4", "other"}) { of.publish(name); }
    const auto first = of.ask_for_changes(0);
    CHECK(first.since == 0);
    CHECK(first.gone.empty());
    CHECK(names_in(first) == std::set<std::string>{"w/1", "w/2", "w/3", "w/4"});

    of.publish("w/5");
    const auto second = of.ask_for_changes(first.digest);
    CHECK(second.since == first.digest);
    CHECK(names_in(second) == std::set<std::string>{"w/5"});
    CHECK(second.gone.empty());

    // Several at once; one that is published anew has another number.
    const auto number_of_2 = first.actors.at(1).number;
    of.unpublish("w/1");
    of.publish("w/2");
    of.publish("w/6");
    const auto third = of.ask_for_changes(second.digest);
    CHECK(third.since == second.digest);
    CHECK(names_in(third) == std::set<std::string>{"w/2", "w/6"});
    CHECK(third.gone == std::vector{first.actors.at(0).number, number_of_2});

    // Of an older list, too, and not of one that never was.
    CHECK(of.ask_for_changes(first.digest).gone.size() == 2);
    CHECK(of.ask_for_changes(first.digest).since == first.digest);
    const auto unknown = of.ask_for_changes(4711);
    CHECK(unknown.since == 0);
    CHECK(names_in(unknown) == std::set<std::string>{"w/2", "w/3", "w/4", "w/5", "w/6"});

    // When nothing stays there is nothing to be spared.
    for (int i = 2; i <= 6; ++i) { of.unpublish("w/" + std::to_string(i)); }
    of.publish("w/7");
    const auto last = of.ask_for_changes(third.digest);
    CHECK(last.since == 0);
    CHECK(names_in(last) == std::set<std::string>{"w/7"});
}

TEST_CASE("directory: a program of before there were changes gets whole lists",
          "[remote][directory]") {
    asking of;
    for (const std::string name : {"w/1", "w/2", "w/3"}) { of.publish(name); }
    before_changes::list_request request;
    request.name = "w/";
    request.is_prefix = true;
    const auto first = of.ask<before_changes::list_answer>(request);
    CHECK(first.actors.size() == 3);
    of.unpublish("w/3");
    request.known = first.digest;
    const auto second = of.ask<before_changes::list_answer>(request);
    CHECK(second.actors.size() == 2);
    // Though somebody else knows the same list, and takes changes.
    CHECK(of.ask_for_changes(first.digest).since == 0);
    (void)of.ask_for_changes(0);
    of.publish("w/4");
    request.known = second.digest;
    CHECK(of.ask<before_changes::list_answer>(request).actors.size() == 3);
    CHECK(of.ask(request).since == 0);
}

TEST_CASE("directory: lists that were told long ago are forgotten, and large ones sooner",
          "[remote][directory]") {
    const auto of_size = [](std::size_t size) {
        return std::make_shared<const detail::actor_numbers>(size);
    };
    detail::told_lists told;
    for (std::uint64_t digest = 1; digest <= detail::told_lists::lists_max; ++digest) {
        told.add(digest, of_size(1));
    }
    CHECK(told.find(1) != nullptr);
    told.add(1, of_size(1));  // Again: it is the newest one.
    told.add(1000, of_size(1));
    CHECK(told.find(1) != nullptr);
    CHECK(told.find(2) == nullptr);
    CHECK(told.find(3) != nullptr);
    told.add(1001, of_size(detail::told_lists::numbers_max));
    CHECK(told.find(1001) != nullptr);
    CHECK(told.find(1000) == nullptr);
    told.add(1002, of_size(detail::told_lists::numbers_max + 1));
    CHECK(told.find(1002) == nullptr);
    CHECK(told.find(1001) != nullptr);
}

TEST_CASE("directory: requests and answers have the bytes that are committed, both ways",
          "[remote][directory][golden]") {
    const golden_lines lines(2);
    const detail::list_request request{"work/", true, 7, true};
    CHECK(hex_of(remote::encode(request)) == lines.text("directory.request"));
    CHECK(hex_of(remote::encode(before_changes::list_request{"work/", true, 7})) ==
          lines.text("directory.request 0.4.2"));
    const auto old_request =
        remote::decode<detail::list_request>(lines.bytes("directory.request 0.4.2"));
    REQUIRE(old_request);
    CHECK(old_request->known == 7);
    CHECK(!old_request->takes_changes);

    detail::list_answer answer{9, false, {{"w", 5, {"t"}}}, 0, {}};
    CHECK(hex_of(remote::encode(answer)) == lines.text("directory.answer"));
    const auto read_by_old =
        remote::decode<before_changes::list_answer>(lines.bytes("directory.answer"));
    REQUIRE(read_by_old);
    CHECK(read_by_old->digest == 9);
    CHECK(read_by_old->actors.size() == 1);
    const auto old_answer =
        remote::decode<detail::list_answer>(lines.bytes("directory.answer 0.4.2"));
    REQUIRE(old_answer);
    CHECK(old_answer->since == 0);
    CHECK(old_answer->actors.at(0).number == 5);
    answer.since = 7;
    answer.gone = {4};
    CHECK(hex_of(remote::encode(answer)) == lines.text("directory.answer changes"));
}

TEST_CASE("group state: changes of a list leave the other members as they are",
          "[remote][group][directory]") {
    detail::group_state state;
    (void)state.peer("b", {true, true});
    (void)state.listed(run_of("b", 1), {{"x", 1, {"t"}}, {"y", 2, {"t"}}, {"z", 3, {"t"}}});
    const auto before = state.view();
    // One goes, one comes, and one is another one under its name.
    CHECK(state.changed(run_of("b", 1), {{"y", 5, {"t"}}, {"w", 4, {"t"}}}, {1, 2}));
    const auto now = state.view();
    REQUIRE(now->size() == 3);
    CHECK(now->at(0).to->name == "w");
    CHECK(now->at(1).to->number == 5);
    CHECK(now->at(2).to == before->at(2).to);
    CHECK(!state.changed(run_of("b", 1), {{"w", 4, {"t"}}}, {1}));
    CHECK(!state.changed(run_of("nobody", 1), {{"w", 4, {"t"}}}, {}));
    // Numbers of another run are not theirs.
    CHECK(!state.changed(run_of("b", 2), {}, {3, 4, 5}));
}
