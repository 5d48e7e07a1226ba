#pragma once

// An actor that is the test: others send to it, and the test says what it expects.

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <heph/core/actor_ref.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/context.hpp>
#include <heph/core/testing/describe.hpp>
#include <heph/core/testing/expectation.hpp>
#include <heph/core/testing/step_executor.hpp>
#include <heph/inbox/channel.hpp>

namespace heph::testing {

/// Receives messages in the place of an actor, and fails the test when they are not what it
/// expects: each function whose name begins with `expect` throws `expectation_failed`, with a text
/// that says what came instead.
///
///     heph::testing::step_executor run;
///     heph::testing::probe<std::string> replies(run, "replies");
///     auto greeter_ref = run.spawn(run.supervisor(), heph::actor_fn(greeter), replies.ref());
///     REQUIRE(greeter_ref.try_send("World"));
///     replies.expect_message("Hello World");
///     replies.expect_nothing(1s);
///
/// Made with a `step_executor`, it runs that while it waits, in virtual time: a test of an hour
/// takes no time. Made without one, it blocks the calling thread, and what sends to it runs on
/// others. *Thread safety*: unsafe; its references are safe.
template <typename M>
class probe {
public:
    using duration = std::chrono::steady_clock::duration;

    /// How long to wait for something, unless said otherwise: in virtual time, and of a clock.
    static constexpr duration patience = std::chrono::seconds(3);
    /// How long nothing has to come, unless said otherwise.
    static constexpr duration calm = std::chrono::milliseconds(100);

    /// Makes a probe that runs an executor while it waits.
    /// *Lifetime*: refers to the executor.
    explicit probe(step_executor& run, std::string name = "probe", std::size_t inbox_size = 1024)
        : probe(&run, std::move(name), inbox::channel<M>(inbox_size)) {}

    /// Makes a probe that blocks the calling thread while it waits.
    explicit probe(std::string name = "probe", std::size_t inbox_size = 1024)
        : probe(nullptr, std::move(name), inbox::channel<M>(inbox_size)) {}

    /// Makes a reference to it.
    [[nodiscard]] actor_ref<M> ref() const { return actor_ref<M>(inbox_.new_sender()); }

    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    /// Gives a message that is there already.
    [[nodiscard]] std::expected<M, receive_error> try_receive() { return inbox_.try_recv(); }

    /// Waits for a message. Gives it, or why there is none: `empty` when time is up.
    [[nodiscard]] std::expected<M, receive_error> receive(duration within = patience) {
        if (run_ == nullptr) {
            return inbox_.recv_blocking(
                heph::detail::later(std::chrono::steady_clock::now(), within));
        }
        const steady_time until = heph::detail::later(run_->clock().now(), within);
        for (;;) {
            auto received = inbox_.try_recv();
            if (received || received.error() == receive_error::disconnected) { return received; }
            if (!run_->step_until(until)) {
                virtual_clock(run_->clock()).advance_to(until);
                return inbox_.try_recv();
            }
        }
    }

    /// Expects a message within some time, and gives it.
    M expect_message() { return *expect_some("a message", patience); }
    /// Does so within a time of one's own. A time alone says how long, unless the messages are
    /// times themselves: then it is the one that is expected.
    M expect_message(duration within)
        requires(!std::equality_comparable_with<const M&, const duration&>)
    {
        return *expect_some("a message", within);
    }

    /// Expects that the next message equals `value`.
    template <typename T>
        requires std::equality_comparable_with<const M&, const T&>
    void expect_message(const T& value, duration within = patience) {
        const std::string wanted = "the message " + describe(value);
        auto received = expect_some(wanted, within);
        if (!(*received == value)) { fail(wanted, within, "got " + describe(*received)); }
    }

