#pragma once

// The executors that the same actors are run on. Each has a `runtime`, which is a timed runtime
// that spawns, and `run`, which calls a function with it and then runs to the end of all actors.

#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/asio.hpp>
#include <heph/core/testing/step_executor.hpp>
#include <heph/core/testing/virtual_clock.hpp>
#include <heph/rt/timer.hpp>
#include <heph/rt/worker.hpp>

#include "rt/on_runtime.hpp"
#include "support/poll_loop.hpp"

namespace heph::test {

/// A queue of what was woken, and nothing else; a virtual clock has the timers.
class on_a_poll_loop {
public:
    class runtime {
    public:
        runtime(poll_loop& loop, testing::virtual_clock clock)
            : loop_(&loop), clock_(std::move(clock)) {}

        template <typename Supervisor, typename NewActor, typename... Args>
        auto spawn(actor_options options, Supervisor supervisor, NewActor new_actor,
                   Args... args) const {
            auto [running, ref] = make_actor(std::move(supervisor), std::move(new_actor), *this,
                                             std::move(options), std::move(args)...);
            loop_->spawn(std::move(running));
            return std::move(ref);
        }
        template <future F>
        void spawn_future(F running) const {
            loop_->spawn(std::move(running));
        }
        [[nodiscard]] steady_time now() const { return clock_.now(); }
        [[nodiscard]] testing::virtual_timer timer_at(steady_time when) const {
            return clock_.timer_at(when);
        }

    private:
        poll_loop* loop_;
        testing::virtual_clock clock_;
    };

    static constexpr bool is_virtual = true;

    static void run(const std::function<void(runtime)>& set_up) {
        testing::virtual_clock clock;
        poll_loop loop;
        set_up(runtime(loop, clock));
        do { loop.run(); } while (clock.advance_to_next());
        CHECK(loop.unfinished() == 0);
    }
};

/// The deterministic executor of the test kit, with an order that is none of the others'.
class on_a_step_executor {
public:
    using runtime = testing::step_runtime;
    static constexpr bool is_virtual = true;

    static void run(const std::function<void(runtime)>& set_up) {
        testing::step_executor executor(testing::schedule::random(2));
        set_up(executor.runtime());
        executor.run();
        CHECK(executor.unfinished() == 0);
    }
};

/// A worker of heph-rt.
class on_heph_rt {
public:
    using runtime = rt::worker;
    static constexpr bool is_virtual = false;

    static void run(const std::function<void(runtime)>& set_up) {
        run_on_worker(quiet_setup(), [&](rt::worker& worker) { set_up(worker); });
    }
};

/// Two workers of heph-rt, which share the actors.
class on_shared_heph_rt {
public:
    using runtime = rt::shared_runtime;
    static constexpr bool is_virtual = false;

    static void run(const std::function<void(runtime)>& set_up) {
        rt::setup settings = quiet_setup();
        settings.threads(2);
        run_on_worker(settings, [&](rt::worker& worker) { set_up(worker.shared()); });
    }
};

/// Boost.Asio's io_context, on the calling thread.
class on_asio {
public:
    using runtime = asio_runtime;
    static constexpr bool is_virtual = false;

    static void run(const std::function<void(runtime)>& set_up) {
        boost::asio::io_context context(1);
        set_up(asio_runtime(context.get_executor()));
        context.run();
    }
};

/// The same on several threads, all actors in one strand.
class on_an_asio_strand {
public:
    using runtime = asio_runtime;
    static constexpr bool is_virtual = false;

    static void run(const std::function<void(runtime)>& set_up) {
        boost::asio::io_context context;
        set_up(asio_runtime(boost::asio::make_strand(context)));
        run_on_threads(context);
    }

    static void run_on_threads(boost::asio::io_context& context) {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 3; ++i) {
            threads.emplace_back([&context] { context.run(); });
        }
    }
};

/// The same without a strand: any of the threads may poll any of the actors.
class on_asio_threads {
public:
    using runtime = asio_runtime;
    static constexpr bool is_virtual = false;

    static void run(const std::function<void(runtime)>& set_up) {
        boost::asio::io_context context;
        set_up(asio_runtime(context.get_executor()));
        on_an_asio_strand::run_on_threads(context);
    }
};

}  // namespace heph::test
