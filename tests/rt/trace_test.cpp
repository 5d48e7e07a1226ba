#include <heph/rt/trace.hpp>

#include <signal.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/sync_actor.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "convert_trace/chrome_trace.hpp"
#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::trace_event;
using heph::rt::trace_packet;
using heph::test::quiet_setup;

namespace {

class trace_folder {
public:
    trace_folder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "heph-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    trace_folder(const trace_folder&) = delete;
    trace_folder& operator=(const trace_folder&) = delete;
    ~trace_folder() { std::filesystem::remove_all(path_); }

    [[nodiscard]] std::string file() const { return (path_ / "trace.log").string(); }

private:
    std::filesystem::path path_;
};

std::vector<trace_packet> read_trace(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    heph::rt::trace_reader reader;
    reader.feed(std::string(std::istreambuf_iterator<char>(in), {}));
    std::vector<trace_packet> all;
    for (;;) {
        auto packet = reader.next();
        REQUIRE(packet);
        if (!*packet) { break; }
        all.push_back(std::move(**packet));
    }
    CHECK(reader.unread_bytes() == 0);
    return all;
}

std::vector<trace_event> events_named(const std::vector<trace_packet>& all,
                                      const std::string& description) {
    std::vector<trace_event> found;
    for (const auto& each : all) {
        const auto* event = std::get_if<trace_event>(&each);
        if (event != nullptr && event->description == description) { found.push_back(*event); }
    }
    return found;
}

template <typename RT>
task<> traced(heph::context<int, RT> ctx) {
    const auto whole = heph::rt::start_trace();
    while (auto message = co_await ctx.receive()) {
        const auto timing = heph::rt::start_trace();
        co_await heph::yield();
        heph::rt::finish_trace(timing, "handling", {{"message", *message}});
    }
    heph::rt::finish_trace(whole, "living");
}

}  // namespace

TEST_CASE("trace: it has the polls and events of actors, numbered by stream without gaps",
          "[rt][trace]") {
    const trace_folder folder;
    auto runtime = quiet_setup().threads(2).trace(folder.file()).build();
    REQUIRE(runtime);
    auto shared = runtime->spawn(heph::actor_options{.name = "anywhere"}, heph::no_supervisor(),
                                 heph::actor_fn(traced<heph::rt::shared_runtime>));
    for (int i = 0; i < 5; ++i) { REQUIRE(shared.try_send(i)); }
    std::optional last(std::move(shared));
    last.reset();
    runtime->run_on_workers([](heph::rt::worker& worker) {
        auto ref = worker.spawn(heph::actor_options{.name = "here"}, heph::no_supervisor(),
                                heph::actor_fn(traced<heph::rt::worker>));
        for (int i = 0; i < 5; ++i) { (void)ref.try_send(i); }
        worker.spawn_future([]() -> task<> { co_await heph::rt::timer(1ms); }());
    });
    const auto ended = runtime->start();
    REQUIRE(ended);
    const auto all = read_trace(folder.file());
    REQUIRE(std::holds_alternative<heph::rt::trace_option>(all.front()));
    CHECK(std::get<heph::rt::trace_option>(all.front()).epoch() > 0ns);
    CHECK(events_named(all, "handling").size() == 15);
    CHECK(events_named(all, "living").size() == 3);
    CHECK(events_named(all, "expiring timers").size() >= 2);
    std::set<std::string> names;
    for (const auto& each : events_named(all, "running")) {
        CHECK(each.place.substream != 0);
        names.insert(std::get<std::string>(each.attributes.at(0).second));
    }
    CHECK(names == std::set<std::string>{"", "anywhere", "here"});
    std::map<std::uint32_t, std::uint32_t> next;
    int out_of_order = 0;
    for (const auto& each : all) {
        const auto* event = std::get_if<trace_event>(&each);
        if (event == nullptr) { continue; }
        if (event->place.counter != next[event->place.stream]++) { ++out_of_order; }
    }
    CHECK(out_of_order == 0);
    next.erase(0);  // The coordinator's, if it had the time to wait.
    CHECK(next.size() == 2);
}