    /// Expects that the next message is the alternative `T` of a variant, and gives it.
    template <typename T>
    T expect_alternative(duration within = patience) {
        const std::string wanted = "a message of type " + heph::detail::type_name(typeid(T));
        auto received = expect_some(wanted, within);
        T* held = std::get_if<T>(&*received);
        if (held == nullptr) { fail(wanted, within, "got " + describe(*received)); }
        return std::move(*held);
    }

    /// Expects that the next message is one that `matches` says yes to, and gives it. `wanted` says
    /// in the failure what that is: "a message that …".
    template <std::predicate<const M&> Matches>
    M expect_match(Matches matches, std::string_view wanted = "matches",
                   duration within = patience) {
        const std::string what = "a message that " + std::string(wanted);
        auto received = expect_some(what, within);
        if (!matches(std::as_const(*received))) {
            fail(what, within, "got " + describe(*received));
        }
        return std::move(*received);
    }

    /// Expects a message that `matches` says yes to, after any number of others, which are dropped.
    template <std::predicate<const M&> Matches>
    M expect_eventually(Matches matches, std::string_view wanted = "matches",
                        duration within = patience) {
        const steady_time until = heph::detail::later(now(), within);
        std::string passed;
        std::size_t count = 0;
        for (;;) {
            auto received = receive(std::max(duration::zero(), until - now()));
            if (!received) {
                fail("a message that " + std::string(wanted), within,
                     "got " + std::to_string(count) + " others" + passed +
                         (received.error() == receive_error::disconnected
                              ? "; then all references to it were gone"
                              : ""));
            }
            if (matches(std::as_const(*received))) { return std::move(*received); }
            if (++count <= described_max) {
                passed += (count == 1 ? ": " : ", ") + describe(*received);
            } else if (count == described_max + 1) {
                passed += ", ...";
            }
        }
    }

    /// Expects that no message comes for some time.
    void expect_nothing(duration during = calm) {
        auto received = receive(during);
        if (received) { fail("nothing", during, "got " + describe(*received)); }
    }

    /// Expects that every reference to it goes, without another message.
    void expect_end(duration within = patience) {
        auto received = receive(within);
        const std::string wanted = "the end of its messages";
        if (received) { fail(wanted, within, "got " + describe(*received)); }
        if (received.error() != receive_error::disconnected) {
            fail(wanted, within, "there still are references to it");
        }
    }

    /// Expects that an actor finishes.
    template <typename Other>
    void expect_finished(const actor_ref<Other>& ref, duration within = patience) {
        bool finished = !ref.is_connected();
        if (!finished && run_ != nullptr) {
            finished = run_->run_until([&] { return !ref.is_connected(); }, within);
        } else if (!finished) {
            finished = heph::block_on(ref.join(), deadline_in(within)).has_value();
        }
        if (!finished) { fail("that the actor finishes", within, "it did not"); }
    }

private:
    static constexpr std::size_t described_max = 8;

    probe(step_executor* run, std::string name,
          std::pair<inbox::sender<M>, inbox::receiver<M>> made)
        : run_(run), name_(std::move(name)), inbox_(std::move(made.second)) {}

    [[nodiscard]] steady_time now() const {
        return run_ != nullptr ? run_->clock().now() : std::chrono::steady_clock::now();
    }

    std::expected<M, receive_error> expect_some(const std::string& wanted, duration within) {
        auto received = receive(within);
        if (!received) {
            fail(wanted, within,
                 received.error() == receive_error::disconnected
                     ? "all references to it are gone, so that none can come"
                     : "none came");
        }
        return received;
    }

    [[noreturn]] void fail(const std::string& wanted, duration within,
                           const std::string& instead) const {
        std::string text =
            name_ + " expected " + wanted + " within " + detail::to_text(within) + ": " + instead;
        if (run_ != nullptr) { text += " (" + run_->describe() + ")"; }
        throw expectation_failed(text);
    }

    step_executor* run_;
    std::string name_;
    inbox::receiver<M> inbox_;
};

}  // namespace heph::testing
