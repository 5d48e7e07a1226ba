#include <heph/rt/testing/simulation.hpp>

#include <cstdlib>
#include <exception>
#include <limits>
#include <span>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/detail/random_bits.hpp>
#include <heph/core/log.hpp>
#include <heph/core/testing/describe.hpp>
#include <heph/core/testing/expectation.hpp>
#include <heph/rt/detail/entropy.hpp>

#include "../blocking_pool.hpp"
#include "../random_stand_in.hpp"
#include "../runtime_core.hpp"
#include "../worker_core.hpp"
#include "sim_host.hpp"
#include "sim_network.hpp"
#include "sim_scheduler.hpp"

namespace heph::rt::testing {

namespace detail {

namespace {

using rt::detail::runtime_core;
using rt::detail::sim_host;
using rt::detail::sim_network;
using rt::detail::sim_scheduler;
using rt::detail::this_thread_sockets;
using rt::detail::this_thread_worker;
using rt::detail::time_source;
using rt::detail::worker_core;

using heph::testing::expectation_failed;

/// The simulation's time, for the hosts' timers. Their workers never wait for it.
class sim_time final : public time_source {
public:
    explicit sim_time(const sim_network& network) noexcept : network_(network) {}
    [[nodiscard]] clock::time_point now() noexcept override { return network_.now(); }
    [[nodiscard]] std::unique_ptr<alarm> alarm_at(clock::time_point /*when*/) override {
        return nullptr;
    }
    bool advance_to_next() override { return false; }
    [[nodiscard]] bool can_advance() const noexcept override { return false; }

private:
    const sim_network& network_;
};

}  // namespace

/// What is made outside of hosts, to run on them, is left to the seed, too.
class seed_outside final : public rt::detail::random_stand_in {
public:
    explicit seed_outside(sim_network& network) noexcept : network_(network) {}
    void fill_randomly(std::span<std::byte> bytes) noexcept override {
        network_.random().fill(bytes);
    }

private:
    sim_network& network_;
};

/// A host that runs: its runtime, which is counted as busy until the end.
struct running_host {
    std::shared_ptr<runtime_core> core;
    std::unique_ptr<worker_core> worker;
};

struct host_state {
    host_state(simulation_state& of, sim_network& network, std::string name,
               const net::endpoint& address, std::size_t index,
               std::function<void(worker&)> function)
        : simulation(of),
          kernel(network, std::move(name), address, index),
          set_up(std::move(function)) {}

    simulation_state& simulation;
    sim_host kernel;
    std::function<void(worker&)> set_up;
    std::optional<running_host> running;
    std::size_t entered = 0;  // So often somebody is inside, its turn and its end among them.
};

struct simulation_state {
    explicit simulation_state(const simulation_options& options)
        : network(options), outside(network), time(std::make_shared<sim_time>(network)) {}

