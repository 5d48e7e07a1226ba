#pragma once

// A supervisor for tests: what makes an actor fail, makes the test fail.

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include <heph/core/failure.hpp>
#include <heph/core/supervisor.hpp>

namespace heph::testing {

/// Says that an actor returned an error. (An exception is thrown again as it was.)
class actor_failed : public std::runtime_error {
public:
    explicit actor_failed(const std::string& what) : std::runtime_error(what) {}
};

/// Stops an actor that fails, and keeps why, until it is thrown to the test.
///
///     heph::testing::rethrow_supervisor supervisor;
///     auto [running, ref] = heph::make_actor(supervisor, heph::actor_fn(counter), …);
///     heph::block_on(std::move(running));
///     supervisor.rethrow();  // throws what left the actor, or actor_failed for an error
///
/// A supervisor cannot throw through the actor it supervises, hence the second step; that of
/// `step_executor::supervisor()` is taken by the executor. Copies share what they keep: the first
/// failure. *Thread safety*: safe.
class rethrow_supervisor {
public:
    rethrow_supervisor();

    stop_t decide(const failure& why) const noexcept;

    /// Tells whether a failure is kept.
    [[nodiscard]] bool has_failed() const noexcept;

    /// Throws the failure that is kept, if there is one, and forgets it.
    void rethrow() const;

private:
    struct state;
    std::shared_ptr<state> state_;
};

}  // namespace heph::testing