TEST_CASE("trace: the coordinator and sync actors have streams of their own", "[rt][trace]") {
    const trace_folder folder;
    heph::rt::setup settings;
    auto runtime = settings.name("test").trace(folder.file()).build();
    REQUIRE(runtime);
    heph::sync_options options;
    options.name = "apart";
    REQUIRE(runtime->spawn_sync<int>(options, heph::no_supervisor(), [](heph::sync_context<int>) {
        // Nothing is checked here, on a thread beside the test's.
        heph::rt::finish_trace(heph::rt::start_trace(), "computing", {{"rows", 3}});
    }));
    runtime->run_on_workers([](heph::rt::worker& worker) {
        worker.spawn_future([]() -> task<> {
            REQUIRE(::kill(::getpid(), SIGTERM) == 0);
            co_await heph::rt::stopping();
        }());
    });
    REQUIRE(runtime->start());
    const auto all = read_trace(folder.file());
    constexpr auto first_sync = std::uint32_t{1} << 31U;
    const auto computing = events_named(all, "computing");
    REQUIRE(computing.size() == 1);
    CHECK(computing[0].place.stream == first_sync);
    const auto running = events_named(all, "running");
    const auto lives = std::count_if(running.begin(), running.end(), [&](const auto& each) {
        return each.place.stream == first_sync &&
               each.place.substream == computing[0].place.substream &&
               std::get<std::string>(each.attributes.at(0).second) == "apart";
    });
    CHECK(lives == 1);
    const auto relayed = events_named(all, "relaying a signal");
    REQUIRE(relayed.size() == 1);
    CHECK(relayed[0].place.stream == 0);
    CHECK(std::get<std::string>(relayed[0].attributes.at(0).second) == "SIGTERM");
}

TEST_CASE("trace: without a trace, and outside of workers, events are nothing", "[rt][trace]") {
    const auto outside = heph::rt::start_trace();
    CHECK_FALSE(outside.is_traced());
    heph::rt::finish_trace(outside, "nothing");
    std::atomic<bool> was_traced{true};
    heph::test::run_task([&was_traced] {
        return [](std::atomic<bool>* traced) -> task<> {
            const auto timing = heph::rt::start_trace();
            traced->store(timing.is_traced());
            heph::rt::finish_trace(timing, "nothing");
            co_return;
        }(&was_traced);
    });
    CHECK_FALSE(was_traced);
}

TEST_CASE("trace: a file that is there is not touched, and the error names it", "[rt][trace]") {
    const trace_folder folder;
    std::ofstream(folder.file()) << "precious";
    const auto refused = quiet_setup().trace(folder.file()).build();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == std::errc::file_exists);
    CHECK(refused.error().message().find(folder.file()) != std::string::npos);
    CHECK(std::filesystem::file_size(folder.file()) == 8);
    const auto nowhere = quiet_setup().trace(folder.file() + "/x").build();
    REQUIRE_FALSE(nowhere);
    CHECK(nowhere.error().code() == std::errc::not_a_directory);
}

TEST_CASE("convert_trace: an event becomes JSON, whatever is in its texts", "[rt][trace]") {
    heph::tools::chrome_trace chrome;
    trace_event event;
    event.place = {2, 7, ~std::uint64_t{0}, 1'234'567ns, 1'234'568ns};
    event.description = "say \"hi\"\n";
    event.attributes.emplace_back("n", std::int64_t{-3});
    event.attributes.emplace_back("f", std::vector<double>{0.5, 1.0 / 0.0});
    event.attributes.emplace_back("t\\", std::string("\x01"));
    std::string json = chrome.begin();
    json += chrome.add(heph::rt::trace_option{"epoch", std::string(7, '\0') + '\x05'});
    json += chrome.add(event);
    json += chrome.end();
    CHECK(json ==
          R"({"displayTimeUnit": "ns", "traceEvents": [
{"ph": "M", "name": "process_name", "pid": 2, "tid": 0, "args": {"name": "worker 1"}},
{"ph": "M", "name": "thread_name", "pid": 2, "tid": 0, "args": {"name": "runtime"}},
{"ph": "M", "name": "thread_name", "pid": 2, "tid": 1, "args": {"name": "process ffffffffffffffff"}},
{"ph": "b", "cat": "heph", "name": "say \"hi\"\u000a", "pid": 2, "tid": 1, "id": "2-7", "ts": 1234.567, "args": {"counter": 7, "n": -3, "f": [0.5, "Infinity"], "t\\": "\u0001"}},
{"ph": "e", "cat": "heph", "name": "say \"hi\"\u000a", "pid": 2, "tid": 1, "id": "2-7", "ts": 1234.568}
], "otherData": {"epoch_ns": "5"}}
)");
}

TEST_CASE("convert_trace: polls become a row a process, also of one that has another's number",
          "[rt][trace]") {
    heph::tools::chrome_trace chrome;
    trace_event poll;
    poll.place = {1, 0, 0xA0, 1'000ns, 2'000ns};
    poll.description = "running";
    poll.attributes.emplace_back("name", std::string("first"));
    poll.attributes.emplace_back("finished", std::uint64_t{1});
    const std::string first = chrome.add(poll);
    poll.attributes[0].second = std::string("second");
    const std::string second = chrome.add(poll);
    CHECK(first.find(R"("ph": "X", "cat": "heph", "name": "running", "pid": 1, "tid": 1,)") !=
          std::string::npos);
    CHECK(second.find(R"("ph": "X", "cat": "heph", "name": "running", "pid": 1, "tid": 2,)") !=
          std::string::npos);
}
