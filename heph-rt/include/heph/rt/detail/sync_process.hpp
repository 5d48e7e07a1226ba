#pragma once

// A sync actor on its thread, as a runtime knows it.

#include <cstddef>
#include <expected>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <heph/core/actor_future.hpp>
#include <heph/core/detail/os_thread.hpp>

namespace heph::rt::detail {

class runtime_core;
struct sync_entry;

/// What a sync actor's thread does: run the actor, and tell the runtime of its end.
class sync_main : public heph::detail::thread_main {
public:
    ~sync_main() override;
    void run() noexcept final;

    /// Counts the actor's messages and restarts. *Requires*: it is not destroyed yet.
    /// *Thread safety*: safe.
    [[nodiscard]] virtual actor_counts counts() const noexcept = 0;

    std::shared_ptr<runtime_core> runtime;
    std::list<sync_entry>::iterator place;

private:
    /// Runs the actor to its end.
    virtual void run_actor() noexcept = 0;
    virtual void destroy_actor() noexcept = 0;
};

template <typename Actor>
class sync_process final : public sync_main {
public:
    explicit sync_process(Actor&& actor)
        : actor_(std::in_place, std::move(actor)), gauge_(actor_->new_gauge()) {}

    [[nodiscard]] actor_counts counts() const noexcept override {
        const auto messages = gauge_.counts();
        return {messages.queued, messages.received, actor_->restarts()};
    }

private:
    void run_actor() noexcept override { (void)heph::detail::run_on_thread(*actor_); }
    void destroy_actor() noexcept override { actor_.reset(); }

    std::optional<Actor> actor_;
    decltype(std::declval<const Actor&>().new_gauge()) gauge_;
};

/// Starts a sync actor's thread, which the runtime waits for.
/// *Errors*: the system's; `operation_canceled` when the runtime is finished.
[[nodiscard]] std::expected<void, std::error_code> start_sync(
    const std::shared_ptr<runtime_core>& runtime, std::string name, std::size_t stack_size,
    std::unique_ptr<sync_main> main);

}  // namespace heph::rt::detail