    sim_network network;
    seed_outside outside;
    std::shared_ptr<sim_time> time;
    std::vector<std::unique_ptr<host_state>> hosts;
    heph::testing::rethrow_supervisor failures;
    std::size_t turns = 0;  // Since the time went on, or who runs it began to.
    bool is_in_turn = false;
};

namespace {

rt::detail::worker_settings settings_for(sim_host& kernel, const simulation_options& options) {
    constexpr std::size_t polls_per_turn = 16;
    constexpr std::size_t buffers = 64;
    constexpr std::size_t buffer_bytes = 4096;
    rt::detail::worker_settings made{};
    made.driver = {rt::detail::no_kernel, 8, buffers, buffer_bytes, 0, &kernel};
    made.polls_per_turn = polls_per_turn;
    made.run_time_max = std::chrono::nanoseconds::max();
    made.make_scheduler = [&kernel] { return std::make_unique<sim_scheduler>(kernel); };
    made.make_timers = options.make_timers;
    return made;
}

// Drops all that a host runs. It has sockets no more by then, if it is not to tell anybody.
void end(host_state& host) {
    if (!host.running) { return; }
    running_host ended = std::move(*host.running);
    host.running.reset();
    auto* const sockets_before = std::exchange(this_thread_sockets, &host.kernel);
    auto* const worker_before = this_thread_worker;
    ++host.entered;
    ended.core->drop_now();
    ended.worker->enter();
    ended.worker->drop_processes();
    ended.worker->shut_down();
    --host.entered;
    this_thread_sockets = sockets_before;
    if (worker_before != nullptr) { worker_before->enter(); }
    ended.worker.reset();
    ended.core->drop_reason();
    ended.core->blocking()->stop();
    ended.core->drop_header();
}

void boot(host_state& host) {
    running_host made;
    made.core = runtime_core::make(
        1, std::make_shared<rt::detail::blocking_pool>(host.kernel.name(), 0, false),
        host.simulation.time, idle_time::stands);
    made.core->sync().refuse();
    made.worker = std::make_unique<worker_core>(made.core, made.core->link(0), 0);
    worker_core& self = *made.worker;
    host.running = std::move(made);
    host.kernel.set_up(true);
    host.simulation.network.note(&host.kernel, "starts");
    auto* const worker_before = this_thread_worker;
    auto ready = self.set_up(settings_for(host.kernel, host.simulation.network.options()));
    worker_core::leave();
    if (worker_before != nullptr) { worker_before->enter(); }
    if (!ready) {
        host.kernel.set_up(false);
        end(host);
        throw std::system_error(ready.error().code(), ready.error().message());
    }
}

// What would destroy the actor that asks for it, or the worker under it.
void refuse_from_inside(const host_state& host, const char* what) {
    if (host.entered == 0) { return; }
    throw expectation_failed("host " + host.kernel.name() + " cannot be " + what +
                             " by what runs on it: let the test do it, or another host");
}

bool has_work(host_state& host) {
    if (!host.running) { return false; }
    const auto timer = host.running->worker->next_timer();
    return host.running->worker->has_work() || (timer && *timer <= host.simulation.network.now());
}

// Lets one of the hosts that have anything to do go on. Tells whether there was one.
bool make_turn(simulation_state& of) {
    std::vector<host_state*> able;
    for (const auto& each : of.hosts) {
        if (has_work(*each)) { able.push_back(each.get()); }
    }
    if (able.empty()) { return false; }
    if (++of.turns > of.network.options().turns_max) {
        throw expectation_failed("seed " + std::to_string(of.network.options().seed) +
                                 ": the hosts made " + std::to_string(of.turns - 1) +
                                 " turns while the time stood still: some actor is always ready");
    }
    host_state& chosen = *able[able.size() == 1 ? 0 : of.network.random().below(able.size())];
    struct turn {
        explicit turn(simulation_state& its) noexcept : of(its) { of.is_in_turn = true; }
        turn(const turn&) = delete;
        turn& operator=(const turn&) = delete;
        ~turn() { of.is_in_turn = false; }
        simulation_state& of;
    };
    const inside_host inside(chosen);
    const turn its(of);
    chosen.running->worker->step();
    return true;
}

std::optional<clock::time_point> next_moment(simulation_state& of) {
    auto next = of.network.next_event();
    for (const auto& each : of.hosts) {
        if (!each->running) { continue; }
        const auto timer = each->running->worker->next_timer();
        if (timer && (!next || *timer < *next)) { next = timer; }
    }
    return next;
}

enum class outcome : std::uint8_t { holds, late, at_rest };

outcome run(simulation_state& of, const std::function<bool()>& condition,
            std::chrono::nanoseconds within) {
    if (of.is_in_turn) {
        throw expectation_failed("an actor cannot run the simulation that runs it");
    }
    const auto until = heph::detail::later(of.network.now(), within);
    of.turns = 0;
    for (;;) {
        of.network.run_due();
        of.failures.rethrow();
        if (condition()) { return outcome::holds; }
        if (make_turn(of)) { continue; }
        of.failures.rethrow();
        const auto next = next_moment(of);
        if (!next) { return outcome::at_rest; }
        if (*next > until) {
            of.turns = 0;
            of.network.advance_to(until);
            return outcome::late;
        }
        if (*next > of.network.now()) { of.turns = 0; }
        of.network.advance_to(*next);
    }
}

}  // namespace

inside_host::inside_host(host_state& host)
    : host_(&host), sockets_before_(this_thread_sockets), worker_before_(this_thread_worker) {
    if (!host.running) {
        throw expectation_failed("host " + host.kernel.name() + " does not run: it was crashed");
    }
    this_thread_sockets = &host.kernel;
    host.running->worker->enter();
    ++host.entered;
}

inside_host::~inside_host() {
    --host_->entered;
    this_thread_sockets = static_cast<rt::detail::socket_calls*>(sockets_before_);
    if (worker_before_ != nullptr) {
        static_cast<worker_core*>(worker_before_)->enter();
    } else {
        worker_core::leave();
    }
}

worker inside_host::here() const noexcept { return worker(*host_->running->worker); }

bool run_until(simulation_state& of, const std::function<bool()>& condition,
               std::chrono::nanoseconds within) {
    return run(of, condition, within) == outcome::holds;
}

simulation_state& simulation_of(host_state& host) noexcept { return host.simulation; }

void fail_late(simulation_state& of, const char* what, std::chrono::nanoseconds within) {
    throw expectation_failed("seed " + std::to_string(of.network.options().seed) + ": " + what +
                             " within " + heph::testing::detail::to_text(within));
}

}  // namespace detail

// Hosts.

const std::string& simulated_host::name() const noexcept { return state_->kernel.name(); }

net::endpoint simulated_host::at(std::uint16_t port) const noexcept {
    net::endpoint made = state_->kernel.address();
    made.set_port(port);
    return made;
}

bool simulated_host::is_up() const noexcept { return state_->running.has_value(); }

shared_runtime simulated_host::shared() const {
    const detail::inside_host inside(*state_);
    return inside.here().shared();
}

void simulated_host::request_stop() { shared().request_stop(); }

void simulated_host::crash() {
    detail::refuse_from_inside(*state_, "crashed");
    if (!state_->running) { return; }
    auto& network = state_->simulation.network;
    network.note(&state_->kernel, "crashes");
    state_->kernel.set_up(false);
    network.forget_sockets_of(state_->kernel);
    detail::end(*state_);
}

void simulated_host::restart() {
    detail::refuse_from_inside(*state_, "restarted");
    crash();
    detail::boot(*state_);
    if (state_->set_up) { on_worker(state_->set_up); }
}

// Simulations.

simulation::simulation(const simulation_options& options)
    : state_(std::make_unique<detail::simulation_state>(options)) {
    // What heph-core leaves to chance is left to the seed, too.
    heph::detail::set_random_source(&rt::detail::random_number<std::uint64_t>);
}

simulation::~simulation() {
    for (const auto& each : state_->hosts) {
        each->kernel.set_up(false);
        state_->network.forget_sockets_of(each->kernel);
        detail::end(*each);
    }
}

simulated_host simulation::add_host(std::string name, std::string_view address,
                                    std::function<void(worker&)> set_up) {
    const bool is_v6 = address.find(':') != std::string_view::npos;
    const std::string text =
        is_v6 ? '[' + std::string(address) + "]:0" : std::string(address) + ":0";
    const auto at = net::endpoint::parse(text);
    auto& network = state_->network;
    if (!at || name.empty() || network.find_host(*at) != nullptr ||
        network.find_host(std::string_view(name)) != nullptr || rt::detail::is_any_address(*at) ||
        rt::detail::is_loopback(*at)) {
        throw std::invalid_argument(
            "a simulated host needs a name and an address of its own, not " + name + " at " +
            std::string(address));
    }
    auto made = std::make_unique<detail::host_state>(*state_, network, std::move(name), *at,
                                                     state_->hosts.size(), std::move(set_up));
    detail::host_state& host = *made;
    state_->hosts.push_back(std::move(made));
    network.add_host(host.kernel);
    simulated_host handle(host);
    detail::boot(host);
    if (host.set_up) { handle.on_worker(host.set_up); }
    return handle;
}

clock::time_point simulation::now() const noexcept { return state_->network.now(); }

clock::duration simulation::elapsed() const noexcept {
    return state_->network.now() - state_->network.start();
}

void simulation::run_for(time_limit time) {
    const auto until = heph::detail::later(now(), time.longest());
    (void)detail::run(*state_, [] { return false; }, time.longest());
    state_->network.advance_to(until);
}

void simulation::run_to_rest(time_limit within) {
    const auto longest = within.longest();
    if (detail::run(*state_, [] { return false; }, longest) != detail::outcome::at_rest) {
        detail::fail_late(*state_, "the simulation did not come to rest", longest);
    }
}

void simulation::partition(const simulated_host& one, const simulated_host& other) {
    partition_from_to(one, other);
    partition_from_to(other, one);
}

void simulation::partition_from_to(const simulated_host& from, const simulated_host& to) {
    state_->network.note(&from.state().kernel, "is cut off from " + to.name());
    state_->network.block(from.state().kernel, to.state().kernel);
}

void simulation::heal(const simulated_host& one, const simulated_host& other) {
    state_->network.note(&one.state().kernel, "reaches " + other.name() + " again");
    state_->network.unblock(one.state().kernel, other.state().kernel);
    state_->network.unblock(other.state().kernel, one.state().kernel);
}

void simulation::heal_all() {
    state_->network.note(nullptr, "all reach each other again");
    state_->network.unblock_all();
}

void simulation::set_link(const simulated_host& one, const simulated_host& other,
                          const link_conditions& how) {
    state_->network.set_link(one.state().kernel, other.state().kernel, how);
}

void simulation::reset_connections(const simulated_host& one, const simulated_host& other) {
    state_->network.reset_between(one.state().kernel, other.state().kernel);
}

void simulation::set_faults(const fault_rates& rates) { state_->network.set_faults(rates); }

heph::testing::rethrow_supervisor simulation::supervisor() const { return state_->failures; }

std::uint64_t simulation::seed() const noexcept { return state_->network.options().seed; }

std::uint64_t simulation::random(std::uint64_t bound) noexcept {
    return state_->network.random().below(bound);
}

std::uint64_t simulation::fingerprint() const noexcept { return state_->network.fingerprint(); }

std::string simulation::trace() const {
    std::string all;
    for (const std::string& each : state_->network.lines()) {
        all += each;
        all += '\n';
    }
    return all;
}

void run_seeds(std::size_t seeds, simulation_options options,
               const std::function<void(simulation&)>& scenario) {
    if (const char* const asked = std::getenv("HEPH_SEED")) {  // NOLINT(concurrency-mt-unsafe)
        options.seed = std::strtoull(asked, nullptr, 10);
        seeds = 1;
    }
    for (std::size_t i = 0; i < seeds; ++i, ++options.seed) {
        simulation world(options);
        try {
            scenario(world);
        } catch (...) {
            const std::string seed = std::to_string(options.seed);
            log(log_level::error, "a simulation failed with seed " + seed + " (HEPH_SEED=" + seed +
                                      " runs that one alone); its end:\n" + world.trace());
            throw;
        }
    }
}

}  // namespace heph::rt::testing
