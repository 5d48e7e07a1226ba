#pragma once

// What an actor has: its inbox, and access to what runs it.

#include <cstddef>
#include <expected>
#include <utility>

#include <heph/core/actor_ref.hpp>
#include <heph/inbox/channel.hpp>

namespace heph {

/// Is the message type of an actor that takes none: it cannot be made.
struct no_message {
    no_message() = delete;
};

/// Is the runtime access of an actor that needs none.
struct no_runtime {};

/// Says why there is no message right now: `empty`, or `disconnected` for good.
using receive_error = inbox::recv_error;

/// Gives an actor its messages, and access to the runtime it runs in. An actor is a function that
/// takes one by value as its first parameter.
///
///     heph::task<> greeter(heph::rt::local_context<std::string> ctx, std::string greeting) {
///         while (auto name = co_await ctx.receive()) {
///             spdlog::info("{} {}", greeting, *name);
///         }
///     }
///
/// *Thread safety*: unsafe; used by its actor only. *Lifetime*: it belongs into the actor: the one
/// of the actor before a restart must be gone before the next one is made.
template <typename M, typename RT = no_runtime>
class context {
public:
    using message_type = M;
    using runtime_type = RT;

    context(inbox::receiver<M> inbox, RT runtime) noexcept
        : inbox_(std::move(inbox)), runtime_(std::move(runtime)) {}

    /// Waits for the next message. Gives `std::optional<M>`; nothing when every reference is gone
    /// and the inbox is empty, so that none will ever come.
    /// *Cancellation*: no message is lost. *Lifetime*: borrows the context.
    [[nodiscard]] auto receive() noexcept { return inbox_.recv(); }

    /// Gives the next message, if there is one.
    [[nodiscard]] std::expected<M, receive_error> try_receive() { return inbox_.try_recv(); }

    /// Gives access to the runtime.
    [[nodiscard]] RT& runtime() noexcept { return runtime_; }
    [[nodiscard]] const RT& runtime() const noexcept { return runtime_; }

    /// Makes a reference to this actor. While the actor itself holds it, there may always be
    /// another message: `receive` waits for ever instead of giving nothing.
    [[nodiscard]] actor_ref<M> self() { return actor_ref<M>(inbox_.new_sender()); }

    /// Tells whether anyone can still send a message.
    [[nodiscard]] bool is_connected() const noexcept { return inbox_.is_connected(); }

private:
    inbox::receiver<M> inbox_;
    [[no_unique_address]] RT runtime_;
};

}  // namespace heph
