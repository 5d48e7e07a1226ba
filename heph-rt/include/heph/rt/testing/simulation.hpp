#pragma once

// Hosts, their network and their time in one thread, as a seed says: the same in every run.

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <heph/core/testing/rethrow_supervisor.hpp>
#include <heph/inbox/future.hpp>
#include <heph/rt/net/endpoint.hpp>
#include <heph/rt/testing/asked.hpp>
#include <heph/rt/testing/network_conditions.hpp>
#include <heph/rt/time_source.hpp>
#include <heph/rt/timer_queue.hpp>
#include <heph/rt/worker.hpp>

namespace heph::rt::testing {

/// The settings of a simulation.
struct simulation_options {
    std::uint64_t seed = 1;  ///< What it is that differs between two runs, and all of it.
    link_conditions link{};  ///< Of all links, unless `set_link` says otherwise.
    fault_rates faults{};    ///< What goes wrong from the start; see `set_faults`.
    /// Bytes that a stream has on its way or at its peer, not received, before it takes no more.
    std::size_t stream_window = std::size_t{64} * 1024;
    /// How long a stream tries to get through, or to connect, before it fails with `timed_out`.
    std::chrono::milliseconds stream_patience{120'000};
    std::size_t trace_lines = 1'000;  ///< The last lines of the trace that are kept.
    /// Turns of the hosts while the time stands still, in one run. More of them are a mistake: some
    /// actor is always ready.
    std::size_t turns_max = 1'000'000;
    timer_queue_factory make_timers{};  ///< Makes each host's timers, as `setup::timers` does.
};

namespace detail {

struct simulation_state;
struct host_state;

/// Is on a host for as long as it lives: what is called meanwhile is called by that host's worker.
class inside_host {
public:
    /// *Errors*: throws `expectation_failed` when the host does not run.
    explicit inside_host(host_state& host);
    inside_host(const inside_host&) = delete;
    inside_host& operator=(const inside_host&) = delete;
    ~inside_host();

    [[nodiscard]] worker here() const noexcept;

private:
    host_state* host_;
    void* sockets_before_;
    void* worker_before_;
};

/// Runs a simulation until a condition holds, at most for so long by its clock. Tells whether it
/// does. *Errors*: throws what made an actor fail.
bool run_until(simulation_state& of, const std::function<bool()>& condition,
               std::chrono::nanoseconds within);
[[nodiscard]] simulation_state& simulation_of(host_state& host) noexcept;
[[noreturn]] void fail_late(simulation_state& of, const char* what,
                            std::chrono::nanoseconds within);

}  // namespace detail

/// A host of a simulation: a runtime with one worker, an address, and sockets. Copies are handles
/// of the same one.
///
/// *Thread safety*: as the simulation. *Lifetime*: the simulation's.
class simulated_host {
public:
    /// How long something may take by the simulation's clock, unless said otherwise.
    static constexpr std::chrono::hours patience{1};

    explicit simulated_host(detail::host_state& state) noexcept : state_(&state) {}

    [[nodiscard]] const std::string& name() const noexcept;
    /// Gives the host's address with a port.
    [[nodiscard]] net::endpoint at(std::uint16_t port) const noexcept;
    /// Tells whether it runs: it was not crashed, or was restarted.
    [[nodiscard]] bool is_up() const noexcept;
    /// Gives access to its runtime. *Errors*: throws `expectation_failed` when it does not run.
    [[nodiscard]] shared_runtime shared() const;

    /// Calls a function as the host's worker, at once, and gives what it gives.
    /// *Errors*: throws what the function throws; `expectation_failed` when the host does not run.
    template <std::invocable<worker&> F>
    auto on_worker(F function) -> std::invoke_result_t<F&, worker&> {
        const detail::inside_host inside(*state_);
        worker here = inside.here();
        return function(here);
    }

    /// Starts an actor, as `worker::spawn` does. Gives a reference to it.
    template <typename... Args>
    auto spawn(Args... args) {
        return on_worker([&args...](worker& here) { return here.spawn(std::move(args)...); });
    }

