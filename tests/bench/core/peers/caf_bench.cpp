// The workloads of `workloads.hpp` with CAF 0.17: event-based actors, one scheduler thread.
//
// The parent of each workload is an event-based actor as well, so that the scheduler's thread does
// all of the work; the main thread waits for the figure.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <caf/all.hpp>

#include "bench/core/memory.hpp"

namespace {

using caf::actor;
using caf::behavior;
using caf::event_based_actor;
using number = std::uint64_t;
using clock_type = std::chrono::steady_clock;

double since(clock_type::time_point start, number count) {
    const std::chrono::duration<double, std::nano> took = clock_type::now() - start;
    return took.count() / static_cast<double>(count);
}

struct timed {
    clock_type::time_point start = clock_type::now();
    number left = 0;
};

// ---- Spawn, one message, finish ----

behavior lives_once(event_based_actor* self, const actor& parent) {
    return {[self, parent](number last) {
        if (last != 0) { self->send(parent, last); }
        self->quit();
    }};
}

void spawn_wave(event_based_actor* self) {
    constexpr number wave = 100;
    const auto parent = caf::actor_cast<actor>(self);
    for (number k = 1; k <= wave; ++k) {
        self->send(self->spawn(lives_once, parent), number{k == wave ? 1U : 0U});
    }
}

behavior spawns(caf::stateful_actor<timed>* self, number count, const actor& main) {
    self->state.left = count / 100;
    spawn_wave(self);
    return {[self, count, main](number) {
        if (--self->state.left != 0) {
            spawn_wave(self);
            return;
        }
        self->send(main, since(self->state.start, count));
        self->quit();
    }};
}

// ---- Ping-pong and the ring: each actor passes a number on, one less ----

behavior passes_on(caf::stateful_actor<actor>* self, const actor& parent) {
    return {[self](const actor& next) { self->state = next; },
            [self, parent](number left) {
                if (left == 0) {
                    self->send(parent, left);
                } else {
                    self->send(self->state, left - 1);
                }
            },
            // A cycle of references has to be cut.
            [self](bool) { self->quit(); }};
}

behavior circle(caf::stateful_actor<timed>* self, number actors, number hops, number units,
                const actor& main) {
    std::vector<actor> all;
    for (number i = 0; i < actors; ++i) {
        all.push_back(self->spawn(passes_on, caf::actor_cast<actor>(self)));
    }
    for (std::size_t i = 0; i < all.size(); ++i) { self->send(all[i], all[(i + 1) % all.size()]); }
    self->state.start = clock_type::now();
    self->send(all[0], hops);
    return {[self, all, units, main](number) {
        self->send(main, since(self->state.start, units));
        for (const actor& one : all) { self->send(one, true); }
        self->quit();
    }};
}

behavior ping_pong(caf::stateful_actor<timed>* self, number count, const actor& main) {
    return circle(self, 2, 2 * count, count, main);
}

behavior ring(caf::stateful_actor<timed>* self, number count, const actor& main) {
    return circle(self, 503, count, count, main);
}

// ---- Fan-in ----

constexpr number producers = 100;

behavior producer(event_based_actor* self, const actor& to, number count) {
    return {[self, to, count](number) {
        for (number i = 0; i < count; ++i) { self->send(to, i); }
        self->quit();
    }};
}

behavior consumer(caf::stateful_actor<timed>* self, number expected, const actor& parent) {
    self->state.left = expected;
    return {[self, parent](number) {
        if (--self->state.left == 0) {
            self->send(parent, number{0});
            self->quit();
        }
    }};
}

behavior fan_in(caf::stateful_actor<timed>* self, number count, const actor& main) {
    const number each = count / producers;
    const actor to = self->spawn(consumer, each * producers, caf::actor_cast<actor>(self));
    std::vector<actor> all;
    for (number i = 0; i < producers; ++i) { all.push_back(self->spawn(producer, to, each)); }
    self->state.start = clock_type::now();
    for (const actor& one : all) { self->send(one, number{1}); }
    return {[self, each, main](number) {
        self->send(main, since(self->state.start, each * producers));
        self->quit();
    }};
}

// ---- RPC ----

behavior server(event_based_actor*) {
    return {[](number request) { return request + 1; }};
}

void ask(caf::stateful_actor<timed>* self, const actor& to, number request, number count,
         const actor& main) {
    self->request(to, caf::infinite, request).then([self, to, count, main](number answer) {
        if (answer != count) {
            ask(self, to, answer, count, main);
            return;
        }
        self->send(main, since(self->state.start, count));
        self->quit();
    });
}

behavior calls(caf::stateful_actor<timed>* self, number count, const actor& main) {
    ask(self, self->spawn(server), 0, count, main);
    return {[](bool) {}};
}

// ---- Restart: the parent monitors the actor and spawns it again when it went down ----

behavior quits(event_based_actor* self) {
    return {[self](number) { self->quit(caf::sec::runtime_error); }};
}

behavior throws(event_based_actor* self) {
    // The default one would print.
    self->set_exception_handler(
        [](std::exception_ptr&) -> caf::error { return caf::sec::runtime_error; });
    return {[](number) { throw std::runtime_error("fault"); }};
}

behavior restarts(caf::stateful_actor<timed>* self, behavior (*child)(event_based_actor*),
                  number count, const actor& main) {
    self->state.left = count;
    const auto start = [self, child] { self->send(self->spawn<caf::monitored>(child), number{1}); };
    self->set_down_handler([self, start, count, main](const caf::down_msg&) {
        if (--self->state.left != 0) {
            start();
            return;
        }
        self->send(main, since(self->state.start, count));
        self->quit();
    });
    start();
    return {[](bool) {}};
}

behavior restart_error(caf::stateful_actor<timed>* self, number count, const actor& main) {
    return restarts(self, quits, count, main);
}

behavior restart_exception(caf::stateful_actor<timed>* self, number count, const actor& main) {
    return restarts(self, throws, count, main);
}

// ---- Memory of an idle actor ----

behavior idle(event_based_actor*) {
    return {[](number) {}};
}

void measure_idle(caf::actor_system& system) {
    constexpr number count = 100'000;
    caf::scoped_actor self(system);
    std::vector<actor> all;
    all.reserve(count);
    const auto before = heph::bench::memory_now();
    for (number i = 0; i < count; ++i) { all.push_back(self->spawn(idle)); }
    const auto use = (heph::bench::memory_now() - before) / count;
    std::printf("idle_counted %.1f\nidle_resident %.1f\n", use.counted, use.resident);
}

using workload = behavior (*)(caf::stateful_actor<timed>* self, number count, const actor& main);

double run(caf::actor_system& system, workload what, number count) {
    caf::scoped_actor self(system);
    // Kept, as monitors alone do not keep an actor.
    const actor parent = self->spawn(what, count, caf::actor_cast<actor>(self));
    double took = 0;
    self->receive([&took](double figure) { took = figure; });
    return took;
}

}  // namespace

int main(int argc, char** argv) {
    caf::actor_system_config config;
    config.set("scheduler.max-threads", 1);
    caf::actor_system system(config);
    struct entry {
        const char* name;
        workload what;
        number count;
    };
    const entry entries[] = {
        {"spawn", spawns, 50'000},
        {"ping_pong", ping_pong, 200'000},
        {"fan_in", fan_in, 1'000'000},
        {"ring", ring, 500'000},
        {"rpc", calls, 200'000},
        {"restart_error", restart_error, 50'000},
        {"restart_exception", restart_exception, 30'000},
    };
    const std::vector<std::string> names(argv + 1, argv + argc);
    const auto wanted = [&names](const char* name) {
        return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
    };
    if (wanted("idle")) { measure_idle(system); }
    for (const entry& one : entries) {
        if (!wanted(one.name)) { continue; }
        (void)run(system, one.what, one.count / 20 / producers * producers);
        std::printf("%s %.2f\n", one.name, run(system, one.what, one.count));
    }
}
