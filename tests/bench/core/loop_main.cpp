// The workloads on a bare run queue: what heph-core costs, without a runtime or a kernel.

#include <concepts>
#include <string>
#include <utility>
#include <vector>

#include "bench/core/workloads.hpp"
#include "support/poll_loop.hpp"

namespace {

/// What an actor can ask of the loop it runs on.
class local_loop {
public:
    explicit local_loop(heph::test::poll_loop& loop) noexcept : loop_(&loop) {}

    template <typename Supervisor, typename NewActor, typename... Args>
    auto spawn(heph::actor_options options, Supervisor supervisor, NewActor new_actor,
               Args... args) {
        auto [running, ref] = heph::make_actor(std::move(supervisor), std::move(new_actor), *this,
                                               std::move(options), std::move(args)...);
        loop_->spawn(std::move(running));
        return std::move(ref);
    }
    template <typename Supervisor, typename NewActor, typename... Args>
        requires(!std::same_as<Supervisor, heph::actor_options>)
    auto spawn(Supervisor supervisor, NewActor new_actor, Args... args) {
        return spawn(heph::actor_options(), std::move(supervisor), std::move(new_actor),
                     std::move(args)...);
    }

private:
    heph::test::poll_loop* loop_;
};

}  // namespace

int main(int argc, char** argv) {
    heph::test::poll_loop loop;
    auto ref = local_loop(loop).spawn(heph::no_supervisor(),
                                      heph::actor_fn(&heph::bench::run_all<local_loop>),
                                      std::vector<std::string>(argv + 1, argv + argc));
    loop.run();
    heph::bench::require(!ref.is_connected());
}