    /// Runs a future that `make` makes as one of this host, and the whole simulation with it, until
    /// it is ready. Gives its value.
    /// *Errors*: throws what the future throws; what made an actor fail that is under
    /// `simulation::supervisor`; and `expectation_failed` when it is not ready within that time by
    /// the simulation's clock, or the host was crashed meanwhile.
    template <std::invocable<worker&> Make>
        requires future<std::invoke_result_t<Make&, worker&>>
    auto block_on(Make make, time_limit within = patience)
        -> future_value_t<std::invoke_result_t<Make&, worker&>> {
        auto value = try_block_on(std::move(make), within);
        if (!value) {
            detail::fail_late(detail::simulation_of(*state_), "a future was not ready",
                              within.longest());
        }
        if constexpr (!std::is_void_v<future_value_t<std::invoke_result_t<Make&, worker&>>>) {
            return *std::move(value);
        }
    }

    /// Runs a future like `block_on`, and gives nothing when it is not ready within that time.
    template <std::invocable<worker&> Make>
        requires future<std::invoke_result_t<Make&, worker&>>
    auto try_block_on(Make make, time_limit within)
        -> std::optional<detail::held<future_value_t<std::invoke_result_t<Make&, worker&>>>> {
        detail::asked<Make> asked;
        on_worker(asked.job(std::move(make)));
        auto& world = detail::simulation_of(*state_);
        const auto over = [&asked] { return asked.outcome().is_over(); };
        if (detail::run_until(world, over, within.longest())) { return asked.outcome().take(); }
        asked.give_up();
        (void)detail::run_until(world, over, std::chrono::nanoseconds::zero());
        return std::nullopt;
    }

    /// Asks the host's runtime for an orderly stop, as SIGTERM does. What does not end by itself
    /// stays: nothing is dropped after a while.
    void request_stop();

    /// Ends the host as a loss of power does: its actors are dropped, and nobody on the network is
    /// told. What is sent to it is lost until it is restarted, and refused or reset then.
    /// *Errors*: throws `expectation_failed` when it is called by what runs on the host itself.
    void crash();
    /// Starts it anew, without anything that it had, by the function that it was made with. One
    /// that runs is crashed before.
    /// *Errors*: as `crash`; what that function throws.
    void restart();

    [[nodiscard]] detail::host_state& state() const noexcept { return *state_; }

private:
    detail::host_state* state_;
};

/// Runs several hosts, with actors, sockets and timers as they are, in the thread of a test:
/// without the kernel's sockets, without its clock, and without other threads.
///
///     heph::rt::testing::simulation world({.seed = 7});
///     auto server = world.add_host("server", "10.0.0.1", [](heph::rt::worker& here) {
///         here.spawn(heph::no_supervisor(), heph::actor_fn(serve), 80);
///     });
///     auto client = world.add_host("client", "10.0.0.2");
///     world.partition(server, client);
///     auto answer = client.block_on([&](heph::rt::worker&) { return ask(server.at(80)); });
///     CHECK(answer.error() == std::errc::timed_out);  // two minutes later, and at once
///
/// *Time* stands still while any host has something to do, and then jumps to what is next: a timer,
/// or an arrival. So timers, deadlines and intervals are exact to the millisecond, and a day takes
/// no longer than what happens in it.
///
/// *The seed* says which host goes on, which of its ready actors runs next, whether an operation is
/// tried at once or a turn later, how long a piece is on its way, and what goes wrong by
/// `fault_rates`. Two runs with the same seed, and the same program, are the same, which
/// `fingerprint` and `trace` show; with another seed the orders are others. See `run_seeds`.
///
/// *What is there*: TCP, UDP and Unix streams with all operations of `tcp_stream`, `tcp_listener`,
/// `udp_socket`, `unix_stream`, `unix_listener` and `buffer_pool`; names of hosts, by `resolve` and
/// `net::connect`; timers; local and thread-safe actors; `spawn_blocking`, whose function runs at
/// once in the same thread, in no time. Each host has Unix sockets of its own, which are no files.
///
/// *What is not*: files, pipes, processes, datagrams and records of Unix sockets, and descriptors
/// that come along with bytes fail with `operation_not_supported`, as does `spawn_sync`; sending
/// files, multicast and TLS in the kernel likewise fail or are done without. There are no signals.
/// What an actor asks of the system by itself, such as the time of day or random numbers, is not
/// the simulation's, and makes runs differ when anything depends on it.
///
/// States of a host
///     up --crash--> down --restart--> up;  up --end of the simulation--> gone
///
/// Invariants
///     1. One host at a time is inside a turn, and only what happens in a turn, or in `on_worker`,
///        is a host's doing.
///     2. The time goes on only when no host has anything to do, and never beyond the next event.
///     3. What is sent reaches another host by an event of the network, never within the turn.
///
/// What fails says the seed. *Thread safety*: used by one thread. Others may send to its actors,
/// but then runs differ. Actors, too, may use it, for a partition or another host's crash; to run
/// it they may not: that throws `expectation_failed`. *Cancellation*: the destructor drops all
/// actors.
class simulation {
public:
    explicit simulation(const simulation_options& options = {});
    /// Makes one with a seed, and nothing that goes wrong.
    explicit simulation(std::uint64_t seed) : simulation(with_seed(seed)) {}
    simulation(const simulation&) = delete;
    simulation& operator=(const simulation&) = delete;
    ~simulation();

