// The two ends with CAF 0.17, as in `ends.hpp`: an actor that is published, messages to it one way,
// and requests. CAF does not slow who sends too fast: what is sent waits in memory.
//
//     heph_remote_bench_caf caf serve
//     heph_remote_bench_caf caf WHERE BODY_BYTES one-way|requests COUNT

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <caf/all.hpp>
#include <caf/io/all.hpp>

#include "bench/remote/ends.hpp"

namespace {

using count_atom = caf::atom_constant<caf::atom("count")>;
using echo_atom = caf::atom_constant<caf::atom("echo")>;

struct received {
    std::uint64_t bytes = 0;
};

caf::behavior sink(caf::stateful_actor<received>* self) {
    return {[self](const std::string& body) { self->state.bytes += body.size(); },
            [self](count_atom) { return std::exchange(self->state.bytes, 0); },
            [](echo_atom, std::string& body) { return std::move(body); }};
}

int serve(caf::actor_system& system) {
    const auto port = system.middleman().publish(system.spawn(sink), 0, "127.0.0.1");
    if (!port) { bench::fail("cannot listen"); }
    bench::announce(std::to_string(*port));
    system.await_all_actors_done();
    return 0;
}

int measure(caf::actor_system& system, const std::string& where, const bench::load& what) {
    const auto port = static_cast<std::uint16_t>(std::strtoul(where.c_str(), nullptr, 10));
    const auto found = system.middleman().remote_actor("127.0.0.1", port);
    if (!found) { bench::fail("no server"); }
    const caf::scoped_actor self(system);
    const auto failed = [](const caf::error&) { bench::fail("a request was not answered"); };
    const std::string body(what.body_bytes, 'x');
    const auto begin = bench::steady::now();
    for (std::uint64_t i = 0; i < what.one_way; ++i) { self->send(*found, body); }
    if (what.one_way != 0) {
        self->request(*found, caf::infinite, count_atom::value)
            .receive(
                [&](std::uint64_t bytes) {
                    if (bytes != what.one_way * what.body_bytes) {
                        bench::fail("messages are missing");
                    }
                },
                failed);
        bench::report_rate(what, bench::steady::now() - begin);
    }
    std::vector<bench::steady::duration> times;
    times.reserve(what.requests);
    for (std::uint64_t i = 0; i < what.requests; ++i) {
        const auto sent = bench::steady::now();
        self->request(*found, caf::infinite, echo_atom::value, body)
            .receive([](const std::string&) {}, failed);
        times.push_back(bench::steady::now() - sent);
    }
    if (!times.empty()) { bench::report_times(std::move(times)); }
    // The peer holds a connection, which would keep this program.
    std::fflush(stdout);
    std::_Exit(0);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string where = argc > 2 ? argv[2] : "";
    const bool serves = where == "serve";
    if (argc < 3 || (!serves && argc != 6)) { bench::fail("see the top of caf_ends.cpp"); }
    caf::actor_system_config settings;
    settings.load<caf::io::middleman>();
    settings.set("scheduler.max-threads", 1);
    caf::actor_system system(settings);
    return serves ? serve(system) : measure(system, where, bench::load_of(argv + 3));
}
