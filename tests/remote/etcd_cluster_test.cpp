// Nodes that find each other through a real etcd.

#include <catch2/catch.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <heph/remote/etcd/cluster.hpp>

#include "etcd/process_lock.hpp"
#include "etcd/process_mark.hpp"
#include "etcd/reach.hpp"

#include "remote/etcd_server.hpp"

namespace heph::remote::testing {

namespace {

etcd::cluster_settings quick_cluster() {
    etcd::cluster_settings made;
    made.ttl(10s);
    return made;
}

}  // namespace

TEST_CASE("etcd: nodes find each other, and see those that come and go", "[etcd][etcd-server]") {
    run_with_coming_etcd([](rt::worker worker, etcd_server&, etcd::client client) -> task<> {
        auto a = testing::start(worker, listening("a"));
        auto b = testing::start(worker, listening("b"));
        auto c = testing::start(worker, quick_options("c"));  // Dials only.
        // Joins though etcd is not up yet.
        auto in_a = etcd::cluster::join(a, client, quick_cluster());
        auto in_b = etcd::cluster::join(b, client, quick_cluster());
        auto in_c = etcd::cluster::join(c, client, quick_cluster());
        REQUIRE(in_a);
        REQUIRE(in_b);
        REQUIRE(in_c);
        const auto joined = co_await in_c->joined();
        CHECK(joined.is_held());
        const bool all = co_await eventually([&] { return in_a->members().size() == 3; });
        CHECK(all);
        const bool linked = co_await eventually([&] {
            return a.is_linked("b") && b.is_linked("a") && c.is_linked("a") && c.is_linked("b");
        });
        CHECK(linked);
        const auto members = in_a->members();
        REQUIRE(members.size() == 3);
        CHECK(members[1].address == b.address());
        CHECK(members[2].address.empty());
        a.publish("counter", spawn_counter(worker, std::make_shared<counter_state>()));
        const auto found = co_await c.find<counter_message>("a", "counter");
        CHECK(found);
        // One that leaves is gone at once.
        const auto leaving = rt::clock::now();
        co_await in_b->leave();
        const bool left = co_await eventually([&] { return in_a->members().size() == 2; });
        CHECK(left);
        CHECK(rt::clock::now() - leaving < 20s);
        CHECK_FALSE(in_b->current());
    });
}

TEST_CASE("etcd: a membership outlasts the loss of all data of etcd, and of its own key",
          "[etcd][etcd-server]") {
    run_with_coming_etcd([](rt::worker worker, etcd_server& server, etcd::client client) -> task<> {
        auto a = testing::start(worker, listening("a"));
        auto in_a = etcd::cluster::join(a, client, quick_cluster());
        REQUIRE(in_a);
        const auto first = co_await in_a->joined();
        // The key is removed by somebody.
        const bool seen = co_await eventually([&] { return in_a->members().size() == 1; });
        REQUIRE(seen);
        const auto alone = in_a->members();
        REQUIRE(alone.size() == 1);
        const auto fence = alone[0].fence;
        const auto removed = co_await client.remove("/heph/members/a");
        REQUIRE(removed);
        const bool again = co_await eventually([&] {
            const auto now = in_a->members();
            return in_a->current() && now.size() == 1 && now[0].fence > fence;
        });
        CHECK(again);
        CHECK_FALSE(first.is_held());
        // Another etcd, which is empty, at the same place.
        co_await server.kill();
        server.forget_all();
        co_await server.start();
        const auto before = in_a->current();
        const bool back = co_await eventually([&] {
            const auto now = in_a->current();
            return now && (!before || now->id() != before->id()) && in_a->members().size() == 1;
        });
        CHECK(back);
        const auto listed = co_await client.list("/heph/members/");
        REQUIRE(listed);
        CHECK(listed->found.size() == 1);
    });
}

TEST_CASE("etcd: a name has one node, but a killed one that starts again follows itself at once",
          "[etcd][etcd-server]") {
    run_with_etcd([](rt::worker worker, etcd_server&, etcd::client client) -> task<> {
        auto a = testing::start(worker, listening("a"));
        // What a run that was killed leaves behind: a key, until its lease ends.
        const auto old = co_await client.grant(600s);
        REQUIRE(old);
        const auto put = co_await client.put("/heph/members/a", a.address(), old->id);
        REQUIRE(put);
        auto in_a = etcd::cluster::join(a, client, quick_cluster());
        REQUIRE(in_a);
        const auto joined = co_await in_a->joined();
        CHECK(joined.id() != old->id);
        // A node of the same name elsewhere waits.
        const log_lines lines;
        auto other = testing::start(worker, listening("a"));
        auto in_other = etcd::cluster::join(other, client, quick_cluster());
        REQUIRE(in_other);
        const bool told = co_await eventually([] { return log_lines::with("of this name") == 1; });
        CHECK(told);
        CHECK_FALSE(in_other->current());
        CHECK(in_a->current());
        co_await in_a->leave();
        const auto follows = co_await in_other->joined();
        CHECK(follows.is_held());
        const bool one = co_await eventually([&] {
            const auto all = in_other->members();
            return all.size() == 1 && all[0].address == other.address();
        });
        CHECK(one);
    });
}

namespace {

// Sleeps until it is killed. What another run of a node has at its address is the child's then.
task<rt::child> sleeping_child() {
    rt::command command("sleep");
    command.argument("600");
    auto child = co_await command.spawn();
    if (!child) { throw std::runtime_error("sleep does not start"); }
    co_return std::move(*child);
}

task<std::int64_t> enter_as(etcd::client client, std::string address, int process) {
    const auto old = co_await client.grant(600s);
    if (!old) { throw std::runtime_error("no lease"); }
    const auto mark = etcd::detail::process_mark::of(process);
    if (!mark) { throw std::runtime_error("no mark"); }
    etcd::transaction entering;
    entering.then_put("/heph/members/a", address, old->id);
    entering.then_put("/heph/runs/a", mark->to_string(), old->id);
    entering.then_put("/heph/shards/some/owners/1", "a", old->id);
    const auto done = co_await client.commit(std::move(entering));
    if (!done) { throw std::runtime_error("no keys"); }
    co_return old->id;
}

}  // namespace

TEST_CASE("etcd: a run that has ended is followed at once, and only that; its lease is ended",
          "[etcd][etcd-server]") {
    run_with_etcd([](rt::worker worker, etcd_server&, etcd::client client) -> task<> {
        // At the same address, and at another one.
        for (const bool same : {true, false}) {
            const log_lines lines;
            auto a = testing::start(worker, listening("a"));
            auto process = co_await sleeping_child();
            const std::string address = same ? a.address() : std::string("127.0.0.1:1");
            const auto lease = co_await enter_as(client, address, process.id());
            auto in_a = etcd::cluster::join(a, client, quick_cluster());
            REQUIRE(in_a);
            const bool told =
                co_await eventually([] { return log_lines::with("of this name") == 1; });
            CHECK(told);
            CHECK_FALSE(in_a->current());
            const auto kept = co_await client.get("/heph/shards/some/owners/1");
            CHECK((kept && *kept && (*kept)->lease == lease));
            CHECK_FALSE(process.kill());
            (void)co_await process.wait();
            const auto joined = co_await in_a->joined();
            CHECK(joined.id() != lease);
            const auto gone = co_await client.get("/heph/shards/some/owners/1");
            CHECK((gone && !*gone));
            const auto run = co_await client.get("/heph/runs/a");
            CHECK((run && *run && (*run)->lease == joined.id()));
            co_await in_a->leave();
        }
    });
}

namespace {

// Has a process of its own lock a file until that is killed.
task<rt::child> locking_child(std::string file) {
    rt::command command("sh");
    command.argument("-c").argument("exec 9>\"$0\" && flock 9 && exec sleep 600").argument(file);
    auto child = co_await command.spawn();
    if (!child) { throw std::runtime_error("the shell does not start"); }
    co_return std::move(*child);
}

bool is_locked_by_another(const std::string& file) {
    const int opened = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
    if (opened < 0) { return false; }
    const bool is_free = ::flock(opened, LOCK_EX | LOCK_NB) == 0;
    ::close(opened);
    return !is_free;
}

}  // namespace

TEST_CASE(
    "etcd: a run of another container is followed at once by who has its lock, and its lease "
    "is ended",
    "[etcd][etcd-server]") {
    run_with_etcd([](rt::worker worker, etcd_server& server, etcd::client client) -> task<> {
        const std::string file = server.folder() + "/lock";
        auto process = co_await locking_child(file);
        const bool is_locked = co_await eventually([&] { return is_locked_by_another(file); });
        REQUIRE(is_locked);
        // Its mark is one of other namespaces: what is there of it, nobody here can tell.
        const auto lock = etcd::detail::process_lock::open(file);
        REQUIRE(lock);
        const std::string own = etcd::detail::process_mark::own()->to_string();
        const std::string boot = own.substr(0, own.find(' '));
        const auto old = co_await client.grant(600s);
        REQUIRE(old);
        etcd::transaction entering;
        entering.then_put("/heph/members/a", "127.0.0.1:1", old->id);
        entering.then_put("/heph/runs/a", boot + " pid:[1],time:[1] 7 7 " + lock->name(), old->id);
        const auto done = co_await client.commit(std::move(entering));
        REQUIRE(done);

        const log_lines lines;
        auto a = testing::start(worker, listening("a"));
        auto in_a = etcd::cluster::join(a, client, quick_cluster().lock_file(file));
        REQUIRE(in_a);
        const bool told = co_await eventually([] { return log_lines::with("of this name") == 1; });
        CHECK(told);
        CHECK_FALSE(in_a->current());
        CHECK_FALSE(process.kill());
        (void)co_await process.wait();
        const auto joined = co_await in_a->joined();
        CHECK(joined.id() != old->id);
        const auto ended = co_await client.keep_alive(old->id);
        CHECK_FALSE(ended);
        CHECK(is_locked_by_another(file));  // By this process, whoever opens it.
        const auto run = co_await client.get("/heph/runs/a");
        CHECK((run && *run && (*run)->value.ends_with(' ' + lock->name())));
        co_await in_a->leave();

        // Where locks mean nothing, it is no member at all.
        const auto refused =
            etcd::cluster::join(a, client, quick_cluster().lock_file("/proc/self/stat"));
        CHECK_FALSE(refused);
        const auto nowhere =
            etcd::cluster::join(a, client, quick_cluster().lock_file("/nowhere/x"));
        REQUIRE_FALSE(nowhere);
        CHECK(nowhere.error().code() == std::errc::no_such_file_or_directory);
    });
}

TEST_CASE("etcd: who runs elsewhere is followed at once at its address, and not at its host's name",
          "[etcd][etcd-server]") {
    HEPH_TEST_NEEDS_ETCD();
    run_nodes([](rt::worker worker) -> task<> {
        etcd_server server;
        co_await server.start();
        etcd::client client(worker, server.where());
        const bool is_ready = co_await etcd_server::ready(client);
        REQUIRE(is_ready);
        for (const bool by_name : {false, true}) {
            const std::string address = by_name ? "store.example:9001" : "192.0.2.1:9001";
            const auto old = co_await client.grant(600s);
            REQUIRE(old);
            etcd::transaction entering;
            entering.then_put("/heph/members/a", address, old->id);
            entering.then_put("/heph/runs/a",
                              "00000000-0000-0000-0000-000000000000 pid:[1],time:[1] 7 7", old->id);
            const auto done = co_await client.commit(std::move(entering));
            REQUIRE(done);
            const log_lines lines;
            auto a = testing::start(worker, quick_options("a").advertise(address));
            auto in_a = etcd::cluster::join(a, client, quick_cluster());
            REQUIRE(in_a);
            if (by_name) {
                // Another machine may have the name by now, and the one before may run on.
                const bool told =
                    co_await eventually([] { return log_lines::with("of this name") == 1; });
                CHECK(told);
                CHECK_FALSE(in_a->current());
                const auto ended = co_await client.revoke(old->id);
                CHECK(ended);
            }
            const auto joined = co_await in_a->joined();
            CHECK(joined.id() != old->id);
            co_await in_a->leave();
        }
    });
}

TEST_CASE("etcd: a lock tells of the end of runs that had it at the same boot, and of no others",
          "[etcd]") {
    using etcd::detail::process_mark;
    const auto of = [](const char* text) { return process_mark::parse(text).value(); };
    const auto here = of("boot pid:[2],time:[1] 9 9 1:2");
    CHECK(of("boot pid:[1],time:[1] 9 9 1:2").is_followed_by(here));
    CHECK(of("boot pid:[2],time:[1] 8 9 1:2").is_followed_by(here));
    CHECK_FALSE(here.is_followed_by(here));
    CHECK_FALSE(of("boot pid:[1],time:[1] 9 9").is_followed_by(here));
    CHECK_FALSE(of("boot pid:[1],time:[1] 9 9 1:3").is_followed_by(here));
    CHECK_FALSE(of("other pid:[1],time:[1] 9 9 1:2").is_followed_by(here));
    CHECK_FALSE(of("boot pid:[1],time:[1] 9 9").is_followed_by(of("boot pid:[2],time:[1] 9 9")));
    CHECK(of(here.to_string().c_str()) == here);
}

TEST_CASE("etcd: a process is taken for ended only if that is certain", "[etcd]") {
    using etcd::detail::process_mark;
    const auto own = process_mark::own();
    REQUIRE(own);
    CHECK_FALSE(own->has_ended());
    const std::string text = own->to_string();
    const auto read = process_mark::parse(text);
    REQUIRE(read);
    CHECK(*read == *own);
    CHECK_FALSE(read->has_ended());
    // Another process got its pid.
    const auto earlier = process_mark::parse(text + "1");
    REQUIRE(earlier);
    CHECK(earlier->has_ended());
    // One of another machine, or of another container, that has our pid or none that there is.
    for (const char* prefix : {"x", ""}) {
        const std::string pid = *prefix == 'x' ? " 1 1" : ",x 1 1";
        const auto space = text.find(' ');
        const auto away = process_mark::parse(
            *prefix == 'x' ? prefix + text.substr(0, text.find(' ', space + 1)) + pid
                           : text.substr(0, text.find(' ', space + 1)) + pid);
        REQUIRE(away);
        CHECK_FALSE(away->is_near());
        CHECK_FALSE(away->has_ended());
    }
    for (const char* wrong : {"", "a", "a b", "a b 1", "a b c 1", "a b 0 1", "a b -1 1", "a b 1x 1",
                              "a b 1 2 3", "a b 1 2 3:4 5", "a b 99999999999999 1"}) {
        CAPTURE(wrong);
        CHECK_FALSE(process_mark::parse(wrong));
    }
}

TEST_CASE("etcd: a node that others cannot dial is told so when it joins", "[etcd][etcd-server]") {
    run_nodes([](rt::worker worker) -> task<> {
        auto everywhere = testing::start(worker, quick_options("a").listen("0.0.0.0:0"));
        etcd::client client(worker, etcd::settings({"http://127.0.0.1:1"}));
        const auto refused = etcd::cluster::join(everywhere, client);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code() == etcd::errc::bad_settings);
        etcd::cluster_settings brief;
        brief.ttl(0s).address("127.0.0.1:9");
        const auto too_short = etcd::cluster::join(everywhere, client, brief);
        REQUIRE_FALSE(too_short);
        etcd::cluster_settings wrong;
        wrong.address("somewhere");
        const auto nowhere = etcd::cluster::join(everywhere, client, wrong);
        REQUIRE_FALSE(nowhere);
        CHECK(nowhere.error().code() == etcd::errc::bad_settings);
        // What the node advertises is where it is reached.
        auto told =
            testing::start(worker, quick_options("b").listen("0.0.0.0:0").advertise("127.0.0.1:8"));
        CHECK(etcd::cluster::join(told, client));
        etcd::cluster_settings named;
        named.address("127.0.0.1:9");
        const auto taken = etcd::cluster::join(everywhere, client, named);
        CHECK(taken);
        co_return;
    });
}

TEST_CASE("etcd: an address that leads nowhere from other machines is told where there are some",
          "[etcd]") {
    struct row {
        const char* address;
        std::vector<std::string> endpoints;
        bool is_wrong;
    };
    const std::string away = "http://10.0.0.1:2379";
    const auto each = GENERATE_COPY(
        row{"127.0.0.1:9001", {"http://127.0.0.1:2379"}, false},
        row{"127.0.0.1:9001", {"http://127.0.0.1:2379", away}, true},
        row{"127.0.0.1:9001", {"http://localhost:2379/", "https://[::1]:2379"}, false},
        row{"127.0.0.1:9001", {"http://etcd.test:2379"}, true}, row{"[::1]:9001", {away}, true},
        row{"unix:/run/a.sock", {away}, true}, row{"192.0.2.1:9001", {away}, false},
        row{"", {away}, false});
    CAPTURE(each.address);
    const auto said = etcd::detail::complaint_about(each.address, each.endpoints);
    CHECK(said.empty() != each.is_wrong);
}

}  // namespace heph::remote::testing
