#pragma once

// The kinds of children that a supervision tree has: actors, and other trees.

#include <concepts>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <heph/core/actor_end.hpp>
#include <heph/core/actor_ref.hpp>
#include <heph/core/detail/actor_cell.hpp>
#include <heph/core/detail/tree_core.hpp>
#include <heph/core/failure.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/stopping.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/inbox/channel.hpp>

namespace heph::detail {

/// Is the message of a child that is not asked to stop, but dropped.
struct no_stop_message {};

/// Puts a failure into words, with the type of an exception.
[[nodiscard]] actor_end describe_end(const failure& why) noexcept;
[[nodiscard]] std::string describe_current_exception() noexcept;

/// An actor that is made of copies of its arguments at each start.
template <typename Supervisor, typename NewActor, typename RT, typename Actor, typename Stop,
          typename... Args>
class actor_child final : public child_body {
    using message_type = typename NewActor::message_type;
    static constexpr bool is_asked = !std::same_as<Stop, no_stop_message>;
    static constexpr bool is_renewed =
        std::copy_constructible<Supervisor> && std::is_move_assignable_v<Supervisor>;
    using fresh_type = std::conditional_t<is_renewed, Supervisor, no_stop_message>;

public:
    actor_child(Supervisor supervisor, NewActor new_actor, RT runtime, std::string name,
                inbox::manager<message_type> inbox, Stop message, std::tuple<Args...> args)
        : fresh_([&]() -> fresh_type {
              if constexpr (is_renewed) {
                  return supervisor;
              } else {
                  return {};
              }
          }()),
          args_(std::move(args)),
          stop_(std::move(message)),
          cell_(std::move(supervisor), std::move(new_actor), std::move(runtime),
                short_name(std::move(name)), std::move(inbox)) {}

    std::optional<std::string> start() noexcept override {
        try {
            is_stopping_ = false;
            if constexpr (is_renewed) { cell_.renew(Supervisor(fresh_)); }
            auto args = args_;
            std::optional<std::string> error;
            cell_.make(args, [&error](const failure& why) noexcept {
                error.emplace(describe_end(why).text());
            });
            return error;
        } catch (...) { return describe_current_exception(); }
    }

    polled<actor_end> poll(const waker& waker) noexcept override {
        if constexpr (is_asked) {
            if (asking_ && asking_->sending.poll(waker).is_ready()) { asking_.reset(); }
        }
        std::optional<actor_end> end;
        const auto on_failure = [&end](const failure& why, cell_end) noexcept {
            end.emplace(describe_end(why));
        };
        const auto polled_cell =
            is_stopping_ ? cell_.poll_last(waker, on_failure) : cell_.poll(waker, on_failure);
        if (!polled_cell.is_ready()) { return pending; }
        asking_.reset();
        if (end) { return polled<actor_end>(std::move(*end)); }
        // Its runtime stops: see `tree_core::ended`.
        if (polled_cell.value() == cell_end::dropped) {
            return polled<actor_end>(actor_end(end_reason::dropped));
        }
        return polled<actor_end>(actor_end(end_reason::finished));
    }

    bool ask() noexcept override {
        if constexpr (is_asked) {
            // While a restart is waited for there is nobody who could do anything about it.
            if (cell_.is_waiting()) { return false; }
            try {
                asking_.emplace(cell_.inbox().new_sender(), message_type(stop_));
                is_stopping_ = true;
                return true;
            } catch (...) { return false; }
        } else {
            return false;
        }
    }

    void drop() noexcept override {
        asking_.reset();
        cell_.drop();
    }

    void close(const actor_end& end) noexcept override {
        std::move(cell_.inbox()).leave(make_end_word(end));
    }

private:
    // The request to stop, on its way into the inbox.
    struct request {
        request(inbox::sender<message_type> sender, message_type message)
            : to(std::move(sender)), sending(to.send(std::move(message))) {}
        inbox::sender<message_type> to;
        inbox::send_future<message_type> sending;
    };
    struct no_request {
        void reset() const noexcept {}
    };

    [[no_unique_address]] fresh_type fresh_;
    std::tuple<Args...> args_;
    [[no_unique_address]] Stop stop_;
    actor_cell<Supervisor, NewActor, RT, Actor, true> cell_;
    [[no_unique_address]] std::conditional_t<is_asked, std::optional<request>, no_request> asking_;
    bool is_stopping_ = false;  // It was asked: whatever it fails with, it is not restarted.
};

/// A tree in a tree.
class nested_tree final : public child_body {
public:
    explicit nested_tree(std::unique_ptr<tree_core> core) noexcept : core_(std::move(core)) {}

    std::optional<std::string> start() noexcept override {
        core_->drop();
        return std::nullopt;  // What goes wrong in it, its first poll tells.
    }
    polled<actor_end> poll(const waker& waker) noexcept override;
    bool ask() noexcept override {
        core_->request_stop();
        return true;
    }
    void drop() noexcept override { core_->drop(); }
    void close(const actor_end&) noexcept override { core_->close(); }

private:
    std::unique_ptr<tree_core> core_;
};

/// A runtime's time, or the system's when that has none, and its stop.
template <typename RT>
class runtime_of_tree final : public tree_runtime {
public:
    explicit runtime_of_tree(RT runtime) : runtime_(std::move(runtime)) {}

    steady_time now() override { return time_of(runtime_); }
    std::optional<any_future<void>> timer_at(steady_time when) override {
        if constexpr (timed_runtime<RT>) {
            return any_future<void>(runtime_.timer_at(when));
        } else {
            return std::nullopt;
        }
    }

    std::optional<any_future<void>> stopping() override {
        if constexpr (stoppable_runtime<RT>) {
            return any_future<void>(runtime_.stopping());
        } else {
            return std::nullopt;
        }
    }

private:
    [[no_unique_address]] RT runtime_;
};

}  // namespace heph::detail