    /// Adds a host at an address such as `10.0.0.1` or `fd00::1`, and calls `set_up` as its worker,
    /// now and at each restart.
    /// *Errors*: throws `std::invalid_argument` for a name or an address that is taken, or is none;
    /// what `set_up` throws.
    simulated_host add_host(std::string name, std::string_view address,
                            std::function<void(worker&)> set_up = {});

    // Time.

    [[nodiscard]] clock::time_point now() const noexcept;
    /// Gives the time since the start.
    [[nodiscard]] clock::duration elapsed() const noexcept;
    /// Runs for so long. *Errors*: throws what made an actor fail.
    void run_for(time_limit time);
    /// Runs until a condition holds. Tells whether it does, within that time; false also when
    /// nothing is left that could happen.
    template <std::predicate Condition>
    bool run_until(Condition condition, time_limit within = simulated_host::patience) {
        return detail::run_until(*state_, std::ref(condition), within.longest());
    }
    /// Runs until nothing is left that could happen: no actor is ready, no timer runs, and nothing
    /// is on its way. *Errors*: throws what made an actor fail, and `expectation_failed` when it is
    /// not so within that time, as with an interval that goes on.
    void run_to_rest(time_limit within = simulated_host::patience);

    // The network.

    /// Loses all that the two send each other, until `heal`.
    void partition(const simulated_host& one, const simulated_host& other);
    /// Loses what one sends to the other.
    void partition_from_to(const simulated_host& from, const simulated_host& to);
    /// Lets the two reach each other again.
    void heal(const simulated_host& one, const simulated_host& other);
    void heal_all();
    /// Sets how a link behaves, in both directions.
    void set_link(const simulated_host& one, const simulated_host& other,
                  const link_conditions& how);
    /// Resets all connections between the two, at both ends and at once.
    void reset_connections(const simulated_host& one, const simulated_host& other);
    /// Sets what goes wrong from now on.
    void set_faults(const fault_rates& rates);

    // The run.

    /// Gives a supervisor that stops an actor which fails: whatever runs the simulation throws the
    /// first such failure.
    [[nodiscard]] heph::testing::rethrow_supervisor supervisor() const;
    [[nodiscard]] std::uint64_t seed() const noexcept;
    /// Gives a number below `bound` by the seed, for what the test itself wants to leave to it.
    /// *Requires*: `bound` is not 0.
    [[nodiscard]] std::uint64_t random(std::uint64_t bound) noexcept;
    /// Gives a digest of all that happened so far: the same for the same run.
    [[nodiscard]] std::uint64_t fingerprint() const noexcept;
    /// Gives the last lines of what happened: the time in seconds, the host, and what.
    [[nodiscard]] std::string trace() const;

private:
    static simulation_options with_seed(std::uint64_t seed) {
        simulation_options options;
        options.seed = seed;
        return options;
    }

    std::unique_ptr<detail::simulation_state> state_;
};

/// Runs a scenario with one seed after the other, from `options.seed` on, each in a simulation of
/// its own. With the variable HEPH_SEED in the environment it is run with that seed only.
///
///     run_seeds(100, {}, [](simulation& world) { … });
///
/// *Errors*: throws what the scenario throws; before that, the log has the seed, and the end of the
/// trace.
void run_seeds(std::size_t seeds, simulation_options options,
               const std::function<void(simulation&)>& scenario);

}  // namespace heph::rt::testing
