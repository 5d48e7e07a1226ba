// The client of etcd, its watches and leases, with a real etcd that is stopped, killed and frozen.

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/http/client.hpp>
#include <heph/remote/etcd/lease.hpp>
#include <heph/remote/etcd/names.hpp>
#include <heph/rt/net/tcp.hpp>

#include "etcd/gateway.hpp"
#include "remote/etcd_server.hpp"

namespace heph::remote::testing {

namespace {

/// Gives the next batch, within the time of a test.
task<std::optional<etcd::watch_batch>> next_batch(etcd::watcher& watcher) {
    rt::deadline bounded(plenty, watcher.next());
    auto batch = co_await bounded;
    if (!batch || !*batch) { co_return std::nullopt; }
    co_return std::move(**batch);
}

task<bool> in_time(task<> waiting) {
    rt::deadline bounded(plenty, std::move(waiting));
    co_return (co_await bounded).has_value();
}

}  // namespace

TEST_CASE("etcd: keys are set, read, listed by prefix, changed by transaction and removed",
          "[etcd][etcd-server]") {
    HEPH_TEST_NEEDS_ETCD();
    run_nodes([](rt::worker worker) -> task<> {
        etcd_server server;
        co_await server.start();
        // The first endpoint is dead, and passed over.
        etcd::client client(worker, etcd::settings({"http://127.0.0.1:1", server.endpoint()}));
        const bool is_ready = co_await etcd_server::ready(client);
        REQUIRE(is_ready);
        const std::string odd("\0\xff\n\"", 4);
        const auto put = co_await client.put("/a/1", odd);
        REQUIRE(put);
        const auto got = co_await client.get("/a/1");
        REQUIRE(got);
        REQUIRE(*got);
        CHECK((*got)->value == odd);
        CHECK((*got)->mod_revision == *put);
        const auto absent = co_await client.get("/a");
        REQUIRE(absent);
        CHECK_FALSE(*absent);
        // More than a page.
        etcd::transaction filling;
        for (int i = 0; i < 100; ++i) { filling.then_put("/many/" + std::to_string(i), "x"); }
        const auto filled = co_await client.commit(filling);
        REQUIRE(filled);
        CHECK(filled->succeeded);
        const auto listed = co_await client.list("/many/");
        REQUIRE(listed);
        CHECK(listed->found.size() == 100);
        const auto few = co_await client.list("/many/", 99);
        REQUIRE_FALSE(few);
        CHECK(few.error().code() == etcd::errc::too_large);
        // Pages are as small as they have to be.
        etcd::client narrow(worker, server.where().answer_bytes_max(2000));
        const auto by_few = co_await narrow.list("/many/");
        REQUIRE(by_few);
        CHECK(by_few->found.size() == 100);
        etcd::transaction swap;
        swap.if_value("/a/1", "other").then_put("/a/1", "new").else_get("/a/1");
        const auto refused = co_await client.commit(swap);
        REQUIRE(refused);
        CHECK_FALSE(refused->succeeded);
        REQUIRE(refused->found.size() == 1);
        CHECK(refused->found[0].value == odd);
        const auto removed = co_await client.remove("/a/1");
        REQUIRE(removed);
        CHECK(*removed);
        const auto again = co_await client.remove("/a/1");
        REQUIRE(again);
        CHECK_FALSE(*again);
        const auto unleased = co_await client.put("/a/2", "x", 4711);
        REQUIRE_FALSE(unleased);
        CHECK(unleased.error().code() == etcd::errc::lease_not_found);
        const auto nameless = co_await client.put("", "x");
        REQUIRE_FALSE(nameless);
        CHECK(nameless.error().code() == etcd::errc::invalid_request);
    });
}

TEST_CASE("etcd: where there is no etcd, the error says so", "[etcd][etcd-server]") {
    run_nodes([](rt::worker worker) -> task<> {
        etcd::client nowhere(worker, etcd::settings({"http://127.0.0.1:1"}));
        const auto put = co_await nowhere.put("a", "b");
        REQUIRE_FALSE(put);
        CHECK(put.error().code() == etcd::errc::unavailable);
        CHECK(put.error().message().contains("127.0.0.1:1"));
        etcd::client bad(worker, etcd::settings({"127.0.0.1:1"}));
        const auto got = co_await bad.get("a");
        REQUIRE_FALSE(got);
        CHECK(got.error().code() == etcd::errc::bad_settings);
        etcd::client none(worker, etcd::settings({}));
        const auto nothing = co_await none.get("a");
        REQUIRE_FALSE(nothing);
        CHECK(nothing.error().code() == etcd::errc::bad_settings);
        auto silent = none.watch("a");
        const auto batch = co_await silent.next();
        REQUIRE_FALSE(batch);
        CHECK(batch.error().code() == etcd::errc::bad_settings);
    });
}

TEST_CASE("etcd: a change that got no answer is not sent twice", "[etcd][etcd-server]") {
    HEPH_TEST_NEEDS_ETCD();
    run_nodes([](rt::worker worker) -> task<> {
        etcd_server server;
        co_await server.start();
        // Connections come about, and nobody answers.
        auto silent = rt::net::tcp_listener::bind(rt::net::endpoint::loopback(0));
        REQUIRE(silent);
        const auto nobody = "http://" + silent->local_endpoint()->to_string();
        etcd::client direct(worker, server.where());
        const bool is_ready = co_await etcd_server::ready(direct);
        REQUIRE(is_ready);
        etcd::settings impatient({nobody, server.endpoint()});
        impatient.request_timeout(300ms);
        etcd::client client(worker, impatient);
        const auto put = co_await client.put("a", "b");
        REQUIRE_FALSE(put);
        CHECK(put.error().code() == etcd::errc::outcome_unknown);
        CHECK(put.error().message().contains(nobody));
        const auto got = co_await direct.get("a");
        REQUIRE(got);
        CHECK_FALSE(*got);
        // What only reads goes on to the next endpoint.
        etcd::settings patient({nobody, server.endpoint()});
        patient.request_timeout(10s);
        etcd::client reader(worker, patient);
        const auto read = co_await reader.get("a");
        CHECK(read);
        etcd::client alone(worker, etcd::settings({nobody}).request_timeout(50ms));
        const auto late = co_await alone.get("a");
        REQUIRE_FALSE(late);
        CHECK(late.error().code() == etcd::errc::timed_out);
    });
}

TEST_CASE("etcd: what was dropped without an answer is asked at another endpoint",
          "[etcd][etcd-server]") {
    HEPH_TEST_NEEDS_ETCD();
    run_nodes([](rt::worker worker) -> task<> {
        etcd_server server;
        co_await server.start();
        auto silent = rt::net::tcp_listener::bind(rt::net::endpoint::loopback(0));
        REQUIRE(silent);
        const auto nobody = "http://" + silent->local_endpoint()->to_string();
        etcd::client direct(worker, server.where());
        const bool is_ready = co_await etcd_server::ready(direct);
        REQUIRE(is_ready);
        // It would wait for longer than the test does.
        etcd::client client(
            worker,
            etcd::settings({nobody, server.endpoint()}).request_timeout(std::chrono::minutes(10)));
        {
            rt::deadline bounded(50ms, client.get("a"));
            const auto late = co_await bounded;
            CHECK_FALSE(late);
        }
        rt::deadline next(plenty, client.get("a"));
        const auto got = co_await next;
        REQUIRE(got);
        CHECK(*got);
    });
}

TEST_CASE("etcd: a watch tells each change once, across a restart of etcd", "[etcd][etcd-server]") {
    run_with_etcd([](rt::worker, etcd_server& server, etcd::client client) -> task<> {
        const auto first = co_await client.put("/w/a", "1");
        REQUIRE(first);
        auto watcher = client.watch_prefix("/w/");
        const auto listed = co_await next_batch(watcher);
        REQUIRE(listed);
        CHECK(listed->reset);
        REQUIRE(listed->events.size() == 1);
        CHECK(listed->events[0].what.value == "1");
        std::vector<std::string> told;
        const auto tell = [&told](const etcd::watch_batch& batch) {
            if (batch.reset) { told.emplace_back("reset"); }
            for (const auto& each : batch.events) {
                told.push_back(each.removed ? "-" : each.what.value);
            }
        };
        for (int round = 0; round < 3; ++round) {
            const auto put = co_await client.put("/w/a", std::to_string(2 + round));
            REQUIRE(put);
            if (round == 1) {
                // Both ways to go, with a watch that waits in one and has changes to come in the
                // other.
                co_await server.stop();
                co_await server.start();
            } else {
                const auto batch = co_await next_batch(watcher);
                REQUIRE(batch);
                tell(*batch);
                co_await server.kill();
                co_await server.start();
            }
            const bool is_back = co_await etcd_server::ready(client);
            REQUIRE(is_back);
        }
        const auto removed = co_await client.remove("/w/a");
        REQUIRE(removed);
        while (told.empty() || told.back() != "-") {
            const auto batch = co_await next_batch(watcher);
            REQUIRE(batch);
            tell(*batch);
        }
        CHECK(told == std::vector<std::string>{"2", "3", "4", "-"});
    });
}

TEST_CASE("etcd: a watch whose past was compacted begins anew with all there is",
          "[etcd][etcd-server]") {
    run_with_etcd([](rt::worker, etcd_server&, etcd::client client) -> task<> {
        auto watcher = client.watch_prefix("/c/");
        const auto listed = co_await next_batch(watcher);
        REQUIRE(listed);
        CHECK(listed->events.empty());
        // The watch has not opened a connection yet: what comes now it would have to be told.
        std::int64_t last = 0;
        for (int i = 0; i < 5; ++i) {
            const auto put = co_await client.put("/c/k", std::to_string(i));
            REQUIRE(put);
            last = *put;
        }
        const auto compacted = co_await client.compact(last);
        REQUIRE(compacted);
        const auto twice = co_await client.compact(1);
        REQUIRE_FALSE(twice);
        CHECK(twice.error().code() == etcd::errc::compacted);
        const auto again = co_await next_batch(watcher);
        REQUIRE(again);
        CHECK(again->reset);
        REQUIRE(again->events.size() == 1);
        CHECK(again->events[0].what.value == "4");
        const auto put = co_await client.put("/c/k", "5");
        REQUIRE(put);
        const auto next = co_await next_batch(watcher);
        REQUIRE(next);
        CHECK_FALSE(next->reset);
        CHECK(next->events[0].what.value == "5");
    });
}

TEST_CASE("etcd: a watch that is silent is made anew, and loses nothing", "[etcd][etcd-server]") {
    HEPH_TEST_NEEDS_ETCD();
    run_nodes([](rt::worker worker) -> task<> {
        etcd_server server;
        co_await server.start();
        etcd::client client(worker, server.where().watch_silence(250ms));
        const bool is_ready = co_await etcd_server::ready(client);
        REQUIRE(is_ready);
        auto watcher = client.watch("/s");
        const auto listed = co_await next_batch(watcher);
        REQUIRE(listed);
        // Several times of silence pass meanwhile. Dropping `next` loses nothing, either.
        for (int i = 0; i < 3; ++i) {
            rt::deadline bounded(400ms, watcher.next());
            const auto nothing = co_await bounded;
            CHECK_FALSE(nothing);
        }
        const auto put = co_await client.put("/s", "1");
        REQUIRE(put);
        const auto told = co_await next_batch(watcher);
        REQUIRE(told);
        CHECK_FALSE(told->reset);
        CHECK(told->revision == *put);
    });
}

TEST_CASE("etcd: a watch does not wait on a connection that died while nothing was answered",
          "[etcd][etcd-server]") {
    HEPH_TEST_NEEDS_ETCD();
    run_nodes([](rt::worker worker) -> task<> {
        etcd_server server;
        co_await server.start();
        etcd::client direct(worker, server.where());
        const bool is_ready = co_await etcd_server::ready(direct);
        REQUIRE(is_ready);
        proxy between(worker, server.endpoint().substr(std::string_view("http://").size()));
        etcd::settings through({"http://" + between.address()});
        through.request_timeout(500ms).watch_silence(std::chrono::hours(1));
        etcd::client client(worker, through);
        auto watcher = client.watch("/s");
        const auto listed = co_await next_batch(watcher);
        REQUIRE(listed);
        const auto before = co_await direct.put("/s", "1");
        REQUIRE(before);
        const auto first = co_await next_batch(watcher);
        REQUIRE(first);
        // What is lost now comes never again over the connections of now.
        between.swallow(true);
        const auto put = co_await direct.put("/s", "2");
        REQUIRE(put);
        const auto unanswered = co_await client.get("/s");
        CHECK_FALSE(unanswered);
        between.swallow(false);
        // Somebody asks again, as the keeper of a lease does.
        const bool is_back = co_await etcd_server::ready(client);
        REQUIRE(is_back);
        const auto told = co_await next_batch(watcher);
        REQUIRE(told);
        CHECK_FALSE(told->reset);
        CHECK(told->revision == *put);
    });
}

TEST_CASE("etcd: a lease is kept alive beyond its time, and ends when it is given back",
          "[etcd][etcd-server]") {
    run_with_etcd([](rt::worker, etcd_server&, etcd::client client) -> task<> {
        const auto too_short = co_await etcd::lease::hold(client, 0s);
        REQUIRE_FALSE(too_short);
        CHECK(too_short.error().code() == etcd::errc::bad_settings);
        auto held = co_await etcd::lease::hold(client, 5s);
        REQUIRE(held);
        const auto put = co_await client.put("/l", "x", held->id());
        REQUIRE(put);
        const auto first = held->held_until();
        const bool prolonged = co_await eventually([&] { return held->held_until() > first + 1s; });
        CHECK(prolonged);
        CHECK(held->is_held());
        co_await held->give_back();
        CHECK_FALSE(held->is_held());
        co_await held->lost();
        const auto gone = co_await client.get("/l");
        REQUIRE(gone);
        CHECK_FALSE(*gone);
        // One whose handle is gone, too.
        auto dropped = co_await etcd::lease::hold(client, 60s);
        REQUIRE(dropped);
        const auto other = co_await client.put("/m", "x", dropped->id());
        REQUIRE(other);
        auto watcher = client.watch("/m");
        const auto there = co_await next_batch(watcher);
        REQUIRE(there);
        dropped = std::unexpected(rt::error({}, ""));
        const auto removed = co_await next_batch(watcher);
        REQUIRE(removed);
        CHECK(removed->events.at(0).removed);
    });
}

TEST_CASE("etcd: a lease is lost in time when etcd is silent, and survives its restart",
          "[etcd][etcd-server]") {
    run_with_etcd([](rt::worker, etcd_server& server, etcd::client client) -> task<> {
        // Is kept all along.
        auto lasting = co_await etcd::lease::hold(client, 30s);
        REQUIRE(lasting);
        // Revoked by somebody else: the next keep-alive is answered without a TTL.
        auto fragile = co_await etcd::lease::hold(client, 6s);
        REQUIRE(fragile);
        const auto revoked = co_await client.revoke(fragile->id());
        REQUIRE(revoked);
        const bool noticed = co_await in_time(fragile->lost());
        CHECK(noticed);
        // Without etcd, at the latest when its time is over by our clock.
        auto held = co_await etcd::lease::hold(client, 5s);
        REQUIRE(held);
        server.freeze();
        const bool lost = co_await in_time(held->lost());
        CHECK(lost);
        CHECK_FALSE(held->is_held());
        CHECK(rt::clock::now() >= held->held_until());
        server.thaw();
        // Through a restart.
        co_await server.kill();
        co_await server.start();
        const bool is_back = co_await etcd_server::ready(client);
        REQUIRE(is_back);
        const auto before = lasting->held_until();
        const bool prolonged = co_await eventually([&] { return lasting->held_until() > before; });
        CHECK(prolonged);
    });
}

TEST_CASE("etcd: a name has one owner, and the next one when its lease ends",
          "[etcd][etcd-server]") {
    run_with_etcd([](rt::worker, etcd_server&, etcd::client client) -> task<> {
        auto a = co_await etcd::lease::hold(client, 30s);
        auto b = co_await etcd::lease::hold(client, 30s);
        REQUIRE(a);
        REQUIRE(b);
        const auto mine = co_await etcd::claim_name(client, *a, "/names/x", "a");
        REQUIRE(mine);
        const auto again = co_await etcd::claim_name(client, *a, "/names/x", "a");
        REQUIRE(again);
        CHECK(again->fence == mine->fence);
        const auto taken = co_await etcd::claim_name(client, *b, "/names/x", "b");
        REQUIRE_FALSE(taken);
        CHECK(taken.error().code() == etcd::errc::taken);
        co_await a->give_back();
        const auto next = co_await etcd::claim_name(client, *b, "/names/x", "b");
        REQUIRE(next);
        CHECK(next->fence > mine->fence);
        const auto not_mine = co_await etcd::release_name(client, *mine);
        REQUIRE(not_mine);
        CHECK_FALSE(*not_mine);
        const auto late = co_await etcd::claim_name(client, *a, "/names/y", "a");
        REQUIRE_FALSE(late);
        CHECK(late.error().code() == etcd::errc::lease_not_found);
        const auto released = co_await etcd::release_name(client, *next);
        REQUIRE(released);
        CHECK(*released);
    });
}

TEST_CASE("etcd: a candidate who gives up for an error does not become the leader later",
          "[etcd][etcd-server]") {
    run_with_etcd([](rt::worker worker, etcd_server& server, etcd::client client) -> task<> {
        auto first_lease = co_await etcd::lease::hold(client, 30s);
        REQUIRE(first_lease);
        const auto first =
            co_await etcd::campaign(client, *first_lease, "/lead", std::string(20'000, 'a'));
        REQUIRE(first);

        // What stands there already is more than this one takes.
        etcd::settings narrow = server.where();
        narrow.answer_bytes_max(10'000);
        etcd::client second(worker, narrow);
        auto second_lease = co_await etcd::lease::hold(second, 30s);
        REQUIRE(second_lease);
        const auto failed = co_await etcd::campaign(second, *second_lease, "/lead", "b");
        REQUIRE_FALSE(failed);
        CHECK(failed.error().code() == etcd::errc::too_large);

        const auto standing = co_await client.list("/lead/");
        REQUIRE(standing);
        CHECK(standing->found.size() == 1);
        const auto resigned = co_await etcd::resign(client, *first_lease, "/lead");
        REQUIRE(resigned);
        const auto leader = co_await etcd::leader_of(client, "/lead");
        REQUIRE(leader);
        CHECK_FALSE(*leader);
    });
}

TEST_CASE("etcd: candidates lead one after the other, in the order in which they came",
          "[etcd][etcd-server]") {
    struct candidate {
        std::optional<etcd::lease> held;
        std::optional<etcd::claim> won;
        std::optional<std::error_code> failed;
    };
    run_with_etcd([](rt::worker worker, etcd_server&, etcd::client client) -> task<> {
        static constexpr auto stand = [](etcd::client with, std::shared_ptr<candidate> who,
                                         std::string value) -> task<> {
            auto won = co_await etcd::campaign(with, *who->held, "/lead", std::move(value));
            if (won) {
                who->won = *won;
            } else {
                who->failed = won.error().code();
            }
        };
        // Of an election whose name begins with this one's.
        const auto nested = co_await client.put("/lead/er/0123456789abcdef", "nested");
        REQUIRE(nested);
        std::vector<std::shared_ptr<candidate>> all;
        for (const char* name : {"a", "b", "c", "d"}) {
            auto held = co_await etcd::lease::hold(client, 30s);
            REQUIRE(held);
            all.push_back(std::make_shared<candidate>());
            all.back()->held = *held;
            worker.spawn_future(stand(client, all.back(), name));
            // In line before the next one comes.
            const auto count = all.size();
            for (bool stands = false; !stands;) {
                const auto listed = co_await client.list("/lead/");
                REQUIRE(listed);
                stands = listed->found.size() == count + 1;
            }
        }
        const bool first = co_await eventually([&] { return all[0]->won.has_value(); });
        CHECK(first);
        // Who is in the middle and goes makes nobody a leader; who leads and goes does.
        co_await all[1]->held->give_back();
        const bool noticed = co_await eventually([&] { return all[1]->failed.has_value(); });
        CHECK(noticed);
        CHECK(all[1]->failed == etcd::errc::lease_not_found);
        auto leader = co_await etcd::leader_of(client, "/lead");
        REQUIRE(leader);
        REQUIRE(*leader);
        CHECK((*leader)->value == "a");
        CHECK_FALSE(all[2]->won);
        const auto resigned = co_await etcd::resign(client, *all[0]->held, "/lead");
        REQUIRE(resigned);
        const bool third = co_await eventually([&] { return all[2]->won.has_value(); });
        CHECK(third);
        CHECK_FALSE(all[3]->won);
        CHECK(all[2]->won->fence > all[0]->won->fence);
        co_await all[2]->held->give_back();
        const bool fourth = co_await eventually([&] { return all[3]->won.has_value(); });
        CHECK(fourth);
    });
}

namespace {

constexpr std::string_view root_password = "a \"secret\" of root";

/// Asks etcd's authentication something, as the administrator does. False when it refuses.
task<bool> administer(http::client by, std::string url, std::string token, std::string body) {
    http::client_request request(http::method::post, std::move(url));
    request.set_body(std::move(body));
    if (!token.empty()) { request.set_header("Authorization", token); }
    auto answered = co_await by.send(std::move(request));
    if (!answered) { co_return false; }
    const auto read = co_await answered->read_body(65536);
    co_return read&& static_cast<unsigned>(answered->status()) == 200;
}

task<std::string> log_in_as_root(http::client by, std::string url) {
    http::client_request request(http::method::post, std::move(url));
    request.set_body(etcd::gateway::login_body("root", root_password));
    auto answered = co_await by.send(std::move(request));
    if (!answered) { co_return std::string(); }
    const auto read = co_await answered->read_body(65536);
    co_return etcd::gateway::read_token(read.value_or("")).value_or("");
}

/// Makes the users root and app, who may use what begins with /app/, and requires a login from now.
task<bool> require_logins(http::client by, std::string url) {
    const std::vector<std::pair<std::string, std::string>> steps{
        {"user/add", etcd::gateway::login_body("root", root_password)},
        {"role/add", R"({"name":"root"})"},
        {"user/grant", R"({"user":"root","role":"root"})"},
        {"user/add", R"({"name":"app","password":"app's"})"},
        {"role/add", R"({"name":"app"})"},
        {"role/grant",
         R"({"name":"app","perm":{"permType":"READWRITE","key":"L2FwcC8=","range_end":"L2FwcDA="}})"},
        {"user/grant", R"({"user":"app","role":"app"})"},
        {"enable", "{}"},
    };
    for (const auto& [path, body] : steps) {
        const bool done = co_await administer(by, url + path, std::string(), body);
        if (!done) { co_return false; }
    }
    co_return true;
}

}  // namespace

TEST_CASE("etcd: a client logs in, and again when its token is not known any more",
          "[etcd][etcd-server]") {
    HEPH_TEST_NEEDS_ETCD();
    run_nodes([](rt::worker worker) -> task<> {
        const log_lines lines;
        etcd_server server;
        co_await server.start();
        auto as_root = server.where().login("root", std::string(root_password));
        etcd::client root(worker, as_root);
        // Without authentication it does no harm.
        const bool is_ready = co_await etcd_server::ready(root);
        REQUIRE(is_ready);
        http::client raw(worker, http::client_options());
        const auto auth = server.endpoint() + "/v3/auth/";
        const bool enabled = co_await require_logins(raw, auth);
        REQUIRE(enabled);
        const auto put = co_await root.put("/else/a", "1");
        REQUIRE(put);
        etcd::client nobody(worker, server.where());
        const auto refused = co_await nobody.get("/app/a");
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code() == etcd::errc::permission_denied);
        etcd::client wrong(worker, server.where().login("app", "another"));
        const auto wrongly = co_await wrong.put("/app/a", "1");
        REQUIRE_FALSE(wrongly);
        CHECK(wrongly.error().code() == etcd::errc::permission_denied);
        CHECK_FALSE(wrongly.error().message().contains("another"));
        etcd::client app(worker, server.where().login("app", "app's"));
        const auto own = co_await app.put("/app/a", "1");
        CHECK(own);
        const auto others = co_await app.put("/else/a", "2");
        REQUIRE_FALSE(others);
        CHECK(others.error().code() == etcd::errc::permission_denied);
        auto watching = app.watch_prefix("/app/");
        const auto first = co_await next_batch(watching);
        REQUIRE(first);
        CHECK(first->events.size() == 1);
        auto spying = app.watch_prefix("/else/");
        rt::deadline bounded(plenty, spying.next());
        const auto nothing = co_await bounded;
        REQUIRE(nothing);
        REQUIRE_FALSE(*nothing);
        CHECK(nothing->error().code() == etcd::errc::permission_denied);
        // All tokens end. What changes something is refused, not done, and so sent again.
        const auto token = co_await log_in_as_root(raw, auth + "authenticate");
        const bool disabled = co_await administer(raw, auth + "disable", token, "{}");
        REQUIRE(disabled);
        const bool anew = co_await administer(raw, auth + "enable", std::string(), "{}");
        REQUIRE(anew);
        const auto after = co_await app.put("/app/b", "1");
        CHECK(after);
        const auto seen = co_await next_batch(watching);
        CHECK(seen);
        // A member that was restarted knows none either.
        co_await server.kill();
        co_await server.start();
        const auto held = co_await etcd::lease::hold(app, 60s);
        const bool back = co_await etcd_server::ready(root);
        CHECK(back);
        const auto again = co_await app.put("/app/c", "1");
        CHECK(again);
        const auto told = co_await next_batch(watching);
        CHECK(told);
        CHECK(log_lines::with("secret") == 0);
        CHECK(log_lines::with("app's") == 0);
    });
}

}  // namespace heph::remote::testing
