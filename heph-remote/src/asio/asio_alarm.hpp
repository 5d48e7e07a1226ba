#pragma once

// A timer of Boost.Asio for whoever waits, on whatever thread.
//
// A timer object of Boost.Asio belongs to its strand: it is made, cancelled and destroyed there, by
// the handlers that own it. The one who waits shares a state with them.
//
// States
//     idle     --first poll-->                            started (a start is under way to the
//     strand) started  --the start runs there: not dropped-->     armed armed    --time is up-->
//     fired, and woken started, armed --dropped-->                         dropped (a cancel is
//     under way, if armed)
// The waiting handler owns the timer, so that it goes with the execution context, too.

#include <memory>
#include <mutex>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <heph/core/timing.hpp>
#include <heph/inbox/future.hpp>
#include <heph/inbox/waker.hpp>

namespace heph::remote::detail {

using asio_strand = boost::asio::strand<boost::asio::any_io_executor>;

/// Is ready at a point in time.
///
/// *Thread safety*: as every future; the strand may be another thread's.
/// *Lifetime*: goes before the execution context, or with it.
class [[nodiscard]] asio_alarm {
public:
    using value_type = void;

    asio_alarm(asio_strand strand, steady_time when) : strand_(std::move(strand)), when_(when) {}
    asio_alarm(asio_alarm&& other) noexcept = default;
    asio_alarm& operator=(asio_alarm&&) = delete;
    ~asio_alarm() {
        if (!shared_) { return; }
        {
            const std::lock_guard lock(shared_->mutex);
            if (shared_->has_fired) { return; }
            shared_->is_dropped = true;
            shared_->wakes = waker();
        }
        run([shared = shared_] { cancel(*shared); });
    }

    polled<void> poll(const waker& waker) {
        if (!shared_) {
            shared_ = std::make_shared<shared>();
            shared_->wakes = waker;
            run([shared = shared_, strand = strand_, when = when_] { arm(shared, strand, when); });
            return pending;
        }
        const std::lock_guard lock(shared_->mutex);
        if (shared_->has_fired) { return ready; }
        shared_->wakes = waker;
        return pending;
    }

private:
    struct shared {
        std::mutex mutex;  // Guards what follows, but for the timer, which is the strand's.
        waker wakes;
        bool is_dropped = false;
        bool has_fired = false;
        boost::asio::steady_timer* timer = nullptr;  // Null: not made, or its handler has run.
    };

    // Runs something on the strand: at once, if this is it.
    template <typename Function>
    void run(Function function) {
        if (strand_.running_in_this_thread()) { return function(); }
        boost::asio::post(strand_, std::move(function));
    }

    static void arm(const std::shared_ptr<shared>& of, const asio_strand& strand,
                    steady_time when) {
        {
            const std::lock_guard lock(of->mutex);
            if (of->is_dropped) { return; }
        }
        auto timer = std::make_unique<boost::asio::steady_timer>(strand, when);
        boost::asio::steady_timer& armed = *timer;
        of->timer = &armed;
        armed.async_wait([of, timer = std::move(timer)](const boost::system::error_code&) {
            of->timer = nullptr;
            waker wakes;
            {
                const std::lock_guard lock(of->mutex);
                of->has_fired = true;
                wakes = std::exchange(of->wakes, waker());
            }
            wakes.wake();
        });
    }

    static void cancel(const shared& of) {
        if (of.timer != nullptr) { of.timer->cancel(); }
    }

    asio_strand strand_;
    steady_time when_;
    std::shared_ptr<shared> shared_;
};

}  // namespace heph::remote::detail
